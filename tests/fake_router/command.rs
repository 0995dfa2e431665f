//! What a command does, and what is answered: the same for both transports. Who may do it, what a row shows to whom,
//! and how each mistake is told.

use super::menus::{Menu, menu};
use super::query;
use super::state::{Asked, Row, State, User, Value};
use super::version::Version;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A command in its parts.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `/ip/pool`
    pub path: String,
    pub verb: String,
    pub arguments: Vec<(String, Vec<u8>)>,
    pub queries: Vec<Vec<u8>>,
}

pub enum Answer {
    Rows(Listing),
    Count(usize),
    Done(Option<String>),
    Listen(Listing),
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    pub category: Option<u8>,
    pub message: String,
}

fn trap(category: u8, message: impl Into<String>) -> Trap {
    Trap { category: Some(category), message: message.into() }
}

fn refused(message: impl Into<String>) -> Trap {
    Trap { category: None, message: message.into() }
}

/// Rows, and how to show them.
#[derive(Clone)]
pub struct Listing {
    pub rows: Vec<Arc<Row>>,
    pub menu: &'static Menu,
    proplist: Option<BTreeSet<String>>,
    sensitive: bool,
    version: Version,
    age: Duration,
    extra: Vec<(String, Vec<u8>)>,
}

impl Listing {
    /// What of this row is shown, in the menu's order.
    pub fn show(&self, row: &Row) -> Vec<(String, Vec<u8>)> {
        let wanted = |name: &str| self.proplist.as_ref().is_none_or(|list| list.contains(name));
        let id = (!self.menu.single && wanted(".id")).then(|| (".id".to_owned(), row.id().into_bytes()));
        let fields = self.menu.fields.iter().filter(|f| wanted(f.name) && self.has(f.name));
        let shown = fields.filter_map(|f| Some((f.name.to_owned(), row.shown(f.name, self.age)?)));
        id.into_iter().chain(shown).chain(self.extra.iter().cloned()).collect()
    }

    fn has(&self, name: &str) -> bool {
        self.menu.field(name, self.version).is_some_and(|f| self.sensitive || !f.sensitive)
    }

    fn value(&self, row: &Row, name: &str) -> Option<Vec<u8>> {
        match name {
            ".id" => Some(row.id().into_bytes()),
            _ if self.has(name) => row.shown(name, self.age),
            _ => None,
        }
    }
}

impl Call {
    /// `/ip/pool/print` and the words after it.
    pub fn parse(words: &[Vec<u8>]) -> Result<Self, Trap> {
        let command = String::from_utf8_lossy(&words[0]).into_owned();
        let (path, verb) = command.rsplit_once('/').unwrap_or(("", &command));
        let mut call = Self { path: path.into(), verb: verb.into(), ..Self::default() };
        for word in &words[1..] {
            match word.split_first() {
                Some((b'=', pair)) => {
                    let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
                    let name = String::from_utf8_lossy(&pair[..at]).into_owned();
                    call.arguments.push((name, pair.get(at + 1..).unwrap_or_default().to_vec()));
                }
                Some((b'?', _)) => call.queries.push(word.clone()),
                // `.tag` and its like.
                Some((b'.', _)) => {}
                _ => return Err(trap(5, format!("unknown word {}", word.escape_ascii()))),
            }
        }
        Ok(call)
    }

    pub fn command(&self) -> String {
        format!("{}/{}", self.path, self.verb)
    }

