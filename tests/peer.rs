//! The peer script.

mod common;

#[test]
fn smoke() {
    let t = std::time::Instant::now();
    let mut pg = common::postgres::Postgres::start();
    println!("pg {:?}", t.elapsed());
    println!("{} {}", pg.url(), pg.psql("select version(); show fsync"));
    pg.kill9();
    let t = std::time::Instant::now();
    pg.run();
    println!("pg again {:?}", t.elapsed());
    println!("{}", pg.psql("select 2"));
    pg.sigstop();
    pg.sigcont();
    pg.restart();
    let mut r =
        common::radiusd::Radiusd::start(common::radiusd::Config { with_module: false, ..Default::default() })
            .unwrap();
    println!("radiusd {:?} rss {} fds {} threads {}", t.elapsed(), r.rss(), r.fd_count(), r.thread_count());
    println!(
        "{:?}",
        r.client(std::net::Ipv4Addr::new(127, 0, 0, 3)).send(r.auth(), &common::radius::Packet::access(b"x"))
    );
    println!(
        "{:?}",
        r.client(std::net::Ipv4Addr::new(127, 0, 0, 3))
            .send(r.acct(), &common::radius::Packet::accounting(1))
    );
    println!("{:?}", r.stop());
    println!("{}", r.log());
    let c =
        common::radiusd::Config { with_module: false, modules: "\tfoo {\n}\n".into(), ..Default::default() };
    println!("{:?}", common::radiusd::check(&c));
}
