//! `pool add`, `modify` and `remove`: what may be typed.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::ModeArg;

/// `pool add`
#[derive(Args, Debug)]
#[command(after_help = "\
A block (a/len) gives its hosts: of IPv4 the network and the broadcast address are left out, except of /31 and /32. With --prefix-length it gives prefixes instead. A pool of a million addresses or prefixes is added at once. A pool is of one family, and of one prefix length. radiusd knows the change within 5 seconds.

Examples:
  ippool-rs pool add gold 203.0.113.0/24
  ippool-rs pool add gold 198.51.100.0/24 --exclude 198.51.100.1-198.51.100.9
  ippool-rs pool add premium 192.0.2.0/24 --next-pool gold --strategy ascending --ttl 1d
  ippool-rs pool add cgnat 100.64.0.0/10 --nas 192.0.2.1
  ippool-rs pool add home6 2001:db8::/40 --prefix-length 56
  ippool-rs pool add link6 2001:db8:ff00::1-2001:db8:ff00::ffff")]
pub(in crate::companion) struct PoolAdd {
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
    #[command(flatten)]
    pub way: PoolWay,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Really more than 16,777,216 addresses, or more than a /20 of IPv6
    #[arg(long)]
    pub yes_really: bool,
}

/// How a pool gives out.
#[derive(Args, Clone, Debug)]
pub(in crate::companion) struct PoolWay {
    /// The pool that is asked when this one is empty, by its name; "" : none
    #[arg(long, value_name = "POOL")]
    pub next_pool: Option<OsString>,
    /// In which order it gives out what is free: least recently used, by number, or anywhere [default: lru]
    #[arg(long, value_enum)]
    pub strategy: Option<StrategyArg>,
    /// The length of its leases (90s, 30m, 12h, 1d), never: without an end, default: as radiusd's configuration says
    #[arg(long, visible_alias = "lease-seconds", value_name = "TIME", value_parser = super::super::pool_modify::ttl)]
    #[arg(allow_negative_numbers = true)]
    pub ttl: Option<super::super::pool_modify::Ttl>,
    /// Who gives out its addresses: radiusd (managed), somebody else (observe, off) [default: managed]
    #[arg(long, value_enum)]
    pub mode: Option<ModeArg>,
    /// What a subscriber is told who gets an address of it (Reply-Message); "": nothing
    #[arg(long, value_name = "TEXT")]
    pub message: Option<OsString>,
}

/// `--strategy`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::companion) enum StrategyArg {
    Lru,
    Ascending,
    Descending,
    Random,
}

/// `pool modify`
#[derive(Args, Debug)]
#[command(after_help = "\
Leases that are held stay as they are: what is changed counts for the next grant, and a length for the next renewal. Addresses that are held or reserved stay in the pool (exit code 4) until they are not; the same command then takes them. Ranges of one address space never overlap. A chain of next pools that comes back to where it began is refused. The next import of a router sets the ranges and the next pool of its pools again.

Examples:
  ippool-rs pool modify gold --add-range 198.51.100.0/24 --exclude 198.51.100.1-198.51.100.9
  ippool-rs pool modify gold --remove-range 203.0.113.128/25 --dry-run
  ippool-rs pool modify gold --include 198.51.100.9
  ippool-rs pool modify premium --next-pool standard
  ippool-rs pool modify premium --next-pool \"\"
  ippool-rs pool modify guests --strategy random --ttl 2h --message \"welcome, guest\"")]
pub(in crate::companion) struct PoolModify {
    /// The pool's name
    pub name: OsString,
    /// Its NAS, if it is not a shared pool
    #[arg(long, value_name = "NAS")]
    pub nas: Option<OsString>,
    #[command(flatten)]
    pub ranges: PoolRanges,
    #[command(flatten)]
    pub way: PoolWay,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Really more than 16,777,216 addresses, or more than a /20 of IPv6
    #[arg(long)]
    pub yes_really: bool,
}

/// Which addresses a pool has: what is to be another way.
#[derive(Args, Clone, Debug)]
pub(in crate::companion) struct PoolRanges {
    /// Add these addresses: a, a-b, or a/len (its hosts); may be repeated
    #[arg(long, value_name = "RANGE", num_args = 1.., value_delimiter = ',')]
    pub add_range: Vec<String>,
    /// Take these addresses away: a, a-b, or a/len (the whole block)
    #[arg(long, value_name = "RANGE", num_args = 1.., value_delimiter = ',')]
    pub remove_range: Vec<String>,
    /// Leave these out, of what the pool has and of what is added (the whole block)
    #[arg(long, value_name = "RANGE", num_args = 1.., value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Take these in (again), as far as they are not there (the whole block)
    #[arg(long, value_name = "RANGE", num_args = 1.., value_delimiter = ',')]
    pub include: Vec<String>,
}

impl PoolRanges {
    /// No range is spoken of.
    pub(in crate::companion) const fn is_empty(&self) -> bool {
        let Self { add_range, remove_range, exclude, include } = self;
        add_range.is_empty() && remove_range.is_empty() && exclude.is_empty() && include.is_empty()
    }
}

/// `pool remove`
#[derive(Args, Debug)]
#[command(after_help = "\
Asks if somebody holds an address of it, or one is reserved. Large pools go in slices, from the highest address down: whatever stops it, what is left is a whole pool, and the same command goes on.

Examples:
  ippool-rs pool remove gold
  ippool-rs pool remove gold 198.51.100.0/24")]
pub(in crate::companion) struct PoolRemove {
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
