//! DHCP: one call in each section of a dhcp site does what the packet's type says (RFC 2131 §4.3), and says which answer
//! goes out. Not here: which address that is (the engine), and how a packet is read and written (`ffi`).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::engine::{Answer, Denial, Grant, How, Reason, Work};
use crate::lease::contract::{State, Verb, YOUR_IP_ADDRESS};
use crate::lease::{Ask, FOREVER, Mode, Session, Takes, Want, address_text, escape, station_of};

use super::accompany::items;
use super::limit::Kind;
use super::outcome::{Change, Code, Message, Note, Outcome};
use super::pools::{pools, unusable, without_pool};
use super::post_auth::{Who, asked_for, doubtful, exhausted, refused, unfit, unknown_pool};
use super::profile::{Matched, Oracle};
use super::settings::{OnUnavailable, Settings};
use super::{Asks, Facts, Reply, identity};

/// What a packet of DHCP says (RFC 2131 §2, RFC 2132). Addresses that are 0.0.0.0 there are none.
#[derive(Clone, Debug, Default)]
pub struct Dhcp {
    /// DHCP-Message-Type (53).
    pub message_type: u8,
    /// chaddr, as long as the packet says.
    pub hardware: Vec<u8>,
    /// DHCP-Client-Identifier (61).
    pub client_id: Vec<u8>,
    /// ciaddr: what the client uses.
    pub uses: Option<Ipv4Addr>,
    /// DHCP-Requested-IP-Address (50).
    pub requested: Option<Ipv4Addr>,
    /// giaddr: the relay.
    pub relay: Option<Ipv4Addr>,
    /// DHCP-DHCP-Server-Identifier (54): the server that the client speaks to.
    pub server: Option<Ipv4Addr>,
    /// What we are called: control:DHCP-DHCP-Server-Identifier, else the reply's, else where the packet came to.
    pub own: Option<Ipv4Addr>,
    /// reply:DHCP-DHCP-Server-Identifier is there.
    pub is_signed: bool,
    /// reply:DHCP-Your-IP-Address.
    pub stated: Option<Ipv4Addr>,
}

/// What goes into the reply. Each replaces what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// DHCP-Your-IP-Address.
    Address(Ipv4Addr),
    /// DHCP-IP-Address-Lease-Time, seconds.
    LeaseTime(u32),
    /// DHCP-DHCP-Server-Identifier.
    Server(Ipv4Addr),
    /// DHCP-Message-Type, by its name in the dictionary.
    Type(&'static str),
}

const OFFER: Told = Told::Type("DHCP-Offer");
const ACK: Told = Told::Type("DHCP-Ack");
const NAK: Told = Told::Type("DHCP-NAK");
const NOTHING: Told = Told::Type("DHCP-Do-Not-Respond");

impl Dhcp {
    /// The client, as `%{%{DHCP-Client-Identifier}:-%{DHCP-Client-Hardware-Address}}` has it; empty: it does not say.
    #[must_use]
    pub fn client(&self) -> Vec<u8> {
        let text = if self.client_id.is_empty() { self.device() } else { hexadecimal(&self.client_id) };
        text.into_bytes()
    }

    /// `aa:bb:cc:dd:ee:ff`; what is no such address, as octets.
    fn device(&self) -> String {
        match self.hardware.as_slice() {
            [] => String::new(),
            mac @ [_, _, _, _, _, _] => {
                mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
            }
            octets => hexadecimal(octets),
        }
    }

    /// Where it came from: the relay, else the server that it came to.
    #[must_use]
    pub fn place(&self) -> Option<IpAddr> {
        self.relay.or(self.own).map(IpAddr::V4)
    }

