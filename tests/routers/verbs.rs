//! `router list`, `test`, `pools`, `sessions`, `fix-profile`, `onboard`.

use crate::db::Db;
use crate::fake_router::{Fault, Router, Scenario};
use crate::site::{By, Site, everywhere, router, small};

const NAS: &str = "nas_ip = \"192.0.2.1\"";

#[test]
fn a_router_that_is_well_passes_every_step() {
    everywhere(|site, by| {
        let north = small();
        site.has("north", &north, by, "nas_ip = \"192.0.2.1\"\nnas_identifier = \"north\"\ncoa_port = 3799");
        site.run(&["router", "list"]).expect(0, &["north", "192.0.2.1"]);
        let checks = site.column(&["router", "test"], "check");
        let all = [
            "name",
            "connection",
            "tls",
            "login",
            "version",
            "identity",
            "clock",
            "rights",
            "radius",
            "radius_incoming",
            "profiles",
        ];
        assert_eq!(checks, all);
        site.run(&["router", "test", "north"])
            .expect(0, &["7.21.4", "asks 192.0.2.10", "on port 3799", "router fix-profile north"]);
        assert_eq!(north.state().writes(), [], "a test changes nothing");
    });
}

#[test]
fn each_failure_has_its_step_and_a_hint() {
    let site = Site::sqlite();
    let north = small();
    let failing = |more: &str, by: By, step: &str, says: &str| {
        site.has("north", &north, by, &format!("{NAS}\n{more}"));
        let ran = site.run(&["router", "test", "north", "-o", "json"]);
        let last = ran.json().pop().expect("a step");
        assert_eq!(
            (ran.code, &last["check"], &last["result"]),
            (1, &step.into(), &"failed".into()),
            "{ran:?}"
        );
        assert!(last["detail"].to_string().contains(says), "{ran:?}");
    };
    failing("user = \"admin\"\npassword = \"s3cret\"", By::ApiTls, "login", "wrong password");
    failing("user = \"admin\"\npassword = \"s3cret\"", By::Https, "login", "wrong password");
    failing("user = \"nobody\"\npassword = \"at all\"", By::Api, "login", "no user nobody");
    failing("user = \"admin\"\npassword_file = \"none\"", By::Api, "password", "cannot be read");
    failing("user = \"admin\"\ncredential = \"north\"", By::Api, "password", "CREDENTIALS_DIRECTORY");
    failing("user = \"admin\"", By::Api, "password", "IPPOOL_RS_PASSWORD_NORTH");
    north.renew_certificate(crate::fake_router::Tls::default());
    site.has("north", &north, By::ApiTls, NAS);
    north.renew_certificate(crate::fake_router::Tls::default());
    let ran = site
        .run(&["router", "test", "north"])
        .expect(1, &["not the pinned one", "/certificate print detail"]);
    assert!(ran.out.contains("tls") && ran.out.contains("failed"), "{ran:?}");
    north.down();
    failing("", By::Api, "connection", "nothing listens on port");
    site.write("conf.d/north.toml", "[[router]]\nname = \"north\"\nhost = \"none.invalid\"\nuser = \"x\"\npassword = \"y\"\nnas_ip = \"192.0.2.1\"");
    site.run(&["router", "test"]).expect(1, &["name", "has no address"]);
}

#[test]
fn what_is_not_as_it_should_be_is_a_warning() {
    let site = Site::sqlite();
    let odd = router(
        "version = \"6.42.12 (long-term)\"\nidentity = \"MikroTik\"\nclock = 7200\n\
         [\"/ppp/aaa\"]\nuse-radius = \"false\"\naccounting = \"false\"\n[\"/radius/incoming\"]\naccept = \"false\"",
    );
    site.has("odd", &odd, By::Api, NAS);
    site.run(&["router", "test"]).expect(
        0,
        &[
            "before 6.43",
            "the factory's",
            "ahead of this machine's",
            "no RADIUS server",
            "accept=yes",
            "whoever can listen",
        ],
    );
    site.run(&["router", "fix-profile", "odd"])
        .expect(3, &["use-radius=yes", "accounting=yes", "service=ppp"]);
}

