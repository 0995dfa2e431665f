//! Whom the benchmark compares, and how each one's database is made. Starting and ending servers is `servers`.

use super::servers::{Account, Postgres};
use crate::radius::attr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// What keeps the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: a fixed address.
    None,
    /// rlm_sqlippool, the shipped queries.
    Queries,
    /// rlm_sqlippool, the shipped stored procedure.
    Procedure,
    /// rlm_ippool.
    Gdbm,
    /// ippool_rs on SQLite.
    OursSqlite,
    /// ippool_rs on PostgreSQL.
    OursPostgres,
    /// The same, with FreeRADIUS' radreply and radacct in the database.
    OursSources,
    /// On PostgreSQL, a chain of four pools of which the first three are full.
    OursChain,
    /// On PostgreSQL, an address, a prefix of the link and a delegated prefix for each login.
    OursDual,
    /// On PostgreSQL, delegated prefixes alone, a million in the pool.
    OursPrefix,
}

/// One competitor.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its name in tables and on the command line.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// radiusd's worker threads: the number at which this peer is fastest.
    pub threads: usize,
    /// Its file in `tests/bench`.
    pub config: &'static str,
}

/// All competitors, in the order of the tables.
pub const ALL: [Peer; 10] = [
    Peer { name: "none", kind: Kind::None, threads: 32, config: "none.conf" },
    Peer { name: "sqlippool-pg", kind: Kind::Queries, threads: 8, config: "sqlippool-pg.conf" },
    Peer { name: "sqlippool-pg-proc", kind: Kind::Procedure, threads: 8, config: "sqlippool-pg.conf" },
    Peer { name: "ippool-gdbm", kind: Kind::Gdbm, threads: 4, config: "ippool-gdbm.conf" },
    Peer { name: "ours-sqlite", kind: Kind::OursSqlite, threads: 64, config: "ours.conf" },
    Peer { name: "ours-pg", kind: Kind::OursPostgres, threads: 64, config: "ours.conf" },
    Peer { name: "ours-pg-sources", kind: Kind::OursSources, threads: 64, config: "ours.conf" },
    Peer { name: "ours-pg-chain", kind: Kind::OursChain, threads: 64, config: "ours.conf" },
    Peer { name: "ours-pg-dual", kind: Kind::OursDual, threads: 64, config: "ours-dual.conf" },
    Peer { name: "ours-pg-prefix", kind: Kind::OursPrefix, threads: 64, config: "ours-prefix.conf" },
];

impl Peer {
    /// The peer of this name.
    pub fn named(name: &str) -> Result<Self, String> {
        let all = ALL.map(|p| p.name).join(", ");
        ALL.into_iter().find(|p| p.name == name).ok_or_else(|| format!("no peer {name:?}; there are: {all}"))
    }

    /// Whether it is one that ours must beat.
    pub fn is_sqlippool(&self) -> bool {
        matches!(self.kind, Kind::Queries | Kind::Procedure)
    }

    /// Whether it is this project.
    pub fn is_ours(&self) -> bool {
        self.kind == Kind::OursSqlite || self.is_ours_on_postgres()
    }

    /// Whether it is this project on PostgreSQL.
    pub fn is_ours_on_postgres(&self) -> bool {
        self.kind == Kind::OursPostgres || self.is_variant()
    }

    /// Whether it is one of ours in another shape, measured only where it is named.
    pub fn is_variant(&self) -> bool {
        matches!(self.kind, Kind::OursSources | Kind::OursChain | Kind::OursDual | Kind::OursPrefix)
    }

    /// What each login wants of it.
    pub fn wants(&self) -> Vec<u8> {
        match self.kind {
            Kind::OursDual => {
                vec![attr::FRAMED_IP_ADDRESS, attr::FRAMED_IPV6_PREFIX, attr::DELEGATED_IPV6_PREFIX]
            }
            Kind::OursPrefix => vec![attr::DELEGATED_IPV6_PREFIX],
            _ => vec![attr::FRAMED_IP_ADDRESS],
        }
    }

    /// The pool that it is measured with, where another size is asked for.
    pub fn pool(&self, asked: Pool) -> Pool {
        match self.kind {
            // rlm_ippool walks its whole file at each login.
            Kind::Gdbm => Pool { size: asked.size.min(10_000), occupancy: 0 },
            Kind::OursPrefix => Pool { size: 1 << 20, occupancy: 0 },
            _ => asked,
        }
    }

    /// Addresses that are taken before the measurement begins, by sessions that keep still.
    pub fn taken(&self, pool: Pool) -> u32 {
        pool.held() + if self.kind == Kind::OursChain { (CHAIN - 1) * FULL } else { 0 }
    }

    /// Whether it needs a PostgreSQL.
    pub fn needs_postgres(&self) -> bool {
        self.is_sqlippool() || self.is_ours_on_postgres()
    }
}

/// Pools of a chain; all but the last are full.
const CHAIN: u32 = 4;
/// Addresses of each of those that are full.
const FULL: u32 = 4000;

