//! The ranges of `pool modify`: what comes, what goes, and what stays for the sake of whoever holds it. What is typed is read
//! here, and the difference made; that ranges overlap nobody else's is the store's to see.

use super::Desk;
use super::args::PoolRanges;
use super::exit::{Exit, Failure};
use super::pool::usage;
use super::pool_add::slip;
use super::pool_remove::holder;
use super::progress::Progress;
use crate::import::{common, merged, minus, size};
use crate::lease::{AddressRange, Unit};
use crate::store::admin::{Admin, LeaseRow, NewRanges, Pool};
use crate::store::parse_address;

/// Ranges in one transaction, as of an import.
const SLICE: usize = 50;
/// Holders that are named.
const NAMED: usize = 5;

/// What was asked for, as ranges.
#[derive(Default)]
struct Wish {
    add: Vec<AddressRange>,
    include: Vec<AddressRange>,
    remove: Vec<AddressRange>,
    exclude: Vec<AddressRange>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct RangePlan {
    /// What the pool gives out then.
    pub unit: Unit,
    pub add: Vec<AddressRange>,
    pub remove: Vec<AddressRange>,
    /// Should go, and stay: somebody holds them, or they are reserved.
    pub stay: Vec<LeaseRow>,
}

impl RangePlan {
    pub(super) const fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty() && self.stay.is_empty()
    }

    /// `254 addresses are added, 10 removed`.
    pub(super) fn in_words(&self) -> String {
        let (mut words, unit) = (Vec::new(), self.unit);
        for (ranges, verb) in [(&self.add, "added"), (&self.remove, "removed")] {
            if !ranges.is_empty() {
                words.push(format!("{} {verb}", unit.amount(unit.count_all(ranges))));
            }
        }
        if words.is_empty() { "no address comes or goes".to_owned() } else { words.join(", ") }
    }
}

/// Refuses what is no range, before the database is asked.
pub(super) fn check(asked: &PoolRanges) -> Result<(), Failure> {
    read(asked, Unit::default()).map(drop)
}

fn failed(sentence: String) -> Failure {
    Failure::new(Exit::Failed, sentence)
}

/// The difference that the options make; none: no range is spoken of.
pub(super) fn plan(
    admin: &mut Admin,
    pool: &Pool,
    asked: &PoolRanges,
    yes_really: bool,
) -> Result<RangePlan, Failure> {
    if asked.is_empty() {
        return Ok(RangePlan { unit: pool.unit, ..RangePlan::default() });
    }
    let has = admin.ranges_of(pool)?;
    let (add, cut) = difference(pool.unit, &has, &read(asked, pool.unit)?)
        .map_err(|sentence| failed(format!("{sentence}; nothing was changed")))?;
    // A pool without any range is of no family yet.
    let unit = match (pool.unit.prefix_length(), add.first().filter(|_| has.is_empty())) {
        (_, None) => pool.unit,
        (None, Some(first)) => Unit::of(first.first(), None),
        (Some(length), Some(first)) => {
            Unit::possible(first.first(), length).map_err(|error| failed(error.to_string()))?
        }
    };
    if let Some(sentence) = slip(unit, &add).filter(|_| !yes_really) {
        return Err(failed(sentence));
    }
    let stay = if cut.is_empty() { Vec::new() } else { admin.taken_in(pool, &cut)? };
    let held: Vec<AddressRange> =
        stay.iter().filter_map(|row| Some(pool.unit.span(parse_address(&row.ip_address)?.addr()))).collect();
    Ok(RangePlan { unit, add, remove: minus(&cut, &held), stay })
}

fn read(asked: &PoolRanges, unit: Unit) -> Result<Wish, Failure> {
    type Parse = fn(&str) -> Result<AddressRange, crate::lease::range::RangeError>;
    let all = |texts: &[String], parse: Parse| {
        texts
            .iter()
            .map(|text| parse(text).map_err(|error| usage(error.to_string())))
            .collect::<Result<Vec<_>, _>>()
    };
    // A block that is cut into prefixes has no network and no broadcast address to leave out.
    let block = if unit.prefix_length().is_some() { AddressRange::parse_whole } else { AddressRange::parse };
    Ok(Wish {
        add: all(&asked.add_range, block)?,
        include: all(&asked.include, AddressRange::parse_whole)?,
        remove: all(&asked.remove_range, AddressRange::parse_exclusion)?,
        exclude: all(&asked.exclude, AddressRange::parse_exclusion)?,
    })
}

/// What comes and what goes, in order; or why that cannot be.
fn difference(
    unit: Unit,
    has: &[AddressRange],
    wish: &Wish,
) -> Result<(Vec<AddressRange>, Vec<AddressRange>), String> {
    let fit = |ranges: &[AddressRange]| {
        if has.is_empty() { Ok(()) } else { unit.fit(ranges).map_err(|error| error.to_string()) }
    };
    for (index, range) in wish.add.iter().enumerate() {
        if let Some(other) = wish.add[..index].iter().find(|other| other.overlaps(range)) {
            return Err(format!("{other} and {range} overlap: give each address once"));
        }
    }
    let both = |comes: &[AddressRange], goes: &[AddressRange]| common(comes, goes).first().copied();
    if let Some(range) = both(&wish.add, &wish.remove).or_else(|| both(&wish.include, &wish.remove)) {
        return Err(format!("{range} is to be added and to be removed: say one of both"));
    }
    if let Some(range) = both(&wish.include, &wish.exclude) {
        return Err(format!("{range} is to be included and to be excluded: say one of both"));
    }
    for range in &wish.remove {
        fit(&[*range])?;
        if both(&[*range], has).is_none() {
            return Err(format!(
                "the pool has no address of {range}: `ippool-rs pool show` lists its ranges"
            ));
        }
    }
    let mut add = minus(&wish.add, &wish.exclude);
    if add.is_empty() && !wish.add.is_empty() {
        return Err("the exclusions leave no address of what is to be added".to_owned());
    }
    // What is included may be there already, or be added by its block.
    let there = [has, &add].concat();
    add.extend(minus(&merged(&wish.include), &there));
    let cut = common(&merged(has), &[wish.remove.as_slice(), &wish.exclude].concat());
    fit(&add)?;
    fit(&cut)?;
    add.sort_unstable();
    Ok((add, cut))
}

