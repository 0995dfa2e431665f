//! Who else has an address, by what tables of the site say: a static address in `radreply`, one mirrored from another
//! database, an open session in `radacct`. Facts, and whether they count for somebody who is about to get the address.
//!
//! Not here: how the tables are found and read (the store), what is done about it ([`crate::choose`], the engine).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{
    Change, EventKind, Hold, Lease, NasFacts, Rules, Time, escape, escape_as_rlm_sql, silence, unescape,
};

/// Where the module looks for one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceName {
    /// In the table of FreeRADIUS' own name, if this database has it.
    #[default]
    Auto,
    /// In this table or view.
    Named(String),
    /// Nowhere.
    Off,
}

impl SourceName {
    /// As it is written: `auto`, a table, or nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "auto" => Self::Auto,
            "" => Self::Off,
            table => Self::Named(table.to_owned()),
        }
    }
}

/// `static_sources { }` of the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceNames {
    /// Static addresses.
    pub radreply: SourceName,
    /// Open sessions.
    pub radacct: SourceName,
}

/// By what an address is somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A static address; where it stands (`radreply`, or the name of the database that it is mirrored from).
    Static(String),
    /// A session that was not closed.
    Session {
        /// `radacctid`.
        id: i64,
        /// `nasipaddress`.
        nas: String,
        /// `acctstarttime`.
        started: Option<Time>,
        /// `acctupdatetime`.
        updated: Option<Time>,
    },
}

/// Somebody who has an address or prefix by a table that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// What he has.
    pub address: IpNet,
    /// In which address space; none: in each.
    pub space: Option<String>,
    /// Who, as the table has it.
    pub username: String,
    /// By what.
    pub by: By,
}

impl Occupant {
    /// It is of this address space.
    #[must_use]
    pub fn is_in(&self, space: &str) -> bool {
        self.space.as_deref().is_none_or(|its| its == space)
    }

    /// The session's `radacctid` and last sign of life, seconds since 1970: what a judgement on it is bound to.
    #[must_use]
    pub fn session(&self) -> Option<(i64, i64)> {
        match self.by {
            By::Static(_) => None,
            By::Session { id, started, updated, .. } => {
                Some((id, updated.or(started).map_or(0, |last| last.seconds_since(Time::EPOCH))))
            }
        }
    }

    /// `nasipaddress` of a session.
    #[must_use]
    pub fn nas(&self) -> Option<&str> {
        match &self.by {
            By::Static(_) => None,
            By::Session { nas, .. } => Some(nas),
        }
    }

    /// It keeps others from the address still: a static address always, a session until a lease would have ended.
    #[must_use]
    pub fn counts(&self, nas: &NasFacts, hold: Hold, now: Time, rules: &Rules) -> bool {
        match self.by {
            By::Static(_) => true,
            By::Session { started, updated, .. } => {
                let started = started.or(updated).unwrap_or(Time::EPOCH);
                silence::session_ends_at(started, updated, nas, hold, now, rules) > now
            }
        }
    }

    /// In words, for a log or an administrator.
    #[must_use]
    pub fn because(&self) -> String {
        match &self.by {
            By::Static(table) => format!("{table} gives it to {}", self.username),
            By::Session { id, nas, .. } => {
                format!("radacct has an open session of {} at {nas} (radacctid {id})", self.username)
            }
        }
    }
}