    pub fn argument(&self, name: &str) -> Option<&[u8]> {
        self.arguments.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    fn note(&self, state: &mut State, user: &User) {
        let secret = |name: &str| ["password", "secret", "response"].contains(&name);
        let arguments = self.arguments.iter().map(|(name, value)| match secret(name) {
            true => (name.clone(), b"***".to_vec()),
            false => (name.clone(), value.clone()),
        });
        state.asked.push(Asked {
            user: user.name.clone(),
            command: self.command(),
            arguments: arguments.collect(),
            queries: self.queries.clone(),
        });
    }

    /// Does it, if the user may, and keeps that it was asked.
    pub fn run(&self, state: &mut State, user: &User) -> Result<Answer, Trap> {
        self.note(state, user);
        self.look(state, user)
    }

    /// Does it, if the user may.
    pub fn look(&self, state: &mut State, user: &User) -> Result<Answer, Trap> {
        let verb = self.verb.as_str();
        let absent = |name: &str| match state.version.0 {
            ..7 => trap(0, "no such command prefix"),
            _ => trap(0, format!("no such command or directory ({name})")),
        };
        let known = menu(&self.path).filter(|menu| state.ipv6 || !menu.path.starts_with("/ipv6/"));
        let menu = known.ok_or_else(|| absent(self.path.rsplit('/').next().unwrap_or_default()))?;
        let reads = ["print", "getall", "listen"].contains(&verb);
        if !reads && !menu.verbs.contains(&verb) {
            return Err(absent(verb));
        }
        if !user.may(if reads { "read" } else { "write" }) {
            return Err(refused("not enough permissions (9)"));
        }
        match verb {
            "add" => self.add(state, menu).map(|id| Answer::Done(Some(id))),
            "set" => self.set(state, menu),
            "unset" => self.unset(state, menu),
            "remove" => self.remove(state, menu),
            _ => self.print(state, menu, user),
        }
    }

    fn print(&self, state: &State, menu: &'static Menu, user: &User) -> Result<Answer, Trap> {
        for (name, _) in &self.arguments {
            if ![".proplist", "count-only", "detail", "without-paging"].contains(&name.as_str()) {
                return Err(trap(0, format!("unknown parameter {name}")));
            }
        }
        let names = |list: &[u8]| String::from_utf8_lossy(list).split(',').map(str::to_owned).collect();
        let mut listing = Listing {
            rows: state.listing(menu),
            menu,
            proplist: self.argument(".proplist").map(names),
            sensitive: user.may("sensitive"),
            version: state.version,
            age: state.age(),
            extra: state.extra.clone(),
        };
        if self.verb == "listen" {
            return Ok(Answer::Listen(listing));
        }
        if !self.queries.is_empty() {
            let mut rows = Vec::new();
            for row in &listing.rows {
                if query::passes(&self.queries, |name| listing.value(row, name)).map_err(|e| trap(5, e))? {
                    rows.push(Arc::clone(row));
                }
            }
            listing.rows = rows;
        }
        match self.argument("count-only") {
            Some(_) => Ok(Answer::Count(listing.rows.len())),
            None => Ok(Answer::Rows(listing)),
        }
    }

    /// The row with what the arguments say.
    fn filled(&self, menu: &Menu, version: Version, mut row: Row) -> Result<Row, Trap> {
        for (name, value) in &self.arguments {
            if [".id", "numbers", "place-before", "copy-from"].contains(&name.as_str()) {
                continue;
            }
            let plain = name.strip_prefix('!').unwrap_or(name);
            let field = menu.field(plain, version).filter(|f| !f.read_only);
            let field = field.ok_or_else(|| trap(0, format!("unknown parameter {plain}")))?;
            if plain != name {
                row.values.remove(plain);
                continue;
            }
            let invalid = || trap(1, format!("invalid value for argument {name}"));
            row.set(name, field.kind.accept(value).ok_or_else(invalid)?);
        }
        Ok(row)
    }

    fn add(&self, state: &mut State, menu: &Menu) -> Result<String, Trap> {
        let row = self.filled(menu, state.version, Row::default())?;
        if let Some(missing) = menu.required.iter().find(|name| !row.values.contains_key(**name)) {
            return Err(refused(format!("missing ={missing}=")));
        }
        self.check(state, menu, &row, 0)?;
        Ok(state.add(menu.path, row))
    }

    /// What a row must not be beside the others.
    fn check(&self, state: &State, menu: &Menu, row: &Row, own: u32) -> Result<(), Trap> {
        let taken = |value: &Value| {
            let same = |other: &Arc<Row>| other.id != own && other.values.get("name") == Some(value);
            state.rows(menu.path).iter().any(same)
        };
        if row.values.get("name").is_some_and(taken) {
            let what = menu.path.rsplit('/').next().unwrap_or_default();
            return Err(refused(format!("failure: {what} with such name exists")));
        }
        if let (Some(Value::Bytes(next)), "/ip/pool") = (row.values.get("next-pool"), menu.path) {
            let known = next.is_empty() || next == b"none" || row.is("name", next);
            if !known && !state.rows(menu.path).iter().any(|pool| pool.is("name", next)) {
                return Err(trap(1, "input does not match any value of next-pool"));
            }
        }
        Ok(())
    }

    /// The rows that `.id` or `numbers` name, by id or by name.
    fn targets(&self, state: &State, menu: &Menu) -> Result<Vec<Arc<Row>>, Trap> {
        if menu.single {
            return Ok(state.listing(menu));
        }
        let named =
            self.argument(".id").or(self.argument("numbers")).ok_or_else(|| refused("missing =.id="))?;
        let rows = state.listing(menu);
        let find = |which: &[u8]| {
            let is = |row: &&Arc<Row>| row.id().as_bytes() == which || row.is("name", which);
            rows.iter().find(is).cloned().ok_or_else(|| trap(0, "no such item"))
        };
        named.split(|&b| b == b',').map(find).collect()
    }

    fn set(&self, state: &mut State, menu: &Menu) -> Result<Answer, Trap> {
        for target in self.targets(state, menu)? {
            let kept = match menu.single {
                true => state.rows(menu.path).first(),
                false => state.rows(menu.path).iter().find(|row| row.id == target.id),
            };
            let row =
                self.filled(menu, state.version, kept.map(|row| Row::clone(row)).unwrap_or_default())?;
            if menu.single {
                state.change_single(menu.path, |kept| *kept = row);
            } else {
                self.check(state, menu, &row, target.id)?;
                state.change(menu.path, target.id, |kept| *kept = row);
            }
        }
        Ok(Answer::Done(None))
    }

    fn unset(&self, state: &mut State, menu: &Menu) -> Result<Answer, Trap> {
        let name = self.argument("value-name").ok_or_else(|| refused("missing =value-name="))?;
        let name = String::from_utf8_lossy(name).into_owned();
        let field =
            menu.field(&name, state.version).filter(|f| !f.read_only && !menu.required.contains(&f.name));
        if field.is_none() {
            return Err(trap(1, "input does not match any value of value-name"));
        }
        for target in self.targets(state, menu)? {
            state.change(menu.path, target.id, |row| {
                row.values.remove(&name);
            });
        }
        Ok(Answer::Done(None))
    }

    fn remove(&self, state: &mut State, menu: &Menu) -> Result<Answer, Trap> {
        let gone: BTreeSet<u32> = self.targets(state, menu)?.iter().map(|row| row.id).collect();
        state.remove(menu.path, |row| gone.contains(&row.id));
        Ok(Answer::Done(None))
    }
}
