//! A run from its first dial to the proof that nothing was lost, and many of them. What happens in between is in `dual`.

use super::super::db::lock;
use super::super::runs::setting;
use super::super::world::SECOND;
use super::{NASES, Stage, Verdict, What, World};

/// How long a run is, before everything ends, seconds.
const HOUR: u64 = 3600;

impl World {
    fn run(&mut self) -> Verdict {
        self.until(HOUR * SECOND)?;
        // Faults end, all hang up; a subscriber of each NAS stays, so that it is heard.
        self.calm = true;
        lock(&self.db).trouble.heal();
        self.queue.retain(|_, what| matches!(what, What::Tell { .. } | What::Reject(..) | What::HangUp(_)));
        for tag in 0..self.sessions.len() {
            match self.sessions[tag].stage {
                Stage::Live => self.hang_up(tag)?,
                Stage::Dialling => self.sessions[tag].stage = Stage::Over,
                Stage::Over => {}
            }
        }
        let wait = (self.rules.silent + 4 * self.rules.lease) as u64;
        for nas in 0..NASES {
            self.dial(nas)?;
        }
        let end = self.now() + wait * SECOND;
        self.until(end)?;
        let kept = self.devices.iter().flatten().count();
        let free = self.homes as usize - kept;
        for number in 0..=free {
            let device = self.devices.len();
            self.devices.push(None);
            self.dial(device)?;
            let end = self.now() + 4 * SECOND;
            self.until(end)?;
            let got = self.devices[device].is_some();
            if got != (number < free) {
                return Err(format!("P7 newcomer {number} of {free}: {got}; {:?}", self.holders()));
            }
        }
        Ok(())
    }
}

fn run(seed: u64) -> Result<(u64, u64), String> {
    let mut world = World::new(seed);
    let verdict = world.run();
    let last = world.story.len().saturating_sub(setting("SIM_LINES", 40) as usize);
    verdict.map_err(|text| format!("seed {seed}: {text}\n{}", world.story[last..].join("\n")))?;
    Ok((world.granted, world.exhausted))
}

/// One of a seed, for the mutations.
#[cfg(feature = "faults")]
pub fn play(seed: u64) -> Verdict {
    run(seed).map(drop)
}

#[test]
fn where_one_family_is_scarce_nobody_has_one_without_the_other_and_nothing_is_lost() {
    let only = setting("SIM_SEED", u64::MAX);
    let seeds = if only == u64::MAX { 0..setting("SIM_DUAL", 60) } else { only..only + 1 };
    let (mut granted, mut exhausted) = (0, 0);
    for seed in seeds.clone() {
        let (more, full) = run(seed).unwrap_or_else(|text| panic!("{text}"));
        (granted, exhausted) = (granted + more, exhausted + full);
    }
    println!("{} runs: {granted} granted, {exhausted} times full", seeds.end - seeds.start);
    assert!(granted > exhausted / 10 && exhausted > 0);
}
