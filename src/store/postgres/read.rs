//! What a batch needs to see, in one statement.
//!
//! One driving row for each probe, whose elements are picked from one array a column; a probe without a value finds nothing,
//! and costs next to nothing. LATERAL with a limit leaves the planner no choice but one index probe for each, whatever it
//! thinks of the table's size; and names that many share must not make a batch slow. The probes find places; the rows with
//! all their columns are fetched from there.

use std::sync::LazyLock;

use diesel::PgConnection;
use diesel::pg::Pg as Backend;
use diesel::sql_types::{Array, BigInt, Inet, Integer, Nullable, Text, Timestamptz};

use super::RowsSql;
use crate::lease::Time;
use crate::store::rows::{At, COLUMNS, Loaded, Net, row_of};
use crate::store::statement::statements;
use crate::store::{Lookup, Snapshot};

type Texts = Array<Nullable<Text>>;
type Numbers = Array<Nullable<BigInt>>;
type Strs<'a> = Vec<Option<&'a str>>;

/// The database's time, the number of a probe (from 1), and a row that it found. The time comes even if no row does.
pub type Found = (At, Option<i32>, Option<Loaded>);
type FoundSql = (Timestamptz, Nullable<Integer>, Nullable<RowsSql>);

/// The wide form has the probes that few need.
fn read_sql(wide: bool) -> String {
    let mut elements =
        vec![("text", "key"), ("text", "owner"), ("text", "station"), ("int8", "nas"), ("text", "session")];
    let newest = "ORDER BY a.assigned_at DESC LIMIT 16";
    let mut probes = vec![
        "a.session_key = u.key AND a.status = 'in_use' LIMIT 8".to_owned(),
        format!("a.owner = u.owner AND a.station = u.station {newest}"),
        format!("a.owner = u.owner AND a.station IS NULL {newest}"),
        "a.lease_nas_id = u.nas AND a.session_id = u.session LIMIT 256".to_owned(),
    ];
    if wide {
        elements.extend([
            ("text", "held"),
            ("int8", "most"),
            ("int8", "prev_nas"),
            ("text", "prev"),
            ("int8", "id"),
            ("text", "space"),
            ("inet", "address"),
            ("text", "kept"),
            ("text", "device"),
        ]);
        probes.extend([
            // `status || ''` keeps the planner from the index of sessions.
            "a.owner = u.held AND a.status || '' = 'in_use' LIMIT u.most".to_owned(),
            "a.prev_nas_id = u.prev_nas AND a.prev_session_id = u.prev AND a.prev_session_key IS NOT NULL LIMIT 16".to_owned(),
            "a.id = u.id LIMIT 1".to_owned(),
            "a.address_space = u.space AND a.ip_address = u.address LIMIT 1".to_owned(),
            "a.reserved_for = u.kept LIMIT 16".to_owned(),
            "a.reserved_station = u.device LIMIT 16".to_owned(),
        ]);
    }
    let elements: Vec<String> =
        elements.iter().map(|(cast, name)| format!("($::{cast}[])[n.i] AS {name}")).collect();
    let probes: Vec<String> = probes
        .iter()
        .map(|probe| format!("(SELECT a.ctid AS place FROM ip_pool_assignments a WHERE {probe})"))
        .collect();
    let columns = COLUMNS.replace("a.", "r.");
    format!(
        "SELECT t.now, r.i, {columns} FROM (SELECT clock_timestamp() AS now) t LEFT JOIN (\
         SELECT u.i, a.* FROM (SELECT n.i, {} FROM generate_series(1, $) n(i)) u \
         CROSS JOIN LATERAL ({}) p CROSS JOIN LATERAL (SELECT * FROM ip_pool_assignments a WHERE a.ctid = p.place) a\
         ) r ON true",
        elements.join(", "),
        probes.join(" UNION ALL ")
    )
}

static READ: LazyLock<String> = LazyLock::new(|| read_sql(false));
static READ_WIDE: LazyLock<String> = LazyLock::new(|| read_sql(true));

statements! { Backend, PgConnection;
    /// All that most batches need to see.
    Read {
        key: &'a Strs<'a> => Texts, owner: &'a Strs<'a> => Texts, station: &'a Strs<'a> => Texts,
        nas: &'a [Option<i64>] => Numbers, session: &'a Strs<'a> => Texts, count: i32 => Integer,
    } -> FoundSql = READ;
    /// All that any batch needs to see.
    ReadWide {
        key: &'a Strs<'a> => Texts, owner: &'a Strs<'a> => Texts, station: &'a Strs<'a> => Texts,
        nas: &'a [Option<i64>] => Numbers, session: &'a Strs<'a> => Texts,
        held: &'a Strs<'a> => Texts, most: &'a [Option<i64>] => Numbers,
        prev_nas: &'a [Option<i64>] => Numbers, prev: &'a Strs<'a> => Texts,
        id: &'a [Option<i64>] => Numbers, space: &'a Strs<'a> => Texts, address: &'a [Option<Net>] => Array<Nullable<Inet>>,
        kept: &'a Strs<'a> => Texts, device: &'a Strs<'a> => Texts,
        count: i32 => Integer,
    } -> FoundSql = READ_WIDE;
}

