//! `router sessions`: who is on line, from the routers themselves.

use std::ffi::OsStr;

use serde_json::json;

use super::super::Desk;
use super::super::exit::{Exit, Failure};
use super::super::output::{Records, shown};
use super::super::pool::stored as typed;
use super::{ask_all, chosen, name, outcome, stored};
use crate::lease::number;
use crate::routeros_api::{Check, Router, Session};

pub(super) fn run(desk: &Desk, names: &[String], user: Option<&OsStr>) -> Result<Exit, Failure> {
    let routers = chosen(desk, names)?;
    let user = user.map(typed);
    let answers = ask_all(desk, &routers, |_, target| {
        let mut router = Router::open(target)?;
        let sessions = router.list::<Session>(None, Check::End)?.into_inner();
        router.close();
        Ok(sessions)
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
    let (mut errors, mut count, mut locals) = (Vec::new(), 0, 0);
    for (router, answer) in routers.iter().zip(answers) {
        let mut sessions = match answer {
            Ok(sessions) => sessions,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        sessions.retain(|session| user.as_ref().is_none_or(|user| stored(&session.name) == *user));
        sessions.sort_by_key(|session| session.address);
        count += sessions.len();
        locals += sessions.iter().filter(|session| session.radius == Some(false)).count();
        for session in sessions {
            let uptime = session.uptime.map(crate::routeros_api::value::write_duration);
            records.push(vec![
                json!(router.name),
                json!(stored(&session.name)),
                json!(session.address.filter(|a| !a.is_unspecified()).map(|address| address.to_string())),
                name(session.service.as_ref()),
                name(session.caller_id.as_ref()),
                json!(session.acct_session_id()),
                json!(uptime),
                json!(session.radius.map(|radius| if radius { "yes" } else { "no" })),
            ]);
        }
    }
    desk.screen.data(&records)?;
    let local = if locals > 0 {
        format!(", {locals} of them of local users that RADIUS was not asked for")
    } else {
        String::new()
    };
    desk.screen.note(&format!("{}{local}", number::count(count, "session")));
    Ok(outcome(desk, routers.len(), &errors))
}
