//! Deliberate mistakes, one at a time, each where somebody could make it: those of rlm_sqlippool and a few of our own.
//! `tests/sim` switches them on to prove that it would find them. Without the feature `faults`, which no release has,
//! nothing is ever on, and the compiler drops the branches.

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error of the database is answered as if the pool were full.
    ErrorIsFull,
    /// A Stop ends the lease of whoever has its address and owner.
    LateStopFrees,
    /// An Interim brings a stopped lease back.
    LateInterimRevives,
    /// Accounting-On ends what was granted until it arrived, however late it came.
    OnIgnoresDelay,
    /// Accounting-On of one NAS ends the leases of all.
    OnEndsOthers,
    /// The holder's Interim changes nothing.
    HolderIgnored,
    /// The holder's Interim after his lease ran out gets no answer.
    HolderUnanswered,
    /// An offer stands for a whole lease.
    OffersLeak,
    /// Each ask gets another address.
    NewAddressEachAsk,
    /// A repetition is taken for a redial.
    RepetitionIsRedial,
    /// A take-over does not remember whom it replaced.
    TakeOverForgets,
    /// A take-over believes in any station.
    TakeOverFromAnyone,
    /// A lease that ran out is over, whoever was heard or not.
    SilenceIsAbsence,
    /// What ran out in an outage is over.
    HoldIgnored,
    /// Rows are written whether or not they still are as they were read.
    UnconditionalWrite,
    /// A Class of the row is believed, whatever its token.
    ClassWithoutToken,
    /// A claimant is forgotten when the holder's lease ends.
    ClaimForgotten,
    /// A new grant keeps the epoch.
    EpochStays,
    /// An address is granted before it is committed.
    AnsweredBeforeCommit,
    /// The second pool of a chain is passed over.
    ChainSkips,
    /// The highest number goes out where the lowest should.
    AscendingDescends,
    /// An address that the reply states is not recorded.
    StaticForgotten,
    /// What one family lacks does not keep the other from being granted.
    OneFamilyIsEnough,
    /// A Stop ends the first of what its session has.
    StopEndsOne,
    /// A reject puts back the first of what was granted.
    RejectUndoesOne,
    /// What is reserved goes out only in the attribute that it had.
    ReservedForOneAttribute,
    /// Whoever has his lease back after a reject waits for it besides.
    RejectLeavesClaim,
}

/// Those that decide who gets what: found by the simple model.
pub const CHOICES: &[Fault] = &[
    Fault::ChainSkips,
    Fault::AscendingDescends,
    Fault::StaticForgotten,
    Fault::OneFamilyIsEnough,
    Fault::StopEndsOne,
    Fault::RejectUndoesOne,
    Fault::ReservedForOneAttribute,
    Fault::RejectLeavesClaim,
];

/// Those that leave a session with one of two families: found where one is scarce.
pub const FAMILIES: &[Fault] = &[Fault::OneFamilyIsEnough, Fault::StopEndsOne, Fault::RejectUndoesOne];

/// Those in the life cycle: found by the simulator's checker.
pub const ALL: &[Fault] = &[
    Fault::ErrorIsFull,
    Fault::LateStopFrees,
    Fault::LateInterimRevives,
    Fault::OnIgnoresDelay,
    Fault::OnEndsOthers,
    Fault::HolderIgnored,
    Fault::HolderUnanswered,
    Fault::OffersLeak,
    Fault::NewAddressEachAsk,
    Fault::RepetitionIsRedial,
    Fault::TakeOverForgets,
    Fault::TakeOverFromAnyone,
    Fault::SilenceIsAbsence,
    Fault::HoldIgnored,
    Fault::UnconditionalWrite,
    Fault::ClassWithoutToken,
    Fault::ClaimForgotten,
    Fault::EpochStays,
    Fault::AnsweredBeforeCommit,
];

#[cfg(feature = "faults")]
thread_local! {
    static ON: core::cell::Cell<Option<Fault>> = const { core::cell::Cell::new(None) };
}

/// Makes this thread commit `fault` from now on.
#[cfg(feature = "faults")]
pub fn commit(fault: Option<Fault>) {
    ON.with(|on| on.set(fault));
}

/// Shall it be made here?
#[cfg(feature = "faults")]
#[must_use]
pub fn on(fault: Fault) -> bool {
    ON.with(|on| on.get() == Some(fault))
}

/// Shall it be made here? Never.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn on(_fault: Fault) -> bool {
    false
}