#[test]
fn secrets_come_from_files_credentials_and_the_environment() {
    let site = Site::sqlite();
    let north =
        router("[[user]]\nname = \"admin\"\npassword = \"secret word\"\npolicies = [\"api\", \"read\"]");
    let path = site.write("north.password", "secret word\n").display().to_string();
    site.has("north", &north, By::Api, &format!("{NAS}\nuser = \"admin\"\npassword_file = \"{path}\""));
    site.run(&["router", "test"]).expect(0, &["every user may read it", "chmod 640"]);
    site.has(
        "north",
        &north,
        By::Api,
        &format!("{NAS}\nuser = \"admin\"\npassword_file = \"../north.password\""),
    );
    site.run(&["router", "test"]).expect(0, &[]);
    site.has("north", &north, By::Api, &format!("{NAS}\nuser = \"admin\"\ncredential = \"north.password\""));
    let folder = path.trim_end_matches("/north.password");
    site.run_with(&["router", "test"], &[("CREDENTIALS_DIRECTORY", folder)]).expect(0, &[]);
    site.has("north", &north, By::Api, &format!("{NAS}\nuser = \"admin\""));
    site.run_with(&["router", "test"], &[("IPPOOL_RS_PASSWORD_NORTH", "secret word")]).expect(0, &[]);
}

#[test]
fn one_router_that_fails_keeps_no_other_from_answering() {
    let site = Site::sqlite();
    let (north, south) = (small(), small());
    site.has("north", &north, By::Api, NAS);
    site.has("south", &south, By::Http, "nas_ip = \"192.0.2.2\"");
    assert_eq!(site.column(&["router", "sessions"], "username").len(), 10, "a prefix each among them");
    assert_eq!(site.column(&["pool", "import"], "pool_name").len(), 6, "one array for all routers");
    south.down();
    site.run(&["router", "sessions"]).expect(4, &["alice", "south (127.0.0.1:", "nothing listens"]);
    site.run(&["router", "pools"])
        .expect(4, &["10.0.0.2-10.0.0.254,10.0.1.0/24", "2001:db8::/40 in prefixes of /56"]);
    site.run(&["router", "sessions", "south"]).expect(1, &["nothing listens"]);
    site.run(&["router", "sessions", "nroth"]).expect(2, &["did you mean north?"]);
    let sessions =
        site.run(&["router", "sessions", "north", "--user", "alice", "-o", "json"]).expect(0, &[]).json();
    let addresses: Vec<_> = sessions.iter().map(|session| session["ip_address"].clone()).collect();
    assert_eq!(addresses, ["10.0.0.2", "2001:db8:0:100::/56"]);
    north.state().fail("/ppp/active/print", Fault::Cut { bytes: 60 });
    site.run(&["router", "sessions", "north"]).expect(1, &["connection was lost"]);
}

#[test]
fn names_are_shown_as_the_tables_have_them() {
    let site = Site::new(Db::postgres());
    let names = Router::start(Scenario::load("names").expect("a scenario"));
    site.has("names", &names, By::ApiTls, NAS);
    let pools = site.column(&["router", "pools"], "pool_name");
    assert_eq!(pools, ["caf=E9", "naïve € pool"]);
    site.run(&["pool", "import", "--apply"])
        .expect(0, &["Imported 254 IPs from caf=E9", "Imported 6 IPs from naïve € pool"]);
    let sessions = site.run(&["router", "sessions"]).expect(0, &["jos=E9", "=1B[31m red"]);
    assert!(!sessions.out.contains('\u{1b}'), "{sessions:?}");
    site.has("names", &names, By::ApiTls, &format!("{NAS}\nexclude = [\"café\"]"));
    assert_eq!(site.column(&["pool", "import"], "pool_name"), ["naïve € pool"], "windows-1252 by default");
}

