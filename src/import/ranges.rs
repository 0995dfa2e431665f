//! Sets of addresses as lists of ranges.

use crate::lease::{AddressRange, range};

/// The same addresses in order, with ranges that touch or overlap made one.
#[must_use]
pub fn merged(ranges: &[AddressRange]) -> Vec<AddressRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut out: Vec<AddressRange> = Vec::with_capacity(sorted.len());
    for next in sorted {
        match out.last_mut() {
            Some(last) if last.overlaps(&next) || range::next(last.last()) == Some(next.first()) => {
                if let Ok(both) = AddressRange::new(last.first(), last.last().max(next.last())) {
                    *last = both;
                }
            }
            _ => out.push(next),
        }
    }
    out
}

/// What of the first is not in the second.
#[must_use]
pub fn minus(ranges: &[AddressRange], cuts: &[AddressRange]) -> Vec<AddressRange> {
    // In order, and without overlaps, the cuts that matter to a range stand side by side.
    let cuts = merged(cuts);
    let near = |range: &AddressRange| {
        let from = cuts.partition_point(|cut| cut.last() < range.first());
        let to = cuts.partition_point(|cut| cut.first() <= range.last());
        range.without(&cuts[from..to.max(from)])
    };
    ranges.iter().flat_map(near).collect()
}

/// What is in both.
#[must_use]
pub fn common(ranges: &[AddressRange], others: &[AddressRange]) -> Vec<AddressRange> {
    minus(ranges, &minus(ranges, others))
}

/// How many addresses, those that are there twice counted twice.
#[must_use]
pub fn size(ranges: &[AddressRange]) -> u128 {
    ranges.iter().fold(0, |sum, range| sum.saturating_add(range.size()))
}
