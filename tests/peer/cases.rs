//! The cases: each is played against a site of its own and says what it saw. Nothing but packets is looked at.

use crate::world::{
    ALICE, Answer, BOB, CAROL, DAVE, GRACE, MALLORY, Nas, OFFER, PATIENCE, Peer, Session, TEMPTATION,
    Verdict, Wishes, address, right, wait, wrong,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A case: its name, the sentence that it proves, and how.
pub struct Case {
    pub name: &'static str,
    pub sentence: &'static str,
    pub play: fn(&dyn Peer) -> Verdict,
}

macro_rules! cases {
    ($($(#[doc = $sentence:literal])+ fn $name:ident($peer:ident) $body:block)*) => {
        $($(#[doc = $sentence])+ fn $name($peer: &dyn Peer) -> Verdict $body)*
        /// All cases, in the order of the matrix.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            sentence: concat!($($sentence),+),
            play: $name,
        }),*];
    };
}

const SECOND: Duration = Duration::from_secs(1);

cases! {
    /// A free address is granted.
    fn a_free_address_is_granted(peer) {
        grants(peer)
    }

    /// A free address is granted with the configuration as shipped.
    fn a_free_address_is_granted_as_shipped(peer) {
        match peer.as_shipped() {
            Some(shipped) => grants(&*shipped),
            None => Verdict::NotApplicable("there is nothing to mend".into()),
        }
    }

    /// A session that asks again gets its address again.
    fn a_session_that_asks_again_gets_its_address_again(peer) {
        let site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        let mut alice = Session::new("alice", ALICE);
        one_address((0..6).map(|_| nas.ask(&mut alice)))
    }

    /// A subscriber who redials again and again keeps one address.
    fn a_subscriber_who_redials_keeps_one_address(peer) {
        let site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        one_address((0..6).map(|_| {
            let alice = nas.connect("alice", ALICE);
            Answer::Accept(alice.address)
        }))
    }

    /// One session asked twice at the same time gets one address.
    fn a_session_asked_twice_at_once_gets_one_address(peer) {
        let site = peer.open(&Wishes::pool(200));
        let nases = [Nas::new(&site, 1), Nas::new(&site, 1)];
        const ROUNDS: usize = 40;
        let (mut differ, mut unserved) = (0, 0);
        for round in 0..ROUNDS {
            // Names and stations of one session a round.
            let station: &'static str = Box::leak(format!("02:00:5E:00:01:{round:02X}").into_boxed_str());
            let session = Session::new("alice", station);
            let barrier = Barrier::new(2);
            let answers = std::thread::scope(|scope| {
                let asks = nases.each_ref().map(|nas| {
                    let (mut session, barrier) = (session.clone(), &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        nas.ask(&mut session)
                    })
                });
                asks.map(|ask| ask.join().expect("a NAS"))
            });
            match answers {
                [Answer::Accept(Some(a)), Answer::Accept(Some(b))] if a == b => {}
                [Answer::Accept(Some(_)), Answer::Accept(Some(_))] => differ += 1,
                _ => unserved += 1,
            }
        }
        match (differ, unserved) {
            (0, 0) => right(""),
            (0, n) => wrong(format!("{n} of {ROUNDS} not served")),
            // How many is chance, and would change the matrix with every run.
            _ => wrong("two addresses for one session"),
        }
    }

    /// Two devices of one user get two addresses.
    fn two_devices_of_one_user_get_two_addresses(peer) {
        let site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        let one = nas.connect("alice", ALICE);
        let (_, other) = nas.dial("alice", BOB);
        others_address(&one, &other)
    }

    /// Two users behind one station get two addresses.
    fn two_users_behind_one_station_get_two_addresses(peer) {
        let site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        let (_, bob) = nas.dial("bob", ALICE);
        others_address(&alice, &bob)
    }

    /// Users of a NAS that tells no station get an address each.
    fn users_of_a_nas_that_tells_no_station_get_an_address_each(peer) {
        let site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", None);
        let (_, bob) = nas.dial("bob", None);
        others_address(&alice, &bob)
    }

    /// The address unused longest is granted first.
    fn the_address_unused_longest_is_granted_first(peer) {
        let site = peer.open(&Wishes::pool(2));
        let nas = Nas::new(&site, 1);
        let (alice, bob) = (nas.connect("alice", ALICE), nas.connect("bob", BOB));
        // Released in the other order than granted, and apart by more than a table's whole second.
        nas.stop(&bob);
        wait(SECOND * 2);
        nas.stop(&alice);
        wait(TEMPTATION);
        let carol = nas.connect("carol", CAROL);
        let dave = nas.connect("dave", DAVE);
        match carol.address == bob.address && dave.address == alice.address {
            true => right(""),
            false => wrong("another order"),
        }
    }

    /// A requested address is granted if it is free.
    fn a_requested_address_is_granted_if_it_is_free(peer) {
        let site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        let mut alice = Session::new("alice", ALICE);
        let hint = address(3);
        let answer = nas.ask_for(&mut alice, Some(hint));
        let mut bob = Session::new("bob", BOB);
        let second = nas.ask_for(&mut bob, Some(hint));
        match (answer, second) {
            (Answer::Accept(Some(a)), Answer::Accept(Some(b))) if a == b => wrong("given to two"),
            (Answer::Accept(Some(a)), Answer::Accept(Some(_))) if a == hint => right("and not to a second user"),
            _ if !peer.serves_hints() => Verdict::NotApplicable("no query for it is shipped".into()),
            (a, b) => wrong(format!("asked for {hint}: {a}; asked for the same: {b}")),
        }
    }

    /// An address that the reply carries already is left alone.
    fn an_address_in_the_reply_is_left_alone(peer) {
        let site = peer.open(&Wishes::pool(4).authorize(STATIC_OUTSIDE));
        let nas = Nas::new(&site, 1);
        let mut bob = Session::new("static", BOB);
        let outside = Ipv4Addr::new(10, 77, 0, 1);
        let answers: BTreeSet<_> = (0..3).map(|_| nas.ask(&mut bob).to_string()).collect();
        match answers == BTreeSet::from([outside.to_string()]) {
            true => right(""),
            false => wrong(format!("{answers:?}")),
        }
    }

    /// A static address inside the pool never moves, and nobody else gets it.
    fn a_static_address_never_moves(peer) {
        let site = peer.open(&Wishes::pool(2).authorize(STATIC_INSIDE));
        let nas = Nas::new(&site, 1);
        let holder = nas.connect("static", BOB);
        let (alice, carol) = (nas.dial("alice", ALICE), nas.dial("carol", CAROL));
        for (other, _) in [&alice, &carol] {
            if other.address == holder.address {
                return wrong("given to another user while its holder is on line");
            }
        }
        if alice.1 != Answer::Accept(Some(address(2))) {
            return wrong(format!("the other address is free: {}", alice.1));
        }
        let (_, again) = nas.dial("static", BOB);
        match again == Answer::Accept(holder.address) {
            true => right(""),
            false => wrong(format!("it moved: {again}")),
        }
    }

    /// A lease lasts its time, and when it has lapsed the address is granted again.
    fn a_lease_lasts_its_time_and_no_longer(peer) {
        const LEASE: u64 = 5;
        let site = peer.open(&Wishes::pool(1).lease(LEASE));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        let limit = Duration::from_secs(2 * LEASE + GRACE) + PATIENCE;
        match nas.dial_until("bob", BOB, limit) {
            None => wrong(format!("not granted again {} s after the Start", limit.as_secs())),
            // A second for tables and clients that count whole ones.
            Some(_) if alice.began.elapsed() < Duration::from_secs(LEASE - 1) => wrong("it ended too early"),
            Some(_) => right(""),
        }
    }

    /// Interims keep the lease.
    fn interims_keep_the_lease(peer) {
        const LEASE: u64 = 4;
        let site = peer.open(&Wishes::pool(1).lease(LEASE));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        let mut unanswered = 0;
        while alice.began.elapsed() < Duration::from_secs(3 * LEASE) {
            wait(SECOND);
            unanswered += u32::from(!nas.interim(&alice));
            if let (_, Answer::Accept(Some(got))) = nas.dial("bob", BOB) {
                return wrong(format!("{got} given to another while its holder reports"));
            }
        }
        match unanswered {
            0 => right(""),
            n => wrong(format!("{n} Interims not answered")),
        }
    }

    /// A Stop frees the address.
    fn a_stop_frees_the_address(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        if !nas.stop(&alice) {
            return wrong("not answered");
        }
        served_within(&nas, "bob", BOB)
    }

    /// A Stop that comes twice harms nobody.
    fn a_stop_that_comes_twice_harms_nobody(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        nas.stop(&alice);
        let Some(bob) = nas.dial_until("bob", BOB, PATIENCE) else { return wrong("the first one frees nothing") };
        nas.start(&bob);
        let answered = nas.stop(&alice);
        wait(TEMPTATION);
        match nas.dial("carol", CAROL) {
            (_, Answer::Accept(Some(_))) => wrong("the address of a live session was given away"),
            _ if !answered => wrong("not answered"),
            _ => right(""),
        }
    }

    /// A late Stop of the session before the redial frees nothing.
    fn a_late_stop_frees_nothing(peer) {
        late_stop(peer, |_| {})
    }

    /// A late Stop frees nothing where the NAS returns no Class.
    fn a_late_stop_frees_nothing_without_class(peer) {
        late_stop(peer, |nas| nas.returns_class = false)
    }

    /// A late Stop frees nothing where the request has no session id.
    fn a_late_stop_frees_nothing_without_early_id(peer) {
        late_stop(peer, |nas| nas.tells_session_early = false)
    }

    /// The rightful holder's Interim is answered after a late Stop.
    fn the_holders_interim_is_answered_after_a_late_stop(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let before = nas.connect("alice", ALICE);
        let now = nas.connect("alice", ALICE);
        nas.stop(&before);
        wait(TEMPTATION);
        nas.dial("bob", BOB);
        match nas.interim(&now) {
            true => right(""),
            false => wrong("no answer: the NAS repeats it for ever"),
        }
    }

    /// Accounting for an address that is none of ours is answered.
    fn accounting_for_a_foreign_address_is_answered(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let mut foreign = Session::new("guest", BOB);
        foreign.address = Some(Ipv4Addr::new(10, 99, 0, 1));
        let answered = [nas.start(&foreign), nas.interim(&foreign), nas.stop(&foreign)];
        match answered {
            [true, true, true] => right(""),
            [_, false, _] => wrong("no answer to the Interim"),
            other => wrong(format!("Start, Interim, Stop answered: {other:?}")),
        }
    }

    /// A late Interim does not revive a stopped lease.
    fn a_late_interim_revives_nothing(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        nas.stop(&alice);
        nas.interim(&alice);
        served_within(&nas, "bob", BOB)
    }

    /// A Start that comes after its Stop does not revive the lease.
    fn a_start_after_its_stop_revives_nothing(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let (alice, answer) = nas.dial("alice", ALICE);
        if alice.address.is_none() {
            return wrong(format!("alice got: {answer}"));
        }
        nas.stop(&alice);
        nas.start(&alice);
        served_within(&nas, "bob", BOB)
    }

    /// An Interim after the lapse keeps an address that nobody else got.
    fn an_interim_after_the_lapse_keeps_the_address(peer) {
        const LEASE: u64 = 3;
        let site = peer.open(&Wishes::pool(1).lease(LEASE));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        wait(Duration::from_secs(LEASE + GRACE + 1));
        if !nas.interim(&alice) {
            return wrong("not answered");
        }
        match nas.dial("bob", BOB).1 {
            Answer::Accept(Some(_)) => wrong("given to another"),
            other => refused(&other),
        }
    }

    /// A stranger's Interim and Stop change nothing for the holder.
    fn a_stranger_changes_nothing(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let alice = nas.connect("alice", ALICE);
        let mut stranger = Session::new("mallory", MALLORY);
        stranger.address = alice.address;
        nas.interim(&stranger);
        nas.stop(&stranger);
        wait(TEMPTATION);
        for (user, station) in [("mallory", MALLORY), ("bob", BOB)] {
            if let (_, Answer::Accept(Some(_))) = nas.dial(user, station) {
                return wrong(format!("{user} got the address of a live session"));
            }
        }
        match nas.interim(&alice) {
            true => right(""),
            false => wrong("the holder's Interim was not answered"),
        }
    }

    /// An Accounting-On of the NAS frees its addresses.
    fn an_accounting_on_frees_the_addresses_of_its_nas(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        nas.connect("alice", ALICE);
        // No NAS boots in less: what was granted a moment before an On may be newer than the boot.
        wait(6 * SECOND);
        if !nas.on(None) {
            return wrong("not answered");
        }
        served_within(&nas, "bob", BOB)
    }

    /// An Accounting-On from elsewhere with this NAS' NAS-IP-Address frees nothing.
    fn a_forged_accounting_on_frees_nothing(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        nas.connect("alice", ALICE);
        wait(SECOND);
        let mut other = Nas::new(&site, 2);
        other.claims = nas.claims;
        other.on(None);
        not_tempted(&nas)
    }

    /// An Accounting-On frees nothing of another NAS, where neither sends NAS-IP-Address.
    fn nases_without_nas_ip_address_are_told_apart(peer) {
        let site = peer.open(&Wishes::pool(1));
        let (mut nas, mut other) = (Nas::new(&site, 1), Nas::new(&site, 2));
        (nas.claims, nas.identifier) = (None, Some("bras-1"));
        (other.claims, other.identifier) = (None, Some("bras-2"));
        nas.connect("alice", ALICE);
        wait(SECOND);
        other.on(None);
        not_tempted(&nas)
    }

    /// A repeated Accounting-On harms no session begun since the first.
    fn a_repeated_accounting_on_harms_no_session_begun_since(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        let restart = Instant::now();
        nas.on(None);
        wait(SECOND);
        nas.connect("alice", ALICE);
        // Past the server's memory of repeated packets; first as RFC 2866 wants it, then word by word.
        wait(SECOND * 3);
        nas.on(Some(restart.elapsed()));
        nas.on(None);
        not_tempted(&nas)
    }

    /// An Accept that is never followed by a Start holds its address for a short time only.
    fn an_accept_without_start_leaks_nothing(peer) {
        let site = peer.open(&Wishes::pool(2));
        let nas = Nas::new(&site, 1);
        // The NAS does accounting: its silence about alice means something.
        nas.connect("carol", CAROL);
        let (alice, answer) = nas.dial("alice", ALICE);
        if alice.address.is_none() {
            return wrong(format!("alice got: {answer}"));
        }
        let limit = Duration::from_secs(OFFER + GRACE) + PATIENCE;
        match nas.dial_until("bob", BOB, limit) {
            Some(_) => right(""),
            None => wrong("held for the whole lease"),
        }
    }

    /// A later module's reject gives the address back.
    fn a_later_reject_gives_the_address_back(peer) {
        let site = peer.open(&Wishes::pool(1).post_auth(DOOMED));
        let nas = Nas::new(&site, 1);
        nas.dial("doomed", ALICE);
        // At once: no offer has run out by now.
        let (_, answer) = nas.dial("bob", BOB);
        match answer {
            Answer::Accept(Some(_)) => right(""),
            other => wrong(format!("held by a user who was refused ({other})")),
        }
    }

    /// A full pool lets nobody in without an address.
    fn a_full_pool_lets_nobody_in_without_an_address(peer) {
        let site = peer.open(&Wishes::pool(1));
        let nas = Nas::new(&site, 1);
        nas.connect("alice", ALICE);
        refused(&nas.dial("bob", BOB).1)
    }

    /// A pool that does not exist lets nobody in without an address.
    fn an_unknown_pool_lets_nobody_in_without_an_address(peer) {
        let site = peer.open(&Wishes::pool(1).authorize(NO_SUCH_POOL));
        refused(&Nas::new(&site, 1).dial("bob", BOB).1)
    }

    /// A database error lets nobody in without an address.
    fn a_database_error_lets_nobody_in_without_an_address(peer) {
        let mut site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        site.database.lose_table();
        let verdict = refused(&nas.dial("bob", BOB).1);
        site.database.mend_table();
        match (&verdict, nas.dial_until("carol", CAROL, PATIENCE)) {
            (Verdict::Right(_), None) => wrong("not served after the error has ended"),
            _ => verdict,
        }
    }

    /// A switch-over to a read-only standby lets nobody in without an address.
    fn a_read_only_standby_lets_nobody_in_without_an_address(peer) {
        let mut site = peer.open(&Wishes::pool(4));
        let nas = Nas::new(&site, 1);
        if !site.database.become_read_only() {
            return Verdict::NotApplicable("SQLite has no standby".into());
        }
        // The first ask may still meet a connection that was cut.
        let answers = [nas.dial("bob", BOB).1, nas.dial("carol", CAROL).1, nas.dial("dave", DAVE).1];
        match answers.contains(&Answer::Accept(None)) {
            true => wrong("Accept without address"),
            false => right(""),
        }
    }

    /// While the database is away nobody is let in without an address, and afterwards all are served.
    fn a_database_that_is_away_lets_nobody_in_without_an_address(peer) {
        let mut site = peer.open(&Wishes::pool(4).own_database());
        let nas = Nas::new(&site, 1);
        site.database.outage();
        let answer = nas.dial("bob", BOB).1;
        site.database.resume();
        let served = nas.dial_until("carol", CAROL, PATIENCE * 3).is_some();
        let alive = site.radiusd.alive();
        match (answer, served, alive) {
            (_, _, Err(e)) => wrong(e),
            (Answer::Accept(_), ..) => wrong("Accept without address"),
            (_, false, _) => wrong("not served afterwards"),
            _ => right(""),
        }
    }

    /// A database that does not answer costs a request less than a second.
    fn a_stalled_database_costs_a_request_less_than_a_second(peer) {
        let mut site = peer.open(&Wishes::pool(4).own_database());
        let nas = Nas::new(&site, 1);
        nas.connect("alice", ALICE);
        site.database.stall();
        let asked = Instant::now();
        let answer = nas.dial("bob", BOB).1;
        let took = asked.elapsed();
        site.database.resume();
        match answer {
            Answer::Silence => wrong("no answer within two seconds"),
            _ if took > SECOND => wrong("an answer after more than a second"),
            other => refused(&other),
        }
    }

    /// A crash of radiusd loses no lease.
    fn a_crash_of_radiusd_loses_no_lease(peer) {
        let mut site = peer.open(&Wishes::pool(1));
        let mut alice = Nas::new(&site, 1).connect("alice", ALICE);
        site.radiusd.kill9();
        site.radiusd.run().unwrap_or_else(|e| panic!("{e}"));
        keeps(&Nas::new(&site, 1), &mut alice)
    }

    /// A crash of the database server loses no lease.
    fn a_crash_of_the_database_loses_no_lease(peer) {
        let mut site = peer.open(&Wishes::pool(1).own_database());
        let nas = Nas::new(&site, 1);
        let (mut alice, answer) = nas.dial("alice", ALICE);
        if alice.address.is_none() {
            return wrong(format!("alice got: {answer}"));
        }
        if !site.database.crash() {
            return Verdict::NotApplicable("SQLite is no server".into());
        }
        keeps(&nas, &mut alice)
    }

    /// After an outage longer than the leases, sessions that are still on line keep their addresses.
    fn an_outage_longer_than_the_leases_makes_no_duplicates(peer) {
        const LEASE: u64 = 4;
        let mut site = peer.open(&Wishes::pool(3).lease(LEASE).own_database());
        let nas = Nas::new(&site, 1);
        let online = [nas.connect("alice", ALICE), nas.connect("carol", CAROL)];
        wait(SECOND);
        online.iter().for_each(|s| assert!(nas.interim(s), "an Interim was not answered"));
        site.database.outage();
        let away = Instant::now();
        // Routers repeat what is not answered.
        while away.elapsed() < Duration::from_secs(2 * LEASE) {
            online.iter().for_each(|s| {
                nas.interim(s);
            });
            wait(SECOND / 2);
        }
        site.database.resume();
        // The third address was never anybody's; it is who comes next that is in danger.
        for (user, station) in [("bob", BOB), ("dave", DAVE), ("mallory", MALLORY)] {
            let answer = match user {
                "bob" => nas.dial_until(user, station, PATIENCE * 2).map_or(Answer::Silence, |s| Answer::Accept(s.address)),
                _ => nas.dial(user, station).1,
            };
            match answer {
                Answer::Accept(None) => return wrong("Accept without address"),
                Answer::Accept(Some(got)) if online.iter().any(|s| s.address == Some(got)) => {
                    return wrong("the address of a live session was given away");
                }
                Answer::Silence if user == "bob" => return wrong("not served afterwards"),
                _ => {}
            }
        }
        match online.iter().all(|s| nas.interim(s)) {
            true => right(""),
            false => wrong("the holders' Interims are not answered"),
        }
    }
}

const STATIC_OUTSIDE: &str = "\t\tif (&User-Name == \"static\") {\n\t\t\tupdate reply {\n\t\t\t\t&Framed-IP-Address := 10.77.0.1\n\t\t\t}\n\t\t}\n";
const STATIC_INSIDE: &str = "\t\tif (&User-Name == \"static\") {\n\t\t\tupdate reply {\n\t\t\t\t&Framed-IP-Address := 10.66.0.1\n\t\t\t}\n\t\t}\n";
const DOOMED: &str = "\t\tif (&User-Name == \"doomed\") {\n\t\t\treject\n\t\t}\n";
const NO_SUCH_POOL: &str = "\t\tupdate control {\n\t\t\t&Pool-Name := \"nowhere\"\n\t\t}\n";

fn grants(peer: &dyn Peer) -> Verdict {
    let site = peer.open(&Wishes::pool(4));
    match Nas::new(&site, 1).dial("alice", ALICE).1 {
        Answer::Accept(Some(_)) => right(""),
        other => wrong(other.to_string()),
    }
}

/// All answers are Accepts with one and the same address.
fn one_address(answers: impl Iterator<Item = Answer>) -> Verdict {
    let all: BTreeSet<String> = answers.map(|a| a.to_string()).collect();
    match all.len() == 1 && all.iter().all(|a| a.parse::<Ipv4Addr>().is_ok()) {
        true => right(""),
        false => wrong(format!("{all:?}")),
    }
}

/// The second answer is an address, and not the first session's.
fn others_address(first: &Session, second: &Answer) -> Verdict {
    match second {
        Answer::Accept(address) if address.is_some() && *address == first.address => {
            wrong("one address for both")
        }
        Answer::Accept(Some(_)) => right(""),
        other => wrong(other.to_string()),
    }
}

/// An answer for somebody who cannot be served.
fn refused(answer: &Answer) -> Verdict {
    match answer {
        Answer::Reject => right(""),
        other => wrong(other.to_string()),
    }
}

/// The session of the pool's only address still has it, and nobody else gets it.
fn keeps(nas: &Nas, session: &mut Session) -> Verdict {
    let had = session.address;
    let deadline = Instant::now() + PATIENCE;
    while nas.ask(session) == Answer::Reject && Instant::now() < deadline {
        wait(Duration::from_millis(200));
    }
    if session.address != had {
        return wrong(format!("another answer for it: {:?}", session.address));
    }
    match nas.dial("bob", BOB).1 {
        Answer::Accept(Some(_)) => wrong("its address was given away"),
        other => refused(&other),
    }
}

/// The address that is free, or will be as soon as the cool-down has passed, is granted.
fn served_within(nas: &Nas, user: &'static str, station: &'static str) -> Verdict {
    match nas.dial_until(user, station, PATIENCE) {
        Some(_) => right(""),
        None => wrong(format!("not granted to another {} s later", PATIENCE.as_secs())),
    }
}

/// The pool's only address has a live holder: nobody else gets it, not even later.
fn not_tempted(nas: &Nas) -> Verdict {
    wait(TEMPTATION);
    match nas.dial("bob", BOB).1 {
        Answer::Accept(Some(_)) => wrong("the address of a live session was given away"),
        Answer::Accept(None) => wrong("Accept without address"),
        _ => right(""),
    }
}

fn late_stop(peer: &dyn Peer, manners: fn(&mut Nas)) -> Verdict {
    let site = peer.open(&Wishes::pool(1));
    let mut nas = Nas::new(&site, 1);
    manners(&mut nas);
    let before = nas.connect("alice", ALICE);
    let now = nas.connect("alice", ALICE);
    let answered = nas.stop(&before);
    match not_tempted(&nas) {
        Verdict::Right(_) if !answered => wrong("the late Stop was not answered"),
        // The Stop of the session that holds it must still do its work.
        Verdict::Right(_) => {
            nas.stop(&now);
            served_within(&nas, "bob", BOB)
        }
        other => other,
    }
}
