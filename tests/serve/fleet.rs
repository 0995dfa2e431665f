//! Two hundred routers and one companion: `IPPOOL_RS_SOAK=1 cargo test --release --test serve fleet -- --nocapture` measures it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, count, dial, held, looks, on_both, until};
use crate::fake_router::{Crowd, Fault, Router, Scenario};
use crate::size;

#[test]
fn a_fleet_is_polled_by_one_companion_with_sixteen_connections_at_most() {
    let (routers, sessions) = (size(40, 200), size(50, 150));
    on_both(|site| {
        site.run(&["pool", "add", "main", "10.64.0.0/15"]).expect(0, &[]);
        site.write("ippool-rs.toml", "[serve]\ninterval = 60\n");
        let crowd = Arc::<Crowd>::default();
        let fleet: Vec<_> =
            (0..routers).map(|_| Router::among(&crowd, Scenario::version("7.21.4 (stable)"))).collect();
        let mut text = String::new();
        for (n, router) in fleet.iter().enumerate() {
            dial(router, sessions, [10, 64, u8::try_from(n).unwrap(), 1]);
            text += &format!(
                "[[router]]\nname = \"r{n}\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"off\"\nuser = \"admin\"\n\
                 password = \"secret\"\nnas_ip = \"198.51.100.{n}\"\n",
                router.api().port()
            );
            // One in twenty says nothing.
            if n % 20 == 7 {
                router.state().fail_always("/ppp/active/print", Fault::Stall { bytes: 0 });
            }
        }
        site.write("conf.d/fleet.toml", &text);
        let silent = (0..routers).filter(|n| n % 20 == 7).count();
        let well = || fleet.iter().enumerate().filter(|(n, _)| n % 20 != 7).map(|(_, router)| router);
        let daemon = Daemon::start(site);
        let began = Instant::now();
        until("each session is a lease", 120, || held(site) == (routers - silent) * sessions);
        let first = began.elapsed();
        // A look at all of them, with nothing to change.
        let before: Vec<_> = well().map(looks).collect();
        daemon.hup();
        let began = Instant::now();
        until("all were looked at again", 120, || {
            well().zip(&before).all(|(router, before)| looks(router) > *before)
        });
        let second = began.elapsed();
        println!(
            "{routers} routers of {sessions} sessions, {silent} of them silent: adopted in {:.1} s, looked at in {:.1} s, at \
             most {} connections at once, {} MB of memory",
            first.as_secs_f64(),
            second.as_secs_f64(),
            crowd.peak(),
            daemon.memory() / 1024
        );
        assert!(first.max(second) < Duration::from_secs(60), "{first:?} {second:?}");
        assert!(crowd.peak() <= 16, "{} connections at once", crowd.peak());
        assert_eq!(count(site, "ip_pool_events WHERE kind = 'release'"), 0);
    });
}
