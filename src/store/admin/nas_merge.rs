//! `nas merge`: a concentrator that is heard under another key from now on keeps its leases and pools.
//!
//! In slices, so that radiusd waits for none of them long: each moves some leases, with their session keys, and the rest
//! is still the old NAS'. Whatever stops it, the same command goes on.

use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Nullable, Text};

use super::words::Words;
use super::{Admin, AdminError, Nas, raise_catalogue};
use crate::lease::Session;
use crate::store::StoreError;
use crate::store::link::{Link, Value};

/// Leases in one slice.
const SLICE: usize = 100;

/// What a merger did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Leases that were moved.
    pub leases: u64,
    /// Pools that were moved.
    pub pools: u64,
    /// The old NAS is gone; no: it was heard a moment ago.
    pub gone: bool,
}

#[derive(diesel::QueryableByName)]
struct Moved {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
    #[diesel(sql_type = Nullable<Text>)]
    session_key: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    prev_session_key: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    session_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    prev_session_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    owner: Option<String>,
}

impl Admin {
    /// Makes the leases and pools of `old` those of `new`, and removes `old` unless radiusd heard it in the last minute.
    ///
    /// # Errors
    ///
    /// [`AdminError::Refused`] if they are of two address spaces, or both have a pool of one name. Slices that were done
    /// stay done.
    pub fn merge_nas(&mut self, old: &Nas, new: &Nas) -> Result<Merged, AdminError> {
        if old.address_space != new.address_space && (old.pools > 0 || old.leases > 0) {
            return Err(AdminError::Refused(format!(
                "{} is of the address space \"{}\", {} of \"{}\": an address there is not the same here; move its pools \
                 first (`ippool-rs pool remove`, `ippool-rs pool add`)",
                old.nas_key, old.address_space, new.nas_key, new.address_space
            )));
        }
        let mut merged = Merged {
            pools: self.link.transaction(true, |link| move_pools(link, old, new))?,
            ..Merged::default()
        };
        loop {
            // All are looked for before the transactions: that reads the whole table.
            let rows = rows_of(&mut self.link, old)?;
            if rows.is_empty() {
                break;
            }
            for slice in rows.chunks(SLICE) {
                let began = Instant::now();
                merged.leases += self.link.transaction(true, |link| move_slice(link, slice, old, new))?;
                // SQLite's lock is not fair: leave radiusd at least as much time as we took.
                std::thread::sleep(
                    began.elapsed().clamp(Duration::from_millis(2), Duration::from_millis(50)),
                );
            }
        }
        merged.gone = self.link.transaction(true, |link| remove(link, old))?;
        Ok(merged)
    }
}

fn move_pools(link: &mut Link, old: &Nas, new: &Nas) -> Result<u64, AdminError> {
    let both = "SELECT p.name AS line FROM ip_pool_pools p JOIN ip_pool_pools q ON q.name = p.name AND q.nas_id = ? \
                WHERE p.nas_id = ? LIMIT 1";
    #[derive(diesel::QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text)]
        line: String,
    }
    let both: Vec<Name> = link.rows(both, vec![new.id.into(), old.id.into()])?;
    if let Some(Name { line: name }) = both.first() {
        return Err(AdminError::Refused(format!(
            "both {} and {} have a pool {name}: remove one (`ippool-rs pool remove {name} --nas`), then merge",
            old.nas_key, new.nas_key
        )));
    }
    let now = Words::of(link).now;
    let pools = link.execute(
        &format!("UPDATE ip_pool_pools SET nas_id = ?, updated_at = {now} WHERE nas_id = ?"),
        vec![new.id.into(), old.id.into()],
    )?;
    raise_catalogue(link)?;
    Ok(pools as u64)
}

fn rows_of(link: &mut Link, old: &Nas) -> Result<Vec<Moved>, StoreError> {
    let id = || Value::from(old.id);
    link.rows(
        "SELECT id, epoch, session_key, prev_session_key, session_id, prev_session_id, owner FROM ip_pool_assignments \
         WHERE lease_nas_id = ? OR nas_id = ? OR prev_nas_id = ? ORDER BY id",
        vec![id(), id(), id()],
    )
}

/// Moves rows that are still at the epoch at which they were read. A session that has a lease under its new key already keeps
/// the old key with the old lease.
fn move_slice(link: &mut Link, rows: &[Moved], old: &Nas, new: &Nas) -> Result<u64, StoreError> {
    let now = Words::of(link).now;
    let mut moved = 0;
    for row in rows {
        let owner = row.owner.as_deref().unwrap_or_default();
        let key = |key: &Option<String>, session: &Option<String>| {
            Value::Text(key.as_ref().map(|key| rekeyed(key, session.as_deref(), owner, old, new)))
        };
        let new_key = key(&row.session_key, &row.session_id);
        let prev_key = key(&row.prev_session_key, &row.prev_session_id);
        let mut values = vec![new_key.clone(), new_key, prev_key];
        for _ in 0..3 {
            values.extend([old.id.into(), new.id.into()]);
        }
        values.extend([row.id.into(), row.epoch.into()]);
        moved += link.execute(
            &format!(
                "UPDATE ip_pool_assignments SET session_key = CASE WHEN EXISTS (SELECT 1 FROM ip_pool_assignments b \
                 WHERE b.session_key = ? AND b.status = 'in_use') THEN session_key ELSE ? END, prev_session_key = ?, \
                 lease_nas_id = CASE WHEN lease_nas_id = ? THEN ? ELSE lease_nas_id END, \
                 nas_id = CASE WHEN nas_id = ? THEN ? ELSE nas_id END, \
                 prev_nas_id = CASE WHEN prev_nas_id = ? THEN ? ELSE prev_nas_id END, updated_at = {now} \
                 WHERE id = ? AND epoch = ?"
            ),
            values,
        )? as u64;
    }
    Ok(moved)
}

/// The session's key as the new NAS' packets make it.
fn rekeyed(key: &str, session: Option<&str>, owner: &str, old: &Nas, new: &Nas) -> String {
    if let Some(id) = session
        && key == Session::key_of(&old.nas_key, Some(id), None, None, owner)
    {
        return Session::key_of(&new.nas_key, Some(id), None, None, owner);
    }
    let part = format!("=={}==", old.nas_key);
    key.replacen(&part, &format!("=={}==", new.nas_key), 1)
}

/// The old NAS goes if nothing hangs on it and nobody has heard it in the last minute, so that no radiusd still counts on it.
fn remove(link: &mut Link, old: &Nas) -> Result<bool, StoreError> {
    let recent = if link.is_postgres() {
        "statement_timestamp() - interval '60 seconds'"
    } else {
        "strftime('%Y-%m-%d %H:%M:%f','now','-60 seconds')||'000'"
    };
    let gone = link.execute(
        &format!(
            "DELETE FROM ip_pool_nas WHERE id = ? AND last_heard_at < {recent} \
             AND NOT EXISTS (SELECT 1 FROM ip_pool_assignments a WHERE a.lease_nas_id = ip_pool_nas.id)"
        ),
        vec![old.id.into()],
    )?;
    raise_catalogue(link)?;
    Ok(gone > 0)
}
