//! The command line of the generator. That of `radload bench` is with the benchmark.

use crate::cpu::Watched;
use crate::engine::Settings;
use crate::lines::Server;
use crate::phases::Phase;
use crate::radius::attr;
use std::time::Duration;

/// What `radload --help` prints.
pub const HELP: &str = "\
Usage: radload [OPTIONS] PHASE...
       radload bench --help

Sends RADIUS requests as RouterOS does for PPPoE, and checks that no two live sessions have one address or prefix.

Phases, in the order given; sessions live on from one to the next:
  storm=N[,SECONDS] N subscribers log in, each with a Start, at most so long; again: the same ones
  fill=N            N new subscribers log in and keep still for the rest of the run
  interim=SECONDS   Interims of all who are online, in turn
  churn=SECONDS     Stop of the longest-lived session, login of who is longest away, Start, 4 Interims
  churnnew=SECONDS  the same, but each login is of a new subscriber
  flood=N[,LIVE]    N logins of a population of LIVE × 1.5, at most LIVE (10000) sessions online
  burst=N           N new subscribers at the same moment, whatever --outstanding says
  twin=N            N logins sent to both servers, 0 to 5 ms apart: both must answer the same
  soak=N[,LIVE]     N packets; one Stop in 20 is lost, one login in 20 is asked twice
  stop              Stops of all who are online

Options:
  --server ADDRESS[:AUTHPORT[:ACCTPORT]]  a server, IPv4 (127.0.0.1:1812:1813); twice for twin
  --secret TEXT        shared secret (testing123)
  --outstanding N      requests under way (64)
  --rate N             requests a second at most
  --nases N            NASes, each with its own source address on loopback, at most 200 (16)
  --timeout SECONDS    until a request is sent again (1.1)
  --tries N            how often a request is sent at most (3)
  --password TEXT      User-Password; empty: none (password)
  --sign               sign Access-Requests with a Message-Authenticator
  --want ATTRIBUTE[,…]  what each login wants, and its accounting names: Framed-IP-Address, Framed-IPv6-Prefix,
                       Delegated-IPv6-Prefix, Framed-IPv6-Address (Framed-IP-Address)
  --one-address        the server has no pool: equal addresses are no duplicates
  --seed N             of the random choices (1)
  --cpu NAME=PID[,tree]  report this process's CPU time, with `tree` its descendants' too; repeatable
  --json               one JSON object a phase, a line each

Exit status: 0; 1 when it could not run or nobody answered; 3 when two live sessions had one address, or one
login got two different answers.
";

/// What the user wants.
pub struct Args {
    /// The load.
    pub settings: Settings,
    /// The phases, with their text.
    pub phases: Vec<(String, Phase)>,
    /// Lines of JSON instead of text.
    pub json: bool,
    /// Equal addresses are no duplicates.
    pub one_address: bool,
}

impl Args {
    /// Reads the arguments after the program's name. `Ok(None)`: help is wanted.
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut wanted =
            Self { settings: Settings::default(), phases: Vec::new(), json: false, one_address: false };
        let settings = &mut wanted.settings;
        let mut args = Words::new(args);
        while let Some(word) = args.next_word() {
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--server" => settings.servers.push(Server::parse(&args.value()?)?),
                "--secret" => settings.secret = args.value()?.into_bytes(),
                "--outstanding" => settings.outstanding = args.number(1, 100_000)? as usize,
                "--rate" => settings.rate = Some(args.number(1, 10_000_000)? as f64),
                "--nases" => settings.nases = args.number(1, 200)? as usize,
                "--timeout" => settings.timeout = args.seconds()?,
                "--tries" => settings.tries = args.number(1, 1000)? as u32,
                "--password" => {
                    settings.password = Some(args.value()?.into_bytes()).filter(|p| !p.is_empty())
                }
                "--sign" => settings.sign = true,
                "--want" => {
                    settings.wants = args.value()?.split(',').map(attribute).collect::<Result<_, _>>()?;
                }
                "--one-address" => wanted.one_address = true,
                "--seed" => settings.seed = args.number(0, u64::MAX)?,
                "--cpu" => settings.watched.push(Watched::parse(&args.value()?)?),
                "--json" => wanted.json = true,
                phase if !phase.starts_with('-') => {
                    wanted.phases.push((phase.to_owned(), Phase::parse(phase)?));
                }
                unknown => return Err(format!("unknown option {unknown}")),
            }
        }
        if settings.servers.is_empty() {
            settings.servers.push(Server::parse("127.0.0.1")?);
        }
        if wanted.phases.is_empty() {
            return Err("no phase given".into());
        }
        Ok(Some(wanted))
    }
}

/// The number of an attribute that carries an address.
fn attribute(name: &str) -> Result<u8, String> {
    let known = [
        ("Framed-IP-Address", attr::FRAMED_IP_ADDRESS),
        ("Framed-IPv6-Prefix", attr::FRAMED_IPV6_PREFIX),
        ("Delegated-IPv6-Prefix", attr::DELEGATED_IPV6_PREFIX),
        ("Framed-IPv6-Address", attr::FRAMED_IPV6_ADDRESS),
    ];
    let found = known.iter().find(|(one, _)| one.eq_ignore_ascii_case(name.trim()));
    found.map(|(_, number)| *number).ok_or_else(|| format!("--want {name}: no attribute for an address"))
}

/// Arguments, read one after the other; `--name=value` is the same as `--name value`.
pub struct Words<I> {
    words: I,
    name: String,
    pending: Option<String>,
}

impl<I: Iterator<Item = String>> Words<I> {
    /// Reads from these.
    pub fn new(words: I) -> Self {
        Self { words, name: String::new(), pending: None }
    }

    /// The next option's name or operand.
    pub fn next_word(&mut self) -> Option<String> {
        let word = self.words.next()?;
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word, None),
        };
        self.name.clone_from(&name);
        self.pending = value;
        Some(name)
    }

    /// The value of the option read last.
    pub fn value(&mut self) -> Result<String, String> {
        let value = self.pending.take().or_else(|| self.words.next());
        value.ok_or_else(|| format!("{} wants a value", self.name))
    }

    /// The value as a whole number within limits.
    pub fn number(&mut self, least: u64, most: u64) -> Result<u64, String> {
        let text = self.value()?;
        let number = text.parse::<u64>().ok().filter(|n| (least..=most).contains(n));
        number.ok_or_else(|| format!("{} {text}: wanted a number from {least} to {most}", self.name))
    }

    /// The value as a time.
    pub fn seconds(&mut self) -> Result<Duration, String> {
        let text = self.value()?;
        let seconds = text.trim_end_matches('s').parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e6);
        seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("{} {text}: wanted seconds", self.name))
    }
}
