//! Where a pool goes on when it is empty: its next pool, and the next of that. Pure.

use crate::store::admin::PoolLink;

/// How a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a pool that has no next one.
    Well,
    /// It comes back to this pool.
    Loop(String),
    /// This pool does not exist.
    Missing(String),
}

/// The names of the pools that follow, and how it ends.
pub(super) fn follow(pools: &[PoolLink], from: &PoolLink) -> (Vec<String>, End) {
    let (mut names, mut seen, mut at) = (Vec::new(), vec![from.id], from);
    while let Some(next) = &at.next {
        // A name means the pool of the same NAS, else the shared one.
        let of = |nas: &Option<String>| pools.iter().find(|pool| pool.name == *next && pool.nas == *nas);
        let Some(pool) = of(&from.nas).or_else(|| of(&None)) else {
            return (names, End::Missing(next.clone()));
        };
        names.push(next.clone());
        if seen.contains(&pool.id) {
            return (names, End::Loop(next.clone()));
        }
        seen.push(pool.id);
        at = pool;
    }
    (names, End::Well)
}

/// Nobody seems to use it: it was there at `since`, served nobody after that, and no pool goes on in it.
pub(super) fn is_idle(pools: &[PoolLink], pool: &PoolLink, since: crate::lease::Time) -> bool {
    let named = pools.iter().any(|other| {
        other.id != pool.id
            && other.next.as_ref() == Some(&pool.name)
            && (pool.nas.is_none() || pool.nas == other.nas)
    });
    !named && pool.created_at.max(pool.granted_at.unwrap_or_default()) < since
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Time;

    fn pool(id: i64, name: &str, nas: Option<&str>, next: Option<&str>) -> PoolLink {
        let text = |text: &str| text.to_owned();
        PoolLink {
            id,
            name: text(name),
            nas: nas.map(text),
            next: next.map(text),
            created_at: Time(5),
            granted_at: None,
        }
    }

    #[test]
    fn chains_are_followed_to_their_end_and_circles_are_seen() {
        let pools = [
            pool(1, "a", None, Some("b")),
            pool(2, "b", None, Some("c")),
            pool(3, "c", None, None),
            pool(4, "x", Some("n"), Some("y")),
            pool(5, "y", Some("n"), Some("x")),
            pool(6, "lost", None, Some("nowhere")),
        ];
        assert_eq!(follow(&pools, &pools[0]), (vec!["b".into(), "c".into()], End::Well));
        assert_eq!(follow(&pools, &pools[3]).1, End::Loop("x".into()));
        assert_eq!(follow(&pools, &pools[5]).1, End::Missing("nowhere".into()));
        assert!(is_idle(&pools, &pools[0], Time(6)) && !is_idle(&pools, &pools[1], Time(6)));
        assert!(!is_idle(&pools, &pools[0], Time(5)), "it is too young to tell");
    }
}
