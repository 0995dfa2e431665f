//! The truth: who is online with which address, kept from the answers alone, so that a duplicate is seen
//! whatever a server or a database says. Nothing here sends.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Instant;

/// A small random generator (splitmix64); the same seed gives the same load.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeds the generator.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }
}

/// Names a session in the book until it is closed.
pub type Key = usize;

/// The addresses and prefixes of an Accept: the attribute, and its value as it stands in the packet.
pub type Given = Vec<(u8, Vec<u8>)>;

/// One connection of one subscriber.
#[derive(Clone, Debug)]
pub struct Session {
    /// The number of the subscriber, from 0.
    pub subscriber: usize,
    /// Counts the sessions of its NAS; Acct-Session-Id in eight hex digits.
    pub number: u32,
    /// What the Accept said; empty: nothing yet.
    pub given: Given,
    /// All Class attributes of the Accept, in order.
    pub classes: Vec<Vec<u8>>,
    /// When its Login was made.
    pub since: Instant,
    /// A request about it is under way, so no other may be.
    pub busy: bool,
    place: Option<usize>,
    generation: u32,
}

/// What the book says to an Accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Another live session has one of these addresses.
    pub duplicate: bool,
    /// Whether all are the subscriber's former ones; `None` for a subscriber who had none.
    pub same_as_before: Option<bool>,
}

/// Sessions, and the holder of each address.
#[derive(Debug)]
pub struct Book {
    nases: usize,
    sessions: Vec<Session>,
    spare: Vec<Key>,
    counters: Vec<u32>,
    /// By the value alone: a prefix is the same one in whichever attribute.
    holders: HashMap<Vec<u8>, Key>,
    online: Vec<Key>,
    by_age: VecDeque<(Key, u32)>,
    former: Vec<Option<Given>>,
    held_elsewhere: Option<RangeInclusive<Ipv4Addr>>,
    /// How many subscribers have been seen: the next new one has this number.
    pub subscribers: usize,
    /// Whether equal addresses count as duplicates; a server without a pool gives everybody the same.
    pub judges: bool,
}

impl Book {
    /// An empty book for subscribers on this many NASes.
    pub fn new(nases: usize) -> Self {
        Self {
            nases,
            sessions: Vec::new(),
            spare: Vec::new(),
            counters: vec![0; nases],
            holders: HashMap::new(),
            online: Vec::new(),
            by_age: VecDeque::new(),
            former: Vec::new(),
            held_elsewhere: None,
            subscribers: 0,
            judges: true,
        }
    }

    /// Addresses that sessions outside this book hold: each grant of one is a duplicate.
    pub fn hold_elsewhere(&mut self, addresses: RangeInclusive<Ipv4Addr>) {
        self.held_elsewhere = Some(addresses);
    }

    /// Begins a session of this subscriber.
    pub fn open(&mut self, subscriber: usize, now: Instant) -> Key {
        self.subscribers = self.subscribers.max(subscriber + 1);
        let nas = subscriber % self.nases;
        self.counters[nas] += 1;
        let generation = self.spare.last().map_or(0, |&key| self.sessions[key].generation + 1);
        let session = Session {
            subscriber,
            number: self.counters[nas],
            given: Given::new(),
            classes: Vec::new(),
            since: now,
            busy: false,
            place: None,
            generation,
        };
        match self.spare.pop() {
            Some(key) => {
                self.sessions[key] = session;
                key
            }
            None => {
                self.sessions.push(session);
                self.sessions.len() - 1
            }
        }
    }

    /// The session of this key.
    pub fn session(&self, key: Key) -> &Session {
        &self.sessions[key]
    }

    /// The NAS of this session, from 0.
    pub fn nas(&self, key: Key) -> usize {
        self.sessions[key].subscriber % self.nases
    }

    /// Marks that a request about the session is, or is no longer, under way.
    pub fn set_busy(&mut self, key: Key, busy: bool) {
        self.sessions[key].busy = busy;
    }

    /// The session was given these.
    pub fn grant(&mut self, key: Key, given: Given, classes: Vec<Vec<u8>>) -> Judgement {
        let (mut taken, mut elsewhere) = (false, false);
        for (number, (_, value)) in given.iter().enumerate() {
            let another = self.holders.get(value).is_some_and(|&holder| holder != key);
            taken |= another || given[..number].iter().any(|(_, other)| other == value);
            let v4 = <[u8; 4]>::try_from(value.as_slice()).map(Ipv4Addr::from);
            elsewhere |=
                self.held_elsewhere.as_ref().is_some_and(|held| v4.is_ok_and(|v4| held.contains(&v4)));
            if !another {
                self.holders.insert(value.clone(), key);
            }
        }
        let session = &mut self.sessions[key];
        session.given.clone_from(&given);
        session.classes = classes;
        let subscriber = session.subscriber;
        if self.former.len() <= subscriber {
            self.former.resize(subscriber + 1, None);
        }
        let same_as_before = self.former[subscriber].as_ref().map(|before| *before == given);
        self.former[subscriber] = Some(given);
        Judgement { duplicate: self.judges && (taken || elsewhere), same_as_before }
    }

