//! A number of the kernel's that has a name in a file where it is a known one, and is a number where it is not.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// What kind of number.
pub(super) trait Kind {
    /// What it is, in an error.
    const WHAT: &'static str;
    /// The names that there are.
    const NAMES: &'static [(&'static str, u16)];
    /// The greatest number.
    const MOST: u16;
}

/// One number.
pub(super) struct Word<K>(pub(super) u16, PhantomData<K>);

impl<K> Word<K> {
    pub(super) const fn new(number: u16) -> Self {
        Self(number, PhantomData)
    }
}

impl<K: Kind> Serialize for Word<K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match K::NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => to.serialize_str(name),
            None => to.serialize_u16(self.0),
        }
    }
}

impl<'de, K: Kind> Deserialize<'de> for Word<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<K>(PhantomData<K>);

impl<K: Kind> Visitor<'_> for Reader<K> {
    type Value = Word<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", K::WHAT)?;
        for (name, _) in K::NAMES {
            write!(f, " \"{name}\",")?;
        }
        write!(f, " or a number up to {}", K::MOST)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let known = K::NAMES.iter().find(|(name, _)| *name == text);
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        known.map(|(_, number)| Word::new(*number)).ok_or_else(wrong)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Unsigned(number), &self);
        let fits = u16::try_from(number).ok().filter(|number| *number <= K::MOST);
        fits.map(Word::new).ok_or_else(wrong)
    }
}
