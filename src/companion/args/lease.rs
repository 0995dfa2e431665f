//! The verbs of `lease`: what may be typed.

use std::ffi::OsString;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::store::parse_address;

#[derive(Debug, Subcommand)]
pub(in crate::companion) enum LeaseVerb {
    /// Leases, by address; without --status those that are held (offered, online, lapsed)
    List(LeaseList),
    /// Everything about one address, or what a user or a session holds
    Show(LeaseShow),
    /// Hold an address for a user, as his login would choose it, until it is unreserved
    Allocate(LeaseAllocate),
    /// Free addresses that somebody holds
    Release(LeaseRelease),
    /// Forget who had addresses, and free them
    Clear(LeaseClear),
    /// Keep an address for a user, for a device, or from everybody
    Reserve(LeaseReserve),
    /// Give a reserved address back to its pool
    Unreserve(LeaseUnreserve),
}

/// `lease list`
#[derive(Args, Debug)]
#[command(after_help = "\
status is what the table says; state is how it stands: offered (granted, session not begun), online, lapsed (run out, end not proven), cooling (ended a moment ago), reserved, declined (a DHCP client found something else on it), free. Addresses that nobody ever had may not have a row yet.

Examples:
  ippool-rs lease list --user alice
  ippool-rs lease list --pool gold -o csv
  ippool-rs lease list --status all -o json")]
pub(in crate::companion) struct LeaseList {
    /// Only of this pool
    #[arg(long, value_name = "POOL")]
    pub pool: Option<OsString>,
    /// Only of this username
    #[arg(long, value_name = "USER")]
    pub user: Option<OsString>,
    /// Only with the session on this NAS
    #[arg(long, value_name = "NAS")]
    pub nas: Option<OsString>,
    /// Only with this session (Acct-Session-Id)
    #[arg(long, value_name = "ID")]
    pub session: Option<OsString>,
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
pub(in crate::companion) enum StatusArg {
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
pub(in crate::companion) struct LeaseRelease {
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

/// `lease show`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ippool-rs lease show 203.0.113.7
  ippool-rs lease show --user alice
  ippool-rs lease show --session 81c00001 -o json")]
#[command(group = ArgGroup::new("which").required(true))]
pub(in crate::companion) struct LeaseShow {
    /// The address, or prefix
    #[arg(group = "which", value_parser = place)]
    pub address: Option<IpNet>,
    /// The same as ADDRESS
    #[arg(long, value_name = "ADDRESS", group = "which", value_parser = place)]
    pub ip: Option<IpNet>,
    /// What this user holds
    #[arg(long, value_name = "USER", group = "which")]
    pub user: Option<OsString>,
    /// What this session holds (Acct-Session-Id)
    #[arg(long, value_name = "ID", group = "which")]
    pub session: Option<OsString>,
}

/// `lease allocate`
#[derive(Args, Debug)]
#[command(after_help = "\
A user who has an address keeps it: that one is held for him from now on, whichever pool it is of. Else it is the one that his next login would get. Nobody else gets it, however long he is not on line, until `lease unreserve`. With --dry-run nothing is held.

Exit codes: 0 held (or would be); 1 there is no such pool; 75 the pool has no free address.

Examples:
  ippool-rs lease allocate alice --pool gold
  ippool-rs lease allocate alice --pool gold --station 00:11:22:33:44:55
  ippool-rs lease allocate alice --pool gold --dry-run -o json")]
pub(in crate::companion) struct LeaseAllocate {
    /// The user
    pub user: OsString,
    /// From this pool [default: that of his last address]
    #[arg(long, value_name = "POOL")]
    pub pool: Option<OsString>,
    /// As at a login from this NAS [default: that of his last address]
    #[arg(long, value_name = "NAS")]
    pub nas: Option<OsString>,
    /// Only for this device of his (a MAC address)
    #[arg(long, value_name = "MAC")]
    pub station: Option<String>,
    /// Say which it would be, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `lease clear`
#[derive(Args, Debug)]
#[command(after_help = "\
As `release`, and nobody is remembered as the one who had the address last. Addresses that are named are cleared all or not at all; a pool and --all go in slices. What is reserved stays reserved. Live leases are cleared only with --yes, or after a question.

Examples:
  ippool-rs lease clear 203.0.113.7 203.0.113.9
  ippool-rs lease clear --pool gold --yes
  ippool-rs lease clear --all --yes")]
#[command(group = ArgGroup::new("whose").required(true))]
pub(in crate::companion) struct LeaseClear {
    /// The addresses, or prefixes
    #[arg(value_name = "ADDRESS", group = "whose", value_parser = place)]
    pub addresses: Vec<IpNet>,
    /// All that this user has or had
    #[arg(long, value_name = "USER", group = "whose")]
    pub user: Option<OsString>,
    /// All of this pool
    #[arg(long, value_name = "POOL", group = "whose")]
    pub pool: Option<OsString>,
    /// All of all pools
    #[arg(long, group = "whose")]
    pub all: bool,
    /// Do not ask, though sessions may use them
    #[arg(long)]
    pub yes: bool,
    /// Say what would be cleared, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `lease reserve`
#[derive(Args, Debug)]
#[command(after_help = "\
Without --for and --station it is kept from everybody: a gateway, or an address that shall not be used. With both, only for this device of this user. Who holds it now keeps it until his session ends; it is reserved for the time after. Every import leaves it as it is.

Examples:
  ippool-rs lease reserve 203.0.113.1
  ippool-rs lease reserve 203.0.113.7 --for alice
  ippool-rs lease reserve 203.0.113.7 --for alice --station 00:11:22:33:44:55")]
pub(in crate::companion) struct LeaseReserve {
    /// The address, or prefix
    #[arg(value_parser = place)]
    pub address: IpNet,
    /// For this user
    #[arg(long = "for", value_name = "USER")]
    pub owner: Option<OsString>,
    /// For this device (a MAC address)
    #[arg(long, value_name = "MAC")]
    pub station: Option<String>,
    /// In the pool of this name (the same address may be in several address spaces)
    #[arg(long, value_name = "POOL")]
    pub pool: Option<OsString>,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `lease unreserve`
#[derive(Args, Debug)]
#[command(after_help = "\
Who holds it now keeps it. What an import has reserved (a gateway, say), the next import reserves again.

Example:
  ippool-rs lease unreserve 203.0.113.7")]
pub(in crate::companion) struct LeaseUnreserve {
    /// The addresses, or prefixes: all or none
    #[arg(required = true, value_name = "ADDRESS", value_parser = place)]
    pub addresses: Vec<IpNet>,
    /// In the pool of this name (the same address may be in several address spaces)
    #[arg(long, value_name = "POOL")]
    pub pool: Option<OsString>,
    /// Check everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
}
