//! Between rows of `ip_pool_assignments` and [`Row`]: one list of columns for both backends, for reading and for writing.

use std::borrow::Cow;
use std::sync::Arc;

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use ipnet::IpNet;

use super::catalogue::{NasRow, PoolRow, RangeRow};
use crate::lease::{
    Change, Claim, Lease, Mode, NasFacts, Predecessor, Row, Status, Strategy, Time, Unit, life,
};

/// A time, in each backend's column format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromSqlRow, AsExpression)]
#[cfg_attr(feature = "postgres", diesel(sql_type = diesel::sql_types::Timestamptz))]
#[cfg_attr(feature = "sqlite", diesel(sql_type = Text))]
pub struct At(pub Time);

/// An address, in each backend's column format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromSqlRow, AsExpression)]
#[cfg_attr(feature = "postgres", diesel(sql_type = diesel::sql_types::Inet))]
#[cfg_attr(feature = "sqlite", diesel(sql_type = Text))]
pub struct Net(pub IpNet);

/// An address as 16 bytes (IPv4 as `::ffff:a.b.c.d`): numeric order where the backend has no type for addresses.
#[must_use]
pub fn address_key(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The inverse of [`address_key`].
#[must_use]
pub fn key_address(key: &[u8]) -> Option<std::net::IpAddr> {
    let octets: [u8; 16] = key.try_into().ok()?;
    Some(std::net::IpAddr::V6(octets.into()).to_canonical())
}

/// The columns that [`Loaded`] reads, in its order, of `a`.
pub const COLUMNS: &str = "a.id, a.ip_address, a.pool_id, a.attribute, a.status, a.reserved_for, a.epoch, a.expires_at, \
     a.free_at, a.queue_at, a.released_at, a.released_by, a.source, a.updated_at, a.claimant, a.claimant_seen_at, \
     a.owner, a.username, a.subscriber_id, a.station, a.calling_station_id, a.lease_nas_id, a.session_key, a.session_id, \
     a.token, a.lease_seconds, a.regular, a.assigned_at, a.started_at, \
     a.prev_station, a.prev_calling_station_id, a.prev_nas_id, a.prev_session_key, a.prev_session_id, a.prev_token, \
     a.prev_lease_seconds, a.prev_assigned_at, a.prev_started_at, a.prev_expires_at, a.prev_free_at, a.reserved_station";

type Text0 = Nullable<Text>;
type Int0 = Nullable<BigInt>;

/// The SQL types of [`COLUMNS`], where `T` is the backend's time and `A` its address.
pub type RowSql<T, A> = (
    (
        BigInt,
        A,
        BigInt,
        Text,
        Text,
        Text0,
        BigInt,
        Nullable<T>,
        T,
        T,
        Nullable<T>,
        Text0,
        Text0,
        T,
        Text0,
        Nullable<T>,
    ),
    (Text0, Text0, Text0, Text0, Text0, Int0, Text0, Text0, Int0, Int0, Bool, Nullable<T>, Nullable<T>),
    (Text0, Text0, Int0, Text0, Text0, Int0, Int0, Nullable<T>, Nullable<T>, Nullable<T>, Nullable<T>),
    Text0,
);

type Str0 = Option<String>;
type RowCells = (
    i64,
    Net,
    i64,
    String,
    String,
    Str0,
    i64,
    Option<At>,
    At,
    At,
    Option<At>,
    Str0,
    Str0,
    At,
    Str0,
    Option<At>,
);
type LeaseCells = (
    Str0,
    Str0,
    Str0,
    Str0,
    Str0,
    Option<i64>,
    Str0,
    Str0,
    Option<i64>,
    Option<i64>,
    bool,
    Option<At>,
    Option<At>,
);
type PrevCells = (
    Str0,
    Str0,
    Option<i64>,
    Str0,
    Str0,
    Option<i64>,
    Option<i64>,
    Option<At>,
    Option<At>,
    Option<At>,
    Option<At>,
);

/// A row as the database client gives it.
pub type Loaded = (RowCells, LeaseCells, PrevCells, Str0);

/// The row that `loaded` is.
#[must_use]
pub fn row_of((cells, lease, prev, reserved_station): Loaded) -> Row {
    let (
        id,
        Net(address),
        pool,
        attribute,
        status,
        reserved_for,
        epoch,
        expires_at,
        At(free_at),
        At(queue_at),
        ..,
    ) = cells;
    let (.., released_at, released_by, source, At(updated_at), claimant, claimant_seen_at) = cells;
    let time = |at: Option<At>| at.map(|At(time)| time);
    let lease = lease_of(lease);
    Row {
        id,
        address,
        pool,
        attribute: attribute.into(),
        // The column is checked by the schema; what an older or newer one may add is nobody's to grant.
        status: Status::parse(&status).unwrap_or(Status::Reserved),
        reserved_for,
        reserved_station,
        epoch,
        expires_at: time(expires_at),
        free_at,
        queue_at,
        prev: lease.as_ref().and_then(|lease| predecessor_of(prev, lease)).map(Box::new),
        lease: lease.map(Arc::new),
        claim: claimant
            .zip(claimant_seen_at)
            .and_then(|(text, At(seen_at))| Claim::parse(&text, seen_at))
            .map(Box::new),
        released_at: time(released_at),
        released_by: released_by.map(word),
        source: source.map(word),
        updated_at,
    }
}

/// One of the words that we write ourselves, or what somebody else wrote.
fn word(text: String) -> Cow<'static, str> {
    let ours = [life::BY_EXPIRY, life::BY_STOP, life::BY_NAS, life::BY_REJECT, "module", "adopted", "static"];
    ours.into_iter().find(|ours| **ours == text).map_or(Cow::Owned(text), Cow::Borrowed)
}

