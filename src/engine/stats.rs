//! Counters of one engine, since its start.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Accounted, Answer, How, Ignored, Seen, Stats};

/// Declares the counters: name in `%{ippool_rs:stats}`, and what is counted.
macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// All counters. Relaxed: each is a number of its own.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$meta])* pub $name: AtomicU64,)* }

        impl Counters {
            /// A copy, in the order of declaration.
            pub fn snapshot(&self) -> Stats {
                Stats { counters: vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*] }
            }
        }
    };
}

counters! {
    /// Addresses newly granted, all ways together.
    grants,
    /// … of which the owner's former address.
    grants_former,
    /// … of which asked for by the subscriber.
    grants_requested,
    grants_reserved,
    /// … of which taken over from an older session of the same station.
    grants_taken_over,
    /// … of which stated by the reply.
    grants_static,
    /// … of which doubtful: lapsed, not proven free.
    grants_doubtful,
    /// The same session asked again.
    repetitions,
    /// Asks that found their pool full.
    exhausted,
    /// Asks for a pool that does not exist.
    unknown_pool,
    /// Asks and events that the database did not serve in time.
    unavailable,
    /// Sessions that started.
    starts,
    /// Leases whose end was moved.
    renewals,
    /// Interims that had nothing to write.
    confirmations,
    /// … of which the same as a moment before, answered without a look.
    echoed,
    /// Leases that ended by a Stop.
    releases,
    /// Sessions without a lease that were given one.
    adoptions,
    /// Events for an address that another holds.
    conflicts,
    /// Accounting-On/Off.
    nas_ended,
    /// Events that came too late.
    ignored_late,
    /// Events for addresses that are in no pool.
    ignored_not_ours,
    /// Events that bear neither the lease's session nor its Class.
    ignored_stranger,
    /// Events ignored for another reason.
    ignored_other,
    /// Grants put back by a later reject.
    undone,
    /// Commits.
    batches,
    /// Asks and events served by them.
    served,
    /// Writes that somebody else was faster with.
    lost_races,
    /// Database errors.
    store_errors,
    /// Connections opened.
    connections,
    /// Connections abandoned because a statement did not come back.
    abandoned,
    /// Answers given at once because the database does not answer.
    breaker,
    /// Times in which nothing became free by expiry.
    holds,
    /// Panics caught in the engine's thread.
    panics,
    /// Answers of others that were observed, and are as ours would have been.
    observed_same,
    /// … another address of the same pool, which is no fault.
    observed_other_address,
    /// … an address of another pool than ours.
    observed_other_pool,
    /// … an address that is in no pool of ours.
    observed_not_ours,
    /// … an address, where we would have given none.
    observed_only_theirs,
    /// … none, where we would have given one.
    observed_only_ours,
}

impl Counters {
    /// One more.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts how the answer of others was.
    pub fn count_seen(&self, seen: Seen) {
        Self::add(match seen {
            Seen::NotOurs => &self.observed_not_ours,
            Seen::OnlyOurs => &self.observed_only_ours,
            Seen::OnlyTheirs => &self.observed_only_theirs,
            Seen::OtherAddress => &self.observed_other_address,
            Seen::OtherPool => &self.observed_other_pool,
            Seen::Same => &self.observed_same,
        });
    }

    /// Counts what an answer says.
    pub fn count(&self, answer: &Answer) {
        Self::add(&self.served);
        match answer {
            Answer::Granted(grants) | Answer::Partly(grants, _) => {
                grants.iter().for_each(|grant| self.count_grant(grant.how))
            }
            Answer::Kept | Answer::Contested(_) | Answer::Denied(_) | Answer::Unheard => {}
            Answer::Ended => Self::add(self.accounted(Accounted::Released)),
            Answer::Exhausted { .. } => Self::add(&self.exhausted),
            Answer::UnknownPool { .. } | Answer::Unfit { .. } => Self::add(&self.unknown_pool),
            Answer::Unavailable { .. } => Self::add(&self.unavailable),
            Answer::Undone(count) => {
                self.undone.fetch_add(*count as u64, Ordering::Relaxed);
            }
            Answer::Accounted(accounted) => Self::add(self.accounted(*accounted)),
        }
    }

    fn count_grant(&self, how: How) {
        let which = match how {
            How::Repeated => return Self::add(&self.repetitions),
            How::Free => None,
            How::Doubtful => Some(&self.grants_doubtful),
            How::Former => Some(&self.grants_former),
            How::Reserved => Some(&self.grants_reserved),
            How::Requested => Some(&self.grants_requested),
            How::Static => Some(&self.grants_static),
            How::TakenOver => Some(&self.grants_taken_over),
        };
        Self::add(&self.grants);
        if let Some(counter) = which {
            Self::add(counter);
        }
    }

    const fn accounted(&self, accounted: Accounted) -> &AtomicU64 {
        match accounted {
            Accounted::Adopted => &self.adoptions,
            Accounted::Conflict => &self.conflicts,
            Accounted::Confirmed => &self.confirmations,
            Accounted::NasEnded => &self.nas_ended,
            Accounted::Released => &self.releases,
            Accounted::Renewed => &self.renewals,
            Accounted::Started => &self.starts,
            Accounted::Ignored(Ignored::Late) => &self.ignored_late,
            Accounted::Ignored(Ignored::NotOurs) => &self.ignored_not_ours,
            Accounted::Ignored(Ignored::Stranger) => &self.ignored_stranger,
            Accounted::Ignored(Ignored::Repeated | Ignored::Reserved) => &self.ignored_other,
        }
    }
}
