//! What is asked: a command with its attributes, the properties that are wanted, and which items. As words for the
//! binary API; `rest.rs` makes JSON of the same.

use core::fmt;

use super::Text;
use super::wire::Sentence;

/// Which items a `print` shall bring. The router does the choosing. (MikroTik manual, API, "Queries": a stack machine;
/// each of these leaves exactly one value on the stack.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(Vec<Text>);

impl Query {
    /// Items where the property has a value.
    #[must_use]
    pub fn has(property: &str) -> Self {
        Self(vec![property.into()])
    }

    /// Items where it has none.
    #[must_use]
    pub fn lacks(property: &str) -> Self {
        Self(vec![format!("-{property}").as_str().into()])
    }

    /// Items where it has this value.
    #[must_use]
    pub fn equals(property: &str, value: impl AsRef<[u8]>) -> Self {
        Self::compare("", property, value.as_ref())
    }

    /// Items where it has a lesser value, in the router's order.
    #[must_use]
    pub fn less(property: &str, value: impl AsRef<[u8]>) -> Self {
        Self::compare("<", property, value.as_ref())
    }

    /// Items where it has a greater value, in the router's order.
    #[must_use]
    pub fn greater(property: &str, value: impl AsRef<[u8]>) -> Self {
        Self::compare(">", property, value.as_ref())
    }

    /// Items that are of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.join(other, "#&")
    }

    /// Items that are of one or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.join(other, "#|")
    }

    /// All other items.
    #[must_use]
    pub fn negated(mut self) -> Self {
        self.0.push("#!".into());
        self
    }

    /// The words, without the `?` that the binary API puts before each.
    pub fn words(&self) -> impl Iterator<Item = &Text> {
        self.0.iter()
    }

    fn compare(how: &str, property: &str, value: &[u8]) -> Self {
        Self(vec![[how.as_bytes(), property.as_bytes(), b"=", value].concat().into()])
    }

    fn join(mut self, other: Self, how: &str) -> Self {
        self.0.extend(other.0);
        self.0.push(how.into());
        self
    }
}

/// A command for the router.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    pub(super) path: String,
    pub(super) attributes: Vec<(String, Text)>,
    pub(super) properties: &'static [&'static str],
    pub(super) query: Option<Query>,
}

impl Command {
    /// A command by its path: `/ip/pool/add`.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), attributes: Vec::new(), properties: &[], query: None }
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Text>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// Of a `print`: only these properties.
    #[must_use]
    pub const fn only(mut self, properties: &'static [&'static str]) -> Self {
        self.properties = properties;
        self
    }

    /// Of a `print`: only these items; `None`: all.
    #[must_use]
    pub fn matching(mut self, query: Option<&Query>) -> Self {
        self.query = query.cloned();
        self
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The sentence of the binary API, with a tag that the answer will bear.
    #[must_use]
    pub fn words(&self, tag: &str) -> Sentence {
        let mut words = vec![self.path.clone().into_bytes()];
        for (name, value) in &self.attributes {
            words.push([b"=", name.as_bytes(), b"=", value.bytes()].concat());
        }
        if !self.properties.is_empty() {
            words.push(format!("=.proplist={}", self.properties.join(",")).into_bytes());
        }
        for word in self.query.iter().flat_map(Query::words) {
            words.push([b"?", word.bytes()].concat());
        }
        words.push(format!(".tag={tag}").into_bytes());
        words
    }
}

/// Names of attributes only: a value may be a secret.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        self.attributes.iter().try_for_each(|(name, _)| write!(f, " {name}=…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &Sentence) -> Vec<&str> {
        words.iter().map(|word| core::str::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn a_command_is_written_as_the_manual_shows_it() {
        let radius = Query::equals("service", "pppoe").and(Query::equals("radius", "true"));
        let print =
            Command::new("/ppp/active/print").only(&[".id", "name"]).matching(Some(&radius)).words("7");
        assert_eq!(
            text(&print),
            ["/ppp/active/print", "=.proplist=.id,name", "?service=pppoe", "?radius=true", "?#&", ".tag=7"]
        );
        let add = Command::new("/ip/pool/add").with("name", "a=b").with("comment", "").words("8");
        assert_eq!(text(&add), ["/ip/pool/add", "=name=a=b", "=comment=", ".tag=8"]);
    }

    #[test]
    fn queries_are_written_for_a_stack() {
        let words = |query: &Query| query.words().map(|w| w.utf8().unwrap().to_owned()).collect::<Vec<_>>();
        let query = Query::has("comment").negated().or(Query::lacks("name").and(Query::less("uptime", "1h")));
        assert_eq!(words(&query), ["comment", "#!", "-name", "<uptime=1h", "#&", "#|"]);
        assert_eq!(words(&Query::greater(".id", "*1")), [">.id=*1"]);
    }

    #[test]
    fn no_value_is_shown_by_debug() {
        let shown = format!("{:?}", Command::new("/ppp/secret/add").with("password", "hunter2"));
        assert_eq!(shown, "/ppp/secret/add password=…");
    }
}