/// Adds, or only tries to: overlaps with others are refused here. In one transaction.
pub(super) fn add(admin: &mut Admin, pool: &Pool, plan: &RangePlan, keep: bool) -> Result<(), Failure> {
    if plan.add.is_empty() {
        return Ok(());
    }
    let new = NewRanges {
        pool: pool.name.clone(),
        nas: pool.nas.clone(),
        prefix_length: pool.unit.prefix_length(),
        pieces: plan.add.clone(),
    };
    admin.add_ranges(&new, keep)?;
    Ok(())
}

/// Takes away what goes, in slices; false: somebody got an address of it meanwhile.
pub(super) fn remove(desk: &Desk, admin: &mut Admin, pool: &Pool, plan: &RangePlan) -> Result<bool, Failure> {
    let mut progress = Progress::new(format!("removing ranges of {pool}"), size(&plan.remove));
    for slice in plan.remove.chunks(SLICE) {
        let removed = admin.remove(pool, slice, false)?;
        if let Some(row) = removed.stopped_by {
            desk.screen.error(&format!(
                "the pool {pool}: {} came into use meanwhile, and stays; the same command goes on",
                holder(&row)
            ));
            return Ok(false);
        }
        progress.add(size(slice));
    }
    Ok(true)
}

/// Tells which addresses stay, and for whom.
pub(super) fn tell_of_those_who_stay(desk: &Desk, pool: &Pool, plan: &RangePlan, dry_run: bool) {
    if plan.stay.is_empty() {
        return;
    }
    let named: Vec<_> = plan.stay.iter().take(NAMED).map(holder).collect();
    let more = plan.stay.len() - named.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let stay = match (dry_run, plan.stay.len()) {
        (true, _) => "would stay",
        (_, 1) => "stays",
        _ => "stay",
    };
    desk.screen.warning(&format!(
        "{} of the pool {pool} {stay}, being held or reserved: {}{more}; the same command takes them once they are free, \
         `ippool-rs pool remove {} RANGE --yes` at once",
        pool.unit.amount(plan.stay.len() as u128),
        named.join(", "),
        pool.name
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Vec<AddressRange> {
        texts.iter().map(|text| AddressRange::parse_exclusion(text).unwrap()).collect()
    }

    fn texts(ranges: &[AddressRange]) -> Vec<String> {
        ranges.iter().map(ToString::to_string).collect()
    }

    fn of(has: &[&str], wish: &Wish) -> Result<(Vec<String>, Vec<String>), String> {
        let unit = Unit::of(ranges(has)[0].first(), None);
        difference(unit, &ranges(has), wish).map(|(add, cut)| (texts(&add), texts(&cut)))
    }

    #[test]
    fn what_is_excluded_goes_and_is_not_added_and_what_is_included_comes_once() {
        let has = ["10.0.0.1-10.0.0.99", "10.0.0.200-10.0.0.254"];
        let wish = Wish {
            add: ranges(&["10.0.1.0-10.0.1.9"]),
            include: ranges(&["10.0.0.90-10.0.0.209"]),
            exclude: ranges(&["10.0.0.0-10.0.0.9", "10.0.1.5"]),
            remove: ranges(&["10.0.0.250-10.0.0.255"]),
        };
        let (add, cut) = of(&has, &wish).unwrap();
        assert_eq!(add, ["10.0.0.100-10.0.0.199", "10.0.1.0-10.0.1.4", "10.0.1.6-10.0.1.9"]);
        assert_eq!(cut, ["10.0.0.1-10.0.0.9", "10.0.0.250-10.0.0.254"]);
        // A second time there is nothing to exclude or to include.
        let again = Wish { exclude: ranges(&["10.0.0.100"]), ..Wish::default() };
        assert_eq!(of(&has, &again).unwrap(), (vec![], vec![]));
    }

    #[test]
    fn what_contradicts_itself_or_does_not_fit_is_refused() {
        let has = ["10.0.0.1-10.0.0.254"];
        let refused = |wish: Wish| of(&has, &wish).unwrap_err();
        let one = || ranges(&["10.0.0.7"]);
        assert!(
            refused(Wish { include: one(), remove: one(), ..Wish::default() }).contains("say one of both")
        );
        assert!(
            refused(Wish { include: one(), exclude: one(), ..Wish::default() }).contains("say one of both")
        );
        let far = ranges(&["10.9.0.0/24"]);
        assert!(
            refused(Wish { remove: far, ..Wish::default() }).contains("no address of 10.9.0.0-10.9.0.255")
        );
        let six = ranges(&["2001:db8::1"]);
        assert!(refused(Wish { add: six.clone(), ..Wish::default() }).contains("a pool is of one family"));
        assert!(refused(Wish { remove: six, ..Wish::default() }).contains("a pool is of one family"));
        let prefixes = Unit::possible("2001:db8::".parse().unwrap(), 56).unwrap();
        let cut = Wish { exclude: ranges(&["2001:db8:0:100::/64"]), ..Wish::default() };
        let whole = ranges(&["2001:db8::/48"]);
        assert!(difference(prefixes, &whole, &cut).unwrap_err().contains("cuts the prefix"));
    }
}
