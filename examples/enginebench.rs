//! Scratch: engine throughput without radiusd.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
use rlm_ippool_rs::engine::*;
use rlm_ippool_rs::lease::*;
use std::sync::Arc;
use std::sync::atomic::*;
use std::time::*;
fn session(k: u64, n: u64) -> Session {
    let nas = format!("127.0.0.{}", 1 + k % 16);
    let owner = format!("user{k}");
    let id = format!("{:08x}", n);
    let mac =
        format!("02:00:{:02X}:{:02X}:{:02X}:{:02X}", k >> 24 & 255, k >> 16 & 255, k >> 8 & 255, k & 255);
    Session {
        key: Session::key_of(&nas, Some(&id), None, None, &owner),
        nas,
        username: owner.clone(),
        owner,
        subscriber_id: None,
        calling_station_id: Some(mac.clone()),
        station: Some(mac),
        id: Some(id),
    }
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let engine = Engine::open(&a[1]).unwrap();
    let threads: u64 = a[2].parse().unwrap();
    let n: u64 = a[3].parse().unwrap();
    let rules = Arc::new(Rules::default());
    let next = Arc::new(AtomicU64::new(0));
    let base = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 100_000_000 * 1000;
    let t = Instant::now();
    let hs: Vec<_> = (0..threads)
        .map(|_| {
            let (e, next, rules) = (engine.clone(), next.clone(), rules.clone());
            std::thread::spawn(move || {
                let mut bad = 0;
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    if k >= n {
                        break bad;
                    }
                    let s = session(base + k, base + k);
                    let ask = Ask {
                        session: s.clone(),
                        wants: vec![Want {
                            attribute: "Framed-IP-Address".into(),
                            pool: "main".into(),
                            hint: None,
                            stated: None,
                        }],
                        lease_seconds: 3600,
                        rules: rules.clone(),
                    };
                    let Answer::Granted(g) = e.ask(Work::Grant(ask), Duration::from_secs(2)) else {
                        bad += 1;
                        continue;
                    };
                    let ev = Accounting {
                        kind: AcctKind::Start,
                        session: s,
                        classes: vec![g[0].class],
                        addresses: vec![g[0].address],
                        delay: 0,
                        session_time: None,
                        rules: rules.clone(),
                    };
                    if !matches!(
                        e.ask(Work::Account(ev), Duration::from_secs(2)),
                        Answer::Accounted(Accounted::Started)
                    ) {
                        bad += 1;
                    }
                }
            })
        })
        .collect();
    let bad: u32 = hs.into_iter().map(|h| h.join().unwrap()).sum();
    let d = t.elapsed();
    println!("{} sessions in {:?}: {:.0} req/s, bad {bad}", n, d, 2.0 * n as f64 / d.as_secs_f64());
    let s = engine.stats();
    println!("{}", s.to_line());
    engine.close();
}
