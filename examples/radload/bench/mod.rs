//! `radload bench`: the peers side by side on one machine, in interleaved rounds. The peers are in `peers`, their
//! servers in `servers`, the tables in `results`.

mod peers;
mod results;
mod servers;

use crate::args::Words;
use crate::cpu::Watched;
use crate::engine::{Generator, Settings};
use crate::lines::Server;
use crate::phases::Phase;
use crate::sys;
use crate::tally::Report;
use peers::{Kind, Peer, Pool};
use results::{MINUTES, PHASES, Sample};
use servers::{Account, Postgres, Radiusd};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What `radload bench --help` prints.
const HELP: &str = "\
Usage: tests/bench.sh [OPTIONS]      (or: radload bench [OPTIONS])

Measures radiusd without a pool, rlm_sqlippool, rlm_ippool and ippool_rs side by side, each with its own servers in
a private folder. docs/benchmark.md says what the numbers mean.

Options:
  --rounds N            rounds; tables show medians (3)
  --pool SIZE[,SIZE]    addresses: 10k, 65k, 1M or a number (65k)
  --occupancy P[,P]     per cent of the pool that others hold all the time (0)
  --outstanding N       requests under way (64)
  --only PEER[,PEER]    none sqlippool-pg sqlippool-pg-proc ippool-gdbm ours-sqlite ours-pg (all these), and ours-pg in other
                        shapes: ours-pg-chain (four pools, three of them full), ours-pg-dual (IPv4, a prefix for the link
                        and a delegated one for each login), ours-pg-prefix (delegated prefixes, 1,048,576 in the pool)
  --sources N           one peer more, ours-pg-sources: ours-pg with so many rows in each of radreply and radacct
  --quick               one round of seconds, as a smoke test; its figures are worth little
  --seconds N           length of a timed phase (5)
  --minutes N           after the phases, so many minutes of churn, each by itself (0, at most 10)
  --subscribers N       sessions online (12000, at most 60 % of the free addresses)
  --built DIR           where the module and the companion were built (beside this program)
  --work DIR            where the private folders are made: a real disk, please (/var/tmp)
  --out DIR             where the JSON lines and the table go (bench-out)
  --write FILE          put the tables between the marks of this Markdown file, too
  --keep                leave the private folders, with the logs

Exit status: 0; 1 when a peer could not be measured; 3 when two live sessions had one address.
";

/// What is to be measured.
struct Plan {
    peers: Vec<Peer>,
    pools: Vec<Pool>,
    rounds: usize,
    outstanding: usize,
    seconds: Duration,
    minutes: usize,
    subscribers: usize,
    sources: u32,
    quick: bool,
    keep: bool,
    built: PathBuf,
    work: PathBuf,
    out: PathBuf,
    write: Option<PathBuf>,
}

impl Plan {
    fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        // target/release/examples/radload
        let built = program.parent().and_then(Path::parent).unwrap_or(Path::new(".")).to_owned();
        let mut plan = Self {
            peers: peers::ALL.into_iter().filter(|peer| !peer.is_variant()).collect(),
            pools: Vec::new(),
            rounds: 3,
            outstanding: 64,
            seconds: Duration::from_secs(5),
            minutes: 0,
            subscribers: 12_000,
            sources: 100_000,
            quick: false,
            keep: false,
            built,
            work: PathBuf::from("/var/tmp"),
            out: PathBuf::from("bench-out"),
            write: None,
        };
        let (mut sizes, mut occupancies, mut sourced) = (vec![65_000], vec![0], false);
        let mut words = Words::new(words);
        while let Some(word) = words.next_word() {
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--rounds" => plan.rounds = words.number(1, 99)? as usize,
                "--pool" => sizes = list(&words.value()?, size)?,
                "--occupancy" => occupancies = list(&words.value()?, percent)?,
                "--outstanding" => plan.outstanding = words.number(1, 4096)? as usize,
                "--only" => plan.peers = list(&words.value()?, Peer::named)?,
                "--sources" => {
                    plan.sources = size(&words.value()?)?;
                    sourced = true;
                }
                "--quick" => {
                    plan.quick = true;
                    plan.rounds = 1;
                    plan.seconds = Duration::from_secs(1);
                    plan.subscribers = 500;
                }
                "--minutes" => plan.minutes = words.number(0, MINUTES.len() as u64)? as usize,
                "--seconds" => plan.seconds = words.seconds()?,
                "--subscribers" => plan.subscribers = words.number(1, 1_000_000)? as usize,
                "--built" => plan.built = PathBuf::from(words.value()?),
                "--work" => plan.work = PathBuf::from(words.value()?),
                "--out" => plan.out = PathBuf::from(words.value()?),
                "--write" => plan.write = Some(PathBuf::from(words.value()?)),
                "--keep" => plan.keep = true,
                other => return Err(format!("unknown option {other}")),
            }
        }
        if sourced && plan.peers.iter().all(|peer| peer.kind != Kind::OursSources) {
            plan.peers.extend(peers::ALL.into_iter().filter(|peer| peer.kind == Kind::OursSources));
        }
        for &size in &sizes {
            plan.pools.extend(occupancies.iter().map(|&occupancy| Pool { size, occupancy }));
        }
        Ok(Some(plan))
    }
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(one).collect()
}

