//! The SBAT level that an image asks for: components and their generations, and `sbat` for the date.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};

use super::{BadItem, Text, too_many};
use crate::secure_boot::{SbatEntry, SbatLevel, is_component};

/// Reads the level; an empty one asks for nothing.
pub(in super::super) fn sbat_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SbatLevel>, D::Error> {
    deserializer.deserialize_map(Level).map(Some)
}

struct Level;

impl<'de> Visitor<'de> for Level {
    type Value = SbatLevel;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of components and their generations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SbatLevel, A::Error> {
        let mut level = SbatLevel::default();
        while let Some(Text(Component(name))) = map.next_key()? {
            let number = map.next_value_seed(Number(&name))?;
            match SbatEntry::new(&name, number) {
                Some(SbatEntry::Date(date)) => level.date = Some(date),
                Some(SbatEntry::Component(..)) if level.components.len() < SbatLevel::MAX_COMPONENTS => {
                    level.components.insert(name, number);
                }
                _ => return Err(too_many("components", SbatLevel::MAX_COMPONENTS)),
            }
        }
        Ok(level)
    }
}

/// The name of a component, or of the date.
struct Component(String);

impl std::str::FromStr for Component {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        if is_component(text) { Ok(Self(text.to_owned())) } else { Err(BadItem::NoComponent) }
    }
}

/// What a number must be, by the name that it stands behind. Within the visitor an error gets the place of the number.
struct Number<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Number<'_> {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_i64(self)
    }
}

impl Visitor<'_> for Number<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 == "sbat" {
            "a date of ten digits, such as 2023012900"
        } else {
            "a generation from 1 on"
        })
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        let is_valid = |number: &u64| SbatEntry::new(self.0, *number).is_some();
        let invalid = || E::invalid_value(serde::de::Unexpected::Signed(number), &self);
        u64::try_from(number).ok().filter(is_valid).ok_or_else(invalid)
    }
}
