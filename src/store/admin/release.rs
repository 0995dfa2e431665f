//! `lease release`: an administrator ends leases.

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
