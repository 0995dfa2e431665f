//! Medians over the rounds, and the tables. Measures and starts nothing.

use super::peers::{Kind, Peer, Pool};
use crate::tally::Report;
use std::fmt::Write as _;
use std::path::Path;

/// One phase of one peer in one round.
pub struct Sample {
    /// The round, from 1.
    pub round: usize,
    /// Whose.
    pub peer: Peer,
    /// The pool that was asked for.
    pub pool: Pool,
    /// `storm`, `interim`, …
    pub phase: &'static str,
    /// What was measured, or why nothing was.
    pub outcome: Result<Report, String>,
}

impl Sample {
    /// A line of JSON.
    pub fn json(&self) -> String {
        let body = match &self.outcome {
            Ok(report) => report.json(),
            Err(error) => {
                let (phase, error) = (crate::tally::quote(self.phase), crate::tally::quote(error));
                format!("\"phase\":{phase},\"error\":{error}")
            }
        };
        format!(
            "{{\"round\":{},\"peer\":\"{}\",\"threads\":{},\"pool\":{},\"occupancy\":{},{body}}}",
            self.round, self.peer.name, self.peer.threads, self.pool.size, self.pool.occupancy
        )
    }
}

/// The phases, in the order in which they are run.
pub const PHASES: [&str; 4] = ["storm", "interim", "churn", "churnnew"];

/// After them, with `--minutes`: churn by the minute, to see whether the rate falls.
pub const MINUTES: [&str; 10] = [
    "churn, minute 1",
    "churn, minute 2",
    "churn, minute 3",
    "churn, minute 4",
    "churn, minute 5",
    "churn, minute 6",
    "churn, minute 7",
    "churn, minute 8",
    "churn, minute 9",
    "churn, minute 10",
];

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => values[n / 2],
        _ => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// The rounds of one peer in one phase.
struct Rounds<'a> {
    peer: Peer,
    reports: Vec<&'a Report>,
    error: Option<&'a str>,
}

impl Rounds<'_> {
    fn median(&self, of: impl Fn(&Report) -> f64) -> f64 {
        median(self.reports.iter().map(|r| of(r)).collect())
    }

    /// Half the distance between the fastest and the slowest round, in per cent of the median.
    fn spread(&self) -> f64 {
        let rates = self.reports.iter().map(|r| r.rate());
        let (low, high) = rates.fold((f64::MAX, 0f64), |(low, high), r| (low.min(r), high.max(r)));
        if self.reports.len() < 2 {
            0.0
        } else {
            (high - low) / 2.0 / self.median(Report::rate).max(1e-9) * 100.0
        }
    }
}

/// All tables.
pub fn markdown(machine: &[(String, String)], pools: &[Pool], samples: &[Sample]) -> String {
    let mut out = String::new();
    for (name, value) in machine {
        let _ = writeln!(out, "- {name}: {value}");
    }
    for pool in pools {
        let _ = writeln!(out, "\n### Pool of {} addresses, {} % held by others", pool.size, pool.occupancy);
        for phase in PHASES.into_iter().chain(MINUTES) {
            let of_phase = || samples.iter().filter(|s| s.pool == *pool && s.phase == phase);
            if of_phase().next().is_some() {
                table(&mut out, phase, of_phase());
            }
        }
    }
    out
}

fn table<'a>(out: &mut String, phase: &str, samples: impl Iterator<Item = &'a Sample>) {
    let mut rows: Vec<Rounds<'_>> = Vec::new();
    for sample in samples {
        let at = rows.iter().position(|r| r.peer.name == sample.peer.name).unwrap_or_else(|| {
            rows.push(Rounds { peer: sample.peer, reports: Vec::new(), error: None });
            rows.len() - 1
        });
        match &sample.outcome {
            Ok(report) => rows[at].reports.push(report),
            Err(error) => rows[at].error = Some(error),
        }
    }
    if rows.is_empty() {
        return;
    }
    rows.sort_by_key(|r| super::peers::ALL.iter().position(|p| p.name == r.peer.name));
    let rate = |wanted: &dyn Fn(&Peer) -> bool| {
        let rates = rows.iter().filter(|r| wanted(&r.peer)).map(|r| r.median(Report::rate));
        rates.fold(0f64, f64::max)
    };
    let (none, sqlippool) = (rate(&|p| p.name == "none"), rate(&Peer::is_sqlippool));
    let ours = rate(&|p| p.kind == Kind::OursPostgres);
    let _ = writeln!(
        out,
        "\n**{phase}**\n\n| peer | threads | req/s | sessions/s | of none | of best sqlippool | of ours-pg | p50 ms | p90 ms | \
         p99 ms | max ms | radiusd µs | db µs | gen µs | sticky | trouble |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for row in &rows {
        let (name, threads) = (row.peer.name, row.peer.threads);
        if row.reports.is_empty() {
            let why =
                row.error.unwrap_or("not measured").lines().next().unwrap_or_default().replace('|', "/");
            let _ = writeln!(out, "| {name} | {threads} | {why} {}", "| ".repeat(14));
            continue;
        }
        let ratio = |base: f64| match base {
            b if b > 0.0 => format!("{:.2}", row.median(Report::rate) / b),
            _ => "–".to_owned(),
        };
        let quantile = |share: f64| row.median(|r| r.latency().quantile(share));
        let sticky = match row.reports.iter().filter_map(|r| r.sticky()).collect::<Vec<f64>>() {
            shares if shares.is_empty() => "–".to_owned(),
            shares => format!("{:.0} %", median(shares) * 100.0),
        };
        let _ = writeln!(
            out,
            "| {name} | {threads} | {:.0} ±{:.0} % | {:.0} | {} | {} | {} | {:.2} | {:.2} | {:.1} | {:.0} | {:.0} | \
             {:.0} | {:.1} | {sticky} | {} |",
            row.median(Report::rate),
            row.spread(),
            row.median(Report::allocations),
            ratio(none),
            ratio(sqlippool),
            ratio(ours),
            quantile(0.5),
            quantile(0.9),
            quantile(0.99),
            row.median(|r| r.latency().max_ms()),
            row.median(|r| r.cpu_of("radiusd")),
            row.median(|r| r.cpu_of("db")),
            row.median(|r| r.cpu_of("generator")),
            trouble(row),
        );
    }
}

/// Whatever should not be, summed over the rounds.
fn trouble(row: &Rounds<'_>) -> String {
    type Count = fn(&Report) -> u64;
    let counts: [(&str, Count); 6] = [
        ("duplicates", |r| r.tally.duplicates),
        ("without address", |r| r.tally.no_address),
        ("rejected", |r| r.tally.rejected),
        ("timeouts", |r| r.tally.given_up),
        ("retransmits", |r| r.retransmits),
        ("aborted", |r| u64::from(r.aborted)),
    ];
    let mut all: Vec<String> = counts
        .iter()
        .map(|(name, count)| (name, row.reports.iter().map(|r| count(r)).sum::<u64>()))
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    if row.error.is_some() {
        all.push("a round failed".to_owned());
    }
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

/// Puts the tables between the two marks of a Markdown file.
pub fn write_into(path: &Path, tables: &str) -> Result<(), String> {
    const BEGIN: &str = "<!-- results: begin -->";
    const END: &str = "<!-- results: end -->";
    let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| fail(&e))?;
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        return Err(fail(&format!("has no {BEGIN} and {END}")));
    };
    let text = format!("{}\n\n{}\n{}", &text[..begin + BEGIN.len()], tables.trim(), &text[end..]);
    std::fs::write(path, text).map_err(|e| fail(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(vec![4.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }
}
