//! Leases that this server saw committed: what `on_unavailable = last_known` answers from while the database is away.
//!
//! Only a lease that has not run out, only for the owner and the station (or the very session) that holds it; never a new
//! one. Kept only for instances that ask for it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::inbox::lock;
use super::{Accounted, Answer, Grant, How, Work};
use crate::lease::{AcctKind, Rules, Session};

/// Leases remembered, at most.
const MANY: usize = 200_000;

/// Who may have a remembered lease again.
type Key = (String, String);

/// What a piece of work has to do with the memory.
pub enum Interest {
    /// None.
    Nothing,
    /// It asks for an address.
    Grant(Key, Duration),
    /// It tells that the session lives, for so long, or that it has ended.
    Session(Key, Option<Duration>),
}

/// The leases.
#[derive(Debug, Default)]
pub struct Memory {
    leases: Mutex<HashMap<Key, (Vec<Grant>, Instant)>>,
}

impl Interest {
    /// Of `work`, if its instance wants a memory.
    pub fn of(work: &Work) -> Self {
        let key = |session: &Session| {
            let place = session.station.as_ref().unwrap_or(&session.key);
            (session.owner.clone(), place.clone())
        };
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let wanted = |rules: &Rules| rules.last_known;
        match work {
            // What a client of DHCP is told, it takes for a promise of that length.
            Work::Grant(ask) if wanted(&ask.rules) && ask.dhcp.is_none() => {
                Self::Grant(key(&ask.session), seconds(ask.rules.offer))
            }
            Work::Account(event) if wanted(&event.rules) => {
                let lives = matches!(event.kind, AcctKind::Start | AcctKind::Interim);
                Self::Session(key(&event.session), lives.then(|| seconds(event.rules.lease)))
            }
            _ => Self::Nothing,
        }
    }
}

impl Memory {
    /// What the answer teaches; or, where the database is away, what is known instead.
    pub fn pass(&self, interest: Interest, answer: Answer, now: Instant) -> Answer {
        match (interest, answer) {
            (Interest::Grant(key, offer), Answer::Granted(grants)) => {
                self.learn(key, grants.clone(), now + offer, now);
                Answer::Granted(grants)
            }
            (Interest::Grant(key, _), unavailable @ Answer::Unavailable { .. }) => {
                let leases = lock(&self.leases);
                let known = leases.get(&key).filter(|(_, until)| *until > now);
                let again = |grant: &Grant| Grant { how: How::Repeated, undo: None, ..grant.clone() };
                known.map_or(unavailable, |(grants, _)| Answer::Granted(grants.iter().map(again).collect()))
            }
            (Interest::Session(key, lives), answer @ Answer::Accounted(_)) => {
                self.hear(&key, lives, &answer, now);
                answer
            }
            (_, answer) => answer,
        }
    }

    fn learn(&self, key: Key, grants: Vec<Grant>, until: Instant, now: Instant) {
        let mut leases = lock(&self.leases);
        if leases.len() >= MANY {
            leases.retain(|_, (_, until)| *until > now);
        }
        if leases.len() < MANY {
            leases.insert(key, (grants, until));
        }
    }

    fn hear(&self, key: &Key, lives: Option<Duration>, answer: &Answer, now: Instant) {
        let mut leases = lock(&self.leases);
        match (lives, answer) {
            (
                Some(lease),
                Answer::Accounted(Accounted::Started | Accounted::Renewed | Accounted::Confirmed),
            ) => {
                if let Some((_, until)) = leases.get_mut(key) {
                    *until = (*until).max(now + lease);
                }
            }
            (None, Answer::Accounted(Accounted::Released | Accounted::NasEnded)) => {
                leases.remove(key);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lease::{Accounting, Ask, Class, Want};

    const SECOND: Duration = Duration::from_secs(1);

    fn session(id: &str, station: &str) -> Session {
        let (owner, station) = ("alice".to_owned(), Some(station.to_owned()));
        Session { owner, station, id: Some(id.into()), key: id.into(), ..Session::default() }
    }

    fn rules() -> Arc<Rules> {
        Arc::new(Rules { last_known: true, offer: 120, lease: 3600, ..Rules::default() })
    }

    fn asks(id: &str, station: &str) -> Interest {
        let want = Want { attribute: "Framed-IP-Address".into(), ..Want::default() };
        let ask = Ask {
            session: session(id, station),
            wants: vec![want],
            lease_seconds: 3600,
            least_seconds: 0,
            rules: rules(),
            dhcp: None,
        };
        Interest::of(&Work::Grant(ask))
    }

    fn tells(kind: AcctKind) -> Interest {
        let (session, rules) = (session("1", "A"), rules());
        let (classes, addresses) = (Vec::new(), Vec::new());
        Interest::of(&Work::Account(Accounting {
            kind,
            session,
            classes,
            addresses,
            delay: 0,
            session_time: None,
            rules,
        }))
    }

    fn granted() -> Answer {
        Answer::Granted(vec![Grant {
            attribute: "Framed-IP-Address".into(),
            address: "10.0.0.1/32".parse().expect("an address"),
            message: None,
            pool: "main".into(),
            class: Class { id: 1, epoch: 1, token: 1 },
            how: How::Free,
            lease_seconds: 3600,
            nas_is_silent: false,
            contest: None,
            undo: None,
        }])
    }

    fn away() -> Answer {
        Answer::Unavailable { why: "away".into() }
    }

    #[test]
    fn while_the_database_is_away_a_lease_that_lives_is_given_to_its_own_station_and_to_nobody_else() {
        let (memory, now) = (Memory::default(), Instant::now());
        assert_eq!(memory.pass(asks("1", "A"), away(), now), away());
        memory.pass(asks("1", "A"), granted(), now);
        assert!(matches!(memory.pass(asks("2", "A"), away(), now + SECOND), Answer::Granted(_)));
        assert_eq!(memory.pass(asks("3", "B"), away(), now + SECOND), away());
        // An offer that nobody was seen to take up is forgotten when it ends; a session that started, with its lease.
        assert_eq!(memory.pass(asks("2", "A"), away(), now + 120 * SECOND), away());
        memory.pass(tells(AcctKind::Start), Answer::Accounted(Accounted::Started), now);
        assert!(matches!(memory.pass(asks("2", "A"), away(), now + 3599 * SECOND), Answer::Granted(_)));
        assert_eq!(memory.pass(asks("2", "A"), away(), now + 3600 * SECOND), away());
        memory.pass(tells(AcctKind::Stop), Answer::Accounted(Accounted::Released), now);
        assert_eq!(memory.pass(asks("2", "A"), away(), now + SECOND), away());
    }
}
