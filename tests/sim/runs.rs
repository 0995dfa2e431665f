//! Many seeds, and what is told of one that fails.

use std::collections::VecDeque;
use std::time::Instant;

use super::plan::Plan;
use super::world::{Tally, World};

/// A number of the environment.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn run(plan: &Plan) -> Result<Tally, String> {
    World::new(plan).run()
}

/// What a failure says, without what differs from run to run.
fn kind(text: &str) -> String {
    text.chars().filter(|character| character.is_alphabetic()).take(30).collect()
}

/// The least run that still fails in the same way.
fn shrink(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let Err(text) = run(&plan) else { return plan };
    loop {
        let smaller = plan
            .smaller()
            .into_iter()
            .filter(|smaller| smaller.knobs() != plan.knobs())
            .find(|smaller| run(smaller).is_err_and(|found| kind(&found) == kind(&text)));
        match smaller {
            Some(smaller) => plan = smaller,
            None => return plan,
        }
    }
}

/// What happened last in a run that fails.
fn tell(plan: &Plan) -> String {
    let mut world = World::new(plan);
    world.trace = Some(VecDeque::new());
    let verdict = world.run();
    let lines = setting("SIM_LINES", 60) as usize;
    let trace: Vec<String> = world.trace.take().unwrap_or_default().into();
    let last = trace[trace.len().saturating_sub(lines)..].join("\n");
    format!("{last}\n{plan:?}\n{verdict:?} after {} steps", world.tally.steps)
}

#[test]
fn no_address_is_given_to_two_and_none_is_lost() {
    let (steps, only) = (setting("SIM_STEPS", 2000) as usize, setting("SIM_SEED", u64::MAX));
    let seeds = if only == u64::MAX { 0..setting("SIM_SEEDS", 300) } else { only..only + 1 };
    let (began, mut sum, mut failed) = (Instant::now(), Tally::default(), Vec::new());
    for seed in seeds.clone() {
        let plan = Plan::of(seed, steps);
        match run(&plan) {
            Ok(tally) => sum.add(&tally),
            Err(text) => {
                println!("seed {seed}: {text}");
                failed.push(plan);
            }
        }
        if failed.len() as u64 >= setting("SIM_FAILURES", 1) {
            break;
        }
    }
    let spent = began.elapsed().as_secs_f64();
    println!("{sum:?}\n{:.1} seeds/s, {spent:.1} s", (seeds.end - seeds.start) as f64 / spent);
    if let Some(plan) = failed.first() {
        let least = if setting("SIM_SHRINK", 1) == 1 { shrink(plan) } else { plan.clone() };
        println!("{}", tell(&least));
        panic!(
            "{} seeds failed; the first again: SIM_SEED={} SIM_STEPS={steps} cargo test --test sim",
            failed.len(),
            plan.seed
        );
    }
}

#[test]
fn one_seed_is_one_run() {
    let told = |seed| tell(&Plan::of(seed, 300));
    for seed in 0..3 {
        assert_eq!(told(seed), told(seed));
    }
}
