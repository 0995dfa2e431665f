//! What a phase measured: counters, latencies, and how they are printed. Measures nothing itself.

use crate::packets::Ask;
use std::fmt::Write as _;
use std::time::Duration;

/// Latencies in buckets of at most 1.6 % of their value, from 1 µs to over an hour.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

/// Buckets for each power of two.
const FINE: u32 = 64;

impl Histogram {
    fn new() -> Self {
        Self { buckets: vec![0; FINE as usize * 34], count: 0, max: Duration::ZERO }
    }

    fn bucket(micros: u64) -> usize {
        let exponent = micros.max(1).ilog2().saturating_sub(FINE.ilog2());
        let fine = micros >> exponent;
        (u64::from(exponent * FINE) + fine) as usize
    }

    /// The smallest value of a bucket, in µs.
    fn floor(bucket: usize) -> f64 {
        let (fine, bucket) = (FINE as usize, bucket);
        if bucket < 2 * fine {
            return bucket as f64;
        }
        let exponent = bucket / fine - 1;
        ((bucket - exponent * fine) << exponent) as f64
    }

    /// Counts one latency.
    pub fn add(&mut self, latency: Duration) {
        let last = self.buckets.len() - 1;
        self.buckets[Self::bucket(latency.as_micros() as u64).min(last)] += 1;
        self.count += 1;
        self.max = self.max.max(latency);
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The latency that this share (0 to 1) of the answers did not exceed, in ms; 0 without answers.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= wanted {
                return Self::floor(bucket) / 1000.0;
            }
        }
        0.0
    }

    /// The longest, in ms.
    pub fn max_ms(&self) -> f64 {
        self.max.as_secs_f64() * 1000.0
    }
}

/// What two servers answered to the same request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Twins {
    /// Pairs of requests.
    pub pairs: u64,
    /// Same address and same Class attributes on both answers.
    pub agree: u64,
    /// Both granted, different addresses.
    pub other_address: u64,
    /// Same address, different Class attributes.
    pub other_class: u64,
    /// Only one server granted.
    pub one_sided: u64,
    /// Neither server granted.
    pub neither: u64,
}

/// The counts of one phase.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Answered requests, and how long each kind took, in the order of [`Ask::KINDS`].
    pub latency: [Histogram; 4],
    /// Sessions that were given an address and whose Start was answered.
    pub sessions: u64,
    /// Access-Accepts with an address.
    pub granted: u64,
    /// Access-Accepts without an address.
    pub no_address: u64,
    /// Access-Rejects.
    pub rejected: u64,
    /// Addresses given to a session while another live session had them.
    pub duplicates: u64,
    /// Logins of subscribers who had an address before.
    pub returns: u64,
    /// Those who got the same one again.
    pub sticky: u64,
    /// Requests without an answer, however often they were sent.
    pub given_up: u64,
    /// Sessions that were ended without a Stop, on purpose.
    pub lost_stops: u64,
    /// Logins that were asked twice.
    pub repeats: u64,
    /// Those whose second answer was not the first one.
    pub repeats_differ: u64,
    /// Pairs of the phase `twin`.
    pub twins: Twins,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latency: std::array::from_fn(|_| Histogram::new()),
            sessions: 0,
            granted: 0,
            no_address: 0,
            rejected: 0,
            duplicates: 0,
            returns: 0,
            sticky: 0,
            given_up: 0,
            lost_stops: 0,
            repeats: 0,
            repeats_differ: 0,
            twins: Twins::default(),
        }
    }
}

/// One phase, measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// The phase, as it was asked for.
    pub phase: String,
    /// From the first request to the last answer, in seconds.
    pub seconds: f64,
    /// Requests that were answered.
    pub answered: u64,
    /// Sessions online at the end.
    pub online: usize,
    /// The counts.
    pub tally: Tally,
    /// Requests sent again.
    pub retransmits: u64,
    /// Answers that were not signed as such.
    pub forged: u64,
    /// Answers that came too late.
    pub late: u64,
    /// Reports that nobody listens.
    pub refused: u64,
    /// µs of CPU for each answered request: the generator first, then the watched processes.
    pub cpu: Vec<(String, f64)>,
    /// Nobody answered any more, or the user wanted it to end.
    pub aborted: bool,
}