fn lease_of(cells: LeaseCells) -> Option<Lease> {
    let (owner, username, subscriber_id, station, calling_station_id, nas, key, session_id, ..) = cells;
    let (.., token, seconds, regular, assigned_at, started_at) = cells;
    // A row that an administrator marked by hand has a name at most: it is held, by nobody whom we could tell apart.
    let (owner, key, At(assigned_at)) = (owner?, key?, assigned_at?);
    Some(Lease {
        username: username.unwrap_or_default(),
        owner,
        subscriber_id,
        station,
        calling_station_id,
        nas: nas.unwrap_or_default(),
        key,
        session_id,
        token: token.unwrap_or_default(),
        seconds: seconds.unwrap_or_default(),
        regular,
        assigned_at,
        started_at: started_at.map(|At(time)| time),
    })
}

/// A predecessor is of the same owner: only a redial takes over.
fn predecessor_of(cells: PrevCells, successor: &Lease) -> Option<Predecessor> {
    let (
        station,
        calling_station_id,
        nas,
        key,
        session_id,
        token,
        seconds,
        assigned_at,
        started_at,
        expires_at,
        free_at,
    ) = cells;
    let (key, At(expires_at), At(free_at)) = (key?, expires_at?, free_at?);
    let lease = Lease {
        owner: successor.owner.clone(),
        username: successor.username.clone(),
        subscriber_id: successor.subscriber_id.clone(),
        station,
        calling_station_id,
        nas: nas.unwrap_or_default(),
        key,
        session_id,
        token: token.unwrap_or_default(),
        seconds: seconds.unwrap_or_default(),
        regular: false,
        assigned_at: assigned_at.map_or(Time::EPOCH, |At(time)| time),
        started_at: started_at.map(|At(time)| time),
    };
    Some(Predecessor { lease: Arc::new(lease), expires_at, free_at })
}

/// The columns of `ip_pool_pools` in the order of [`PoolCells`].
macro_rules! pool_columns {
    () => {
        "id, name, nas_id, address_space, next_pool, prefix_length, strategy, lease_seconds, mode, message"
    };
}
pub(super) use pool_columns;

/// Whether there is a reservation that a request could ask for. What an import reserves for nobody is `=nobody: …`
/// ([`crate::import::nobody`]).
macro_rules! reservations {
    () => {
        "SELECT EXISTS (SELECT 1 FROM ip_pool_assignments WHERE reserved_for IS NOT NULL AND substr(reserved_for, 1, 8) <> '=nobody:') \
         OR EXISTS (SELECT 1 FROM ip_pool_assignments WHERE reserved_station IS NOT NULL)"
    };
}
pub(super) use reservations;

/// A row of `ip_pool_pools` as the database client gives it.
pub type PoolCells = (
    i64,
    String,
    Option<i64>,
    String,
    Option<String>,
    Option<i32>,
    String,
    Option<i64>,
    Option<String>,
    Option<String>,
);

