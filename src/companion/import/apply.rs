//! Does a difference: renames, what goes, what comes, next pools, reservations. Each step is a whole state of its own, so
//! that whatever stops it, the same command goes on.

use super::super::Desk;
use super::super::exit::Failure;
use super::super::progress::Progress;
use super::{Difference, Source};
use crate::import::{PoolPlan, size};
use crate::lease::{AddressRange, Unit};
use crate::store::admin::{Admin, AdminError, Imported, Keep, NewRanges, Pool, Whom};

/// Ranges in one transaction: SQLite's one write lock is held for a few milliseconds each time.
const SLICE: usize = 50;

/// False: some of it could not be done, and was said.
pub(super) fn run(
    desk: &Desk,
    admin: &mut Admin,
    source: &Source,
    difference: &Difference,
) -> Result<bool, Failure> {
    let Difference { plan, own } = difference;
    let mut whole = true;
    let mut pools: Vec<(&PoolPlan, Option<Pool>)> = Vec::new();
    for step in &plan.pools {
        pools.push((step, rename(admin, own, step)?));
    }
    // First what goes: an address may go from one pool to another.
    for (step, pool) in &mut pools {
        if let Some(known) = pool {
            whole &= remove(desk, admin, known, &step.remove)?;
            if step.gone && step.stay.is_empty() && admin.remove(known, &[], false)?.pool {
                *pool = None;
            }
        }
    }
    for (step, pool) in &mut pools {
        if step.gone {
            continue;
        }
        match add(admin, source, step, pool.take()) {
            Ok(known) => *pool = Some(known),
            Err(AdminError::Refused(sentence)) => {
                desk.screen.error(&format!("the pool {}: {sentence}; import again", step.name));
                whole = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    for (step, pool) in &pools {
        let Some(pool) = pool else {
            if step.gone {
                desk.screen.note(&format!(
                    "Removed the pool {} ({})",
                    step.name,
                    ips(step.unit, step.unit.count_all(&step.remove))
                ));
            }
            continue;
        };
        if !step.gone {
            let next = source
                .wanted
                .iter()
                .find(|wanted| wanted.name == step.name)
                .and_then(|wanted| wanted.next.as_deref());
            if step.new || step.adopted || step.was.is_some() || step.next.is_some() {
                admin.describe_pool(pool, next, &source.label)?;
            }
        }
        let keeps: Vec<Keep> = plan
            .reserve
            .iter()
            .filter(|(name, _)| *name == step.name)
            .map(|(_, r)| Keep {
                address: r.address,
                whom: Whom { owner: r.owner.clone(), station: r.station.clone() },
                why: format!("{} of {}", r.why, source.label),
            })
            .collect();
        let lift: Vec<_> =
            plan.lift.iter().filter(|(name, _)| *name == step.name).map(|(_, address)| *address).collect();
        admin.lift(pool, &lift, &source.label)?;
        admin.reserve(pool, &keeps, &source.label)?;
        tell(desk, step, keeps.len(), lift.len());
    }
    Ok(whole)
}

fn tell(desk: &Desk, step: &PoolPlan, reserved: usize, lifted: usize) {
    let mut also = Vec::new();
    if let Some(was) = &step.was {
        also.push(format!("renamed from {was}"));
    }
    if reserved > 0 {
        also.push(format!("{reserved} reserved"));
    }
    if lifted > 0 {
        also.push(format!("{lifted} no longer reserved"));
    }
    if !step.stay.is_empty() {
        also.push(format!("{} no longer of it stay until nobody holds them", step.stay.len()));
    }
    let also = also.iter().map(|text| format!(", {text}")).collect::<String>();
    let (added, removed) = (step.unit.count_all(&step.add), step.unit.count_all(&step.remove));
    desk.screen.note(&format!(
        "Imported {} from {} (kept {}, added {added}, removed {removed}{also})",
        ips(step.unit, step.kept + added),
        step.name,
        step.kept
    ));
}

/// `254 IPs`, `256 prefixes of /56`.
fn ips(unit: Unit, count: u128) -> String {
    if unit.prefix_length().is_none() { format!("{count} IPs") } else { unit.amount(count) }
}

/// The pool that a step is about, by its new name; none: it is yet to be made.
fn rename(admin: &mut Admin, own: &[Imported], step: &PoolPlan) -> Result<Option<Pool>, Failure> {
    let old = step.was.as_ref().unwrap_or(&step.name);
    let Some(known) = own.iter().find(|known| known.pool.name == *old) else { return Ok(None) };
    if step.was.is_none() {
        return Ok(Some(known.pool.clone()));
    }
    Ok(Some(admin.rename_pool(&known.pool, &step.name)?))
}

/// Takes ranges away, in slices; what came into use meanwhile stops it.
fn remove(desk: &Desk, admin: &mut Admin, pool: &Pool, ranges: &[AddressRange]) -> Result<bool, Failure> {
    let mut progress = Progress::new(format!("removing what is no longer of {pool}"), size(ranges));
    for slice in ranges.chunks(SLICE) {
        let removed = admin.remove(pool, slice, false)?;
        if let Some(row) = removed.stopped_by {
            desk.screen.error(&format!(
                "the pool {pool}: {} came into use meanwhile and stays; import again",
                super::super::pool_remove::holder(&row)
            ));
            return Ok(false);
        }
        progress.add(size(slice));
    }
    Ok(true)
}

/// Adds ranges, in slices; the pool is made if it is new.
fn add(admin: &mut Admin, source: &Source, step: &PoolPlan, known: Option<Pool>) -> Result<Pool, AdminError> {
    let mut pool = match known {
        Some(pool) => pool,
        None => admin.make_pool(&step.name, &source.nas)?,
    };
    let mut progress = Progress::new(format!("importing {}", step.name), size(&step.add));
    for pieces in step.add.chunks(SLICE) {
        let new = NewRanges {
            pool: step.name.clone(),
            nas: Some(source.nas.clone()),
            prefix_length: step.unit.prefix_length(),
            pieces: pieces.to_vec(),
        };
        pool = admin.add_ranges(&new, true)?.pool;
        progress.add(size(pieces));
    }
    Ok(pool)
}