fn size(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        _ => (text, 1),
    };
    let size = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    // From 10.64.0.1 on there is room for so many.
    let size = size.filter(|n| (100..=4_000_000).contains(n));
    size.ok_or_else(|| format!("pool {text}: wanted 100 to 4M addresses"))
}

fn percent(text: &str) -> Result<u32, String> {
    let percent = text.trim_end_matches('%').parse::<u32>().ok().filter(|n| *n <= 99);
    percent.ok_or_else(|| format!("occupancy {text}: wanted 0 to 99 per cent"))
}

/// The subcommand.
pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let plan = match Plan::parse(words) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("radload bench: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    sys::catch_interrupts();
    match run(&plan) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("radload bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> Result<ExitCode, String> {
    let account = Account::choose();
    let folder = Folder::make(plan, &account)?;
    let stage = Stage { plan, account, home: folder.path.clone() };
    let machine = stage.machine();
    for (name, value) in &machine {
        println!("{name}: {value}");
    }
    if plan.peers.iter().any(Peer::needs_postgres) {
        Postgres::make_template(&stage.account, &stage.template())?;
    }
    let mut samples: Vec<Sample> = Vec::new();
    for &pool in &plan.pools {
        for round in 1..=plan.rounds {
            // Each round begins with another peer: what drifts hits all of them.
            let mut order = plan.peers.clone();
            order.rotate_left((round - 1) % plan.peers.len().max(1));
            for peer in order {
                if !sys::interrupted() {
                    stage.measure(peer, pool, round, &mut samples);
                }
            }
        }
    }
    let tables = results::markdown(&machine, &plan.pools, &samples);
    println!("\n{tables}");
    store(plan, &machine, &samples, &tables)?;
    if sys::interrupted() {
        return Err("interrupted; the tables show what there was until then".into());
    }
    if let Some(path) = &plan.write {
        results::write_into(path, &tables)?;
    }
    let wrong = |s: &Sample| s.outcome.as_ref().is_ok_and(Report::is_wrong);
    let failed = |s: &Sample| s.outcome.as_ref().map_or(true, |r| r.aborted);
    Ok(if samples.iter().any(wrong) {
        ExitCode::from(3)
    } else if samples.iter().any(failed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The private folder of this run, removed with it.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn make(plan: &Plan, account: &Account) -> Result<Self, String> {
        let path = plan.work.join(format!("ippool-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        account.give(&path)?;
        Ok(Self { path, keep: plan.keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("left in {}", self.path.display());
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Where peers are measured.
struct Stage<'a> {
    plan: &'a Plan,
    account: Account,
    home: PathBuf,
}

impl Stage<'_> {
    fn template(&self) -> PathBuf {
        self.home.join("template")
    }

    /// Measures one peer in all phases; failures are samples, too.
    fn measure(&self, peer: Peer, pool: Pool, round: usize, samples: &mut Vec<Sample>) {
        let actual = peer.pool(pool);
        let dir = self.home.join(format!("{}-{}-{}-{round}", peer.name, pool.size, pool.occupancy));
        println!("\nround {round}: {}, {} addresses, {} % held", peer.name, actual.size, actual.occupancy);
        let mut done = 0;
        let result = self.measure_in(&dir, peer, actual, |phase, report| {
            print!("  {}", report.human());
            done += 1;
            samples.push(Sample { round, peer, pool, phase, outcome: Ok(report) });
        });
        if let Err(error) = result {
            println!("  FAILED: {error}");
            samples.extend(PHASES[done..].iter().map(|&phase| {
                let outcome = Err(error.clone());
                Sample { round, peer, pool, phase, outcome }
            }));
        }
        if !self.plan.keep {
            let _ = fs::remove_dir_all(&dir);
        }
    }

    fn measure_in(
        &self,
        dir: &Path,
        peer: Peer,
        pool: Pool,
        mut measured: impl FnMut(&'static str, Report),
    ) -> Result<(), String> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench");
        let configs = if manifest.exists() { manifest } else { PathBuf::from("tests/bench") };
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        for (from, to) in [("radiusd.conf", "radiusd.conf"), (peer.config, "peer.conf")] {
            let from = configs.join(from);
            fs::copy(&from, dir.join(to)).map_err(|e| format!("{}: {e}", from.display()))?;
        }
        let mut libdir = "/usr/lib/freeradius".to_owned();
        if peer.is_ours() {
            libdir = format!("{}:{libdir}", peers::install_module(&self.plan.built, dir)?.display());
        }
        self.account.give(dir)?;

        let postgres = if peer.needs_postgres() {
            Some(Postgres::start(&self.account, &self.template(), dir)?)
        } else {
            None
        };
        let database = match (&postgres, peer) {
            (Some(postgres), _) if peer.is_ours() => postgres.url(),
            (Some(postgres), _) => postgres.conninfo(),
            (None, _) => format!("sqlite://{}", dir.join("ippool.db").display()),
        };
        if peer.is_ours() {
            let companion = dir.join("lib/ippool-rs");
            peers::prepare_ours(&self.account, &companion, &database, (&peer, pool))?;
            if let Some(postgres) = postgres.as_ref().filter(|_| peer.kind == Kind::OursSources) {
                let database = (postgres, database.as_str());
                peers::lay_sources(&self.account, &companion, database, pool, self.plan.sources)?;
            }
            postgres.as_ref().map_or(Ok(()), Postgres::settle)?;
        } else if let Some(postgres) = &postgres {
            peers::prepare_sqlippool(&peer, pool, postgres, dir)?;
            self.account.give(&dir.join("queries.conf"))?;
        }
        let radiusd = Radiusd::start(
            &self.account,
            dir,
            &[
                ("BENCH_PEER", dir.join("peer.conf").display().to_string()),
                ("BENCH_LIBDIR", libdir),
                ("BENCH_THREADS", peer.threads.to_string()),
                ("BENCH_DATABASE", database),
                ("BENCH_FIRST", Pool::FIRST.to_string()),
                ("BENCH_LAST", pool.last().to_string()),
                // rlm_sqlippool has none, and a nearly full pool would be at rest more than in use.
                ("BENCH_COOLDOWN", if pool.occupancy > 90 { "0" } else { "10" }.to_owned()),
                ("BENCH_CACHE", (pool.size + 100).to_string()),
            ],
        )?;
        let mut watched = vec![Watched { name: "radiusd".into(), pid: radiusd.pid(), tree: false }];
        if let Some(postgres) = &postgres {
            watched.push(Watched { name: "db".into(), pid: postgres.pid(), tree: true });
        }
        let settings = Settings {
            servers: vec![Server { auth: radiusd.auth, acct: radiusd.acct }],
            outstanding: self.plan.outstanding,
            // Longer than RouterOS waits: the slow peers are to be measured, not drowned.
            timeout: Duration::from_secs(3),
            wants: peer.wants(),
            watched,
            ..Settings::default()
        };
        rest(&settings.watched);
        self.load(peer, pool, settings, &mut measured)
        // The load has drained by now; radiusd goes before its database.
    }

    /// The phases.
    fn load(
        &self,
        peer: Peer,
        pool: Pool,
        settings: Settings,
        measured: &mut dyn FnMut(&'static str, Report),
    ) -> Result<(), String> {
        let plan = self.plan;
        let mut generator = Generator::new(settings.clone()).map_err(|e| e.to_string())?;
        generator.book().judges = peer.kind != Kind::None;
        if pool.held() > 0 && peer.is_sqlippool() {
            generator.book().hold_elsewhere(Pool::FIRST..=Pool::address(pool.held() - 1));
        }
        let mut run = |name: &str, phase: Phase| -> Result<Report, String> {
            let seen = generator.book().subscribers;
            let mut script = phase.script(seen, &settings);
            generator.run(name, script.as_mut()).map_err(|e| format!("{name}: {e}"))
        };
        let taken = peer.taken(pool);
        if taken > 0 && peer.is_ours() {
            // Its rows are made as they are needed, so they are taken the way subscribers take them.
            let report = run("fill", Phase::Fill(taken as usize))?;
            if report.aborted || report.tally.granted < u64::from(taken) {
                return Err(format!("filling the pool: {} of {taken}", report.tally.granted));
            }
            rest(&settings.watched);
        }
        let free = (pool.size - pool.held()) as usize;
        let mut subscribers = plan.subscribers.min(free * 6 / 10).max(1);
        let mut seconds = plan.seconds;
        if peer.kind == Kind::Gdbm {
            subscribers = subscribers.min(600);
            seconds = seconds.min(Duration::from_secs(2));
        }
        for phase in PHASES.into_iter().chain(MINUTES).take(PHASES.len() + plan.minutes) {
            let script = match phase {
                "storm" => Phase::Storm(subscribers, Some(seconds * 4)),
                "interim" => Phase::Interim(seconds),
                "churn" => Phase::Churn(seconds),
                "churnnew" => Phase::ChurnNew(seconds * 3 / 5),
                _ => Phase::Churn(Duration::from_secs(60)),
            };
            let report = run(phase, script)?;
            if sys::interrupted() {
                return Err("interrupted".into());
            }
            let (granted, online) = (report.tally.granted, report.online);
            measured(phase, report);
            if phase == "storm" && granted == 0 {
                return Err("the storm got no address at all".into());
            }
            if online == 0 {
                return Err(format!("after {phase} nobody is online"));
            }
        }
        Ok(())
    }

    /// On what it was measured.
    fn machine(&self) -> Vec<(String, String)> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let commit = env!("CARGO_MANIFEST_DIR");
        let commit = servers::ask("git", &["-C", commit, "describe", "--always", "--dirty"]);
        let postgres = servers::postgres_programs().map_or(String::new(), |bin| {
            servers::ask(&bin.join("postgres").to_string_lossy(), &["--version"])
        });
        let phases = format!(
            "{} rounds, {} outstanding, {:.0} s a timed phase, up to {} sessions online{}",
            self.plan.rounds,
            self.plan.outstanding,
            self.plan.seconds.as_secs_f64(),
            self.plan.subscribers,
            if self.plan.quick { " (--quick: a smoke test, no measurement)" } else { "" },
        );
        [
            ("date", servers::ask("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            (
                "machine",
                format!("{cores} cores,{}", model.trim_start_matches(['\t', ' ', ':']).trim())
                    .replace(",", ", "),
            ),
            ("kernel", servers::ask("uname", &["-sr"])),
            ("load before", load.split(' ').take(3).collect::<Vec<_>>().join(" ")),
            (
                "fdatasync of 8 kB",
                fdatasync_micros(&self.home).map_or("unknown".into(), |us| format!("{us:.0} µs")),
            ),
            ("FreeRADIUS", servers::ask("freeradius", &["-v"])),
            ("PostgreSQL", postgres),
            ("ippool_rs", commit),
            ("run", phases),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Waits until the servers have done what they do after a start: ippool_rs makes rows ahead, as long as nobody asks, and
/// PostgreSQL has a vacuum or a checkpoint to finish. The rows of rlm_sqlippool are there before it starts.
fn rest(watched: &[Watched]) {
    const STEP: Duration = Duration::from_millis(400);
    let used = || watched.iter().map(Watched::seconds).sum::<f64>();
    let (mut before, mut calm) = (used(), 0);
    for _ in 0..150 {
        std::thread::sleep(STEP);
        let now = used();
        calm = if now - before < 0.05 * STEP.as_secs_f64() { calm + 1 } else { 0 };
        before = now;
        if calm == 3 || sys::interrupted() {
            return;
        }
    }
}

/// The mean of 200 durable writes: what a commit costs at least.
fn fdatasync_micros(dir: &Path) -> Option<f64> {
    let path = dir.join("fdatasync");
    let mut file = fs::File::create(&path).ok()?;
    let block = [7u8; 8192];
    file.write_all(&block).ok()?;
    let begin = Instant::now();
    for _ in 0..200 {
        use std::io::Seek as _;
        file.rewind().ok()?;
        file.write_all(&block).ok()?;
        file.sync_data().ok()?;
    }
    let micros = begin.elapsed().as_secs_f64() * 1e6 / 200.0;
    let _ = fs::remove_file(path);
    Some(micros)
}

/// Writes the JSON lines and the tables.
fn store(plan: &Plan, machine: &[(String, String)], samples: &[Sample], tables: &str) -> Result<(), String> {
    fs::create_dir_all(&plan.out).map_err(|e| format!("{}: {e}", plan.out.display()))?;
    let name = servers::ask("date", &["-u", "+%Y%m%d-%H%M%S"]);
    let fields: Vec<String> = machine
        .iter()
        .map(|(name, value)| format!("{}:{}", crate::tally::quote(name), crate::tally::quote(value)))
        .collect();
    let mut lines = format!("{{{}}}\n", fields.join(","));
    for sample in samples {
        lines.push_str(&sample.json());
        lines.push('\n');
    }
    for (extension, text) in [("jsonl", lines.as_str()), ("md", tables)] {
        let path = plan.out.join(format!("{name}.{extension}"));
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}