    /// The session of the client `owner` at `nas`: that of its device, for as long as it says nothing else.
    #[must_use]
    pub fn session(&self, nas: String, owner: String, username: String, own_key: Option<&[u8]>) -> Session {
        let device = self.device();
        let id = if device.is_empty() { owner.clone() } else { device.clone() };
        Session {
            key: match own_key.filter(|key| !key.is_empty()) {
                Some(expanded) => Session::key_from_expansion(&nas, expanded),
                None => Session::key_of(&nas, Some(&id), None, None, &owner),
            },
            station: station_of(Some(device.as_bytes()), &nas, None, None),
            calling_station_id: (!device.is_empty()).then_some(device),
            username: if username.is_empty() { owner.clone() } else { username },
            id: Some(id),
            subscriber_id: None,
            nas,
            owner,
        }
    }

    /// What it wants, and of which address; none: nothing that leases have to do with.
    fn verb(&self) -> Option<(Verb, Option<Ipv4Addr>)> {
        Some(match (self.message_type, self.uses, self.server) {
            (1, ..) => (Verb::Offer, self.requested),
            (3, Some(used), _) => {
                (Verb::Bind(self.relay.map_or(State::Renewing, |_| State::Rebinding)), Some(used))
            }
            (3, None, Some(_)) => (Verb::Bind(State::Selecting), self.requested),
            (3, None, None) => (Verb::Bind(State::Rebooting), self.requested),
            (4, used, _) => (Verb::Decline, self.requested.or(used)),
            (7, used, _) => (Verb::Release, used.or(self.requested)),
            _ => return None,
        })
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}"))
}

/// Does what the packet's type says.
pub(super) fn serve(
    settings: &Settings,
    engine: &dyn Asks,
    facts: &Facts,
    dhcp: &Dhcp,
    oracle: &dyn Oracle,
) -> Outcome {
    if settings.mode == Mode::Off {
        return Outcome::new(Code::Noop, "mode = off: nothing is done");
    }
    if dhcp.message_type == 8 {
        return told(Outcome::new(Code::Ok, "inform: no address is given"), &[ACK]);
    }
    let Some((verb, address)) = dhcp.verb() else {
        return Outcome::new(Code::Noop, "no message of DHCP that leases have to do with");
    };
    if let (Some(theirs), Some(ours)) = (dhcp.server.filter(|_| verb != Verb::Offer), dhcp.own)
        && theirs != ours
    {
        let text = format!("meant for the server {theirs}, and we are {ours}: what we offered lapses");
        return silent(Code::Handled, text);
    }
    let wants = matches!(verb, Verb::Offer | Verb::Bind(_));
    if wants && dhcp.stated.is_some() && !settings.allow_duplicates {
        return Outcome::new(Code::Ok, "the reply has an address already").with(Message::Exists);
    }
    let matched = if wants { pools(settings, facts, oracle, true) } else { Matched::default() };
    let mut outcome = asked(settings, engine, facts, dhcp, (verb, address), &matched);
    outcome.notes.extend(unusable(&matched));
    outcome
}

