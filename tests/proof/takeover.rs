//! A redial takes its station's address over, and whatever then comes in whatever order, the right session holds it.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::ground::{Kind, Plan, Site};
use crate::world::{Answer, Nas, Session};

/// Whoever asks for this address is refused after the grant.
const DOOMED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
const REFUSE: &str = "\t\tif (&request:Framed-IP-Address == 192.0.2.99) {\n\t\t\treject\n\t\t}\n";

/// One subscriber at one NAS, whose manners vary: Class comes back or not, the request has the session's id or not.
struct Scene<'a> {
    site: &'a Site,
    nas: Nas,
    user: &'static str,
    station: &'static str,
    story: String,
}

impl Scene<'_> {
    /// The session that is on line before the redial.
    fn old(&self) -> Session {
        self.nas.connect(self.user, self.station)
    }

    /// The redial; its Accept is under way. It was given the old session's address.
    #[track_caller]
    fn redial(&self, old: &Session) -> Session {
        let (new, answer) = self.nas.dial(self.user, self.station);
        assert_eq!(answer, Answer::Accept(old.address), "{}", self.story);
        assert_ne!(new.class, old.class, "{}: a new grant has a new fence", self.story);
        self.holder(old, &self.offered(&new));
        new
    }

    /// What the row says while the new session has not started.
    fn offered(&self, new: &Session) -> String {
        let id = if self.nas.tells_session_early { new.id.as_str() } else { "-" };
        format!("in_use {id} offered, before it another")
    }

    /// The row of the session's address says this.
    #[track_caller]
    fn holder(&self, session: &Session, says: &str) {
        let address = session.address.unwrap();
        let text = format!(
            "SELECT status || ' ' || COALESCE(session_id, '-') || CASE WHEN started_at IS NULL THEN ' offered' ELSE ' started' END \
             || CASE WHEN prev_session_key IS NULL THEN '' ELSE ', before it another' END AS line \
             FROM ip_pool_assignments WHERE ip_address = '{address}'"
        );
        assert_eq!(self.site.base.lines(&text), [says], "{}", self.story);
    }

    #[track_caller]
    fn held_by(&self, session: &Session) {
        self.holder(session, &format!("in_use {} started", session.id));
    }

    /// It is alive, and so has its address back; the Accept that may yet be taken up is remembered.
    #[track_caller]
    fn held_again_by(&self, session: &Session) {
        let other = if self.tells_apart() { ", before it another" } else { "" };
        self.holder(session, &format!("in_use {} started{other}", session.id));
    }

    /// By Class or id, the offer and the session that it replaced can be told apart.
    fn tells_apart(&self) -> bool {
        self.nas.returns_class || self.nas.tells_session_early
    }

    /// Its end leaves the address to the Accept that may yet be taken up, and to nobody else.
    #[track_caller]
    fn left_to_the_offer(&self, old: &Session, new: &Session) {
        if !self.tells_apart() {
            return self.ended_by(old);
        }
        self.stop(old);
        self.holder(old, self.offered(new).trim_end_matches(", before it another"));
    }

    #[track_caller]
    fn start(&self, session: &Session) {
        assert!(self.nas.start(session), "{}: a Start was not answered", self.story);
    }

    #[track_caller]
    fn interim(&self, session: &Session) {
        assert!(self.nas.interim(session), "{}: an Interim was not answered", self.story);
    }

    #[track_caller]
    fn stop(&self, session: &Session) {
        assert!(self.nas.stop(session), "{}: a Stop was not answered", self.story);
    }

    /// The holder's Stop ends it.
    #[track_caller]
    fn ended_by(&self, session: &Session) {
        self.stop(session);
        self.holder(session, &format!("available {} started", session.id));
    }

    fn events(&self, kind: &str) -> u64 {
        self.site.base.count("ip_pool_events", &format!("kind = '{kind}' AND username = '{}'", self.user))
    }
}

type Story = (&'static str, fn(&mut Scene<'_>));

