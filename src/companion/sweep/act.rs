//! One NAS: its silent sessions are read, judged, and closed. The lease ends first, and only if its row is as it was read; then
//! the session is closed, if it gave no sign of life since. What is interrupted in between is done by the next pass.

use std::collections::HashSet;
use std::time::Duration;

use super::report::{Report, State};
use super::{Ground, Options};
use crate::companion::Desk;
use crate::companion::exit;
use crate::companion::reconcile::{Mode, rules_of, take_with, token};
use crate::judge::{Complete, Listing, Scene, Sentence, Source, sentence, spare};
use crate::lease::{NasFacts, OpenNas, OpenSession, Row, Time, life};
use crate::routeros_api::{Error, Failure, PppAaa, Router, Span};
use crate::store::admin::{Ledger, Radacct};

/// Sessions of one NAS in one pass.
const MOST: u32 = 20_000;

pub(super) fn nas(
    desk: &Desk,
    ledger: &mut Ledger,
    table: &Radacct,
    open: &OpenNas,
    ground: &Ground<'_>,
    options: &Options,
    report: &mut Report,
) -> Result<(), exit::Failure> {
    let now = ledger.now()?;
    let silent = ledger.silent_sessions(table, &open.nas, now - options.older_than, MOST)?;
    let mode = ground.router.map(|router| router.mode);
    if silent.is_empty() || mode == Some(Mode::Off) {
        return Ok(());
    }
    if silent.len() >= MOST as usize {
        report.unfinished(desk, &open.nas, MOST);
    }
    let said = match ground.router {
        None => None,
        Some(router) => {
            let begun = ledger.now()?;
            let said = take_with(&router.target, router.sources, begun, is_mute);
            if let Err(error) = &said {
                desk.screen.warning(&format!("{error}; nothing is concluded from it"));
                report.unreachable();
            }
            Some(said.ok())
        }
    };
    // What came in while the router was asked counts.
    let now = ledger.now()?;
    let silent = ledger.silent_sessions(table, &open.nas, now - options.older_than, MOST)?;
    let mute = said.iter().flatten().any(|(_, mute)| *mute);
    let list = said.as_ref().map(|said| said.as_ref().map(|(list, _)| list));
    let sentences = judge(ledger, open, ground, options, (list, mute), &silent, now)?;
    let wanted = options.apply && mode != Some(Mode::Observe);
    let overtaken = if wanted { close(ledger, &silent, &sentences, now)? } else { HashSet::new() };
    for (session, sentence) in silent.iter().zip(&sentences) {
        let state = match sentence {
            Sentence::Stay(_) => State::Kept,
            Sentence::Close { .. } if !wanted => State::Planned,
            Sentence::Close { .. } if overtaken.contains(&session.id) => State::Overtaken,
            Sentence::Close { .. } => State::Done,
        };
        report.add(session, sentence, state);
    }
    if options.apply && mode == Some(Mode::Observe) {
        desk.screen.note(&format!("{}: mode is observe, so nothing was changed", open.nas));
    }
    Ok(())
}

/// The router says that it sends no Interims by itself. That RADIUS asks it for them does not make them sure.
fn is_mute(router: &mut Router) -> Result<bool, Error> {
    let aaa = match router.one::<PppAaa>() {
        Err(error) if matches!(error.failure, Failure::Absent { .. }) => return Ok(false),
        other => other?,
    };
    Ok(aaa.accounting == Some(false) || aaa.interim_update == Some(Span::Of(Duration::ZERO)))
}

/// A sentence for each session.
fn judge(
    ledger: &mut Ledger,
    open: &OpenNas,
    ground: &Ground<'_>,
    options: &Options,
    (said, mute): (Option<Option<&Complete<Listing>>>, bool),
    silent: &[OpenSession],
    now: Time,
) -> Result<Vec<Sentence>, exit::Failure> {
    let catalogue = ground.catalogue;
    let mine = catalogue.nases.iter().filter(|nas| ground.keys.contains(&nas.key.as_str()));
    let nases: Vec<NasFacts> = mine.map(|nas| nas.facts).collect();
    let ids: Vec<i64> = nases.iter().map(|nas| nas.id).collect();
    let rows = ledger.rows(&ids, "", &[])?;
    let ended = |id: i64| {
        catalogue.nases.iter().find(|nas| nas.facts.id == id).and_then(|nas| nas.facts.ended_before)
    };
    let settled: Vec<(&Row, Row)> = rows.iter().map(|row| (row, life::settle(row, now, &ended))).collect();
    let scene = Scene {
        now,
        older_than: options.older_than,
        force: options.force,
        open,
        nases: &nases,
        router: match said {
            None => Source::Nobody,
            Some(None) => Source::Silent,
            Some(Some(list)) => Source::List(list),
        },
        mute,
        hold: catalogue.hold,
        rows: &settled,
    };
    let rules = rules_of(&rows);
    let mut sentences: Vec<_> = silent.iter().map(|one| sentence(one, &scene, &rules, token())).collect();
    spare(&mut sentences, &scene);
    Ok(sentences)
}

/// Closes what is to be closed; returns the ids of the sessions that somebody was faster with.
fn close(
    ledger: &mut Ledger,
    silent: &[OpenSession],
    sentences: &[Sentence],
    now: Time,
) -> Result<HashSet<i64>, exit::Failure> {
    let (mut closing, mut ending, mut whose) = (Vec::new(), Vec::new(), Vec::new());
    for (session, sentence) in silent.iter().zip(sentences) {
        if let Sentence::Close { last, leases, .. } = sentence {
            closing.push((session.id, *last));
            ending.extend(leases);
            whose.extend(leases.iter().map(|_| session.id));
        }
    }
    let ended = ledger.write(&ending, now, &mut |_| {})?;
    let alive = whose.iter().zip(&ended).filter(|(_, ended)| !**ended).map(|(id, _)| *id);
    let mut overtaken: HashSet<i64> = alive.collect();
    // Whose lease was confirmed at this moment lives.
    closing.retain(|(id, _)| !overtaken.contains(id));
    let closed = ledger.close_sessions(&closing)?;
    overtaken.extend(closing.iter().zip(&closed).filter(|(_, closed)| !**closed).map(|((id, _), _)| *id));
    Ok(overtaken)
}