fn asked(
    settings: &Settings,
    engine: &dyn Asks,
    facts: &Facts,
    dhcp: &Dhcp,
    (verb, address): (Verb, Option<Ipv4Addr>),
    matched: &Matched,
) -> Outcome {
    let session = identity::session(facts);
    let who = Who::of(&session, facts);
    let profile = matched.profile.map(|index| &settings.profiles[index]);
    let pools = matched.picks.clone();
    // What a client that speaks to us directly holds, needs no pool to be named.
    let needs_pool =
        matches!(verb, Verb::Offer | Verb::Bind(State::Selecting | State::Rebooting | State::Rebinding));
    let mode = if settings.mode != Mode::Managed || engine.withholds() {
        settings.mode.max(engine.mode(&session.nas, &pools))
    } else {
        Mode::Managed
    };
    if mode != Mode::Managed {
        return Outcome::new(Code::Noop, "the mode says that nothing is given out: nothing is done");
    }
    if needs_pool && pools.is_empty() {
        return match profile {
            Some(profile) => told(
                refused(settings.on_exhausted, without_pool(&profile.name, &who.user, &who.nas)),
                &[NOTHING],
            ),
            None => Outcome::new(Code::Noop, "no pool is asked for: nothing to do").with(Message::NoPool),
        };
    }
    if session.owner.is_empty() {
        return told(without_client(settings, &who), &[NOTHING]);
    }
    let hint = address.map(|address| IpNet::from(IpAddr::V4(address))).filter(asked_for);
    if verb != Verb::Offer && hint.is_none() {
        let text = format!("{verb:?} of client {} names no address: no answer", who.user);
        return silent(Code::Handled, text);
    }
    let want =
        Want { attribute: YOUR_IP_ADDRESS.to_owned(), pools, hint, takes: Takes::Ipv4, ..Want::default() };
    let ask = Ask {
        wants: vec![want],
        lease_seconds: settings.rules.lease,
        least_seconds: 0,
        rules: settings.rules.clone(),
        dhcp: Some(verb),
        session,
    };
    let named = hint.as_ref().map(address_text).unwrap_or_default();
    match engine.ask(Work::Grant(ask), settings.timeout) {
        Answer::Granted(grants) => granted(settings, &who, dhcp, verb, grants, matched),
        Answer::Ended if verb == Verb::Decline => declined(settings, &who, &named),
        Answer::Ended => {
            let text = format!("released {named} of client {}", who.user);
            silent(Code::Updated, text).with(Message::Clear)
        }
        Answer::Denied(denial) => denied(&who, &denial),
        Answer::Unheard if wants_answer(verb) => silent(
            Code::Handled,
            format!(
                "nothing is known of client {} and {named}: another server may know it, no answer",
                who.user
            ),
        ),
        Answer::Unheard => {
            silent(Code::Noop, format!("client {} does not hold {named}: nothing to do", who.user))
        }
        Answer::Exhausted { pool, behind } => {
            told(refused(settings.on_exhausted, exhausted(&who, &pool, &behind)), &[NOTHING])
        }
        Answer::UnknownPool { pool } => {
            told(refused(settings.on_unknown_pool, unknown_pool(&who, &pool)), &[NOTHING])
        }
        Answer::Unfit { pool, gives, attribute, takes } => {
            told(refused(settings.on_unknown_pool, unfit(&who, &pool, gives, &attribute, takes)), &[NOTHING])
        }
        Answer::Unavailable { why } => unavailable(settings, &who, &why),
        other => unavailable(settings, &who, &format!("the engine answered {other:?} to DHCP")),
    }
}

const fn wants_answer(verb: Verb) -> bool {
    matches!(verb, Verb::Offer | Verb::Bind(_))
}

fn told(mut outcome: Outcome, what: &[Told]) -> Outcome {
    outcome.changes.extend(what.iter().copied().map(Change::Dhcp));
    outcome
}

fn silent(code: Code, text: String) -> Outcome {
    told(Outcome::new(code, text), &[NOTHING])
}

fn granted(
    settings: &Settings,
    who: &Who,
    dhcp: &Dhcp,
    verb: Verb,
    grants: Vec<Grant>,
    matched: &Matched,
) -> Outcome {
    let Some((IpAddr::V4(address), grant)) =
        grants.into_iter().next().map(|grant| (grant.address.addr(), grant))
    else {
        return unavailable(settings, who, "the engine granted nothing");
    };
    let (answer, did) = if verb == Verb::Offer { (OFFER, "offered") } else { (ACK, "leased") };
    let seconds = if grant.lease_seconds >= FOREVER / 2 {
        // RFC 2132 §9.2, RFC 2131 §3.3: without an end.
        u32::MAX
    } else {
        u32::try_from(grant.lease_seconds).unwrap_or(0)
    };
    let text = format!("{did} {address} of pool {} for {seconds} s ({:?})", grant.pool, grant.how);
    let mut outcome = told(
        Outcome::new(Code::Updated, text).with(Message::Success),
        &[Told::Address(address), Told::LeaseTime(seconds), answer],
    );
    if let Some(own) = dhcp.own.filter(|_| !dhcp.is_signed) {
        outcome.changes.push(Change::Dhcp(Told::Server(own)));
    }
    if grant.how == How::Doubtful {
        outcome.notes.push(doubtful(who, &grant));
    }
    // Profiles choose for the first attribute of an instance, and for DHCP.
    let grant = Grant { attribute: settings.attribute_name.as_str().into(), ..grant };
    let said =
        items(settings, &Reply::default(), &grant, matched, true).into_iter().map(|change| match change {
            // There is no such thing in DHCP.
            Change::Message { text, is_success, .. } => Change::Message { text, in_reply: false, is_success },
            other => other,
        });
    outcome.changes.extend(said);
    outcome
}

