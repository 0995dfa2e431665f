//! One row of an answer, and how typed rows are made of it. The menus themselves are in `menus/`.

use core::mem::size_of;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::text::quote;
use super::value::{self, Id};
use super::{Failure, Text};

/// The properties of one item, as either transport brought them. What is not there has no value: it is neither "no" nor
/// 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(Vec<(Text, Text)>);

impl Row {
    /// Adds a property.
    pub(super) fn push(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        self.0.push((name.into(), value.into()));
    }

    /// The value of a property. If a router sends one twice, the first counts.
    #[must_use]
    pub fn get(&self, property: &str) -> Option<&Text> {
        self.0.iter().find(|(name, _)| *name == property).map(|(_, value)| value)
    }

    /// Names and values, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &Text)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// What it takes in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.bytes().len() + value.bytes().len() + 2 * size_of::<Text>())
            .sum()
    }

    /// A property as the type that a menu declares for it.
    ///
    /// # Errors
    ///
    /// [`Failure::Value`] if it cannot be read as that, or is missing where it must not be. Then the whole answer is
    /// no information: a row that is read wrongly is worse than none.
    pub fn read<F: Field>(&self, menu: &'static str, property: &'static str) -> Result<F, Failure> {
        let value = self.get(property).map(Text::bytes);
        F::field(value).ok_or_else(|| Failure::Value { menu, property, value: value.map(quote) })
    }
}

/// A type that a property can have.
pub trait Field: Sized {
    /// Reads the value; it is `None` where the row has no such property. `None` as result: this must not be.
    fn field(value: Option<&[u8]>) -> Option<Self>;
}

/// Absent and empty both say that there is no value.
impl<F: Field> Field for Option<F> {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        match value {
            None | Some(b"") => Some(None),
            some => F::field(some).map(Some),
        }
    }
}

impl Field for Text {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        value.map(Self::from)
    }
}

impl Field for bool {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        value.and_then(value::flag)
    }
}

impl Field for u64 {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        value.and_then(value::number)
    }
}

impl Field for u16 {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        value.and_then(value::number)?.try_into().ok()
    }
}

impl Field for Id {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        value.and_then(Self::parse)
    }
}

impl Field for Duration {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        value.and_then(value::duration)
    }
}

impl Field for IpAddr {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        core::str::from_utf8(value?).ok()?.parse().ok()
    }
}

/// A prefix; an address alone is one of full length.
impl Field for IpNet {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        let text = core::str::from_utf8(value?).ok()?;
        text.parse().ok().or_else(|| Some(IpAddr::field(value)?.into()))
    }
}

/// A time that may be given as a word for "no limit".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// So long.
    Of(Duration),
    /// `none` or `never`.
    Unlimited,
}

impl Field for Span {
    fn field(value: Option<&[u8]>) -> Option<Self> {
        match value? {
            b"none" | b"never" => Some(Self::Unlimited),
            text => value::duration(text).map(Self::Of),
        }
    }
}

/// A menu of the router, and the type of its rows. `menu!` declares one.
pub trait Menu: Sized {
    /// Where it is, `/ppp/active`.
    const PATH: &'static str;
    /// The properties that are asked for; others are not even computed by the router.
    const PROPERTIES: &'static [&'static str];

    /// Reads one row.
    ///
    /// # Errors
    ///
    /// [`Failure::Value`] if a property cannot be read.
    fn read(row: &Row) -> Result<Self, Failure>;
}

/// Declares the row of a menu: each field with its type and the name of its property. What is asked for and what is
/// read are thereby the same. `Option` stands where a router, or a version, may have no value.
macro_rules! menu {
    ($(#[$about:meta])* $name:ident at $path:literal {
        $($(#[$doc:meta])* $field:ident: $type:ty = $property:literal,)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)+
        }

        impl super::super::Menu for $name {
            const PATH: &'static str = $path;
            const PROPERTIES: &'static [&'static str] = &[$($property),+];

            fn read(row: &super::super::Row) -> Result<Self, super::super::Failure> {
                Ok(Self { $($field: row.read($path, $property)?,)+ })
            }
        }
    };
}
pub(super) use menu;