/// Their SQL types.
pub type PoolSql = (
    BigInt,
    Text,
    Nullable<BigInt>,
    Text,
    Nullable<Text>,
    Nullable<Integer>,
    Text,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
);

/// The pool that it is. Its ranges tell of which family.
#[must_use]
pub fn pool_of(
    (id, name, nas, space, next, prefix, strategy, lease_seconds, mode, message): PoolCells,
    ranges: &[RangeRow],
) -> PoolRow {
    let first = ranges.iter().find(|range| range.pool == id).map(|range| range.first);
    PoolRow {
        id,
        name: name.into(),
        nas,
        space,
        next: next.filter(|next| !next.is_empty()),
        unit: Unit::stored(first, prefix.map(i64::from)),
        strategy: Strategy::parse(&strategy).unwrap_or_default(),
        lease_seconds,
        mode: mode_of(mode.as_deref()),
        message,
    }
}

/// A word that is none of ours is taken for the most careful.
fn mode_of(text: Option<&str>) -> Mode {
    text.map_or(Mode::Managed, |text| Mode::parse(text).unwrap_or(Mode::Off))
}

/// The columns of `ip_pool_nas` in the order of [`NasCells`].
macro_rules! nas_columns {
    () => {
        "id, nas_key, address_space, first_heard_at, heard_since, last_heard_at, accounting_at, ended_before, mode"
    };
}
pub(super) use nas_columns;

/// A row of `ip_pool_nas` as the database client gives it.
pub type NasCells = (i64, String, String, At, At, At, Option<At>, Option<At>, Option<String>);

/// The NAS that it is.
#[must_use]
pub fn nas_of((id, key, space, first, since, last, accounting, ended, mode): NasCells) -> NasRow {
    let facts = NasFacts {
        id,
        first_heard_at: first.0,
        heard_since: since.0,
        last_heard_at: last.0,
        accounting_at: accounting.map(|at| at.0),
        ended_before: ended.map(|at| at.0),
    };
    NasRow { key, space, mode: mode_of(mode.as_deref()), facts }
}

/// Declares [`Record`], the columns that a change writes, and how each backend binds them. The rare ones are null before
/// and after nearly every change.
macro_rules! record {
    (common { $($field:ident: $rust:ty, $sql:ident, $cast:literal;)* }
     rare { $($rare:ident: $rare_rust:ty, $rare_sql:ident, $rare_cast:literal;)* }) => {
        /// The columns that a change writes, in the database client's types.
        #[derive(Clone, Debug)]
        pub struct Record<'a> { $(pub $field: Option<$rust>,)* $(pub $rare: Option<$rare_rust>,)* }

        /// Many records, one array a column: a constant statement for any number of rows.
        #[cfg(feature = "postgres")]
        #[derive(Debug, Default)]
        pub struct Records<'a> { $($field: Vec<Option<$rust>>,)* $($rare: Vec<Option<$rare_rust>>,)* }

        #[cfg(feature = "postgres")]
        impl<'a> Records<'a> {
            pub fn push(&mut self, record: Record<'a>, with_rare: bool) {
                $(self.$field.push(record.$field);)*
                if with_rare {
                    $(self.$rare.push(record.$rare);)*
                }
            }

            /// `a = ($1::type[])[n.i], b = …`: row `n.i` gets the elements of that number.
            pub fn assign<'b>(
                &'b self,
                out: &mut diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
                with_rare: bool,
            ) -> diesel::QueryResult<()> {
                use diesel::sql_types::Array;
                let mut separator = "";
                $(
                    out.push_sql(separator);
                    // A name that an administrator wrote by hand stays, for as long as no lease of ours is on the row.
                    let by_hand = stringify!($field) == "username";
                    out.push_sql(if by_hand { "username = COALESCE((" } else { concat!(stringify!($field), " = (") });
                    out.push_bind_param::<Array<Nullable<pg_type::$sql>>, Vec<Option<$rust>>>(&self.$field)?;
                    out.push_sql(concat!("::", $cast, "[])[n.i]"));
                    out.push_sql(if by_hand { ", a.username)" } else { "" });
                    separator = ", ";
                )*
                if with_rare {
                    $(
                        out.push_sql(separator);
                        out.push_sql(concat!(stringify!($rare), " = ("));
                        out.push_bind_param::<Array<Nullable<pg_type::$rare_sql>>, Vec<Option<$rare_rust>>>(&self.$rare)?;
                        out.push_sql(concat!("::", $rare_cast, "[])[n.i]"));
                    )*
                }
                Ok(())
            }
        }

        #[cfg(feature = "sqlite")]
        impl<'a> Record<'a> {
            /// `a = ?, b = ?, …`
            pub fn bind_sqlite<'b>(
                &'b self,
                out: &mut diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
                with_rare: bool,
            ) -> diesel::QueryResult<()> {
                let mut separator = "";
                $(
                    out.push_sql(separator);
                    out.push_sql(concat!(stringify!($field), " = "));
                    let by_hand = stringify!($field) == "username";
                    out.push_sql(if by_hand { "COALESCE(" } else { "" });
                    out.push_bind_param::<Nullable<lite_type::$sql>, Option<$rust>>(&self.$field)?;
                    out.push_sql(if by_hand { ", username)" } else { "" });
                    separator = ", ";
                )*
                if with_rare {
                    $(
                        out.push_sql(separator);
                        out.push_sql(concat!(stringify!($rare), " = "));
                        out.push_bind_param::<Nullable<lite_type::$rare_sql>, Option<$rare_rust>>(&self.$rare)?;
                    )*
                }
                Ok(())
            }
        }
    };
}