/// The client shall give up the address, and ask anew.
fn denied(who: &Who, denial: &Denial) -> Outcome {
    let address = address_text(&denial.address);
    let why = match &denial.why {
        Reason::HeldBy(owner) if owner.is_empty() => "somebody else holds it".to_owned(),
        Reason::HeldBy(owner) => format!("{owner} holds it"),
        Reason::Kept => "it is not free".to_owned(),
        Reason::Elsewhere => "it is of none of the pools that serve this network".to_owned(),
        Reason::NotOurs => "it is of no pool of ours".to_owned(),
        Reason::HasAnother(other) => format!("the client has {}", address_text(other)),
    };
    let text = format!("client {} at {} wants to use {address}, and {why}: NAK", who.user, who.nas);
    let mut outcome = told(Outcome::new(Code::Reject, text.clone()).with(Message::Failed), &[NAK]);
    if let Reason::HeldBy(_) | Reason::Kept = denial.why {
        let text = format!("{text}; it will ask anew. `ippool-rs explain {address}` says whose it is");
        outcome.notes.push(Note::warning(Kind::Conflict, &address, text));
    }
    outcome
}

fn declined(settings: &Settings, who: &Who, address: &str) -> Outcome {
    let text = format!(
        "client {} at {} declined {address}: something else answers for it there. Nobody gets it for {} s (decline_duration). Find the device \
         that uses it (its ARP entry on the relay) and give it another address, or exclude the address; `ippool-rs lease clear {address}` \
         gives it back at once",
        who.user, who.nas, settings.rules.declined
    );
    let mut outcome = silent(Code::Updated, format!("declined {address}")).with(Message::Clear);
    outcome.notes.push(Note::warning(Kind::Conflict, address, text));
    outcome
}

fn without_client(settings: &Settings, who: &Who) -> Outcome {
    let text = format!(
        "a client of DHCP at {} says neither who it is (option 61) nor its hardware address, or `owner` ({}) expands to nothing for it: no \
         address",
        who.nas, settings.owner
    );
    Outcome::failed(Code::Invalid, Note::failure(Kind::Invalid, &who.nas, text))
}

/// Never a NAK: the client would give up an address that is its own.
fn unavailable(settings: &Settings, who: &Who, why: &str) -> Outcome {
    let text = format!(
        "no answer for client {} at {}: {why}. `ippool-rs schema status` tries the database",
        who.user, who.nas
    );
    let note = Note::failure(Kind::Unavailable, "", text);
    let code = match settings.on_unavailable {
        OnUnavailable::Drop => Code::Handled,
        OnUnavailable::Fail | OnUnavailable::LastKnown => Code::Fail,
        OnUnavailable::Noop => Code::Noop,
    };
    told(Outcome::failed(code, note), &[NOTHING])
}

/// NAS and client, where a packet is one of DHCP.
pub(super) fn session(facts: &Facts, dhcp: &Dhcp) -> Session {
    let here = Facts { source: dhcp.place().or(facts.source), nas: facts.nas.clone(), ..Facts::default() };
    let stored = |name: &Option<Vec<u8>>| name.as_deref().filter(|name| !name.is_empty()).map(escape);
    let username = facts.user_name.as_deref().map(escape).unwrap_or_default();
    let mut session =
        dhcp.session(identity::nas_key(&here), escape(&facts.owner), username, facts.session_key.as_deref());
    session.subscriber_id = stored(&facts.subscriber_id);
    session
}