impl Report {
    /// Answered requests a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds.max(1e-9)
    }

    /// Sessions set up a second.
    pub fn allocations(&self) -> f64 {
        self.tally.sessions as f64 / self.seconds.max(1e-9)
    }

    /// The share of the returning subscribers who got their former address; `None` where nobody returned.
    pub fn sticky(&self) -> Option<f64> {
        (self.tally.returns > 0).then(|| self.tally.sticky as f64 / self.tally.returns as f64)
    }

    /// The latency of all kinds together.
    pub fn latency(&self) -> Histogram {
        let mut all = Histogram::new();
        for one in &self.tally.latency {
            all.merge(one);
        }
        all
    }

    /// µs of CPU a request of this process; 0 where it was not watched.
    pub fn cpu_of(&self, name: &str) -> f64 {
        self.cpu.iter().find(|(n, _)| n == name).map_or(0.0, |(_, micros)| *micros)
    }

    /// Whether a promise was broken: a duplicate, or two answers to one login that differ.
    pub fn is_wrong(&self) -> bool {
        let t = &self.tally;
        t.duplicates + t.repeats_differ + t.twins.other_address + t.twins.other_class > 0
    }

    /// The fields of a JSON object, without its braces.
    pub fn json(&self) -> String {
        let (t, all) = (&self.tally, self.latency());
        let mut out = format!(
            "\"phase\":{},\"seconds\":{:.3},\"requests\":{},\"requests_per_second\":{:.1},\"sessions\":{},\
             \"sessions_per_second\":{:.1},\"granted\":{},\"no_address\":{},\"rejected\":{},\"duplicates\":{},\
             \"returns\":{},\"sticky\":{},\"timeouts\":{},\"retransmits\":{},\"forged\":{},\"late\":{},\
             \"refused\":{},\"lost_stops\":{},\"repeats\":{},\"repeats_differ\":{},\"online\":{},\"aborted\":{}",
            quote(&self.phase),
            self.seconds,
            self.answered,
            self.rate(),
            t.sessions,
            self.allocations(),
            t.granted,
            t.no_address,
            t.rejected,
            t.duplicates,
            t.returns,
            t.sticky,
            t.given_up,
            self.retransmits,
            self.forged,
            self.late,
            self.refused,
            t.lost_stops,
            t.repeats,
            t.repeats_differ,
            self.online,
            self.aborted,
        );
        let mut latency = |name: &str, h: &Histogram| {
            let _ = write!(
                out,
                ",\"{name}\":{{\"count\":{},\"p50_ms\":{:.3},\"p90_ms\":{:.3},\"p99_ms\":{:.3},\"max_ms\":{:.3}}}",
                h.count,
                h.quantile(0.5),
                h.quantile(0.9),
                h.quantile(0.99),
                h.max_ms()
            );
        };
        latency("latency", &all);
        for (name, h) in Ask::KINDS.iter().zip(&t.latency).filter(|(_, h)| h.count > 0) {
            latency(name, h);
        }
        let twins = &t.twins;
        if twins.pairs > 0 {
            let _ = write!(
                out,
                ",\"twins\":{{\"pairs\":{},\"agree\":{},\"other_address\":{},\"other_class\":{},\"one_sided\":{},\
                 \"neither\":{}}}",
                twins.pairs,
                twins.agree,
                twins.other_address,
                twins.other_class,
                twins.one_sided,
                twins.neither
            );
        }
        let cpu: Vec<String> =
            self.cpu.iter().map(|(name, micros)| format!("{}:{micros:.2}", quote(name))).collect();
        let _ = write!(out, ",\"cpu_us_per_request\":{{{}}}", cpu.join(","));
        out
    }

    /// The report for people, several lines.
    pub fn human(&self) -> String {
        let (t, all) = (&self.tally, self.latency());
        let mut out = format!(
            "{:<16} {:>9.0} req/s {:>8.0} sessions/s   {} requests in {:.2} s, {} online\n",
            self.phase,
            self.rate(),
            self.allocations(),
            self.answered,
            self.seconds,
            self.online
        );
        let mut line = |name: &str, h: &Histogram| {
            let _ = writeln!(
                out,
                "  {name:<14} p50 {:.2}  p90 {:.2}  p99 {:.2}  max {:.1} ms  ({})",
                h.quantile(0.5),
                h.quantile(0.9),
                h.quantile(0.99),
                h.max_ms(),
                h.count
            );
        };
        line("latency", &all);
        for (name, h) in Ask::KINDS.iter().zip(&t.latency).filter(|(_, h)| h.count > 0) {
            line(name, h);
        }
        let _ = writeln!(
            out,
            "  {} granted, {} accepted without address, {} rejected, {} timeouts, {} retransmits, {} duplicates",
            t.granted, t.no_address, t.rejected, t.given_up, self.retransmits, t.duplicates
        );
        if self.forged + self.late + self.refused + t.lost_stops > 0 {
            let _ = writeln!(
                out,
                "  {} wrongly signed, {} late, {} refused, {} Stops lost on purpose",
                self.forged, self.late, self.refused, t.lost_stops
            );
        }
        if let Some(share) = self.sticky() {
            let _ =
                writeln!(out, "  {:.1} % of {} returns got their former address", share * 100.0, t.returns);
        }
        if t.repeats > 0 {
            let _ = writeln!(
                out,
                "  {} logins asked twice, {} answered differently",
                t.repeats, t.repeats_differ
            );
        }
        let twins = &t.twins;
        if twins.pairs > 0 {
            let _ = writeln!(
                out,
                "  {} pairs: {} agree, {} other address, {} other Class, {} granted by one only, {} by neither",
                twins.pairs,
                twins.agree,
                twins.other_address,
                twins.other_class,
                twins.one_sided,
                twins.neither
            );
        }
        let cpu: Vec<String> = self.cpu.iter().map(|(n, micros)| format!("{n} {micros:.1}")).collect();
        let _ = writeln!(out, "  µs of CPU a request: {}", cpu.join(", "));
        if self.aborted {
            out.push_str("  ABORTED: nobody answered, or interrupted\n");
        }
        out
    }
}

/// A JSON string.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_within_two_percent() {
        let mut h = Histogram::new();
        for n in 1..=10_000u64 {
            h.add(Duration::from_micros(n * 10));
        }
        for (share, ms) in [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0)] {
            let got = h.quantile(share);
            assert!((got / ms - 1.0).abs() < 0.02, "{share}: {got} instead of {ms}");
        }
        assert_eq!(h.max_ms(), 100.0);
    }

    #[test]
    fn every_bucket_begins_where_it_says() {
        for micros in (0..200_000).step_by(7) {
            let floor = Histogram::floor(Histogram::bucket(micros));
            assert!(floor <= micros as f64 && micros as f64 <= floor * 1.016 + 1.0, "{micros}: {floor}");
        }
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quote("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }
}