#[test]
fn a_profile_that_gives_out_addresses_is_found_unset_and_read_back() {
    everywhere(|site, by| {
        let north = small();
        site.has("north", &north, by, NAS);
        let found = site
            .run(&["router", "fix-profile", "north"])
            .expect(3, &["remote-address=main", "PPPoE server internet"]);
        assert!(found.out.contains("secret local"), "{found:?}");
        assert_eq!(north.state().writes(), [], "without --apply nothing is changed");
        site.run(&["router", "fix-profile", "north", "--profile", "none"])
            .expect(1, &["has no profile none"]);
        site.run(&["router", "fix-profile", "north", "--profile", "default", "--apply"]).expect(0, &[]);
        site.run(&["router", "fix-profile", "north", "--apply"])
            .expect(0, &["unset in 1 profile, and read back"]);
        assert_eq!(north.state().writes().len(), 1);
        site.run(&["router", "fix-profile", "north"]).expect(0, &[]);
        site.has("reader", &north, by, "nas_ip = \"192.0.2.3\"\nuser = \"reader\"\npassword = \"only\"");
        north.state().faults.clear();
        site.run(&["router", "pools", "add", "reader", "x", "10.5.0.1", "--apply"])
            .expect(1, &["no right to"]);
    });
}

#[test]
fn a_pool_is_made_and_deleted_on_a_router() {
    everywhere(|site, by| {
        let north = small();
        site.has("north", &north, by, NAS);
        let add = [
            "router",
            "pools",
            "add",
            "north",
            "more",
            "10.5.0.1-10.5.0.9",
            "10.6.0.0/24",
            "--next-pool",
            "spare",
        ];
        site.run(&add).expect(3, &["--apply does it"]);
        assert_eq!(north.state().writes(), []);
        site.run(&[&add[..], &["--apply"]].concat()).expect(0, &["has the pool more"]);
        site.run(&[&add[..], &["--apply"]].concat()).expect(1, &["already", "the same"]);
        let pools = site.run(&["router", "pools", "-o", "json"]).json();
        let more = pools.iter().find(|pool| pool["pool_name"] == "more").expect("it is there");
        assert_eq!(
            (&more["next_pool"], &more["ranges"]),
            (&"spare".into(), &"10.5.0.1-10.5.0.9,10.6.0.0/24".into())
        );
        for (arguments, code, says) in [
            (&["add", "north", "x", "10.0.0.200"][..], 1, "overlaps the pool main"),
            (&["add", "north", "x", "10.9.9.9-10.9.9.1"], 2, "ends before it begins"),
            (&["add", "north", "x", "10.9.9.9", "--next-pool", "y"], 1, "has no pool y"),
            (&["remove", "north", "y"], 1, "has no pool y"),
            (&["remove", "north", "spare"], 1, "the pool main goes on to it"),
            (&["remove", "north", "more"], 3, "--apply does it"),
            (&["remove", "north", "more", "--apply"], 0, "has no pool more any more"),
        ] {
            site.run(&[&["router", "pools"], arguments].concat()).expect(code, &[says]);
        }
        assert_eq!(site.column(&["router", "pools"], "pool_name"), ["main", "spare", "delegated"]);
    });
}