    /// The session is up: Interims and Stops may choose it.
    pub fn set_online(&mut self, key: Key) {
        let session = &mut self.sessions[key];
        if session.place.is_none() {
            session.place = Some(self.online.len());
            self.online.push(key);
            self.by_age.push_back((key, session.generation));
        }
    }

    /// How many sessions are up.
    pub fn online(&self) -> usize {
        self.online.len()
    }

    /// The session ends now: from here on its addresses may be given to others.
    pub fn depart(&mut self, key: Key) {
        if let Some(place) = self.sessions[key].place.take() {
            self.online.swap_remove(place);
            if let Some(&moved) = self.online.get(place) {
                self.sessions[moved].place = Some(place);
            }
        }
        for (_, value) in &self.sessions[key].given {
            if self.holders.get(value) == Some(&key) {
                self.holders.remove(value);
            }
        }
    }

    /// Forgets a session of which nothing is under way any more.
    pub fn close(&mut self, key: Key) {
        self.depart(key);
        self.spare.push(key);
        // A key closed twice would be two sessions at once.
        debug_assert!(self.sessions[key].place.is_none());
    }

    /// The online session at this place of the round robin, unless it is busy.
    pub fn at(&self, turn: usize) -> Option<Key> {
        let key = *self.online.get(turn % self.online.len().max(1))?;
        (!self.sessions[key].busy).then_some(key)
    }

    /// A random online session that is not busy; `None` where eight draws found none.
    pub fn random(&self, dice: &mut Dice) -> Option<Key> {
        (0..8).find_map(|_| self.at(dice.below(self.online.len())))
    }

    /// The session that has been online longest and is not busy.
    pub fn oldest(&mut self) -> Option<Key> {
        let mut passed_over = Vec::new();
        let mut found = None;
        while let Some((key, generation)) = self.by_age.pop_front() {
            let session = &self.sessions[key];
            if session.generation != generation || session.place.is_none() {
                continue;
            }
            if session.busy {
                passed_over.push((key, generation));
            } else {
                found = Some(key);
                break;
            }
        }
        for entry in passed_over.into_iter().rev() {
            self.by_age.push_front(entry);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> Given {
        vec![(8, vec![10, 0, 0, last])]
    }

    #[test]
    fn two_live_sessions_on_one_address_are_a_duplicate_until_one_departs() {
        let mut book = Book::new(2);
        let now = Instant::now();
        let address = || v4(1);
        let (a, b) = (book.open(0, now), book.open(1, now));
        assert_eq!(book.grant(a, address(), vec![]), Judgement { duplicate: false, same_as_before: None });
        assert!(book.grant(b, address(), vec![]).duplicate);
        // The second one never held it, so its end frees nothing.
        book.close(b);
        let c = book.open(3, now);
        assert!(book.grant(c, address(), vec![]).duplicate);
        book.close(c);
        book.close(a);
        let again = book.open(0, now);
        assert_eq!(
            book.grant(again, address(), vec![]),
            Judgement { duplicate: false, same_as_before: Some(true) }
        );
    }

    #[test]
    fn an_address_held_elsewhere_is_a_duplicate() {
        let mut book = Book::new(1);
        book.hold_elsewhere(Ipv4Addr::new(10, 0, 0, 1)..=Ipv4Addr::new(10, 0, 0, 9));
        let key = book.open(0, Instant::now());
        assert!(book.grant(key, v4(9), vec![]).duplicate);
        assert!(!book.grant(key, v4(10), vec![]).duplicate);
    }

    #[test]
    fn each_attribute_of_an_accept_is_judged_and_departs_with_its_session() {
        let mut book = Book::new(1);
        let prefix = |n: u8| vec![0, 56, 0x20, 1, 0x0d, 0xb8, 0, 0, n];
        let both = |at: u8, n: u8| -> Given { vec![v4(at).remove(0), (123, prefix(n))] };
        let (a, b) = (book.open(0, Instant::now()), book.open(1, Instant::now()));
        assert!(!book.grant(a, both(1, 1), vec![]).duplicate);
        assert!(book.grant(b, both(2, 1), vec![]).duplicate, "the prefix is another's");
        book.close(b);
        let b = book.open(1, Instant::now());
        // In another attribute, too; and what the wrong one was given beside it is free again.
        assert!(book.grant(b, vec![(97, prefix(1))], vec![]).duplicate);
        book.close(b);
        let b = book.open(1, Instant::now());
        assert!(!book.grant(b, both(2, 2), vec![]).duplicate);
        book.close(a);
        let c = book.open(2, Instant::now());
        assert!(!book.grant(c, both(1, 1), vec![]).duplicate);
        assert!(book.grant(c, vec![(97, prefix(3)), (123, prefix(3))], vec![]).duplicate, "twice to one");
    }

    #[test]
    fn the_oldest_is_the_first_online_that_is_not_busy() {
        let mut book = Book::new(1);
        let now = Instant::now();
        let keys: Vec<Key> = (0..3).map(|k| book.open(k, now)).collect();
        for &key in &keys {
            book.set_online(key);
        }
        book.set_busy(keys[0], true);
        assert_eq!(book.oldest(), Some(keys[1]));
        book.close(keys[1]);
        book.set_busy(keys[0], false);
        assert_eq!(book.oldest(), Some(keys[0]));
    }
}
