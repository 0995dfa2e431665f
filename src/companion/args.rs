//! The command line: nouns, verbs, options, and the help that goes with them. Names are bytes, so they are no `String`.

mod lease;
mod pool;
mod router;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use lease::{
    LeaseAllocate, LeaseClear, LeaseList, LeaseRelease, LeaseReserve, LeaseShow, LeaseUnreserve, LeaseVerb,
    StatusArg,
};
pub(super) use pool::{PoolAdd, PoolModify, PoolRanges, PoolRemove, PoolWay, StrategyArg};
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
    /// List what the last runs with --apply found and could not mend, and what radiusd has observed otherwise than it would answer
    /// (mode = observe) in the last week; no router is asked
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
    /// Change which addresses a pool has, how it gives out, and where it goes on when it is empty
    Modify(PoolModify),
    /// Take pools over from routers: show the difference, or (with --apply) do it
    Import(PoolImport),
    /// Remove a pool, or ranges of it
    Remove(PoolRemove),
}
