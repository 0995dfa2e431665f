//! `router sessions`: who is on line, from the routers themselves.

use std::ffi::OsStr;

use serde_json::json;

use super::super::Desk;
use super::super::exit::{Exit, Failure};
use super::super::output::{Records, shown};
use super::super::pool::stored as typed;
use super::{ask_all, chosen, name, optional, outcome, stored};
use crate::lease::number;
use crate::routeros_api::{Check, PrefixBinding, Router, Session};

pub(super) fn run(desk: &Desk, names: &[String], user: Option<&OsStr>) -> Result<Exit, Failure> {
    let routers = chosen(desk, names)?;
    let user = user.map(typed);
    let answers = ask_all(desk, &routers, |_, target| {
        let mut router = Router::open(target)?;
        let sessions = router.list::<Session>(None, Check::End)?.into_inner();
        let bindings = optional::<PrefixBinding>(&mut router)?;
        router.close();
        Ok((sessions, bindings))
    });
    let mut records = Records::new([
        shown("router", 1),
        shown("username", 0),
        shown("ip_address", 0),
        shown("service", 3),
        shown("calling_station_id", 2),
        shown("session_id", 4),
        shown("uptime", 1),
        shown("radius", 2),
    ]);
    let (mut errors, mut count, mut locals, mut prefixes) = (Vec::new(), 0, 0, 0);
    for (router, answer) in routers.iter().zip(answers) {
        let (mut sessions, mut bindings) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        sessions.retain(|session| user.as_ref().is_none_or(|user| stored(&session.name) == *user));
        sessions.sort_by_key(|session| session.address);
        bindings.retain(|binding| {
            binding.is_bound()
                && user.as_ref().is_none_or(|user| Some(user) == client(binding, &sessions).as_ref())
        });
        bindings.sort_by_key(|binding| binding.address);
        prefixes += bindings.len();
        count += sessions.len();
        locals += sessions.iter().filter(|session| session.radius == Some(false)).count();
        for session in &sessions {
            let uptime = session.uptime.map(crate::routeros_api::value::write_duration);
            records.push(vec![
                json!(router.name),
                json!(stored(&session.name)),
                json!(session.address.filter(|a| !a.is_unspecified()).map(|address| address.to_string())),
                name(session.service.as_ref()),
                name(session.caller_id.as_ref()),
                json!(session.acct_session_id()),
                json!(uptime),
                json!(session.radius.map(yes_or_no)),
            ]);
        }
        for binding in &bindings {
            records.push(vec![
                json!(router.name),
                json!(client(binding, &sessions)),
                json!(binding.address.map(|prefix| prefix.to_string())),
                json!("dhcpv6"),
                name(binding.duid.as_ref()),
                json!(null),
                json!(null),
                json!(binding.radius.map(yes_or_no)),
            ]);
        }
    }
    desk.screen.data(&records)?;
    let local = if locals > 0 {
        format!(", {locals} of them of local users that RADIUS was not asked for")
    } else {
        String::new()
    };
    let bound = match prefixes {
        0 => String::new(),
        1 => "; 1 prefix bound by DHCPv6".to_owned(),
        _ => format!("; {prefixes} prefixes bound by DHCPv6"),
    };
    desk.screen.note(&format!("{}{local}{bound}", number::count(count, "session")));
    Ok(outcome(desk, routers.len(), &errors))
}

const fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Whose a bound prefix is: the user of the session of PPP that it is of, if that is listed, else the client by its DUID.
fn client(binding: &PrefixBinding, sessions: &[Session]) -> Option<String> {
    let is_of = |session: &&Session| {
        let service = session.service.as_ref().map_or(&[][..], |text| text.bytes());
        binding.of_ppp() == Some(&[service, b"-", session.name.bytes()].concat())
    };
    sessions
        .iter()
        .find(is_of)
        .map(|session| stored(&session.name))
        .or_else(|| binding.duid.as_ref().map(stored))
}
