//! Which addresses each router listed last: an address on two routers is seen though each is asked by itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// The last lists.
#[derive(Default)]
pub(super) struct Board {
    lists: Mutex<HashMap<String, List>>,
}

struct List {
    space: String,
    /// From then on it says nothing any more.
    until: Instant,
    addresses: HashSet<IpNet>,
}

impl Board {
    fn lists(&self) -> MutexGuard<'_, HashMap<String, List>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a router lists, and for how long that is to be remembered.
    pub(super) fn post(&self, router: &str, space: &str, addresses: HashSet<IpNet>, valid: Duration) {
        let list = List { space: space.to_owned(), until: Instant::now() + valid, addresses };
        self.lists().insert(router.to_owned(), list);
    }

    /// The router is no longer looked at.
    pub(super) fn wipe(&self, router: &str) {
        self.lists().remove(router);
    }

    /// Which other router of this address space lists which of these addresses.
    pub(super) fn elsewhere(
        &self,
        router: &str,
        space: &str,
        addresses: &HashSet<IpNet>,
    ) -> HashMap<IpNet, String> {
        let mut lists = self.lists();
        lists.retain(|_, list| list.until > Instant::now());
        let others = lists.iter().filter(|(name, list)| *name != router && list.space == space);
        let mut found = HashMap::new();
        for (name, list) in others {
            let (few, many) = if list.addresses.len() < addresses.len() {
                (&list.addresses, addresses)
            } else {
                (addresses, &list.addresses)
            };
            found.extend(few.intersection(many).map(|address| (*address, name.clone())));
        }
        found
    }
}
