//! A router, by whichever transport it is reached: what is above does not know which it is.

use std::time::Instant;

use super::answer::{Complete, List};
use super::api::Api;
use super::rest::Rest;
use super::tls::{Pin, Tls, Trust};
use super::{Command, Error, Failure, Id, Limits, Menu, Password, Query, Row, Text};

/// How to speak to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The binary API: services `api` and `api-ssl`, all versions.
    Api,
    /// REST: services `www` and `www-ssl`, RouterOS 7.1 and later.
    Rest,
}

/// A router, and how to get in. The user's group needs the policies `read` and `api` (for REST `rest-api`), `write` for
/// changes; it is well without `sensitive`.
#[derive(Clone, Debug)]
pub struct Target {
    /// What it is called in messages.
    pub name: String,
    /// Its address or name.
    pub host: String,
    /// The port of the service; `None`: RouterOS' own (8728, 8729, 80, 443).
    pub port: Option<u16>,
    /// By which service.
    pub transport: Transport,
    /// Whether, and whom, to trust.
    pub tls: Tls,
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: Password,
    /// What it may cost.
    pub limits: Limits,
}

impl Target {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match (self.transport, self.tls == Tls::Off) {
            (Transport::Api, true) => 8728,
            (Transport::Api, false) => 8729,
            (Transport::Rest, true) => 80,
            (Transport::Rest, false) => 443,
        })
    }

    /// The service's name in `/ip/service`.
    #[must_use]
    pub fn service(&self) -> &'static str {
        match (self.transport, self.tls == Tls::Off) {
            (Transport::Api, true) => "api",
            (Transport::Api, false) => "api-ssl",
            (Transport::Rest, true) => "www",
            (Transport::Rest, false) => "www-ssl",
        }
    }

    /// Host and port, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port())
        } else {
            format!("{}:{}", self.host, self.port())
        }
    }
}

/// What proves that a list is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The router says that it is the end.
    End,
    /// And its own counts, taken before and after, differ from the number of rows by this many at most. (Sessions come
    /// and go while they are listed.)
    Counted {
        /// How many.
        slack: u64,
    },
}

/// A router that we are logged in to.
#[derive(Debug)]
pub struct Router {
    name: String,
    limits: Limits,
    trust: Option<Trust>,
    connection: Connection,
    /// When [`Limits::whole`] is over.
    until: Instant,
}

#[derive(Debug)]
enum Connection {
    Api(Box<Api>),
    Rest(Box<Rest>),
}

impl Router {
    /// Connects and logs in.
    ///
    /// # Errors
    ///
    /// If that fails at any stage: name, connection, TLS, login, rights.
    pub fn open(target: &Target) -> Result<Self, Error> {
        let name = format!("{} ({})", target.name, target.authority());
        let until = Instant::now() + target.limits.whole;
        let open = || {
            let trust = Trust::new(&target.tls)?;
            let connection = match target.transport {
                Transport::Api => Connection::Api(Box::new(Api::open(target, trust.as_ref())?)),
                Transport::Rest => Connection::Rest(Box::new(Rest::open(target, trust.as_ref())?)),
            };
            Ok((trust, connection))
        };
        let (trust, connection) = open().map_err(|failure: Failure| failure.of(&name))?;
        Ok(Self { name, limits: target.limits, trust, connection, until })
    }

