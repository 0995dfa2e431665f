//! One connection of the binary API: login, then commands, several at a time, each with its tag, answered in turns.

use super::codec::{Reader, Sentence, put_sentence};
use super::command::{Answer, Call, Listing, Trap};
use super::fault::{End, Fault, Flow};
use super::login::{Step, login};
use super::state::{State, User};
use super::version::EMPTY;
use super::wire::{Wait, Wire};
use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many rows of one command come before those of the next.
const TURN: usize = 32;
/// What may be sent before the login.
const STRANGER: usize = 16;

type Attributes = Vec<(String, Vec<u8>)>;

/// What comes next of an answer.
enum Reply {
    Sentence(&'static str, Attributes),
    /// The end of the connection, with its reason.
    Fatal {
        message: String,
        attribute: bool,
    },
    Raw(Vec<u8>),
    Flood(Vec<u8>),
}

/// A command under way.
struct Run {
    tag: Option<Vec<u8>>,
    flow: Option<Flow>,
    fault: Option<Fault>,
    rows: Option<(Listing, usize)>,
    /// What comes after the rows.
    then: VecDeque<Reply>,
    /// A `listen`, and which change it told last.
    listen: Option<(Listing, usize)>,
}

pub struct Connection<'r> {
    state: &'r Mutex<State>,
    wire: &'r mut Wire,
    reader: Reader,
    user: Option<User>,
    challenge: Vec<u8>,
    before_login: usize,
    runs: VecDeque<Run>,
}

pub fn serve(state: &Mutex<State>, wire: &mut Wire) -> io::Result<()> {
    let mut connection = Connection {
        state,
        wire,
        reader: Reader::default(),
        user: None,
        challenge: Vec::new(),
        before_login: 0,
        runs: VecDeque::new(),
    };
    let end = connection.serve();
    let listening = connection.runs.iter().filter(|run| run.listen.is_some()).count();
    connection.state().listeners -= listening;
    end
}

fn done(ret: Option<String>) -> Reply {
    Reply::Sentence("!done", ret.map(|ret| ("ret".into(), ret.into_bytes())).into_iter().collect())
}

fn trapped(trap: &Trap) -> Reply {
    let category = trap.category.map(|n| ("category".into(), n.to_string().into_bytes()));
    let message = ("message".into(), trap.message.clone().into_bytes());
    Reply::Sentence("!trap", category.into_iter().chain([message]).collect())
}

