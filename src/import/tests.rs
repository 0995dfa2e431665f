//! Differences by example, and what holds for all of them.

use super::*;
use proptest::prelude::*;

fn range(text: &str) -> AddressRange {
    AddressRange::parse_exclusion(text).unwrap()
}

fn ranges(text: &str) -> Vec<AddressRange> {
    text.split_whitespace().map(range).collect()
}

fn wanted(name: &str, text: &str) -> Wanted {
    Wanted { name: name.into(), ranges: ranges(text), next: None, unit: Unit::default() }
}

fn known(name: &str, text: &str) -> Known {
    Known { name: name.into(), ranges: ranges(text), next: None, imported: true, unit: Unit::default() }
}

fn text(ranges: &[AddressRange]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn said(plan: &Plan) -> Vec<&'static str> {
    plan.problems.iter().map(Problem::name).collect()
}

#[test]
fn a_new_pool_comes_whole_and_the_same_again_changes_nothing() {
    let mut world =
        World { wanted: vec![wanted("main", "10.0.0.2-10.0.0.9 10.0.1.0/30")], ..World::default() };
    let first = plan(&world);
    assert_eq!(text(&first.pools[0].add), "10.0.0.2-10.0.0.9 10.0.1.0-10.0.1.3");
    assert!(first.pools[0].new && first.problems.is_empty() && !first.is_empty());
    world.known = vec![known("main", "10.0.0.2-10.0.0.9 10.0.1.0-10.0.1.3")];
    let second = plan(&world);
    assert!(second.is_empty(), "{second:?}");
    assert_eq!(second.pools[0].kept, 12);
}

#[test]
fn a_pool_grows_and_shrinks_but_never_under_a_subscriber() {
    let world = World {
        wanted: vec![wanted("main", "10.0.0.5-10.0.0.20")],
        known: vec![known("main", "10.0.0.1-10.0.0.10")],
        taken: [("10.0.0.2".parse().unwrap(), "10.0.0.2 (online, alice)".into())].into(),
        ..World::default()
    };
    let plan = plan(&world);
    let pool = &plan.pools[0];
    assert_eq!(text(&pool.add), "10.0.0.11-10.0.0.20");
    assert_eq!(text(&pool.remove), "10.0.0.1 10.0.0.3-10.0.0.4");
    assert_eq!((pool.stay.len(), pool.kept), (1, 6));
}

#[test]
fn another_name_for_the_same_ranges_is_a_rename() {
    let world = World {
        wanted: vec![wanted("gold", "10.0.0.0/28")],
        known: vec![known("main", "10.0.0.0-10.0.0.7 10.0.0.8-10.0.0.15")],
        ..World::default()
    };
    let plan = plan(&world);
    assert_eq!(plan.pools.len(), 1);
    assert_eq!(plan.pools[0].was.as_deref(), Some("main"));
    assert!(plan.pools[0].add.is_empty() && !plan.pools[0].new);
    let mut world = world;
    world.known[0].imported = false;
    assert!(super::plan(&world).pools[0].was.is_none(), "what somebody made by hand keeps its name");
}

#[test]
fn overlaps_are_left_out_and_named() {
    let world = World {
        wanted: vec![
            wanted("a", "10.0.0.0/28"),
            wanted("b", "10.0.0.8-10.0.0.31"),
            wanted("c", "10.1.0.0/24"),
        ],
        others: vec![Claimed { range: range("10.1.0.128/25"), by: "the pool x of n2".into() }],
        ..World::default()
    };
    let plan = plan(&world);
    assert_eq!(text(&plan.pools[1].add), "10.0.0.16-10.0.0.31");
    assert_eq!(text(&plan.pools[2].add), "10.1.0.0-10.1.0.127");
    assert_eq!(said(&plan), ["overlap_within", "overlap"]);
    assert!(plan.falls_short());
}

#[test]
fn addresses_move_between_pools_once_nobody_holds_them() {
    let mut world = World {
        wanted: vec![wanted("a", "10.0.0.0/30"), wanted("b", "10.0.0.4/30")],
        known: vec![known("a", "10.0.0.0/29")],
        taken: [("10.0.0.5".parse().unwrap(), "10.0.0.5 (online, bob)".into())].into(),
        ..World::default()
    };
    let first = plan(&world);
    assert_eq!(text(&first.pools[0].remove), "10.0.0.4 10.0.0.6-10.0.0.7");
    assert_eq!(text(&first.pools[1].add), "10.0.0.4 10.0.0.6-10.0.0.7");
    assert_eq!(said(&first), ["moves"]);
    world.taken.clear();
    assert_eq!(text(&plan(&world).pools[1].add), "10.0.0.4-10.0.0.7");
}

