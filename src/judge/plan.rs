//! What the judge says: steps, findings, and what is to be remembered.

use std::borrow::Cow;

use ipnet::IpNet;

use super::guard::{Look, Standing};
use crate::lease::{Change, Row, Time};

/// What is said of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A session without a lease gets one.
    Adopt,
    /// The lease's session is there: it is renewed.
    Confirm,
    /// It was absent, and is there again.
    Clear,
    /// Two sessions use, or claim, the address: who is heard besides is kept with the row.
    Conflict,
    /// The lease's session is absent for the first time, or not long enough.
    Suspect,
    /// It was absent twice, or its router has started anew since: the lease ends.
    Release,
}

/// A row as it was read: what an absence is written against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The row.
    pub id: i64,
    /// Its epoch.
    pub epoch: i64,
    /// Its last change.
    pub updated_at: Time,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Writes a row, if it still is as it was read.
    Write(Box<Change>),
    /// Notes since when it is absent.
    Mark(Mark),
    /// Forgets that.
    Unmark(Mark),
    /// The address has no row yet: that has to be made, and then judged anew.
    Make,
    /// Nothing: it is known already.
    Nothing,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is said.
    pub verdict: Verdict,
    /// Of which address.
    pub address: IpNet,
    /// Whose lease or session.
    pub user: String,
    /// Why, in a few words.
    pub why: Cow<'static, str>,
    /// What is done.
    pub deed: Deed,
}

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The router gave no complete list.
    NoInformation,
    /// It has just started and lists nothing.
    JustBooted,
    /// Far fewer sessions than before: nothing is released.
    Drop,
    /// A session uses an address that another holds.
    Conflict,
    /// Two sessions of the router have the same address.
    Twice,
    /// Two routers list the same address.
    TwoRouters,
    /// A session uses an address that is reserved, not for it.
    Reserved,
    /// A local user of the router uses an address of a pool of ours.
    LocalUser,
    /// Sessions with addresses outside every pool.
    Outside,
    /// Sessions without an address.
    NoAddress,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoInformation,
        Self::JustBooted,
        Self::Drop,
        Self::Conflict,
        Self::Twice,
        Self::TwoRouters,
        Self::Reserved,
        Self::LocalUser,
        Self::Outside,
        Self::NoAddress,
    ];

    /// Its name, for people, scripts, and the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoInformation => "no-information",
            Self::JustBooted => "just-booted",
            Self::Drop => "drop",
            Self::Conflict => "conflict",
            Self::Twice => "address-twice",
            Self::TwoRouters => "two-routers",
            Self::Reserved => "reserved-address",
            Self::LocalUser => "local-user",
            Self::Outside => "outside-pools",
            Self::NoAddress => "no-address",
        }
    }

    /// Somebody has to do something about it; else it is good to know.
    #[must_use]
    pub const fn is_difference(self) -> bool {
        !matches!(self, Self::LocalUser | Self::Outside | Self::NoAddress)
    }
}

/// Something that no step mends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where; none: the router as a whole.
    pub address: Option<IpNet>,
    /// In a sentence, with what to do.
    pub detail: String,
}

/// How many steps of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Adoptions.
    pub adopt: usize,
    /// Confirmations that write.
    pub confirm: usize,
    /// Conflicts.
    pub conflict: usize,
    /// Suspects.
    pub suspect: usize,
    /// Releases.
    pub release: usize,
}

/// All that follows from one complete list. Only [`super::judge`] makes one.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) findings: Vec<Finding>,
    pub(super) look: Look,
    pub(super) standing: Standing,
    pub(super) present: usize,
}

impl Plan {
    /// The steps, in the order in which they are to be done: adopt and confirm before release.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What no step mends.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What is to be remembered of this look.
    #[must_use]
    pub const fn look(&self) -> Look {
        self.look
    }

    /// What the list is worth.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// How many leases have their session on the list.
    #[must_use]
    pub const fn present(&self) -> usize {
        self.present
    }

    /// How many of each.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |verdict| self.steps.iter().filter(|step| step.verdict == verdict).count();
        Counts {
            adopt: of(Verdict::Adopt),
            confirm: of(Verdict::Confirm),
            conflict: of(Verdict::Conflict),
            suspect: of(Verdict::Suspect),
            release: of(Verdict::Release),
        }
    }

    /// Table and router differ. A renewal is no difference.
    #[must_use]
    pub fn differs(&self) -> bool {
        let quiet = |verdict| matches!(verdict, Verdict::Confirm | Verdict::Clear);
        self.steps.iter().any(|step| !quiet(step.verdict))
            || self.findings.iter().any(|finding| finding.kind.is_difference())
    }
}

impl Mark {
    pub(super) const fn of(row: &Row) -> Self {
        Self { id: row.id, epoch: row.epoch, updated_at: row.updated_at }
    }
}