/// The SQL types of [`Record`] on PostgreSQL.
#[cfg(feature = "postgres")]
mod pg_type {
    pub use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
}

/// The SQL types of [`Record`] on SQLite, where times are text.
#[cfg(feature = "sqlite")]
mod lite_type {
    pub use diesel::sql_types::{BigInt, Bool, Text, Text as Timestamptz};
}

record! {
    common {
    status: &'a str, Text, "text";
    epoch: i64, BigInt, "int8";
    expires_at: At, Timestamptz, "timestamptz";
    free_at: At, Timestamptz, "timestamptz";
    queue_at: At, Timestamptz, "timestamptz";
    released_at: At, Timestamptz, "timestamptz";
    released_by: &'a str, Text, "text";
    source: &'a str, Text, "text";
    updated_at: At, Timestamptz, "timestamptz";
    owner: &'a str, Text, "text";
    username: &'a str, Text, "text";
    subscriber_id: &'a str, Text, "text";
    station: &'a str, Text, "text";
    calling_station_id: &'a str, Text, "text";
    lease_nas_id: i64, BigInt, "int8";
    session_key: &'a str, Text, "text";
    session_id: &'a str, Text, "text";
    token: i64, BigInt, "int8";
    lease_seconds: i64, BigInt, "int8";
    regular: bool, Bool, "bool";
    assigned_at: At, Timestamptz, "timestamptz";
    started_at: At, Timestamptz, "timestamptz";
    }
    rare {
    attribute: &'a str, Text, "text";
    claimant: Cow<'a, str>, Text, "text";
    claimant_seen_at: At, Timestamptz, "timestamptz";
    prev_station: &'a str, Text, "text";
    prev_calling_station_id: &'a str, Text, "text";
    prev_nas_id: i64, BigInt, "int8";
    prev_session_key: &'a str, Text, "text";
    prev_session_id: &'a str, Text, "text";
    prev_token: i64, BigInt, "int8";
    prev_lease_seconds: i64, BigInt, "int8";
    prev_assigned_at: At, Timestamptz, "timestamptz";
    prev_started_at: At, Timestamptz, "timestamptz";
    prev_expires_at: At, Timestamptz, "timestamptz";
    prev_free_at: At, Timestamptz, "timestamptz";
    }
}

/// Neither before nor after this change is there a predecessor or a claimant, and it goes out in the same attribute: the rare
/// columns stay as they are.
#[must_use]
pub fn is_common(change: &Change) -> bool {
    let plain = |row: &Row| row.prev.is_none() && row.claim.is_none();
    plain(&change.before) && plain(&change.after) && change.before.attribute == change.after.attribute
}