const STORIES: &[Story] = &[
    ("the Accept is lost and asked for again", |scene| {
        let old = scene.old();
        let mut new = scene.redial(&old);
        let class = new.class.clone();
        assert_eq!(scene.nas.ask(&mut new), Answer::Accept(old.address), "{}", scene.story);
        assert_eq!(new.class, class, "{}: a repetition has the same fence", scene.story);
        scene.start(&new);
        scene.held_by(&new);
        scene.ended_by(&new);
        assert_eq!((scene.events("grant"), scene.events("take-over")), (1, 1), "{}", scene.story);
    }),
    ("the Accept is lost, and the old session goes on", |scene| {
        let old = scene.old();
        scene.redial(&old);
        scene.interim(&old);
        scene.held_again_by(&old);
        // Again and again, for as long as the Accepts are lost.
        let new = scene.redial(&old);
        scene.interim(&old);
        scene.held_again_by(&old);
        scene.left_to_the_offer(&old, &new);
    }),
    ("an Interim of before the take-over comes late", |scene| {
        let old = scene.old();
        let new = scene.redial(&old);
        scene.nas.delay = Some(30);
        scene.interim(&old);
        scene.nas.delay = None;
        scene.holder(&old, &scene.offered(&new));
        scene.start(&new);
        scene.held_by(&new);
        scene.ended_by(&new);
    }),
    ("the redial is rejected after the grant", |scene| {
        let old = scene.old();
        for _ in 0..2 {
            let mut new = Session::new(scene.user, scene.station);
            assert_eq!(scene.nas.ask_for(&mut new, Some(DOOMED)), Answer::Reject, "{}", scene.story);
            scene.held_by(&old);
        }
        scene.interim(&old);
        scene.held_by(&old);
        let new = scene.redial(&old);
        scene.start(&new);
        scene.held_by(&new);
    }),
    ("a repetition is rejected, and the grant stands", |scene| {
        let old = scene.old();
        let mut new = scene.redial(&old);
        let granted = new.clone();
        assert_eq!(scene.nas.ask_for(&mut new, Some(DOOMED)), Answer::Reject, "{}", scene.story);
        scene.holder(&old, &scene.offered(&granted));
        scene.start(&granted);
        scene.held_by(&granted);
    }),
    ("both are alive", |scene| {
        let old = scene.old();
        let new = scene.redial(&old);
        scene.start(&new);
        for _ in 0..3 {
            scene.interim(&old);
            scene.held_by(&new);
            scene.interim(&new);
            scene.held_by(&new);
        }
        assert_eq!(scene.events("conflict"), 1, "{}: told once", scene.story);
        // Who is still there inherits.
        scene.stop(&new);
        scene.held_by(&old);
        scene.ended_by(&old);
    }),
    ("both are alive, and the old one ends first", |scene| {
        let old = scene.old();
        let new = scene.redial(&old);
        scene.start(&new);
        scene.interim(&old);
        scene.stop(&old);
        scene.held_by(&new);
        // Nobody is left to inherit.
        scene.ended_by(&new);
        assert_eq!((scene.events("conflict"), scene.events("adoption")), (1, 0), "{}", scene.story);
    }),
    ("the old session's Stop comes after the Start of the new", |scene| {
        let old = scene.old();
        let new = scene.redial(&old);
        scene.start(&new);
        for _ in 0..2 {
            scene.stop(&old);
            scene.held_by(&new);
        }
        scene.interim(&new);
        scene.held_by(&new);
        scene.ended_by(&new);
        assert_eq!(scene.events("conflict"), 0, "{}", scene.story);
    }),
    ("the old session's Stop comes before the Start of the new", |scene| {
        let old = scene.old();
        let new = scene.redial(&old);
        scene.stop(&old);
        let offered = scene.offered(&new);
        scene.holder(&old, offered.trim_end_matches(", before it another"));
        scene.start(&new);
        scene.held_by(&new);
        scene.ended_by(&new);
    }),
    ("the new session ends before it began", |scene| {
        let old = scene.old();
        let new = scene.redial(&old);
        scene.stop(&new);
        if scene.tells_apart() {
            scene.held_by(&old);
            scene.interim(&old);
            scene.held_by(&old);
        } else {
            // Nothing proves that this Stop speaks of the offer.
            scene.holder(&old, &scene.offered(&new));
            scene.interim(&old);
            scene.held_again_by(&old);
        }
    }),
];

/// Four manners: Class returned or not, session id in the request or not.
const MANNERS: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

fn scene<'a>(site: &'a Site, title: &str, (class, early): (bool, bool)) -> Scene<'a> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let n = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut nas = site.nas(1);
    (nas.returns_class, nas.tells_session_early) = (class, early);
    Scene {
        site,
        nas,
        user: Box::leak(format!("user-{n}").into_boxed_str()),
        station: Box::leak(format!("02:00:5E:00:{:02X}:{:02X}", n >> 8, n & 255).into_boxed_str()),
        story: format!("{title}; Class returned: {class}, id in the request: {early}"),
    }
}

fn all_orders(kind: Kind) {
    let mut site = Plan { after: REFUSE, ..Plan::new(kind, "10.64.0.0/24") }.open();
    for (title, story) in STORIES {
        for manners in MANNERS {
            story(&mut scene(&site, title, manners));
        }
    }
    site.assert_alive();
}

#[test]
fn the_right_session_holds_the_address_after_a_redial_whatever_comes_on_sqlite() {
    all_orders(Kind::Sqlite);
}

#[test]
fn the_right_session_holds_the_address_after_a_redial_whatever_comes_on_postgresql() {
    all_orders(Kind::Postgres);
}

fn lapsing_offers(kind: Kind) {
    let site = Plan { offer: 2, ..Plan::new(kind, "10.64.0.1-10.64.0.4") }.open();
    let scenes = MANNERS.map(|manners| scene(&site, "the offer lapses", manners));
    let olds = scenes.each_ref().map(Scene::old);
    let news: Vec<Session> = scenes.iter().zip(&olds).map(|(scene, old)| scene.redial(old)).collect();
    std::thread::sleep(Duration::from_millis(2500));
    // The pool has no other address: nobody else gets one of those that the old sessions still have.
    assert_eq!(site.nas(2).dial("stranger", "02:00:5E:FF:FF:FF").1, Answer::Reject);
    for ((scene, old), new) in scenes.iter().zip(&olds).zip(&news) {
        scene.interim(old);
        scene.held_again_by(old);
        scene.stop(new);
        if scene.tells_apart() {
            scene.held_by(old);
            scene.ended_by(old);
        } else {
            scene.left_to_the_offer(old, new);
        }
    }
}

#[test]
fn an_offer_that_nobody_takes_up_gives_the_address_back_to_the_session_before_on_sqlite() {
    lapsing_offers(Kind::Sqlite);
}

#[test]
fn an_offer_that_nobody_takes_up_gives_the_address_back_to_the_session_before_on_postgresql() {
    lapsing_offers(Kind::Postgres);
}
