//! What the engine is asked and what it answers: one place, one meaning.

use std::sync::Arc;

use ipnet::IpNet;

use crate::lease::{Accounting, Ask, Class, Row, Seconds, Session, Takes, Unit};

/// One piece of work for the engine.
#[derive(Clone, Debug)]
pub enum Work {
    /// post-auth: addresses are wanted.
    Grant(Ask),
    /// accounting: something happened to a session.
    Account(Accounting),
    /// Post-Auth-Type REJECT: the request that was granted these is refused after all.
    Undo(Vec<Undo>),
}

/// What a grant replaced: remembered on the REQUEST, so that a later reject can put it back.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// The fence of the grant. Nothing is undone that does not bear it any more.
    pub class: Class,
    /// The row as it was before.
    pub before: Box<Row>,
}

/// By which step of the choice an address was found (`ARCHITECTURE.md`, "How an address is chosen").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Lapsed but not proven free: the pool had nothing else.
    Doubtful,
    /// The strategy's free address.
    Free,
    /// The address that this owner had before.
    Former,
    /// The session holds it already.
    Repeated,
    /// It is reserved for this owner, or this device.
    Reserved,
    /// The address that the subscriber asked for.
    Requested,
    /// The reply stated it.
    Static,
    /// It was held by the older session of the same station.
    TakenOver,
}

/// One address granted, and committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The reply attribute.
    pub attribute: Arc<str>,
    /// The address.
    pub address: IpNet,
    /// The pool that it is of.
    pub pool: Arc<str>,
    /// What the pool says to whom it gives an address; none: nothing.
    pub message: Option<String>,
    /// Goes out as Class.
    pub class: Class,
    /// How it was found.
    pub how: How,
    /// The lease's length.
    pub lease_seconds: Seconds,
    /// No accounting comes from this NAS: the session needs a Session-Timeout.
    pub nas_is_silent: bool,
    /// Who held it, or whom it is reserved for: the reply states it for somebody else.
    pub contest: Option<Box<Contest>>,
    /// Puts the row back. None where this request changed nothing (a repetition).
    pub undo: Option<Undo>,
}

/// An address that a reply states, and that another has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// Which.
    pub address: IpNet,
    /// The owner that holds it, or whom it is reserved for.
    pub with: String,
    /// It is reserved for him, and not held.
    pub reserved: bool,
}

/// Something optional that could not be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The attribute.
    pub attribute: String,
    /// The pool that was asked first.
    pub pool: String,
    /// There is no such pool; else it is full.
    pub unknown: bool,
}

/// What accounting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accounted {
    /// A session without a lease of ours was found on a free address, and now has a lease.
    Adopted,
    /// The address is held by another session; the claimant is kept with the row.
    Conflict,
    /// The lease lives on, nothing had to be written.
    Confirmed,
    /// Nothing of ours, or too late: counted and acknowledged.
    Ignored(Ignored),
    /// On/Off: what was granted at this NAS before has ended.
    NasEnded,
    /// The lease ended.
    Released,
    /// The lease's end was moved.
    Renewed,
    /// The session of the lease began.
    Started,
}

impl Accounted {
    /// What is told of an event that did this to one thing of its session, and `other` to another.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let weight = |done: &Self| match done {
            Self::Ignored(_) | Self::NasEnded => 0,
            Self::Confirmed => 1,
            Self::Renewed => 2,
            Self::Adopted => 3,
            Self::Started => 4,
            Self::Released => 5,
            Self::Conflict => 6,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
}

/// Why an accounting event was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// The session has ended (a Stop was seen), or the event is older than what it speaks of.
    Late,
    /// The address is in no pool of ours, or the event names none.
    NotOurs,
    /// The same On/Off again.
    Repeated,
    /// The row is kept for somebody else.
    Reserved,
    /// It bears neither the lease's session nor its Class.
    Stranger,
}

/// Why a client of DHCP may not use the address that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Which.
    pub address: IpNet,
    /// Why.
    pub why: Reason,
}

