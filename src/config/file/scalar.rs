//! A value as written, of whatever type.
//!
//! Nothing is refused here: a wrong type is one finding among the others and not the end of reading.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    /// A list, each value with its place.
    List(Vec<Spanned<Self>>),
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
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Scalar::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Scalar, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("a table or a date"))
    }
}