#[test]
fn a_router_is_taken_in_step_by_step_and_again() {
    everywhere(|site, by| {
        let north = small();
        site.has("north", &north, by, NAS);
        site.run(&["router", "onboard", "north"])
            .expect(3, &["1. test", "2. NAS: 192.0.2.1 is new", "5. profiles: 1 setting"]);
        assert!(
            site.column(&["pool", "list"], "pool_name").is_empty()
                && site.column(&["nas", "list"], "nas").is_empty()
        );
        site.run(&["router", "onboard", "north", "--apply"])
            .expect(3, &["Imported 507 IPs from main", "fix-profile north --apply"]);
        assert_eq!(north.state().writes(), [], "the router is not changed by it");
        site.run(&["router", "fix-profile", "north", "--apply"]).expect(0, &[]);
        site.run(&["router", "onboard", "north", "--apply"]).expect(0, &["nothing to import"]);
        assert_eq!(site.column(&["pool", "list"], "total"), ["65536", "507", "1"]);
        north.down();
        site.run(&["router", "onboard", "north", "--apply"]).expect(1, &["1. test", "nothing listens"]);
    });
}

#[test]
fn the_servers_of_all_tunnels_are_named_with_the_profile_that_gives_out_addresses() {
    everywhere(|site, by| {
        let mut text = "[[\"/ppp/profile\"]]\nname = \"home\"\nremote-address = \"main\"\n\
                        [[\"/interface/pppoe-server/server\"]]\nservice-name = \"internet\"\ndefault-profile = \"home\"\n"
            .to_owned();
        for kind in ["pptp", "l2tp", "sstp", "ovpn"] {
            // One of them is switched off.
            let on = if kind == "sstp" { "false" } else { "true" };
            text += &format!(
                "[\"/interface/{kind}-server/server\"]\nenabled = \"{on}\"\ndefault-profile = \"home\"\n"
            );
        }
        let north = router(&text);
        site.has("north", &north, by, NAS);
        let says = "the default-profile of the PPPoE server internet, the PPTP server, the L2TP server, the OVPN server)";
        site.run(&["router", "fix-profile", "north", "-o", "csv"]).expect(3, &[says]);
        site.run(&["router", "fix-profile", "north", "--apply"])
            .expect(3, &["remote-address unset in 1 profile"]);
        let ran = site.run(&["router", "fix-profile", "north"]);
        assert!(!ran.out.contains("default-profile"), "{ran:?}");
    });
}

#[test]
fn addresses_that_a_router_hands_out_of_our_pools_by_itself_are_told() {
    everywhere(|site, by| {
        let text = "[[\"/ip/pool\"]]\nname = \"main\"\nranges = \"10.0.0.1-10.0.0.9\"\n\
                    [[\"/ip/pool\"]]\nname = \"lan\"\nranges = \"10.1.0.1-10.1.0.9\"\n\
                    [[\"/ip/pool/used\"]]\npool = \"main\"\naddress = \"10.0.0.7\"\nowner = \"PPP\"\ninfo = \"alice\"\n\
                    [[\"/ip/pool/used\"]]\npool = \"main\"\naddress = \"10.0.0.8\"\nowner = \"PPP\"\ninfo = \"bob\"\n\
                    [[\"/ip/pool/used\"]]\npool = \"lan\"\naddress = \"10.1.0.7\"\nowner = \"DHCP\"\n";
        let north = router(text);
        site.has("north", &north, by, NAS);
        let ran = site.run(&["router", "pools"]).expect(0, &[]);
        assert!(!ran.err.contains("handed out"), "none of its pools is ours: {ran:?}");
        site.run(&["pool", "import", "--pool", "main", "--apply"]).expect(0, &[]);
        let columns = "status, username, owner, session_key, started_at, expires_at, free_at";
        site.db.row("10.0.0.3", "main", columns, "'in_use', 'eve', 'eve', 'k', {-9}, {+600}, {+600}");
        let ran = site.run(&["router", "pools", "-o", "json"]).expect(
            0,
            &["the router itself has handed out 2 addresses of the pool main (10.0.0.7 first, PPP alice), which radiusd gives out"],
        );
        let pools = ran.json();
        let brief: Vec<_> = pools
            .iter()
            .map(|pool| format!("{} {} {}", pool["pool_name"], pool["used"], pool["in_use_here"]))
            .collect();
        assert_eq!(brief, ["\"main\" 2 1", "\"lan\" 1 null"]);
    });
}