/// How one and the same subscriber may be written in tables that are not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Those of a lease: user name and owner, each as we store it, as rlm_sql does, and raw. A raw name with control
    /// characters is left out.
    #[must_use]
    pub fn of(lease: &Lease) -> Self {
        Self::spelled([lease.username.as_str(), lease.owner.as_str()])
    }

    /// The spellings of stored names.
    #[must_use]
    pub fn spelled<'n>(stored: impl IntoIterator<Item = &'n str>) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(1);
        let mut add = |name: String| {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        };
        for stored in stored {
            let plain = stored
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.' | b'-' | b'_'));
            add(stored.to_owned());
            if !plain {
                let bytes = unescape(stored);
                add(escape(&bytes));
                add(escape_as_rlm_sql(&bytes));
                String::from_utf8(bytes)
                    .ok()
                    .filter(|raw| !raw.chars().any(char::is_control))
                    .into_iter()
                    .for_each(&mut add);
            }
        }
        Self(names)
    }

    /// The table's name is one of them.
    #[must_use]
    pub fn has(&self, username: &str) -> bool {
        self.0.iter().any(|name| name == username)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

/// The lease that the change gives to a session that had no right to this address before: only then does it matter what
/// other tables say. Renewals, take-overs, adoptions and static addresses of the reply are none.
#[must_use]
pub fn grants(change: &Change) -> Option<&Lease> {
    let lease = change.after.lease.as_deref()?;
    let chosen = change.after.source.as_deref() == Some("module");
    let kind = change
        .events
        .iter()
        .map(|event| event.kind)
        .rfind(|kind| matches!(kind, EventKind::Grant | EventKind::TakeOver))?;
    let given = match kind {
        EventKind::Grant => true,
        // A former address whose lease has lapsed; the session's own is another matter.
        _ => {
            change.before.expires_at.is_none_or(|end| end <= lease.assigned_at)
                && change.before.lease.as_ref().is_none_or(|old| old.key != lease.key)
        }
    };
    (chosen && given).then_some(lease)
}

/// The address or prefix that the value of a reply attribute means, however it is spelled: ` 10.0.0.05`, `10.0.0.5/32`,
/// `"10.0.0.5"`. None: it is no address of somebody's (255.255.255.254 lets us choose).
#[must_use]
pub fn static_address(value: &str) -> Option<IpNet> {
    let value = value.trim().trim_matches(['"', '\'']).trim();
    let (host, length) = match value.split_once('/') {
        Some((host, length)) => (host.trim_end(), Some(length.trim_start())),
        None => (value, None),
    };
    if host.contains(':') {
        let address: IpAddr = host.parse().ok()?;
        let length = length.map_or(Ok(128), str::parse::<u8>).ok()?;
        return IpNet::new(address, length).ok().map(|net| net.trunc());
    }
    // A mask behind an IPv4 address tells of its network; it is the address that is handed out.
    let mut octets = [0_u8; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let part = parts.next()?.trim();
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        *octet = part.parse().ok().filter(|_| digits)?;
    }
    let address = Ipv4Addr::from(octets);
    let none =
        parts.next().is_some() || address.is_unspecified() || octets[..3] == [255; 3] && octets[3] >= 254;
    (!none).then(|| IpNet::from(IpAddr::V4(address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Row, Status};

    fn session(started: i64, updated: Option<i64>) -> Occupant {
        let at = |seconds: i64| Time::EPOCH + seconds;
        let by = By::Session {
            id: 7,
            nas: "192.0.2.1".into(),
            started: Some(at(started)),
            updated: updated.map(at),
        };
        Occupant { address: "10.0.0.5/32".parse().unwrap(), space: None, username: "bob".into(), by }
    }

    #[test]
    fn every_spelling_of_an_address_is_read() {
        let read = |text: &str| static_address(text).map(|net| net.to_string());
        for text in [
            "10.0.0.5",
            " 10.0.0.5",
            "10.0.0.05",
            "10.0.0.5/32",
            "10.0.0.5 ",
            "\"10.0.0.5\"",
            "010.000.000.005",
        ] {
            assert_eq!(read(text).as_deref(), Some("10.0.0.5/32"), "{text}");
        }
        assert_eq!(read("2001:DB8:0:1:0::/64").as_deref(), Some("2001:db8:0:1::/64"));
        assert_eq!(read("2001:db8::1").as_deref(), Some("2001:db8::1/128"));
        for text in [
            "",
            "main",
            "255.255.255.254",
            "255.255.255.255",
            "0.0.0.0",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.5.6",
            "10.0.0.+5",
            "2001:db8::/129",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_subscriber_is_known_by_all_spellings_of_his_name() {
        assert_eq!(Names::spelled(["alice@isp.example", "alice@isp.example"]).all(), ["alice@isp.example"]);
        let names = Names::spelled([escape(b"o'neil=1").as_str()]);
        assert!(["o'neil=3D1", "o=27neil=3D1", "o'neil=1"].iter().all(|name| names.has(name)), "{names:?}");
        assert!(!names.has("O'neil=1"));
        assert!(!Names::spelled([escape(b"bob\n").as_str()]).has("bob\n"));
    }

    #[test]
    fn an_open_session_counts_as_long_as_a_lease_would() {
        let rules = Rules::default();
        let now = Time::EPOCH + 1_000_000;
        let heard = NasFacts {
            id: 1,
            heard_since: Time::EPOCH + 1,
            last_heard_at: now,
            accounting_at: Some(now),
            ..NasFacts::default()
        };
        let silent = NasFacts::default();
        let counts = |ago: i64, interim: bool, nas: &NasFacts, hold: Hold| {
            let last = 1_000_000 - ago;
            let (started, updated) = if interim { (last - 7200, Some(last)) } else { (last, None) };
            session(started, updated).counts(nas, hold, now, &rules)
        };
        let none = Hold::default();
        // With Interims: the lease and its grace.
        assert!(counts(3600, true, &heard, none));
        assert!(!counts(3661, true, &heard, none));
        // Without: as long as silence proves nothing.
        assert!(counts(86_399, false, &heard, none));
        assert!(!counts(86_401, false, &heard, none));
        // A NAS that was not heard for so long itself proves nothing…
        let back = NasFacts { heard_since: now - 600, ..heard };
        assert!(counts(3661, true, &back, none));
        // … unless it is gone for good, or was never heard.
        assert!(!counts(3661, true, &silent, none));
        let hold = Hold { from: now - 4000, until: now + 1000 };
        assert!(counts(3661, true, &heard, hold));
    }

    #[test]
    fn only_what_gives_an_address_anew_is_checked() {
        let lease = |key: &str| {
            Some(std::sync::Arc::new(Lease {
                key: key.into(),
                assigned_at: Time::EPOCH + 100,
                ..Lease::default()
            }))
        };
        let event = |kind| super::super::Event {
            kind,
            at: Time::EPOCH,
            owner: String::new(),
            username: String::new(),
            nas: None,
            session_id: None,
            calling_station_id: None,
            detail: String::new(),
        };
        let row = Row { status: Status::InUse, epoch: 1, ..Row::empty(1, 1, "10.0.0.5/32".parse().unwrap()) };
        let change = |kind, source: &'static str, old: &str, end: i64| Change {
            before: Row { lease: lease(old), expires_at: Some(Time::EPOCH + end), ..row.clone() },
            after: Row { lease: lease("new"), source: Some(source.into()), ..row.clone() },
            events: vec![event(EventKind::End), event(kind)],
        };
        assert!(grants(&change(EventKind::Grant, "module", "old", 50)).is_some());
        assert!(grants(&change(EventKind::Grant, "static", "old", 50)).is_none());
        assert!(grants(&change(EventKind::TakeOver, "module", "old", 50)).is_some());
        assert!(grants(&change(EventKind::TakeOver, "module", "old", 150)).is_none());
        assert!(grants(&change(EventKind::TakeOver, "module", "new", 50)).is_none());
        assert!(grants(&change(EventKind::Start, "module", "old", 50)).is_none());
    }
}