/// What speaks against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This owner holds it.
    HeldBy(String),
    /// It is kept for somebody, or something else says that it is not free: another table, a session heard there, a Decline.
    Kept,
    /// It is of none of the pools that serve this network.
    Elsewhere,
    /// It is of none of our pools.
    NotOurs,
    /// The client has another one.
    HasAnother(IpNet),
}

/// The engine's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Addresses were granted, or are still held; each is committed. In the order of the ask's wants.
    Granted(Vec<Grant>),
    /// As [`Self::Granted`], without what the ask called optional and no pool had.
    Partly(Vec<Grant>, Vec<LeftOut>),
    /// The reply's own address stands, and is none of ours.
    Kept,
    /// The reply's own address stands, though another has it, and he keeps the lease (`static_wins = no`).
    Contested(Box<Contest>),
    /// Neither the pool nor those behind it have an address left.
    Exhausted {
        /// The one that was asked first.
        pool: String,
        /// Those behind it, in order.
        behind: Vec<String>,
    },
    /// No pool of that name, neither of this NAS nor shared.
    UnknownPool {
        /// The name.
        pool: String,
    },
    /// The pool gives out what the attribute does not hold.
    Unfit {
        /// Its name.
        pool: String,
        /// What it gives out.
        gives: Unit,
        /// The attribute.
        attribute: String,
        /// What that holds.
        takes: Takes,
    },
    /// DHCP: the client may not use the address that it names.
    Denied(Denial),
    /// DHCP: nothing is known of the client, or of it and that address.
    Unheard,
    /// DHCP: the client's lease on the address that it named is over.
    Ended,
    /// Accounting was dealt with.
    Accounted(Accounted),
    /// The reject was dealt with: so many grants were put back.
    Undone(usize),
    /// Not within the budget, or the database is away, or this one ask cannot be served by it. Nobody knows of an address.
    Unavailable {
        /// A sentence for the log.
        why: String,
    },
}

/// How the answer of others is, beside ours (`mode = observe`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Their address is in no pool of ours.
    NotOurs,
    /// They gave none, and we would.
    OnlyOurs,
    /// We would give none, and they did.
    OnlyTheirs,
    /// Another address of the same pool.
    OtherAddress,
    /// An address of another pool than ours.
    OtherPool,
    /// The same.
    Same,
}

impl Seen {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOurs => "not ours",
            Self::OnlyOurs => "only ours",
            Self::OnlyTheirs => "only theirs",
            Self::OtherAddress => "other address",
            Self::OtherPool => "other pool",
            Self::Same => "same",
        }
    }

    /// The kind of finding that it is.
    #[must_use]
    pub const fn finding(self) -> &'static str {
        match self {
            Self::NotOurs => "observed-not-ours",
            Self::OnlyOurs => "observed-only-ours",
            Self::OnlyTheirs => "observed-only-theirs",
            Self::OtherAddress => "observed-other-address",
            Self::OtherPool => "observed-other-pool",
            Self::Same => "observed-same",
        }
    }
}

/// An answer of others that is not as ours would be, for `ip_pool_findings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// At which NAS, as it is heard.
    pub nas: String,
    /// What kind of difference.
    pub seen: Seen,
    /// The address that they gave; where they gave none, whose it would be.
    pub subject: String,
    /// A sentence.
    pub detail: String,
}

/// What `peek` answers: what would be granted.
#[derive(Clone, Debug, PartialEq)]
pub struct Peeked {
    /// The address.
    pub address: IpNet,
    /// Its pool.
    pub pool: String,
    /// How it would be found.
    pub how: How,
}

/// Which lease is looked for by `%{ippool_rs:lease …}`.
#[derive(Clone, Debug)]
pub enum LeaseOf {
    /// The one on this address.
    Address {
        /// The NAS that asks: its address space counts.
        nas: String,
        /// The address.
        address: IpNet,
    },
    /// The one of this session.
    Session(Box<Session>),
}