#[test]
fn slips_and_circles_are_told() {
    let mut world =
        World { wanted: vec![wanted("a", "10.0.0.0/8"), wanted("b", "192.0.2.1")], ..World::default() };
    world.wanted[0].next = Some("b".into());
    world.wanted[1].next = Some("a".into());
    world.wanted.push(Wanted { next: Some("nowhere".into()), ..wanted("c", "192.0.2.2 192.0.2.2") });
    world.wanted.push(Wanted { next: Some("d".into()), ..wanted("d", "192.0.2.4") });
    let told = plan(&world);
    assert_eq!(said(&told), ["large", "twice", "loop", "no_next", "loop"]);
    let way = told.problems[2].to_string();
    assert!(way.contains("a → b → a"), "{way}");
    assert_eq!(told.pools.len(), 3, "the large one is left out");
    world.large = true;
    assert_eq!(plan(&world).pools.len(), 4);
}

#[test]
fn a_pool_that_is_gone_stays_unless_pruned() {
    let mut world = World {
        known: vec![known("old", "10.0.0.0/30")],
        taken: [("10.0.0.2".parse().unwrap(), "10.0.0.2 (online, bob)".into())].into(),
        ..World::default()
    };
    let kept = plan(&world);
    assert!(kept.is_empty() && said(&kept) == ["gone"]);
    world.prune = true;
    let pruned = plan(&world);
    assert_eq!(text(&pruned.pools[0].remove), "10.0.0.0-10.0.0.1 10.0.0.3");
    world.known[0].imported = false;
    assert!(plan(&world).pools.is_empty(), "what somebody made by hand is not the router's");
}

#[test]
fn the_routers_own_addresses_become_reserved() {
    let reserve = |address: &str, whom: &str| Reserve {
        address: address.parse().unwrap(),
        owner: Some(whom.into()),
        station: None,
        why: "a static lease".into(),
    };
    let world = World {
        wanted: vec![wanted("main", "10.0.0.0/24")],
        reserve: vec![
            reserve("10.0.0.1", &nobody("gateway")),
            reserve("10.0.0.1", "again"),
            reserve("10.0.0.7", "mac"),
            reserve("10.0.0.8", "mac"),
            reserve("10.0.0.9", "mac"),
            reserve("10.9.0.1", "elsewhere"),
        ],
        reserved: [kept("10.0.0.8", "mac", false), kept("10.0.0.9", "bob", false)].into(),
        taken: [("10.0.0.7".parse().unwrap(), "10.0.0.7 (online, eve)".into())].into(),
        ..World::default()
    };
    let plan = plan(&world);
    let addresses: Vec<_> = plan.reserve.iter().map(|(_, reserve)| reserve.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.7"]);
    assert_eq!(said(&plan), ["held", "reserved"]);
}

fn kept(address: &str, station: &str, imported: bool) -> (IpAddr, Kept) {
    let owner = Some(station.to_owned());
    (address.parse().unwrap(), Kept { owner, station: None, imported, whom: station.to_owned() })
}

#[test]
fn what_an_import_reserved_follows_the_router_and_what_others_reserved_stays() {
    let wish = |address: &str, owner: &str| Reserve {
        address: address.parse().unwrap(),
        owner: Some(owner.into()),
        station: None,
        why: "a static lease".into(),
    };
    let mut world = World {
        wanted: vec![wanted("main", "10.0.0.0/24")],
        known: vec![known("main", "10.0.0.0/24")],
        reserve: vec![wish("10.0.0.7", "new"), wish("10.0.0.8", "same")],
        reserved: [
            kept("10.0.0.7", "old", true),
            kept("10.0.0.8", "same", true),
            kept("10.0.0.9", "gone", true),
            kept("10.0.0.10", "bob", false),
        ]
        .into(),
        ..World::default()
    };
    let after = plan(&world);
    assert_eq!(after.reserve, [("main".to_owned(), world.reserve[0].clone())]);
    assert_eq!(after.lift, [("main".to_owned(), "10.0.0.9".parse().unwrap())]);
    assert!(!after.is_empty() && after.problems.is_empty());
    world.wanted.clear();
    assert_eq!(plan(&world).lift, [], "a router that shows nothing may just have started");
}

fn some_range() -> impl Strategy<Value = AddressRange> {
    (0_u32..200, 0_u32..20).prop_map(|(from, more)| {
        let at = |bits: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + bits));
        AddressRange::new(at(from), at(from + more)).unwrap()
    })
}

