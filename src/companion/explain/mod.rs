//! `explain`: why an address, a user or a pool is served as it is. What is read is put together here; what is said of it is
//! worked out in `address`, `user` and `pool`, which are pure.

mod address;
mod pool;
mod user;

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::json;

use super::Desk;
use super::args::Explain;
use super::config::keys::nearest;
use super::exit::{Exit, Failure};
use super::output::{Records, distance, shown};
pub(super) use pool::IDLE;

use super::pool::stored;
use crate::lease::{NasFacts, OpenSession, Time, silence};
use crate::store::admin::{Admin, Filter, Ledger, Show};
use crate::store::{Catalogue, parse_address};

/// One thing that is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    about: &'static str,
    subject: String,
    fact: &'static str,
    says: String,
}

/// What is said of one thing.
struct Said {
    about: &'static str,
    subject: String,
    lines: Vec<Line>,
}

impl Said {
    fn of(about: &'static str, subject: &str) -> Self {
        Self { about, subject: subject.to_owned(), lines: Vec::new() }
    }

    fn say(&mut self, fact: &'static str, says: impl Into<String>) {
        let (about, subject, says) = (self.about, self.subject.clone(), says.into());
        self.lines.push(Line { about, subject, fact, says });
    }
}

pub(super) fn run(desk: &Desk, asked: &Explain) -> Result<Exit, Failure> {
    let url = desk.url()?;
    let (mut admin, mut ledger) = (desk.open()?, Ledger::open(&url)?);
    let name = stored(&asked.thing);
    let mut lines = Vec::new();
    if let Some(address) = asked.thing.to_str().and_then(|text| parse_address(text.trim())) {
        let address = admin.meant(&address)?;
        lines.extend(address::explain(&address::read(&mut admin, &mut ledger, address)?));
    } else {
        for facts in pool::read(desk, &mut admin, &mut ledger, &name, asked.ask_routers)? {
            lines.extend(pool::explain(&facts));
        }
        if let Some(facts) = user::read(&mut admin, &mut ledger, &url, &name)? {
            lines.extend(user::explain(&facts));
        }
    }
    if lines.is_empty() {
        return Err(unknown(&mut admin, &mut ledger, &name)?);
    }
    let mut records =
        Records::new([shown("about", 1), shown("subject", 1), shown("fact", 0), shown("says", 0)]);
    for line in lines {
        records.push(vec![json!(line.about), json!(line.subject), json!(line.fact), json!(line.says)]);
    }
    desk.screen.data(&records)?;
    Ok(Exit::Done)
}

/// Nobody knows it: what is near.
fn unknown(admin: &mut Admin, ledger: &mut Ledger, name: &str) -> Result<Failure, Failure> {
    let pools = admin.pools(None, None)?;
    let users = ledger.users_like(name)?;
    let near =
        nearest(name, pools.iter().map(|pool| pool.name.as_str()).chain(users.iter().map(String::as_str)));
    let hint = near.map_or_else(
        || "`ippool-rs pool list` shows the pools, `ippool-rs lease list` who holds an address".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    Ok(Failure::new(Exit::Failed, format!("{name} is no pool, and no user who ever had an address; {hint}")))
}

/// `in 47m (2026-11-22T18:00:00Z)`
fn when(now: Time, at: Time) -> String {
    format!("{} ({at})", distance(now, at))
}

/// The NAS, and whether it is heard.
fn heard(catalogue: &Catalogue, key: Option<&str>, now: Time) -> String {
    let Some(key) = key else { return "no NAS".to_owned() };
    let facts = catalogue.nases.iter().find(|nas| nas.key == key).map(|nas| nas.facts);
    match facts {
        Some(facts) if facts.last_heard_at <= Time::EPOCH => {
            format!("NAS {key}, which radiusd has not heard yet")
        }
        Some(facts) if is_silent(&facts, now) => {
            let last = (facts.last_heard_at > Time::EPOCH).then(|| when(now, facts.last_heard_at));
            format!(
                "NAS {key}, which was {}",
                last.map_or_else(|| "not heard yet".to_owned(), |last| format!("last heard {last}"))
            )
        }
        _ => format!("NAS {key}"),
    }
}

/// Not heard for as long as sessions of the usual length need to show that they live.
fn is_silent(facts: &NasFacts, now: Time) -> bool {
    facts.last_heard_at + silence::break_of(3600) < now
}

/// Open sessions of FreeRADIUS' table, where there is one.
fn open(admin: &mut Admin, of: Result<IpAddr, &str>) -> Result<Vec<OpenSession>, Failure> {
    let Ok(table) = admin.radacct()? else { return Ok(Vec::new()) };
    Ok(admin.open_sessions(&table, of, 20)?)
}

/// An open session, as a sentence.
fn session(open: &OpenSession, now: Time) -> String {
    let last = open.last.map_or_else(String::new, |last| format!(", last heard {}", when(now, last)));
    let address = open.address.map_or_else(String::new, |address| format!(" on {address}"));
    format!("{}{address} at {}, session {}, is open{last}", open.username, open.nas, open.session_id)
}

/// All rows of a user, or of an address.
fn filter(user: Option<&str>, address: Option<IpNet>) -> Filter {
    Filter { user: user.map(str::to_owned), address, show: Show::All, ..Filter::default() }
}