/// The lookups of a batch, one array a column. One that names several rows or addresses has several probes.
#[derive(Default)]
pub struct Probes<'a> {
    /// Which lookup each is of.
    lookups: Vec<usize>,
    key: Strs<'a>,
    owner: Strs<'a>,
    station: Strs<'a>,
    nas: Vec<Option<i64>>,
    session: Strs<'a>,
    held: Strs<'a>,
    most: Vec<Option<i64>>,
    prev_nas: Vec<Option<i64>>,
    prev: Strs<'a>,
    id: Vec<Option<i64>>,
    space: Strs<'a>,
    address: Vec<Option<Net>>,
    kept: Strs<'a>,
    device: Strs<'a>,
}

impl<'a> Probes<'a> {
    /// The probes of `lookups`; those that look for nothing have none.
    pub fn of(lookups: &'a [Lookup]) -> Self {
        let nothing = Lookup::default();
        let mut probes = Self::default();
        for (number, lookup) in lookups.iter().enumerate().filter(|(_, lookup)| **lookup != nothing) {
            let several = lookup.ids.len().max(lookup.addresses.len());
            for turn in 0..several.max(1) {
                probes.push(number, (turn == 0).then_some(lookup));
                probes.id.push(lookup.ids.get(turn).copied());
                let place = lookup.addresses.get(turn);
                probes.space.push(place.map(|(space, _)| space.as_str()));
                probes.address.push(place.map(|(_, address)| Net(*address)));
            }
        }
        probes
    }

    /// What a lookup asks for once; none: what it asks for was pushed with its first probe.
    fn push(&mut self, number: usize, lookup: Option<&'a Lookup>) {
        let owner = lookup.and_then(|lookup| lookup.owner.as_ref());
        let session = lookup.and_then(|lookup| lookup.session.as_ref());
        let held = lookup.and_then(|lookup| lookup.held_by.as_ref());
        let replaced = lookup.and_then(|lookup| lookup.replaced.as_ref());
        let kept = lookup.and_then(|lookup| lookup.reserved.as_ref());
        self.lookups.push(number);
        self.key.push(lookup.and_then(|lookup| lookup.key.as_deref()));
        self.owner.push(owner.map(|(owner, _)| &**owner));
        self.station.push(owner.and_then(|(_, station)| station.as_deref()));
        self.nas.push(session.map(|(nas, _)| *nas));
        self.session.push(session.map(|(_, session)| &**session));
        self.held.push(held.map(|(owner, _)| &**owner));
        self.most.push(held.map(|(_, most)| i64::from(*most)));
        self.prev_nas.push(replaced.map(|(nas, _)| *nas));
        self.prev.push(replaced.map(|(_, session)| &**session));
        self.kept.push(kept.map(|(owner, _)| &**owner));
        self.device.push(kept.and_then(|(_, station)| station.as_deref()));
    }

    /// Some probe is one of those that few need.
    pub fn is_wide(&self) -> bool {
        self.held.iter().any(Option::is_some)
            || self.prev.iter().any(Option::is_some)
            || self.id.iter().any(Option::is_some)
            || self.address.iter().any(Option::is_some)
            || self.kept.iter().any(Option::is_some)
    }

    fn count(&self) -> i32 {
        i32::try_from(self.lookups.len()).unwrap_or(i32::MAX)
    }

    /// The statement for probes that are not wide.
    pub fn statement(&'a self) -> Read<'a> {
        Read::new(&self.key, &self.owner, &self.station, &self.nas, &self.session, self.count())
    }

    /// The statement for all.
    pub fn wide_statement(&'a self) -> ReadWide<'a> {
        ReadWide::new(
            &self.key,
            &self.owner,
            &self.station,
            &self.nas,
            &self.session,
            &self.held,
            &self.most,
            &self.prev_nas,
            &self.prev,
            &self.id,
            &self.space,
            &self.address,
            &self.kept,
            &self.device,
            self.count(),
        )
    }

    /// The rows of each of `many` lookups, every one once.
    pub fn snapshot(&self, loaded: Vec<Found>, many: usize) -> Snapshot {
        let mut snapshot = Snapshot { now: Time::EPOCH, rows: vec![Vec::new(); many] };
        for (At(now), probe, row) in loaded {
            snapshot.now = now;
            let probe = probe.and_then(|probe| usize::try_from(probe - 1).ok());
            let rows = probe.and_then(|probe| snapshot.rows.get_mut(*self.lookups.get(probe)?));
            if let Some((rows, row)) = rows.zip(row) {
                rows.push(row_of(row));
            }
        }
        for rows in snapshot.rows.iter_mut().filter(|rows| rows.len() > 1) {
            rows.sort_by_key(|row| row.id);
            rows.dedup_by_key(|row| row.id);
        }
        snapshot
    }
}
