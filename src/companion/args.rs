//! The command line: nouns, verbs, options, and the help that goes with them. Names are bytes, so they are no `String`.

mod router;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::store::parse_address;

pub(super) use router::{ModeArg, NasSet, NasVerb, Onboard, PoolImport, RouterPoolsVerb, RouterVerb};

/// IP pools for FreeRADIUS: pools, leases, routers, schema.
#[derive(Debug, Parser)]
#[command(name = "ippool-rs", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Start here:
  ippool-rs --database sqlite:///var/lib/ippool-rs/ippool.db schema up
  ippool-rs pool add gold 203.0.113.0/24
  ippool-rs lease list --user alice

Exit codes: 0 done, 1 failed, 2 usage, 3 differences found, 4 partly done, 69 database unavailable, 75 try again, 78 bad configuration.")]
pub(super) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub noun: Noun,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(super) struct Global {
    /// sqlite:///path, or postgresql://user@host/database (no password here: everybody sees it)
    #[arg(long, global = true, value_name = "URL", env = "IPPOOL_RS_DATABASE", hide_env_values = true)]
    #[arg(help_heading = "Options of every command")]
    pub database: Option<String>,
    /// Configuration file [default: /etc/ippool-rs/ippool-rs.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Options of every command")]
    pub config: Option<PathBuf>,
    /// How to print the data (json: one array of objects; csv: with a header)
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    #[arg(help_heading = "Options of every command")]
    pub output: Format,
}

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(super) enum Noun {
    /// The tables in the database
    Schema {
        #[command(subcommand)]
        verb: SchemaVerb,
    },
    /// Pools and their ranges
    Pool {
        #[command(subcommand)]
        verb: PoolVerb,
    },
    /// Addresses and who has them
    Lease {
        #[command(subcommand)]
        verb: LeaseVerb,
    },
    /// Compare the leases with the sessions on the routers, and mend them; exit code 3 if they differ
    Reconcile(Reconcile),
    /// Look at everything that should be as it is, and say what to do about the rest; exit code 3 if there is something
    #[command(after_help = "\
Nothing is changed. A check that has nothing to look at (radacct, where there is none; PostgreSQL's settings, on SQLite) is left out.

Examples:
  ippool-rs doctor
  ippool-rs doctor --no-routers -o json")]
    Doctor {
        /// Do not ask the routers of the configuration
        #[arg(long)]
        no_routers: bool,
    },
    /// Why an address, a user or a pool is served as it is, or is not
    Explain(Explain),
    /// Close sessions of FreeRADIUS' radacct that are over without a Stop, and free their addresses; exit code 3 if there are
    Sweep(Sweep),
    /// Concentrators, as radiusd hears them
    Nas {
        #[command(subcommand)]
        verb: NasVerb,
    },
    /// MikroTik routers of the configuration
    Router {
        #[command(subcommand)]
        verb: RouterVerb,
    },
    /// The daemon: reconciles each router at its interval, and takes new ones in
    #[command(after_help = "\
Asks each [[router]] of the configuration every [serve] interval (60 s), one that fails less and less often, and does what `reconcile --apply` does. The pools of a router with import = \"auto\" are imported first. Of several daemons on one database one leads, the others wait until it is not heard any more.

SIGHUP reads the configuration anew (a wrong one is reported, and the old one stays); SIGTERM ends it. For systemd: examples/systemd/ippool-rs.service.

Example:
  ippool-rs --config /etc/ippool-rs/ippool-rs.toml serve")]
    Serve,
}

/// `reconcile`
#[derive(Args, Debug)]
#[command(after_help = "\
Without --apply it shows the plan and changes nothing. A session without a lease is adopted; a lease whose session is absent from two complete lists, at least 60 s apart, is released; two sessions with one address are a conflict, and nothing is released. A list that is not proven to be complete says nothing at all.

Examples:
  ippool-rs reconcile
  ippool-rs reconcile --router core1 --apply
  ippool-rs reconcile --findings -o json")]
pub(super) struct Reconcile {
    /// Only this router, by its name in the configuration
    #[arg(long, value_name = "ROUTER")]
    pub router: Option<String>,
    /// Do what the plan says
    #[arg(long)]
    pub apply: bool,
    /// Far fewer sessions than at the last look are right: they were taken down on purpose
    #[arg(long, requires = "router")]
    pub accept_drop: bool,
    /// List what the last runs with --apply found and could not mend; no router is asked
    #[arg(long, conflicts_with_all = ["apply", "accept_drop"])]
    pub findings: bool,
}

/// `explain`
#[derive(Args, Debug)]
#[command(after_help = "\
What is both a pool and a user is explained as both. What a user would get at the next login is said for the NAS, the device and the pool of the last one.

Examples:
  ippool-rs explain 203.0.113.7
  ippool-rs explain alice
  ippool-rs explain gold -o json")]
pub(super) struct Explain {
    /// An address, a user, or a pool
    #[arg(value_name = "ADDRESS|USER|POOL")]
    pub thing: OsString,
    /// Ask the routers of the configuration, too, which profiles name the pool
    #[arg(long)]
    pub ask_routers: bool,
}

/// `sweep`
#[derive(Args, Debug)]
#[command(after_help = "\
Without --apply it shows the plan and changes nothing. A session is stale if it gave no sign of life (Interim or Start) for 30 minutes, and for three of its Interim intervals, while others of its NAS were heard; or if its router, which is asked, does not list it. It is closed at its last sign of life, with the cause Stale-Session, and its lease ends as by a Stop. Nothing is closed where silence proves nothing: the NAS is not heard, sends no Interims, or its router cannot be asked.

Examples:
  ippool-rs sweep
  ippool-rs sweep --apply
  ippool-rs sweep --nas 192.0.2.1 --older-than 2d --force --apply")]
pub(super) struct Sweep {
    /// Do what the plan says
    #[arg(long)]
    pub apply: bool,
    /// How long a silence must be (30m, 2h, 1d); never less than three of the session's Interim intervals
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = super::sweep::span)]
    pub older_than: i64,
    /// Only the sessions of this NAS, by its key or name
    #[arg(long, value_name = "NAS", conflicts_with = "router")]
    pub nas: Option<OsString>,
    /// Only the sessions of this router, by its name in the configuration
    #[arg(long, value_name = "ROUTER")]
    pub router: Option<String>,
    /// Also where nothing proves it: you know that silent sessions of this NAS are over
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum SchemaVerb {
    /// Which version the database has, and which is needed; exit code 3 if it is behind
    Status,
    /// Create the tables, or bring them up to date
    #[command(after_help = "\
Does nothing if nothing is missing. Everything happens in one transaction. A SQLite file is created.

Examples:
  ippool-rs --database sqlite:///var/lib/ippool-rs/ippool.db schema up
  ippool-rs --database postgresql://radius@db.example/radius schema up --dry-run")]
    Up {
        /// Print the SQL that would run, and run nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// The indexes that lead to an address in FreeRADIUS' own tables; exit code 3 if one is missing
    #[command(after_help = "\
radiusd looks at each grant whether radreply, or an open session in radacct, has the address for somebody else. FreeRADIUS' schemas have no index for that: a small table is read through, a large one only now and then.

Without --apply the SQL of those that are missing is printed. On PostgreSQL they are made CONCURRENTLY: nobody waits. On SQLite nobody can write while one is made, about a second for a million rows.

Examples:
  ippool-rs schema indexes
  ippool-rs schema indexes --apply
  ippool-rs schema indexes --radreply staff.radreply --apply")]
    Indexes {
        /// Make those that are missing
        #[arg(long)]
        apply: bool,
        /// The table of static addresses, as in static_sources of the module
        #[arg(long, value_name = "TABLE", default_value = "auto")]
        radreply: String,
        /// The table of sessions, as in static_sources of the module
        #[arg(long, value_name = "TABLE", default_value = "auto")]
        radacct: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PoolVerb {
    /// All pools, and how full they are
    #[command(after_help = "\
in_use + lapsed + reserved + cooling + free = total. in_use counts live leases, offers among them; lapsed ones have run out without proof that their session ended, and are granted only when nothing else is left.")]
    List {
        /// Only pools of this name
        #[arg(long, value_name = "POOL")]
        pool: Option<OsString>,
        /// Only pools of this NAS
        #[arg(long, value_name = "NAS")]
        nas: Option<OsString>,
    },
    /// One pool: its ranges, and how full it is
    Show {
        /// The pool's name
        name: OsString,
        /// Its NAS, if it is not a shared pool
        #[arg(long, value_name = "NAS")]
        nas: Option<OsString>,
    },
    /// Create a pool, or add ranges to it
    Add(PoolAdd),
    /// Take pools over from routers: show the difference, or (with --apply) do it
    Import(PoolImport),
    /// Remove a pool, or ranges of it
    Remove(PoolRemove),
}

/// `pool add`
#[derive(Args, Debug)]
#[command(after_help = "\
A block (a/len) gives its hosts: of IPv4 the network and the broadcast address are left out, except of /31 and /32. With --prefix-length it gives prefixes instead. A pool of a million addresses or prefixes is added at once. A pool is of one family, and of one prefix length. radiusd knows the change within 5 seconds.

Examples:
  ippool-rs pool add gold 203.0.113.0/24
  ippool-rs pool add gold 198.51.100.0/24 --exclude 198.51.100.1-198.51.100.9
  ippool-rs pool add cgnat 100.64.0.0/10 --nas 192.0.2.1
  ippool-rs pool add home6 2001:db8::/40 --prefix-length 56
  ippool-rs pool add link6 2001:db8:ff00::1-2001:db8:ff00::ffff")]
pub(super) struct PoolAdd {
    /// The pool's name; what control:Pool-Name says
    pub name: OsString,
    /// Addresses: a, a-b, or a/len
    #[arg(required = true, value_name = "RANGE")]
    pub ranges: Vec<String>,
    /// Addresses to leave out: a, a-b, or a/len (the whole block); may be repeated
    #[arg(long, value_name = "RANGE", num_args = 1.., value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Give out prefixes of this length; a pool that does so already needs it no more
    #[arg(long, value_name = "LENGTH")]
    pub prefix_length: Option<u8>,
    /// The pool is only for this NAS, as it is heard: its address, or NAS-Identifier
    #[arg(long, value_name = "NAS")]
    pub nas: Option<OsString>,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Really more than 16,777,216 addresses, or more than a /20 of IPv6
    #[arg(long)]
    pub yes_really: bool,
}

/// `pool remove`
#[derive(Args, Debug)]
#[command(after_help = "\
Asks if somebody holds an address of it, or one is reserved. Large pools go in slices, from the highest address down: whatever stops it, what is left is a whole pool, and the same command goes on.

Examples:
  ippool-rs pool remove gold
  ippool-rs pool remove gold 198.51.100.0/24")]
pub(super) struct PoolRemove {
    /// The pool's name
    pub name: OsString,
    /// Only these addresses: a, a-b, or a/len (the whole block)
    #[arg(value_name = "RANGE")]
    pub ranges: Vec<String>,
    /// Its NAS, if it is not a shared pool
    #[arg(long, value_name = "NAS")]
    pub nas: Option<OsString>,
    /// Say what would be removed, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask: release what is held, forget what is reserved
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum LeaseVerb {
    /// Leases, by address; without --status those that are held (offered, online, lapsed)
    List(LeaseList),
    /// Everything about one address
    Show {
        /// The address, or prefix
        #[arg(value_parser = place)]
        address: IpNet,
    },
    /// Free addresses that somebody holds
    Release(LeaseRelease),
}

/// `lease list`
#[derive(Args, Debug)]
#[command(after_help = "\
status is what the table says; state is how it stands: offered (granted, session not begun), online, lapsed (run out, end not proven), cooling (ended a moment ago), reserved, free. Addresses that nobody ever had may not have a row yet.

Examples:
  ippool-rs lease list --user alice
  ippool-rs lease list --pool gold -o csv
  ippool-rs lease list --status all -o json")]
pub(super) struct LeaseList {
    /// Only of this pool
    #[arg(long, value_name = "POOL")]
    pub pool: Option<OsString>,
    /// Only of this username
    #[arg(long, value_name = "USER")]
    pub user: Option<OsString>,
    /// Only with the session on this NAS
    #[arg(long, value_name = "NAS")]
    pub nas: Option<OsString>,
    /// Only with this status in the table
    #[arg(long, value_enum)]
    pub status: Option<StatusArg>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// `--status`.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum StatusArg {
    Available,
    InUse,
    Reserved,
    All,
}

/// `lease release`
#[derive(Args, Debug)]
#[command(after_help = "\
The session, if it still runs, is not cut off by this: it goes on using the address. Asks, unless --yes is given. All addresses are released, or none.

Examples:
  ippool-rs lease release 203.0.113.7
  ippool-rs lease release --user alice --yes")]
pub(super) struct LeaseRelease {
    /// The addresses, or prefixes
    #[arg(value_name = "ADDRESS", required_unless_present = "user", value_parser = place)]
    pub addresses: Vec<IpNet>,
    /// All that this user holds
    #[arg(long, value_name = "USER", conflicts_with = "addresses")]
    pub user: Option<OsString>,
    /// Only in pools of this name (the same address may be in several address spaces)
    #[arg(long, value_name = "POOL")]
    pub pool: Option<OsString>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Say what would be released, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// An address, or a prefix (a/len).
fn place(text: &str) -> Result<IpNet, String> {
    let net = parse_address(text.trim()).ok_or("no address, and no prefix (a/len)")?;
    Ok(if net.prefix_len() == net.max_prefix_len() { net.addr().to_canonical().into() } else { net.trunc() })
}