    /// The fingerprint of its certificate; `None` without TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<Pin> {
        self.trust.as_ref()?.seen()
    }

    /// All items of a menu, or those that the query chooses, proven to be all.
    ///
    /// # Errors
    ///
    /// In every other case; then nothing is known of the menu.
    pub fn list<T: Menu>(&mut self, query: Option<&Query>, check: Check) -> Result<Complete<Vec<T>>, Error> {
        let Check::Counted { slack } = check else { return self.list_once(query) };
        let before = self.count::<T>(query)?;
        let list = self.list_once::<T>(query)?;
        let after = self.count::<T>(query)?;
        let rows = list.get().len() as u64;
        if rows.abs_diff(before) > slack || rows.abs_diff(after) > slack {
            return Err(Failure::Count { menu: T::PATH, before, rows, after }.of(&self.name));
        }
        Ok(list)
    }

    /// The one item of a menu that has no more: `/system/resource`, `/ppp/aaa`.
    ///
    /// # Errors
    ///
    /// As [`Router::list`], or if there is none.
    pub fn one<T: Menu>(&mut self) -> Result<T, Error> {
        let list = self.list_once::<T>(None)?.into_inner();
        let property = T::PROPERTIES.first().copied().unwrap_or_default();
        let missing = Failure::Value { menu: T::PATH, property, value: None };
        list.into_iter().next().ok_or_else(|| missing.of(&self.name))
    }

    /// How many items a menu has, or the query chooses, as the router counts.
    ///
    /// # Errors
    ///
    /// If it does not say.
    pub fn count<T: Menu>(&mut self, query: Option<&Query>) -> Result<u64, Error> {
        let command = Command::new(format!("{}/print", T::PATH)).with("count-only", "").matching(query);
        let ret = self.call(&command)?;
        ret.as_ref().and_then(|ret| super::value::number(ret.bytes())).ok_or_else(|| {
            let value = ret.map(|ret| super::text::quote(ret.bytes()));
            Failure::Value { menu: T::PATH, property: "count-only", value }.of(&self.name)
        })
    }

    /// Adds an item; its id. Needs the policy `write`, as all that follow.
    ///
    /// # Errors
    ///
    /// If the router refuses, or does not say which id it has.
    pub fn add(&mut self, menu: &'static str, values: &[(&str, Text)]) -> Result<Id, Error> {
        let ret = self.call(&with(Command::new(format!("{menu}/add")), values))?;
        ret.as_ref().and_then(|ret| Id::parse(ret.bytes())).ok_or_else(|| {
            let value = ret.map(|ret| super::text::quote(ret.bytes()));
            Failure::Value { menu, property: ".id", value }.of(&self.name)
        })
    }

    /// Gives properties of an item other values.
    ///
    /// # Errors
    ///
    /// If the router refuses.
    pub fn set(&mut self, menu: &str, id: &Id, values: &[(&str, Text)]) -> Result<(), Error> {
        let command = Command::new(format!("{menu}/set")).with(".id", id.as_str());
        self.call(&with(command, values)).map(drop)
    }

    /// Takes the value of a property away.
    ///
    /// # Errors
    ///
    /// If the router refuses.
    pub fn unset(&mut self, menu: &str, id: &Id, property: &str) -> Result<(), Error> {
        let command = Command::new(format!("{menu}/unset")).with(".id", id.as_str());
        self.call(&command.with("value-name", property)).map(drop)
    }

    /// Removes an item; of a session, ends it.
    ///
    /// # Errors
    ///
    /// If the router refuses; [`Failure::NoSuchItem`] if it is gone already.
    pub fn remove(&mut self, menu: &str, id: &Id) -> Result<(), Error> {
        self.call(&Command::new(format!("{menu}/remove")).with(".id", id.as_str())).map(drop)
    }

    /// Any command; what its end said (`=ret=`). Rows are passed over.
    ///
    /// # Errors
    ///
    /// If the router refuses.
    pub fn call(&mut self, command: &Command) -> Result<Option<Text>, Error> {
        let done = self.talk(command, &mut |_| Ok(()))?;
        Ok(done.ret().cloned())
    }

    /// Takes leave. Without it the router notes a lost connection.
    pub fn close(self) {
        if let Connection::Api(api) = self.connection {
            api.close();
        }
    }

    fn list_once<T: Menu>(&mut self, query: Option<&Query>) -> Result<Complete<Vec<T>>, Error> {
        let command = Command::new(format!("{}/print", T::PATH)).only(T::PROPERTIES).matching(query);
        let mut list = List::new(self.limits);
        let done = self.talk(&command, &mut |row| list.push(&row))?;
        list.finish(&done).map_err(|failure| failure.of(&self.name))
    }

    fn talk(
        &mut self,
        command: &Command,
        row: &mut dyn FnMut(Row) -> Result<(), Failure>,
    ) -> Result<super::answer::Done, Error> {
        // Each command in its time is not enough: who answers all of them slowly would be listened to for ever.
        let left = self.until.saturating_duration_since(Instant::now());
        let time = left.min(self.limits.command);
        let said = match &mut self.connection {
            Connection::Api(api) => api.talk(command, time, row),
            Connection::Rest(rest) => rest.talk(command, time, row),
        };
        let whole = self.limits.whole;
        said.map_err(|failure| match failure {
            Failure::Timeout { doing, after } if after == left => Failure::Timeout { doing, after: whole },
            other => other,
        })
        .map_err(|failure| failure.of(&self.name))
    }
}

fn with(command: Command, values: &[(&str, Text)]) -> Command {
    values.iter().fold(command, |command, (name, value)| command.with(name, value.clone()))
}
