//! What holds of every row, whoever wrote it.

use rlm_ippool_rs::lease::{Row, Status};

use super::db::Commit;

/// A row in one line.
pub fn line(row: &Row) -> String {
    let lease = row.lease.as_ref();
    let prev =
        row.prev.as_ref().map(|prev| format!(" prev {}", prev.lease.session_id.as_deref().unwrap_or("-")));
    let claim = row.claim.as_ref().map(|claim| format!(" claim {} {}", claim.owner, claim.seen_at));
    format!(
        "{} {:?} e{} {} id {} from {} start {} end {} free {} {}{}{}",
        row.address,
        row.status,
        row.epoch,
        lease.map_or("-", |lease| lease.owner.as_str()),
        lease.and_then(|lease| lease.session_id.as_deref()).unwrap_or("-"),
        lease.map_or_else(String::new, |lease| lease.assigned_at.to_string()),
        lease.and_then(|lease| lease.started_at).map_or("-".into(), |at| at.to_string()),
        row.expires_at.map_or("-".into(), |at| at.to_string()),
        row.free_at,
        row.released_by.as_deref().unwrap_or("-"),
        prev.unwrap_or_default(),
        claim.unwrap_or_default(),
    )
}

/// What holds of every row, whoever wrote it.
pub fn invariants(commit: &Commit) -> Result<(), String> {
    let row = &commit.after;
    let is = |holds: bool, text: &str| if holds { Ok(()) } else { Err(format!("{text}: {}", line(row))) };
    is(row.queue_at <= row.free_at, "its place in the queue is later than it is free")?;
    match row.status {
        Status::InUse => {
            let lease = row.lease.as_ref().ok_or("in use by nobody")?;
            is(row.epoch > 0, "in use in epoch 0")?;
            let end = row.expires_at.ok_or("in use without an end")?;
            is(row.free_at >= end, "free before the lease ends")?;
            let waits = row.prev.as_ref().is_some_and(|prev| prev.lease.started_at.is_none());
            is(
                row.prev.is_none() || lease.started_at.is_none() || waits,
                "started, and still remembers whom it replaced",
            )?;
            is(row.released_at.is_none(), "in use and released")
        }
        Status::Available => {
            is(row.prev.is_none(), "available, with a predecessor")?;
            is(row.claim.is_none(), "available, with a claimant")?;
            is(row.lease.is_none() || row.queue_at == row.free_at, "available, and not in its place")
        }
        Status::Reserved => Ok(()),
    }
}
