//! A value as written, of whatever type, and a list of such values.
//!
//! Nothing is refused here: a wrong type is one finding among the others and not the end of reading.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

/// A value of any type, so that a wrong type is one finding among the others and not the end of reading.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum Scalar {
    /// A string.
    Text(Box<str>),
    /// An integer; what does not fit is the nearest that does, far outside every range here.
    Integer(i128),
    /// `true` or `false`.
    Boolean(bool),
    /// Something that no key here takes, by its name.
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.into()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number.try_into().unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other("a fraction"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Scalar, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("a table or a date"))
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::config) enum Listed {
    /// A value that stands by itself.
    One(Scalar),
    /// A list, each value with its place.
    Many(Vec<Spanned<Scalar>>),
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListedVisitor)
    }
}

struct ListedVisitor;

impl<'de> Visitor<'de> for ListedVisitor {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Listed, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Listed::Many(values))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Listed, E> {
        ScalarVisitor.visit_str(text).map(Listed::One)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Listed, E> {
        ScalarVisitor.visit_bool(value).map(Listed::One)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Listed, E> {
        ScalarVisitor.visit_i64(number).map(Listed::One)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Listed, E> {
        ScalarVisitor.visit_u64(number).map(Listed::One)
    }

    fn visit_i128<E: Error>(self, number: i128) -> Result<Listed, E> {
        ScalarVisitor.visit_i128(number).map(Listed::One)
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Listed, E> {
        ScalarVisitor.visit_u128(number).map(Listed::One)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Listed, E> {
        ScalarVisitor.visit_f64(number).map(Listed::One)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Listed, A::Error> {
        ScalarVisitor.visit_map(table).map(Listed::One)
    }
}