impl Connection<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let wait = match self.runs.iter().all(|run| run.listen.is_some()) {
                true if self.runs.is_empty() => Wait::ForEver,
                true => Wait::AWhile,
                false => Wait::Not,
            };
            let bytes = self.wire.take(wait)?;
            self.reader.push(&bytes);
            loop {
                match self.reader.take() {
                    Ok(Some(words)) => self.begin(&words)?,
                    Ok(None) => break,
                    Err(_) => return self.fatal("bad sentence", false),
                }
            }
            for _ in 0..self.runs.len() {
                let Some(mut run) = self.runs.pop_front() else { break };
                if self.turn(&mut run)? {
                    self.runs.push_back(run);
                }
            }
        }
    }

    fn fatal(&mut self, message: &str, attribute: bool) -> io::Result<()> {
        let mut bytes = Vec::new();
        let message = if attribute { format!("=message={message}") } else { message.into() };
        put_sentence(&mut bytes, ["!fatal", &message]);
        self.wire.send(&bytes, None)?;
        self.wire.end(End::Close)
    }

    fn begin(&mut self, words: &Sentence) -> io::Result<()> {
        let tag = words.iter().find_map(|word| word.strip_prefix(b".tag=")).map(<[u8]>::to_vec);
        let call = Call::parse(words);
        let name = call.as_ref().map(Call::command).unwrap_or_default();
        let fault = self.state().fault(&name);
        let mut run = Run {
            tag,
            flow: fault.as_ref().and_then(Fault::flow),
            fault,
            rows: None,
            then: VecDeque::new(),
            listen: None,
        };
        let user = self.user.clone();
        match (call, user) {
            (Err(trap), _) => run.then.extend([trapped(&trap), done(None)]),
            (Ok(call), _) if name == "/login" => self.login(&call, &mut run)?,
            (Ok(_), None) => return self.fatal("not logged in", false),
            (Ok(_), _) if name == "/quit" => return self.fatal("session terminated on request", false),
            (Ok(call), _) if name == "/cancel" => self.cancel(&call, &mut run),
            (Ok(call), Some(user)) => self.command(&call, &user, &mut run),
        }
        self.runs.push_back(run);
        Ok(())
    }

    fn login(&mut self, call: &Call, run: &mut Run) -> io::Result<()> {
        self.before_login += 1;
        if self.before_login > STRANGER {
            return self.fatal("too many sentences before login", false);
        }
        let mut challenge = std::mem::take(&mut self.challenge);
        let step = login(call, &self.state(), &mut challenge);
        self.challenge = challenge;
        match step {
            Ok(Step::Challenge(text)) => run.then.push_back(done(Some(text))),
            Ok(Step::In(user)) => {
                self.user = Some(user);
                run.then.push_back(done(None));
            }
            Err(trap) => run.then.extend([trapped(&trap), done(None)]),
        }
        interrupt(run);
        Ok(())
    }

    /// Ends the command with this tag, or all of them.
    fn cancel(&mut self, call: &Call, run: &mut Run) {
        let tag = call.argument("tag");
        let mut listening = 0;
        for other in &mut self.runs {
            if tag.is_none() || other.tag.as_deref() == tag {
                listening += usize::from(other.listen.take().is_some());
                other.rows = None;
                let interrupted = Trap { category: Some(2), message: "interrupted".into() };
                other.then = VecDeque::from([trapped(&interrupted), done(None)]);
            }
        }
        self.state().listeners -= listening;
        run.then.push_back(done(None));
    }

    fn command(&mut self, call: &Call, user: &User, run: &mut Run) {
        let mut state = self.state();
        match call.run(&mut state, user) {
            Err(trap) => run.then.extend([trapped(&trap), done(None)]),
            Ok(Answer::Done(ret)) => run.then.push_back(done(ret)),
            Ok(Answer::Count(n)) => {
                let n = run.fault.as_ref().map_or(n as i64, |fault| fault.count(n));
                run.then.push_back(done(Some(n.to_string())));
            }
            Ok(Answer::Listen(listing)) => {
                state.listeners += 1;
                run.listen = Some((listing, state.changes.len()));
            }
            Ok(Answer::Rows(mut listing)) => {
                if let Some(fault) = &run.fault {
                    fault.bend(&mut listing.rows);
                }
                if listing.rows.is_empty() && state.version >= EMPTY {
                    run.then.push_back(Reply::Sentence("!empty", Vec::new()));
                }
                run.then.push_back(done(None));
                run.rows = Some((listing, 0));
            }
        }
        drop(state);
        interrupt(run);
    }

    /// Sends some of a command's answer; false when it has ended.
    fn turn(&mut self, run: &mut Run) -> io::Result<bool> {
        let last = self.state().tag_last;
        let mut bytes = Vec::new();
        let put = |bytes: &mut Vec<u8>, word: &str, attributes: Attributes| {
            let tag = run.tag.as_ref().map(|tag| [b".tag=".as_slice(), tag].concat());
            let pairs = attributes.into_iter().map(|(name, value)| {
                let mut word = format!("={name}=").into_bytes();
                word.extend(value);
                word
            });
            let mut words: Vec<Vec<u8>> = std::iter::once(word.into()).chain(pairs).collect();
            if let Some(tag) = tag {
                words.insert(if last { words.len() } else { 1 }, tag);
            }
            put_sentence(bytes, words);
        };
        if let Some((listing, told)) = &mut run.listen {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            for change in state.changes[*told..].iter().filter(|change| change.path == listing.menu.path) {
                let attributes = match change.gone {
                    true => vec![(".id".into(), change.row.id().into()), (".dead".into(), b"yes".to_vec())],
                    false => listing.show(&change.row),
                };
                put(&mut bytes, "!re", attributes);
            }
            *told = state.changes.len();
        }
        if let Some((listing, at)) = &mut run.rows {
            let to = (*at + TURN).min(listing.rows.len());
            for row in &listing.rows[*at..to] {
                put(&mut bytes, "!re", listing.show(row));
            }
            *at = to;
            if to == listing.rows.len() {
                match run.fault {
                    Some(Fault::Endless) if to > 0 => *at = 0,
                    _ => run.rows = None,
                }
            }
            self.wire.send(&bytes, run.flow.as_mut())?;
            return Ok(true);
        }
        for reply in run.then.drain(..) {
            match reply {
                Reply::Sentence(word, attributes) => put(&mut bytes, word, attributes),
                Reply::Raw(raw) => bytes.extend(raw),
                Reply::Flood(first) => {
                    bytes.extend(first);
                    return self.wire.flood(&bytes).map(|()| false);
                }
                Reply::Fatal { message, attribute } => {
                    self.wire.send(&bytes, run.flow.as_mut())?;
                    return self.fatal(&message, attribute).map(|()| false);
                }
            }
        }
        self.wire.send(&bytes, run.flow.as_mut())?;
        Ok(run.listen.is_some())
    }
}

/// Leaves the answer after some rows for what the fault wants.
fn interrupt(run: &mut Run) {
    let Some(fault) = &run.fault else { return };
    let Some(after) = fault.after() else { return };
    if let Some((listing, _)) = &mut run.rows {
        listing.rows.truncate(after);
    }
    run.then = match fault {
        Fault::Trap { message, category, .. } => {
            VecDeque::from([trapped(&Trap { category: *category, message: message.clone() }), done(None)])
        }
        Fault::Fatal { message, attribute, .. } => {
            VecDeque::from([Reply::Fatal { message: message.clone(), attribute: *attribute }])
        }
        Fault::Bomb { .. } => fault.raw().map(Reply::Flood).into_iter().collect(),
        _ => fault.raw().map(Reply::Raw).into_iter().collect(),
    };
}
