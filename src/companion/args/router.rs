//! `router`, `nas`, `pool import`.

use std::ffi::OsString;
use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};

use crate::lease::Mode;

#[derive(Debug, Subcommand)]
pub(in crate::companion) enum RouterVerb {
    /// The routers of the configuration (nobody is asked)
    List,
    /// Whether a router can be reached and is set up: name, TCP, TLS, login, rights, version, clock, RADIUS
    #[command(after_help = "\
Nothing is changed. Exit code 1 if something does not work, 0 if there are warnings only.

Examples:
  ippool-rs router test core1
  ippool-rs router test -o json")]
    Test {
        /// Names of routers [default: all]
        #[arg(value_name = "ROUTER")]
        routers: Vec<String>,
    },
    /// The pools of the routers and how much of them is in use, there and here, or (add, remove) one pool of a router
    #[command(args_conflicts_with_subcommands = true)]
    Pools {
        /// Names of routers [default: all]
        #[arg(value_name = "ROUTER")]
        routers: Vec<String>,
        #[command(subcommand)]
        verb: Option<RouterPoolsVerb>,
    },
    /// Who is on line on the routers, and the prefixes that their DHCPv6 servers have bound
    Sessions {
        /// Names of routers [default: all]
        #[arg(value_name = "ROUTER")]
        routers: Vec<String>,
        /// Only of this user
        #[arg(long, value_name = "USER")]
        user: Option<OsString>,
    },
    /// Take a router in: test it, note its NAS, import its pools, check its profiles
    #[command(after_help = "\
Stops at the first step that fails. Can be repeated: what is done already stays as it is. Without --apply nothing is changed, \
and the exit code is 3 if there is something to do.

Examples:
  ippool-rs router onboard core1
  ippool-rs router onboard core1 --apply")]
    Onboard(Onboard),
    /// Find what makes a router give out addresses by itself, and (with --apply) unset remote-address in its profiles
    #[command(after_help = "\
Exit code 3 if something is found. Only remote-address of PPP profiles is changed; everything else is said, not done.

Examples:
  ippool-rs router fix-profile core1
  ippool-rs router fix-profile core1 --profile home --apply")]
    FixProfile {
        /// The router
        router: String,
        /// Only this profile
        #[arg(long, value_name = "PROFILE")]
        profile: Option<OsString>,
        /// Do it
        #[arg(long)]
        apply: bool,
    },
}

/// `router onboard`
#[derive(Args, Debug)]
pub(in crate::companion) struct Onboard {
    /// The router
    pub router: String,
    /// Do it
    #[arg(long)]
    pub apply: bool,
    /// Pools of more than 1,048,576 addresses are meant
    #[arg(long)]
    pub yes_really: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::companion) enum RouterPoolsVerb {
    /// Create a pool on a router
    #[command(after_help = "\
Example:
  ippool-rs router pools add core1 spare 198.51.100.10-198.51.100.99 --apply")]
    Add {
        /// The router
        router: String,
        /// The pool's name
        pool: OsString,
        /// Addresses as RouterOS takes them: a, a-b, a/len
        #[arg(required = true, value_name = "RANGE")]
        ranges: Vec<String>,
        /// The pool that is asked when this one is empty
        #[arg(long, value_name = "POOL")]
        next_pool: Option<OsString>,
        /// Do it
        #[arg(long)]
        apply: bool,
    },
    /// Delete a pool on a router
    Remove {
        /// The router
        router: String,
        /// The pool's name
        pool: OsString,
        /// Do it
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::companion) enum NasVerb {
    /// All NASes that radiusd has heard, or somebody has named
    List,
    /// One NAS
    Show {
        /// Its key (as radiusd hears it), or its name
        nas: OsString,
    },
    /// Complete a NAS; one that radiusd has not heard yet is made
    #[command(after_help = "\
An empty value takes the old one away. radiusd knows the change within 5 seconds.

Examples:
  ippool-rs nas set 192.0.2.7 --name bras7 --coa-port 3799
  ippool-rs nas set 192.0.2.8 --address-space vrf-b")]
    Set(NasSet),
    /// Make the leases and pools of one NAS another's: it is heard under another key from now on
    #[command(after_help = "\
In slices, so that radiusd waits for none of them long. Whatever stops it, the same command goes on.

Example:
  ippool-rs nas merge 192.0.2.1 198.51.100.1")]
    Merge {
        /// The old key, or name
        old: OsString,
        /// The new key, or name
        new: OsString,
        /// Say what would be moved, change nothing
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// `nas set`
#[derive(Args, Debug)]
pub(in crate::companion) struct NasSet {
    /// Its key: the address that its packets come from, narrowed (192.0.2.1, 198.51.100.1/10.0.0.1)
    pub nas: OsString,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    pub name: Option<OsString>,
    /// What it calls itself (NAS-Identifier)
    #[arg(long, value_name = "ID")]
    pub nas_identifier: Option<OsString>,
    /// In which its addresses are unique
    #[arg(long, value_name = "SPACE")]
    pub address_space: Option<OsString>,
    /// Who gives out its addresses
    #[arg(long, value_enum)]
    pub mode: Option<ModeArg>,
    /// Where it takes disconnects, if not where its packets come from
    #[arg(long, value_name = "ADDRESS")]
    pub coa_address: Option<IpAddr>,
    /// The port where it takes disconnects
    #[arg(long, value_name = "PORT")]
    pub coa_port: Option<u16>,
    /// The address that disconnects come from
    #[arg(long, value_name = "ADDRESS")]
    pub coa_source: Option<IpAddr>,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `--mode`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::companion) enum ModeArg {
    Managed,
    Observe,
    Off,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Managed => Self::Managed,
            ModeArg::Observe => Self::Observe,
            ModeArg::Off => Self::Off,
        }
    }
}

/// `pool import`
#[derive(Args, Debug)]
#[command(after_help = "\
Shows the difference between the routers' pools and the database's; --apply does it. What is held or reserved is never taken \
away. Of a block (a/len) the network and the broadcast address are left out; a-b is taken as it is written. The router's own \
addresses, gateways and static DHCP leases become reserved.

Exit codes: 0 the same, or done; 3 there are differences; 4 done, but something was left out (the sentences say what).

Examples:
  ippool-rs pool import
  ippool-rs pool import --router core1 --apply
  ippool-rs pool import --csv pools.csv --nas 192.0.2.7 --apply")]
pub(in crate::companion) struct PoolImport {
    /// Only from this router; may be repeated [default: all]
    #[arg(long, value_name = "ROUTER")]
    pub router: Vec<String>,
    /// Only pools of this name; may be repeated
    #[arg(long, value_name = "POOL")]
    pub pool: Vec<String>,
    /// From a file instead: lines of pool_name,first_address,last_address (as `pool show -o csv` writes them), or pool_name,ranges
    #[arg(long, value_name = "FILE", requires = "nas", conflicts_with = "router")]
    pub csv: Option<std::path::PathBuf>,
    /// With --csv: the NAS whose pools they are
    #[arg(long, value_name = "NAS", requires = "csv")]
    pub nas: Option<OsString>,
    /// Instead of pools, the static addresses of the databases in `[[statics]]`: nobody else gets them
    #[arg(long, conflicts_with_all = ["router", "pool", "csv", "prune"])]
    pub statics: bool,
    /// Do it
    #[arg(long)]
    pub apply: bool,
    /// Remove pools that were imported and are no longer there
    #[arg(long)]
    pub prune: bool,
    /// Pools of more than 1,048,576 addresses are meant
    #[arg(long)]
    pub yes_really: bool,
}