impl<'a> Record<'a> {
    /// What writing `row` at `now` means.
    #[must_use]
    pub fn of(row: &'a Row, now: Time) -> Self {
        let lease = row.lease.as_ref();
        let prev = row.prev.as_ref();
        let former = prev.map(|prev| &prev.lease);
        Self {
            status: Some(row.status.as_str()),
            epoch: Some(row.epoch),
            expires_at: row.expires_at.map(At),
            free_at: Some(At(row.free_at)),
            queue_at: Some(At(row.queue_at)),
            released_at: row.released_at.map(At),
            released_by: row.released_by.as_deref(),
            source: row.source.as_deref(),
            updated_at: Some(At(now)),
            attribute: Some(&row.attribute),
            claimant: row.claim.as_ref().map(|claim| Cow::Owned(claim.to_text())),
            claimant_seen_at: row.claim.as_ref().map(|claim| At(claim.seen_at)),
            owner: lease.map(|lease| &*lease.owner),
            username: lease.map(|lease| &*lease.username),
            subscriber_id: lease.and_then(|lease| lease.subscriber_id.as_deref()),
            station: lease.and_then(|lease| lease.station.as_deref()),
            calling_station_id: lease.and_then(|lease| lease.calling_station_id.as_deref()),
            lease_nas_id: lease.map(|lease| lease.nas),
            session_key: lease.map(|lease| &*lease.key),
            session_id: lease.and_then(|lease| lease.session_id.as_deref()),
            token: lease.map(|lease| lease.token),
            lease_seconds: lease.map(|lease| lease.seconds),
            regular: Some(lease.is_some_and(|lease| lease.regular)),
            assigned_at: lease.map(|lease| At(lease.assigned_at)),
            started_at: lease.and_then(|lease| lease.started_at).map(At),
            prev_station: former.and_then(|lease| lease.station.as_deref()),
            prev_calling_station_id: former.and_then(|lease| lease.calling_station_id.as_deref()),
            prev_nas_id: former.map(|lease| lease.nas),
            prev_session_key: former.map(|lease| &*lease.key),
            prev_session_id: former.and_then(|lease| lease.session_id.as_deref()),
            prev_token: former.map(|lease| lease.token),
            prev_lease_seconds: former.map(|lease| lease.seconds),
            prev_assigned_at: former.map(|lease| At(lease.assigned_at)),
            prev_started_at: former.and_then(|lease| lease.started_at).map(At),
            prev_expires_at: prev.map(|prev| At(prev.expires_at)),
            prev_free_at: prev.map(|prev| At(prev.free_at)),
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::deserialize::{self, FromSql};
    use diesel::pg::data_types::PgTimestamp;
    use diesel::pg::{Pg, PgValue};
    use diesel::serialize::{self, Output, ToSql};
    use diesel::sql_types::{Inet, Timestamptz};
    use ipnet::IpNet;

    use super::{At, Net};
    use crate::lease::Time;

    /// PostgreSQL counts from 2000-01-01.
    const EPOCH: i64 = 946_684_800_000_000;

    impl FromSql<Timestamptz, Pg> for At {
        fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
            let PgTimestamp(micros) = FromSql::<Timestamptz, Pg>::from_sql(value)?;
            Ok(Self(Time(micros.saturating_add(EPOCH))))
        }
    }

    impl ToSql<Timestamptz, Pg> for At {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            let timestamp = PgTimestamp(self.0.0 - EPOCH);
            ToSql::<Timestamptz, Pg>::to_sql(&timestamp, &mut out.reborrow())
        }
    }

    impl FromSql<Inet, Pg> for Net {
        fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
            <IpNet as FromSql<Inet, Pg>>::from_sql(value).map(Self)
        }
    }

    impl ToSql<Inet, Pg> for Net {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            <IpNet as ToSql<Inet, Pg>>::to_sql(&self.0, out)
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::deserialize::{self, FromSql};
    use diesel::serialize::{self, IsNull, Output, ToSql};
    use diesel::sql_types::Text;
    use diesel::sqlite::{Sqlite, SqliteValue};

    use super::{At, Net};
    use crate::lease::{Time, address_text, parse_address};

    impl FromSql<Text, Sqlite> for At {
        fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
            let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
            Time::from_text(&text).map(Self).ok_or_else(|| format!("{text:?} is no time").into())
        }
    }

    impl ToSql<Text, Sqlite> for At {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
            out.set_value(self.0.to_text());
            Ok(IsNull::No)
        }
    }

    impl FromSql<Text, Sqlite> for Net {
        fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
            let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
            parse_address(&text).map(Self).ok_or_else(|| format!("{text:?} is no address").into())
        }
    }

    impl ToSql<Text, Sqlite> for Net {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
            out.set_value(address_text(&self.0));
            Ok(IsNull::No)
        }
    }
}
