//! A small fuzzer for tests: inputs of a corpus, bent in random steps. What comes to an outcome that was not seen before joins
//! the corpus, so that the next steps begin there.
//!
//! `IPPOOL_RS_FUZZ=60`: so many seconds for each target instead of one. `IPPOOL_RS_FUZZ_SEED=2`: other random numbers.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// The most inputs that are kept.
const CORPUS: usize = 4000;
/// The longest input, bytes.
const LONGEST: usize = 1 << 16;
/// The longest that a target may take for one input.
const SLOW: Duration = Duration::from_secs(2);

/// Random numbers (xorshift64*), the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 33).unwrap_or_default() % end.max(1)
    }
}

/// Shows the input that a panic was about.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    #[allow(clippy::print_stderr, reason = "a test that failed says with what")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Feeds `target` until the time is over; it panics where something is wrong, and else tells in a few words what came of the
/// input. `words`: what such inputs are made of.
#[allow(clippy::print_stdout, reason = "the figures of a long run")]
pub fn fuzz(corpus: &[&[u8]], words: &[&[u8]], target: impl Fn(&[u8]) -> String) {
    let end = Instant::now() + Duration::from_secs(setting("IPPOOL_RS_FUZZ").unwrap_or(1));
    let mut dice = Dice(setting("IPPOOL_RS_FUZZ_SEED").unwrap_or(1) | 1);
    let mut corpus: Vec<Vec<u8>> = corpus.iter().map(|input| input.to_vec()).collect();
    // Millions of outcomes are no reason to keep their words.
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    let try_one = |input: &[u8]| {
        let _shown = Shown(input);
        let began = Instant::now();
        let outcome = target(input);
        assert!(began.elapsed() < SLOW, "it took {:?}", began.elapsed());
        hasher.hash_one(outcome)
    };
    for input in &corpus {
        seen.insert(try_one(input));
    }
    let mut count = 0_u64;
    while Instant::now() < end {
        let mut input = corpus[dice.below(corpus.len())].clone();
        for _ in 0..=dice.below(6) {
            bend(&mut input, &corpus, words, &mut dice);
        }
        input.truncate(LONGEST);
        count += 1;
        if seen.insert(try_one(&input)) && corpus.len() < CORPUS {
            corpus.push(input);
        }
    }
    assert!(count > 100, "only {count} inputs: that says nothing");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    println!("{name}: {count} inputs, {} outcomes", seen.len());
}

/// What a message says, without what it is about: so that two of one kind are one outcome.
pub fn gist(text: &str) -> String {
    text.split('"').step_by(2).flat_map(str::chars).filter(|c| !c.is_ascii_digit()).take(50).collect()
}

/// One random change.
fn bend(input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(input.len() + 1);
    let longest = if dice.below(4) == 0 { 4000 } else { 12 };
    let to = (at + dice.below(longest)).min(input.len());
    match dice.below(9) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 if at < input.len() => input[at] = [0, 1, 0x7F, 0x80, 0xC0, 0xE0, 0xF0, 0xFF][dice.below(8)],
        2 => {
            input.drain(at..to);
        }
        3 => {
            let piece = input[at..to].to_vec();
            input.splice(at..at, piece);
        }
        4 | 5 => {
            let word = words.get(dice.below(words.len())).copied().unwrap_or_default();
            input.splice(at..at, word.iter().copied());
        }
        6 => {
            let other = &corpus[dice.below(corpus.len())];
            let from = dice.below(other.len() + 1);
            let until = (from + dice.below(200)).min(other.len());
            input.splice(at..to, other[from..until].iter().copied());
        }
        7 => input.truncate(at),
        _ => input.insert(at, dice.roll().to_be_bytes()[0]),
    }
}