prop_compose! {
    fn some_world()(
        wanted in proptest::collection::vec((0_usize..5, proptest::collection::vec(some_range(), 0..4)), 0..5),
        known in proptest::collection::vec((0_usize..5, proptest::collection::vec(some_range(), 0..4), any::<bool>()), 0..5),
        others in proptest::collection::vec(some_range(), 0..3),
        taken in proptest::collection::btree_set(0_u32..220, 0..30),
        prune in any::<bool>(),
    ) -> World {
        let name = |n: usize| ["a", "b", "c", "d", "e"][n].to_owned();
        let mut world = World { prune, ..World::default() };
        for (n, ranges) in wanted {
            if !world.wanted.iter().any(|pool| pool.name == name(n)) {
                world.wanted.push(Wanted { name: name(n), ranges, next: None, unit: Unit::default() });
            }
        }
        // The database never has an address twice.
        let mut used: Vec<AddressRange> = merged(&others);
        world.others = used.iter().map(|&range| Claimed { range, by: "another".into() }).collect();
        for (n, ranges, imported) in known {
            if !world.known.iter().any(|pool| pool.name == name(n)) {
                let ranges = minus(&merged(&ranges), &used);
                used.extend(&ranges);
                world.known.push(Known { name: name(n), ranges, next: None, imported, unit: Unit::default() });
            }
        }
        for bits in taken {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + bits));
            if world.known.iter().any(|pool| pool.ranges.iter().any(|range| range.contains(address))) {
                world.taken.insert(address, address.to_string());
            }
        }
        world
    }
}

/// The database after the plan.
fn done(world: &World, plan: &Plan) -> World {
    let mut after = world.clone();
    for step in &plan.pools {
        let old = step.was.as_ref().unwrap_or(&step.name);
        match after.known.iter_mut().find(|known| known.name == *old) {
            Some(known) => {
                known.name.clone_from(&step.name);
                known.ranges = minus(&known.ranges, &step.remove);
                known.imported |= step.adopted;
            }
            None => after.known.push(known(&step.name, "")),
        }
    }
    for step in &plan.pools {
        let known = after.known.iter_mut().find(|known| known.name == step.name).unwrap();
        known.ranges.extend(&step.add);
    }
    after.known.retain(|known| {
        !plan.pools.iter().any(|step| step.name == known.name && step.gone && step.stay.is_empty())
    });
    after
}

proptest! {
    #[test]
    fn nobody_loses_his_address_and_none_is_in_two_pools(world in some_world()) {
        let after = done(&world, &plan(&world));
        let all: Vec<_> = after.known.iter().flat_map(|pool| pool.ranges.clone()).collect();
        for &address in world.taken.keys() {
            prop_assert!(all.iter().any(|range| range.contains(address)), "{} is lost", address);
        }
        let others: Vec<_> = world.others.iter().map(|claimed| claimed.range).collect();
        let everything = [all, others].concat();
        prop_assert_eq!(size(&everything), size(&merged(&everything)));
    }

    #[test]
    fn what_was_done_leaves_nothing_to_do(world in some_world()) {
        let after = done(&world, &plan(&world));
        let again = plan(&after);
        prop_assert!(again.is_empty(), "{:?}", again);
    }

    #[test]
    fn what_the_router_has_comes_unless_a_problem_names_it(world in some_world()) {
        let first = plan(&world);
        let after = done(&world, &first);
        if first.problems.iter().any(Problem::is_grave) {
            return Ok(());
        }
        for pool in &world.wanted {
            let known = after.known.iter().find(|known| known.name == pool.name).unwrap();
            prop_assert!(minus(&pool.ranges, &known.ranges).is_empty());
            let more = minus(&known.ranges, &pool.ranges);
            let held = |range: &AddressRange| range.addresses().all(|address| world.taken.contains_key(&address));
            prop_assert!(more.iter().all(held));
        }
    }
}
