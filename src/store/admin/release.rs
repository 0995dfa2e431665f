//! `lease release` and `clear`: an administrator ends leases.

use std::time::{Duration, Instant};

use super::words::Words;
use super::{Admin, AdminError, LeaseRow};
use crate::store::StoreError;
use crate::store::link::Link;
use crate::store::statement::forget_others;

impl Admin {
    /// Frees these leases: all, or none if one of them has changed hands since it was read. `keep` = no: tries, and
    /// undoes.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] with the address that changed.
    pub fn release(&mut self, leases: &[LeaseRow], keep: bool) -> Result<(), AdminError> {
        self.link.transaction(keep, |link| {
            for lease in leases {
                if !release_one(link, lease)? {
                    return Err(AdminError::Refused(format!(
                        "{} was released or granted anew at this moment, so nothing was released: look again with \
                         `ippool-rs lease show {0}`",
                        lease.ip_address
                    )));
                }
            }
            Ok(())
        })
    }
}

/// Frees a lease, if the row is still at the epoch that was read. The session stays with the row, as a tombstone: its
/// later events are ignored.
pub(super) fn release_one(link: &mut Link, lease: &LeaseRow) -> Result<bool, StoreError> {
    let now = Words::of(link).now;
    let changed = link.execute(
        &format!(
            "UPDATE ip_pool_assignments SET \
             status = CASE WHEN reserved_for IS NULL AND reserved_station IS NULL THEN 'available' ELSE 'reserved' END, \
             expires_at = {now}, free_at = {now}, queue_at = {now}, released_at = {now}, released_by = 'admin', \
             {others}, updated_at = {now} \
             WHERE id = ? AND epoch = ? AND status = 'in_use'",
            others = forget_others!(),
        ),
        vec![lease.id.into(), lease.epoch.into()],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    link.execute(
        "INSERT INTO ip_pool_events (at, kind, ip_address, address_space, pool_name, username, owner, nas_id, \
         session_id, calling_station_id, epoch, server, detail) \
         SELECT released_at, 'release', ip_address, address_space, pool_name, username, owner, lease_nas_id, \
         session_id, calling_station_id, epoch, 'companion', 'by an administrator' \
         FROM ip_pool_assignments WHERE id = ?",
        vec![lease.id.into()],
    )?;
    Ok(true)
}

/// Rows in one transaction, where they are not to be cleared all or not at all.
const SLICE: usize = 100;

impl Admin {
    /// Forgets who had these addresses, and frees those that are held: all, or none if one has changed hands since it was
    /// read; `sliced`: some at a time, and those that changed hands stay. `keep` = no: tries, and undoes. Returns how many.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] with the address that changed.
    pub fn clear(&mut self, leases: &[LeaseRow], sliced: bool, keep: bool) -> Result<usize, AdminError> {
        if !sliced || !keep {
            self.link.transaction(keep, |link| {
                for lease in leases {
                    if !clear_one(link, lease)? {
                        return Err(AdminError::Refused(format!(
                            "{} was released or granted anew at this moment, so nothing was cleared: look again with \
                             `ippool-rs lease show {0}`",
                            lease.ip_address
                        )));
                    }
                }
                Ok::<_, AdminError>(())
            })?;
            return Ok(leases.len());
        }
        let mut cleared = 0;
        for some in leases.chunks(SLICE) {
            let began = Instant::now();
            cleared += self.link.transaction(true, |link| {
                let mut count = 0;
                for lease in some {
                    count += usize::from(clear_one(link, lease)?);
                }
                Ok::<_, StoreError>(count)
            })?;
            std::thread::sleep(began.elapsed().clamp(Duration::from_millis(2), Duration::from_millis(50)));
        }
        Ok(cleared)
    }
}

/// Frees it, if it is held, and forgets its holder, if the row is still at the epoch and in the status that was read. A
/// session that still runs is not ignored, as after a release, but a stranger.
fn clear_one(link: &mut Link, lease: &LeaseRow) -> Result<bool, StoreError> {
    if lease.status == "in_use" && !release_one(link, lease)? {
        return Ok(false);
    }
    let now = Words::of(link).now;
    let sql = format!(
        "UPDATE ip_pool_assignments SET owner = NULL, username = NULL, subscriber_id = NULL, station = NULL, \
         calling_station_id = NULL, lease_nas_id = NULL, session_key = NULL, session_id = NULL, token = NULL, \
         lease_seconds = NULL, regular = FALSE, assigned_at = NULL, started_at = NULL, expires_at = NULL, \
         free_at = {now}, queue_at = {now}, {others}, updated_at = {now} \
         WHERE id = ? AND epoch = ? AND status <> 'in_use'",
        others = forget_others!(),
    );
    Ok(link.execute(&sql, vec![lease.id.into(), lease.epoch.into()])? > 0)
}
