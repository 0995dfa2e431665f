//! Where the two databases say the same thing differently.

use std::time::Duration;

use crate::store::link::Link;

/// Pieces of SQL for one kind of database.
pub(super) struct Words {
    /// The database's clock, when the statement began.
    pub now: &'static str,
    /// A time before all others: not since then.
    pub never: &'static str,
    /// A time behind all others: not yet.
    pub not_yet: &'static str,
    /// A value that is the text of a time, `YYYY-MM-DD HH:MM:SS.ffffff`, UTC (the connection's zone).
    pub time_value: &'static str,
    /// A value that is the text of an address.
    pub address_value: &'static str,
    /// The column of `ip_pool_assignments` by which addresses sort.
    pub address_order: &'static str,
    /// The column of `ip_pool_ranges` by which ranges sort.
    pub range_order: &'static str,
    /// `next_address`, or the hexadecimal digits of `next_key`, as text.
    pub next_text: &'static str,
    /// `ip_pool_meta.value` that is a time.
    pub meta_time: &'static str,
    /// Whether text reaches us through a function: PostgreSQL's own types of address and time.
    typed: bool,
}

static SQLITE: Words = Words {
    now: "strftime('%Y-%m-%d %H:%M:%f','now')||'000'",
    never: "'1970-01-01 00:00:00.000000'",
    not_yet: "'9999-12-31 00:00:00.000000'",
    time_value: "?",
    address_value: "?",
    address_order: "ip_key",
    range_order: "first_key",
    next_text: "CASE WHEN next_key IS NULL THEN NULL ELSE hex(next_key) END",
    meta_time: "value",
    typed: false,
};

static POSTGRES: Words = Words {
    now: "statement_timestamp()",
    never: "timestamptz 'epoch'",
    not_yet: "timestamptz '9999-12-31 00:00:00+00'",
    time_value: "CAST(? AS timestamptz)",
    address_value: "CAST(? AS inet)",
    address_order: "ip_address",
    range_order: "first_address",
    next_text: "host(next_address)",
    meta_time: "CAST(value AS timestamptz)",
    typed: true,
};

impl Words {
    pub(super) const fn of(link: &Link) -> &'static Self {
        if link.is_postgres() { &POSTGRES } else { &SQLITE }
    }

    /// A column of a time as `YYYY-MM-DD HH:MM:SS.ffffff`, UTC.
    pub(super) fn time(&self, column: &str) -> String {
        if self.typed {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
        } else {
            column.to_owned()
        }
    }

    /// A column of an address or prefix as its text: an address without its length.
    pub(super) fn address(&self, column: &str) -> String {
        if self.typed { format!("abbrev({column})") } else { column.to_owned() }
    }

    /// A time so long from now.
    pub(super) fn later(&self, after: Duration) -> String {
        let seconds = after.as_secs_f64();
        if self.typed {
            format!("({} + interval '{seconds} seconds')", self.now)
        } else {
            format!("strftime('%Y-%m-%d %H:%M:%f','now','+{seconds} seconds')||'000'")
        }
    }

    /// How many milliseconds there are until the time of a column.
    pub(super) fn millis_until(&self, column: &str) -> String {
        if self.typed {
            format!("CAST(extract(epoch FROM {column} - {}) * 1000 AS bigint)", self.now)
        } else {
            format!("CAST((julianday({column}) - julianday('now')) * 86400000 AS INTEGER)")
        }
    }
}
