//! What one seed plays: how many of whom, by which rules, with which faults.

use std::sync::Arc;

use rlm_ippool_rs::lease::Rules;

use super::rng::Rng;

/// A run, before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub steps: usize,
    pub servers: usize,
    pub nases: usize,
    pub owners: usize,
    /// Of a thousand owners, so many have a second device.
    pub second_device: u64,
    pub addresses: u32,
    pub rules: Arc<Rules>,
    /// Some owners have an address of their own, stated by the reply.
    pub statics: bool,
    /// Of a thousand packets, so many are lost.
    pub loss: u64,
    /// Some packets come minutes or hours late.
    pub late: bool,
    /// Of a thousand logins, so many are rejected after all.
    pub rejects: u64,
    /// Of a thousand calls of the database, so many fail in each way.
    pub store: u64,
    pub outages: bool,
    pub clock: bool,
    pub reboots: bool,
    pub links: bool,
    pub restarts: bool,
}

impl Plan {
    pub fn of(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::new(seed);
        let owners = rng.range(2, 20) as usize;
        let second_device = rng.pick(&[0, 300, 600]);
        let devices = owners as u64 * (1000 + second_device) / 1000;
        let lease = rng.pick(&[600, 1200, 3600]);
        let rules = Rules {
            lease,
            offer: 120,
            silent: lease * rng.pick(&[4, 8, 24]),
            grace: 60,
            cooldown: 10,
            declined: 86_400,
            sessions_per_owner: if rng.chance(850) { 0 } else { 1 },
            static_wins: rng.chance(700),
            // The way of those who may have several things at once must lead to the same answers.
            several: seed % 2 == 1,
            last_known: false,
        };
        Self {
            seed,
            steps,
            servers: rng.range(1, 4) as usize,
            nases: rng.range(1, 5) as usize,
            owners,
            second_device,
            // From too few to plenty.
            addresses: (devices * rng.pick(&[600, 1000, 1300, 2500]) / 1000).max(2) as u32,
            rules: Arc::new(rules),
            statics: rng.chance(250),
            loss: rng.pick(&[0, 20, 100, 300]),
            late: rng.chance(500),
            rejects: rng.pick(&[0, 50, 300]),
            store: rng.pick(&[0, 0, 2, 10]),
            outages: rng.chance(300),
            clock: rng.chance(150),
            reboots: rng.chance(600),
            links: rng.chance(400),
            restarts: rng.chance(300),
        }
    }

    /// Smaller runs that may fail as well: the first that does is taken, and shrunk again.
    pub fn smaller(&self) -> Vec<Self> {
        let mut plans = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut plan = self.clone();
            change(&mut plan);
            plans.push(plan);
        };
        with(&|plan| plan.clock = false);
        with(&|plan| plan.outages = false);
        with(&|plan| plan.store = 0);
        with(&|plan| plan.restarts = false);
        with(&|plan| plan.links = false);
        with(&|plan| plan.reboots = false);
        with(&|plan| plan.statics = false);
        with(&|plan| plan.late = false);
        with(&|plan| plan.rejects = 0);
        with(&|plan| plan.loss = 0);
        with(&|plan| plan.servers = 1);
        with(&|plan| plan.nases = (plan.nases / 2).max(1));
        with(&|plan| plan.second_device = 0);
        with(&|plan| plan.owners = (plan.owners / 2).max(2));
        with(&|plan| plan.owners = (plan.owners - 1).max(2));
        plans
    }

    /// The knobs, to tell a smaller run from the one before.
    pub fn knobs(&self) -> String {
        let mut plan = self.clone();
        plan.steps = 0;
        format!("{plan:?}")
    }
}
