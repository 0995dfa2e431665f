//! The simplest model there is of who gets what: a table of who has what, who had it last, and who was heard there besides.
//! Nothing lapses here, and nothing fails. What is put to it, and to the engine, is in `orders`.

use std::collections::BTreeMap;

use ipnet::IpNet;
use rlm_ippool_rs::lease::Strategy;

/// The owner, and the number of his session.
pub type Who = (u64, u64);

/// An address or a prefix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// Its number among the pools.
    pub pool: usize,
    pub reserved_for: Option<u64>,
    pub held: Option<Who>,
    /// Which owner had it last, and when he got it.
    pub last: Option<(u64, u64)>,
    /// Who was there when a reply gave it to somebody else, and when that was.
    pub claim: Option<(Who, u64)>,
    /// When it became free; 0: never used.
    pub freed: u64,
}

/// One attribute of a request.
#[derive(Clone, Debug)]
pub struct Wish {
    /// 0: IPv4; 1: a prefix of IPv6.
    pub family: usize,
    pub stated: Option<IpNet>,
    pub hint: Option<IpNet>,
    pub optional: bool,
}

/// What the model says of a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    One(IpNet),
    /// Any of these.
    Any(Vec<IpNet>),
    Full,
}

/// The model: the places, and the family and strategy of each pool. The pools of a family are one chain, in their order.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub places: BTreeMap<IpNet, Place>,
    pub pools: Vec<(usize, Strategy)>,
}

impl Model {
    /// All or nothing: none, if something that is required is not to be had.
    pub fn answers(&self, who: Who, wishes: &[Wish]) -> Option<Vec<Says>> {
        let says: Vec<Says> = wishes.iter().map(|wish| self.says(who, wish)).collect();
        let missing = wishes.iter().zip(&says).any(|(wish, says)| *says == Says::Full && !wish.optional);
        (!missing).then_some(says)
    }

    fn says(&self, who: Who, wish: &Wish) -> Says {
        if let Some(stated) = wish.stated {
            return Says::One(stated);
        }
        let owner = who.0;
        let all = || self.places.iter().filter(|(_, place)| self.pools[place.pool].0 == wish.family);
        let is_open = |place: &Place| place.reserved_for.is_none_or(|whom| whom == owner);
        let since = |(_, place): &(&IpNet, &Place)| place.last.map(|(_, at)| at);
        // What he has: with this session, then with another, unless somebody else was heard there.
        let own = all().find(|(_, place)| place.held == Some(who));
        // What a reply gave him against somebody's reservation, a redial without it does not.
        let his = |place: &Place| {
            place.held.is_some_and(|held| held.0 == owner) && is_open(place) && place.claim.is_none()
        };
        let his = || all().filter(|(_, place)| his(place)).max_by_key(since);
        // What is kept for him, what he had last, what he asks for.
        let kept = || all().find(|(_, place)| place.held.is_none() && place.reserved_for == Some(owner));
        let was_his = |place: &Place| place.last.is_some_and(|(whose, _)| whose == owner);
        let former = || {
            let free = |place: &Place| place.held.is_none() && is_open(place);
            all().filter(|(_, place)| free(place) && was_his(place)).max_by_key(since)
        };
        let hint =
            || all().find(|(at, place)| wish.hint == Some(**at) && place.held.is_none() && is_open(place));
        if let Some((at, _)) = own.or_else(his).or_else(kept).or_else(former).or_else(hint) {
            return Says::One(*at);
        }
        for (pool, (_, strategy)) in self.pools.iter().enumerate() {
            let is_free =
                |place: &Place| place.pool == pool && place.held.is_none() && place.reserved_for.is_none();
            let free: Vec<(&IpNet, &Place)> = all().filter(|(_, place)| is_free(place)).collect();
            let (Some(first), Some(last)) = (free.first(), free.last()) else { continue };
            return match strategy {
                Strategy::Ascending => Says::One(*first.0),
                Strategy::Descending => Says::One(*last.0),
                Strategy::Random => Says::Any(free.iter().map(|(at, _)| **at).collect()),
                Strategy::Lru => {
                    Says::One(*free.iter().min_by_key(|(at, place)| (place.freed, **at)).unwrap_or(first).0)
                }
            };
        }
        Says::Full
    }

    /// `who` was given this, at `turn`.
    pub fn given(&mut self, who: Who, at: &IpNet, turn: u64) {
        let Some(place) = self.places.get_mut(at) else { return };
        match place.held {
            // A repetition; it may be a redial, if it comes late.
            Some(held) if held == who => {
                place.last = place.last.filter(|(_, since)| turn - since <= 3).or(Some((who.0, turn)));
                return;
            }
            Some(held) if held.0 != who.0 => place.claim = Some((held, turn)),
            _ => {}
        }
        (place.held, place.last) = (Some(who), Some((who.0, turn)));
    }

    /// The session is over, and told of these. Who was heard on what it had inherits that, unless he has another by now.
    pub fn ends(&mut self, who: Who, told: &[IpNet], turn: u64) {
        for at in told {
            if let Some(place) = self.places.get_mut(at) {
                place.claim = place.claim.filter(|(whose, _)| *whose != who);
            }
        }
        let all: Vec<IpNet> =
            self.places.keys().copied().filter(|at| self.places[at].held == Some(who)).collect();
        for at in all {
            let family = |pool: usize| self.pools[pool].0;
            let mine = family(self.places[&at].pool);
            let has_one = |whose: Who| {
                self.places.values().any(|place| place.held == Some(whose) && family(place.pool) == mine)
            };
            let heir = self.places[&at].claim.filter(|(whose, _)| !has_one(*whose));
            let Some(place) = self.places.get_mut(&at) else { continue };
            place.claim = None;
            match heir {
                Some((heir, since)) => (place.held, place.last) = (Some(heir), Some((heir.0, since))),
                None => (place.held, place.freed) = (None, turn),
            }
        }
    }
}