/// The pool under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Addresses.
    pub size: u32,
    /// Per cent of them that are held by others all the time.
    pub occupancy: u32,
}

impl Pool {
    /// The first address of each pool.
    pub const FIRST: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);

    /// Address n of the pool, from 0.
    pub fn address(n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Self::FIRST) + n)
    }

    /// The last address.
    pub fn last(&self) -> Ipv4Addr {
        Self::address(self.size - 1)
    }

    /// How many are held by others.
    pub fn held(&self) -> u32 {
        (u64::from(self.size) * u64::from(self.occupancy) / 100) as u32
    }
}

/// Where FreeRADIUS' packages put the schemas and queries of their SQL modules.
const SHIPPED: &str = "mods-config/sql";
const IPPOOL: &str = "ippool/postgresql";

fn shipped(name: &str) -> Result<String, String> {
    let roots = ["/etc/freeradius/3.0", "/etc/raddb", "/etc/freeradius"];
    let found = roots.iter().map(|root| Path::new(root).join(SHIPPED).join(name)).find(|p| p.exists());
    let path = found.ok_or_else(|| format!("{SHIPPED}/{name} is not below any of {}", roots.join(", ")))?;
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Makes the database of a sqlippool peer: schema, rows with a former user each, statistics, and writes the edited
/// queries.conf into `dir`.
pub fn prepare_sqlippool(peer: &Peer, pool: Pool, postgres: &Postgres, dir: &Path) -> Result<(), String> {
    let queries = shipped(&format!("{IPPOOL}/queries.conf"))?;
    let (queries, procedure) = match peer.kind {
        Kind::Procedure => {
            (with_procedure(&queries)?, sticky_procedure(&shipped(&format!("{IPPOOL}/procedure.sql"))?)?)
        }
        _ => (with_skip_locked(&queries)?, String::new()),
    };
    fs::write(dir.join("queries.conf"), queries).map_err(|e| format!("queries.conf: {e}"))?;
    postgres.sql(&shipped(&format!("{IPPOOL}/schema.sql"))?)?;
    postgres.sql(&procedure)?;
    // An empty user name in all rows would mislead the planner; a pool in use has former users.
    postgres.sql(&format!(
        "INSERT INTO radippool (pool_name, framedipaddress, nasipaddress, pool_key, callingstationid, username, \
         expiry_time) SELECT 'bench', '{first}'::inet + n, '127.0.0.' || 1 + n % 16, mac, mac, 'former-' || n, \
         CASE WHEN n < {held} THEN now() + interval '1 day' \
         ELSE now() - interval '1 day' + n / 100 * interval '1 second' END \
         FROM (SELECT n, '06:' || upper(lpad(to_hex(n), 10, '0')) AS mac FROM generate_series(0, {last}) n) rows; \
         ",
        first = Pool::FIRST,
        held = pool.held(),
        last = pool.size - 1,
    ))?;
    postgres.settle()
}

/// SKIP LOCKED is off as shipped, "switch it on where your PostgreSQL has it".
fn with_skip_locked(queries: &str) -> Result<String, String> {
    replaced(queries, "\nskip_locked = \"\"", "\nskip_locked = \"SKIP LOCKED\"", "queries.conf")
}

/// The stored procedure instead of allocate_existing and allocate_find, as the comment in queries.conf says.
fn with_procedure(queries: &str) -> Result<String, String> {
    let mut text = without_item(queries, "allocate_existing")?;
    text = without_item(&text, "allocate_find")?;
    text.push_str(
        "\nallocate_existing = \"\"\nallocate_find = \"\\\n\
         \tSELECT fr_allocate_previous_or_new_framedipaddress( \\\n\
         \t\t'%{control:${pool_name}}', '%{SQL-User-Name}', '%{Calling-Station-Id}', \\\n\
         \t\t'%{NAS-IP-Address}', '${pool_key}', '${lease_duration}')\"\nallocate_update = \"\"\n",
    );
    Ok(text)
}

/// The procedure's commented SELECT, which gives a subscriber his former address, instead of its first one.
fn sticky_procedure(text: &str) -> Result<String, String> {
    let wrong = || "procedure.sql is not the one that the benchmark can edit".to_owned();
    let begin = text.find("\tSELECT framedipaddress INTO r_address").ok_or_else(wrong)?;
    let end = begin + text[begin..].find(';').ok_or_else(wrong)? + 1;
    let text = format!("{}{}", &text[..begin], &text[end..]);
    let begin = text.find("\t-- SELECT framedipaddress INTO r_address").ok_or_else(wrong)?;
    let end = begin + text[begin..].find(';').ok_or_else(wrong)? + 1;
    // Some of its lines have a tab after the dashes.
    let select = text[begin..end].replace("\t-- ", "\t").replace("\t--\t", "\t");
    if !select.contains("\n\t AND username = v_username") || select.contains("--") {
        return Err(wrong());
    }
    Ok(format!("{}{select}{}", &text[..begin], &text[end..]))
}

fn replaced(text: &str, from: &str, to: &str, what: &str) -> Result<String, String> {
    if text.contains(from) {
        Ok(text.replacen(from, to, 1))
    } else {
        Err(format!("{what} is not the one that the benchmark can edit: {from:?} is not in it"))
    }
}

/// Leaves out one item with its continuation lines.
fn without_item(text: &str, item: &str) -> Result<String, String> {
    let mut out = String::new();
    let (mut inside, mut found) = (false, false);
    for line in text.lines() {
        if line.strip_prefix(item).is_some_and(|rest| rest.trim_start().starts_with('=')) {
            (inside, found) = (true, true);
        }
        if inside {
            inside = line.ends_with('\\');
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    if found { Ok(out) } else { Err(format!("queries.conf has no {item}")) }
}

/// Makes the database of this project's module with the companion, as an administrator does.
pub fn prepare_ours(
    account: &Account,
    companion: &Path,
    url: &str,
    (peer, pool): (&Peer, Pool),
) -> Result<(), String> {
    let run = |words: &[&str]| account.run(companion, &[&["--database", url], words].concat()).map(drop);
    let add = |words: &[&str]| run(&[&["pool", "add"], words].concat());
    let range = format!("{}-{}", Pool::FIRST, pool.last());
    // So many prefixes of this length, at least.
    let block =
        |first: &str, length: u32| format!("{first}/{}", length - pool.size.next_power_of_two().ilog2());
    run(&["schema", "up"])?;
    match peer.kind {
        Kind::OursPrefix => add(&["bench", &block("2001:db8:4000::", 56), "--prefix-length", "56"]),
        Kind::OursDual => {
            add(&["bench", &range])?;
            add(&["bench-link", &block("2001:db8:8000::", 64), "--prefix-length", "64"])?;
            add(&["bench-delegated", &block("2001:db8:4000::", 56), "--prefix-length", "56"])
        }
        Kind::OursChain => {
            let name = |n: u32| if n == 1 { "bench".to_owned() } else { format!("bench-{n}") };
            add(&[&name(CHAIN), &range])?;
            for n in (1..CHAIN).rev() {
                let first = Ipv4Addr::new(10, 32 + n as u8, 0, 1);
                let range = format!("{first}-{}", Ipv4Addr::from(u32::from(first) + FULL - 1));
                add(&[&name(n), &range, "--next-pool", &name(n + 1)])?;
            }
            Ok(())
        }
        _ => add(&["bench", &range]),
    }
}

/// FreeRADIUS' own tables beside ours, with so many rows each, and the indexes that `schema indexes` makes: one static
/// address in a hundred lies in the pool, and so does every session that has ended.
pub fn lay_sources(
    account: &Account,
    companion: &Path,
    (postgres, url): (&Postgres, &str),
    pool: Pool,
    rows: u32,
) -> Result<(), String> {
    postgres.sql(&shipped("main/postgresql/schema.sql")?)?;
    postgres.sql(&format!(
        "INSERT INTO radreply (username, attribute, op, value) SELECT 'static-' || n, 'Framed-IP-Address', ':=', \
         host(CASE WHEN n % 100 = 0 THEN '{first}'::inet + n % {size} ELSE '10.192.0.0'::inet + n END) \
         FROM generate_series(1, {rows}) n; \
         INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, \
         acctstoptime, framedipaddress) SELECT lpad(to_hex(n), 8, '0'), 'u' || n, 'online-' || n, \
         ('127.0.0.' || 1 + n % 16)::inet, now() - interval '2 hours', now(), CASE WHEN n % 2 = 0 THEN now() END, \
         CASE WHEN n % 2 = 0 THEN '{first}'::inet + n % {size} ELSE '10.224.0.0'::inet + n END \
         FROM generate_series(1, {rows}) n;",
        first = Pool::FIRST,
        size = pool.size,
    ))?;
    account.run(companion, &["--database", url, "schema", "indexes", "--apply"]).map(drop)
}

/// Copies the module under the name that radiusd looks for; returns the folder.
pub fn install_module(built: &Path, dir: &Path) -> Result<PathBuf, String> {
    let to = dir.join("lib");
    let copy = || -> std::io::Result<()> {
        fs::create_dir_all(&to)?;
        fs::copy(built.join("librlm_ippool_rs.so"), to.join("rlm_ippool_rs.so"))?;
        fs::copy(built.join("ippool-rs"), to.join("ippool-rs"))?;
        Ok(())
    };
    copy().map_err(|e| format!("the module or the companion in {}: {e}", built.display()))?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_left_out_with_its_lines() {
        let text = "a = \"1\"\nfind = \"\\\n\tx \\\n\ty\"\nfind_other = 2\n#find = 3\n";
        assert_eq!(without_item(text, "find"), Ok("a = \"1\"\nfind_other = 2\n#find = 3\n".into()));
        assert!(without_item(text, "nothing").is_err());
    }
}
