//! What a user has, had last, and would get next.

use super::{Line, Said, filter, heard, open, session, when};
use crate::companion::exit::Failure;
use crate::companion::next_login::{Login, next_login as chosen};
use crate::lease::number::count;
use crate::lease::{OpenSession, Session, Time};
use crate::store::admin::{Admin, Filter, LeaseRow, Ledger, Show};
use crate::store::{Catalogue, DatabaseUrl, address_text};

/// All that is known of a user.
pub(super) struct Facts {
    pub user: String,
    pub now: Time,
    /// Those that he holds or had last, the latest first.
    pub rows: Vec<LeaseRow>,
    /// Those that are reserved for him.
    pub kept: Vec<LeaseRow>,
    pub open: Vec<OpenSession>,
    /// The address that his next login would get, and why; or why that cannot be said.
    pub next: Result<Option<(String, &'static str)>, String>,
    pub catalogue: Catalogue,
}

/// None: nobody of this name ever had anything.
pub(super) fn read(
    admin: &mut Admin,
    ledger: &mut Ledger,
    url: &DatabaseUrl,
    name: &str,
) -> Result<Option<Facts>, Failure> {
    let mut rows = admin.leases(&filter(Some(name), None))?;
    rows.sort_by_key(|row| core::cmp::Reverse(row.assigned_at()));
    let open = open(admin, Err(name))?;
    let kept = Filter { reserved_for: Some(name.to_owned()), show: Show::All, ..Filter::default() };
    let kept = admin.leases(&kept)?;
    if rows.is_empty() && open.is_empty() && kept.is_empty() {
        return Ok(None);
    }
    let (now, catalogue) = (ledger.now()?, ledger.catalogue()?);
    let next = match rows.first() {
        Some(last) => next(url, &catalogue, last, &rows).map_err(|failure| failure.sentence),
        None => Ok(None),
    };
    Ok(Some(Facts { user: name.to_owned(), now, rows, kept, open, next, catalogue }))
}

/// What a new session from where the last one came from would get.
fn next(
    url: &DatabaseUrl,
    catalogue: &Catalogue,
    last: &LeaseRow,
    rows: &[LeaseRow],
) -> Result<Option<(String, &'static str)>, Failure> {
    let nas = catalogue.nases.iter().find(|nas| Some(&nas.key) == last.nas.as_ref());
    let facts = nas.map(|nas| nas.facts).unwrap_or_default();
    let Some(pool) = catalogue.pool(&last.pool_name, facts.id) else { return Ok(None) };
    let owner = last.owner.clone().or_else(|| last.username.clone()).unwrap_or_default();
    let session = Session {
        nas: last.nas.clone().unwrap_or_default(),
        username: last.username.clone().unwrap_or_default(),
        calling_station_id: last.calling_station_id.clone(),
        station: last.station.clone(),
        // No name of ours can hold this.
        key: "explain".to_owned(),
        owner,
        ..Session::default()
    };
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let login = Login { session: &session, nas: facts, pool, attribute: &last.attribute, ids: &ids };
    let found = chosen(&mut Ledger::open_guarded(url)?, catalogue, &login)?;
    Ok(found.map(|(row, why)| (address_text(&row.address), why)))
}

pub(super) fn explain(facts: &Facts) -> Vec<Line> {
    let mut said = Said::of("user", &facts.user);
    let now = facts.now;
    let held: Vec<_> = facts.rows.iter().filter(|row| row.state().is_held()).collect();
    for row in &held {
        let since = row.assigned_at().map_or_else(String::new, |at| format!(" since {}", when(now, at)));
        let end =
            row.expires_at().map_or_else(String::new, |at| format!("; the lease ends {}", when(now, at)));
        let at = heard(&facts.catalogue, row.nas.as_deref(), now);
        let session = row.session_id.as_deref().map_or(String::new(), |id| format!(", session {id}"));
        said.say(
            "lease",
            format!(
                "{} of {}: {} on {at}{session}{since}{end}",
                row.ip_address,
                row.pool_name,
                row.state().as_str()
            ),
        );
    }
    if held.is_empty() {
        said.say("lease", "holds no address");
    }
    for row in &facts.kept {
        let (address, pool, whom) = (&row.ip_address, &row.pool_name, row.kept_for());
        said.say("reserved", format!("{address} of {pool} is reserved for {whom}"));
    }
    for row in facts.rows.iter().filter(|row| !row.state().is_held()).take(3) {
        let end = row.released_at().map_or_else(String::new, |at| format!(", until {}", when(now, at)));
        let by = row.released_by.as_deref().map_or_else(String::new, |by| format!(", ended by {by}"));
        said.say(
            "former",
            format!("{} of {}{end}{by}; now {}", row.ip_address, row.pool_name, row.state().as_str()),
        );
    }
    for row in facts.rows.iter().filter(|row| row.claim().is_some()) {
        said.say(
            "claimant",
            format!("somebody else was heard using {}: `ippool-rs explain {0}`", row.ip_address),
        );
    }
    for one in &facts.open {
        said.say("radacct", session(one, now));
    }
    if facts.open.len() > held.len() {
        said.say(
            "do",
            format!(
                "radacct has {}, and {} held: `ippool-rs sweep` closes what is stale there",
                count(facts.open.len(), "open session"),
                count(held.len(), "lease")
            ),
        );
    }
    said.say("next", next_login(facts));
    said.lines
}

fn next_login(facts: &Facts) -> String {
    let Some(last) = facts.rows.first() else {
        return "never had an address here: what comes depends on the pool and the NAS of the request"
            .to_owned();
    };
    let device = last
        .station
        .as_deref()
        .map_or("a device that is not known".to_owned(), |mac| format!("device {mac}"));
    let nas = last.nas.as_deref().unwrap_or("no NAS");
    let from = format!("a new login from {device} at NAS {nas}, from the pool {}", last.pool_name);
    match &facts.next {
        Err(sentence) => format!("{from}: what it would get cannot be said: {sentence}"),
        Ok(Some((address, why))) => {
            format!("{from}, would get {address}: {why}; another NAS, device or pool may get another")
        }
        Ok(None) => format!(
            "{from}, would get none that is ready: unless radiusd makes new rows of the pool or grants a doubtful one, it is \
             full; `ippool-rs explain {}`",
            last.pool_name
        ),
    }
}
