//! Raw SQL that Diesel prepares once a connection.
//!
//! `diesel::sql_query` is prepared anew each time it runs. A type with a static query id is prepared once and then found in
//! the connection's cache; its SQL text must therefore be the same for every value of the type.

/// Declares statements: a name, the binds (field: Rust type => SQL type), the SQL types of the rows, and the text, in which
/// `$` stands for the next bind.
macro_rules! statements {
    ($backend:ty, $connection:ty; $(
        $(#[$meta:meta])*
        $name:ident { $($field:ident: $rust:ty => $sql:ty),* $(,)? } -> $row:ty = $text:expr;
    )*) => { $(
        $(#[$meta])*
        pub struct $name<'a> { $($field: $rust,)* lifetime: core::marker::PhantomData<&'a ()> }

        impl<'a> $name<'a> {
            #[allow(clippy::too_many_arguments, reason = "one for each bind")]
            fn new($($field: $rust),*) -> Self {
                Self { $($field,)* lifetime: core::marker::PhantomData }
            }
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = $row;
        }

        impl diesel::RunQueryDsl<$connection> for $name<'_> {}

        impl diesel::query_builder::QueryFragment<$backend> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: diesel::query_builder::AstPass<'_, 'b, $backend>) -> diesel::QueryResult<()> {
                let text: &str = &$text;
                let mut pieces = text.split('$');
                out.push_sql(pieces.next().unwrap_or_default());
                $(
                    out.push_bind_param::<$sql, _>(&self.$field)?;
                    out.push_sql(pieces.next().unwrap_or_default());
                )*
                debug_assert!(pieces.next().is_none(), "a bind is missing in {}", stringify!($name));
                Ok(())
            }
        }
    )* };
}

/// What an `UPDATE` sets where nobody but its last holder is to be remembered with a row.
macro_rules! forget_others {
    () => {
        "prev_station = NULL, prev_calling_station_id = NULL, prev_nas_id = NULL, prev_session_key = NULL, \
         prev_session_id = NULL, prev_token = NULL, prev_lease_seconds = NULL, prev_assigned_at = NULL, \
         prev_started_at = NULL, prev_expires_at = NULL, prev_free_at = NULL, claimant = NULL, \
         claimant_seen_at = NULL, absent_since = NULL"
    };
}

#[allow(unused_imports, reason = "not every build has all who write")]
pub(super) use {forget_others, statements};
