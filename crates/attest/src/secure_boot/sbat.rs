//! SBAT levels: which generations of boot loaders shim still starts (the variable `SbatLevel`; SBAT.md of shim).
//!
//! A level is CSV. Its first line is `sbat,1,2023012900`, whose last field says of when it is; each other line names a
//! component and its least generation, such as `grub,3`. An image says in its section `.sbat` which generations it is of,
//! which no event log tells: a level that is new enough says for all images that the old ones were refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The component that a level names itself by.
const SELF: &str = "sbat";
/// The longest name of a component, in bytes.
const MAX_COMPONENT_LEN: usize = 128;
/// A date has ten digits: year, month, day, and a count within the day.
const DATES: std::ops::RangeInclusive<u64> = 1_000_000_000..=9_999_999_999;

/// What shim refuses: images of a component whose generation is below the one that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SbatLevel {
    /// Of when it is, as ten digits: year, month, day, and a count within the day.
    pub date: Option<u64>,
    /// The least generation of each component that is named.
    pub components: BTreeMap<String, u64>,
}

/// One line of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SbatEntry<'a> {
    Date(u64),
    Component(&'a str, u64),
}

/// What is asked of a level, and what it has instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lacking<'a> {
    /// The component, or `sbat` for the date.
    pub(crate) name: &'a str,
    pub(crate) wanted: u64,
    pub(crate) found: Option<u64>,
}

impl SbatLevel {
    /// The most components that are told; levels name five or so.
    pub const MAX_COMPONENTS: usize = 256;

    /// Reads the value of the variable. Lines that are none of a level are left out: what they may have meant is not in
    /// force. Of several for one component the first counts.
    pub fn parse(csv: &[u8]) -> Self {
        let mut level = Self::default();
        for line in String::from_utf8_lossy(csv).split(['\n', '\r', '\0']) {
            match parse_line(line) {
                Some(SbatEntry::Date(date)) => level.date = level.date.or(Some(date)),
                Some(SbatEntry::Component(name, generation)) if level.components.len() < Self::MAX_COMPONENTS => {
                    level.components.entry(name.to_owned()).or_insert(generation);
                }
                _ => {}
            }
        }
        level
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.date.is_none() && self.components.is_empty()
    }

    /// Raises it to what the other says where that is more.
    pub(crate) fn raise(&mut self, other: &Self) {
        self.date = self.date.max(other.date);
        for (name, generation) in &other.components {
            let known = self.components.entry(name.clone()).or_default();
            *known = (*known).max(*generation);
        }
    }

    /// In what it falls short of another.
    pub(crate) fn lacks<'a>(&self, wanted: &'a Self) -> Vec<Lacking<'a>> {
        let falls_short = |lacking: &Lacking<'_>| lacking.found.is_none_or(|found| found < lacking.wanted);
        let date = wanted.date.map(|wanted| Lacking { name: SELF, wanted, found: self.date });
        let components = wanted.components.iter().map(|(name, generation)| Lacking {
            name,
            wanted: *generation,
            found: self.components.get(name).copied(),
        });
        date.into_iter().chain(components).filter(falls_short).collect()
    }

    /// Its entries by name, the date under the name of the level itself.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, u64)> {
        let components = self.components.iter().map(|(name, generation)| (name.as_str(), *generation));
        self.date.map(|date| (SELF, date)).into_iter().chain(components)
    }
}

impl<'a> SbatEntry<'a> {
    /// The entry of a name and a number; `None` when the one is no component or the other can be nothing of it.
    pub(crate) fn new(name: &'a str, number: u64) -> Option<Self> {
        match name {
            SELF => DATES.contains(&number).then_some(Self::Date(number)),
            _ => (is_component(name) && (1..=u64::from(u32::MAX)).contains(&number))
                .then_some(Self::Component(name, number)),
        }
    }
}

fn parse_line(line: &str) -> Option<SbatEntry<'_>> {
    let mut fields = line.split(',').map(str::trim);
    let (name, generation) = (fields.next()?, fields.next()?);
    let number = if name == SELF { fields.next()? } else { generation };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    SbatEntry::new(name, number.parse().ok().filter(|_| is_number)?)
}

/// Whether it may be the name of a component: printable, and without what separates fields.
pub(crate) fn is_component(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    (1..=MAX_COMPONENT_LEN).contains(&name.len()) && name.bytes().all(is_plain)
}

impl fmt::Display for SbatLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, number)) in self.entries().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{name} {number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(csv: &str) -> SbatLevel {
        SbatLevel::parse(csv.as_bytes())
    }

    #[test]
    fn a_level_has_a_date_and_generations() {
        let read = level("sbat,1,2023012900\nshim,2\ngrub,3\ngrub.debian,4\n");
        assert_eq!(read.to_string(), "sbat 2023012900, grub 3, grub.debian 4, shim 2");
        assert_eq!(read.date, Some(2_023_012_900));
        assert_eq!(level("sbat,1,2021030218\n").to_string(), "sbat 2021030218");
        assert!(level("").is_empty() && level("\0").is_empty());
    }

    #[test]
    fn lines_that_are_none_are_not_in_force() {
        let odd = "sbat,1\nsbat,1,12\nsbat,1,20230129001\nshim\nshim,\nshim,-1\nshim,+2\nshim,0\nshim,4294967296\n,3\na b,3\n\u{e9},3";
        assert_eq!(level(odd), SbatLevel::default());
        assert_eq!(level("shim, 4294967295 ,more\r\nshim,9\n").components["shim"], 4_294_967_295, "the first counts");
        assert_eq!(SbatLevel::parse(b"shim,2\n\xFF,3\ngrub,3").components.len(), 2);
        let long = |len: usize| level(&format!("{},1", "c".repeat(len))).components.len();
        assert_eq!((long(MAX_COMPONENT_LEN), long(MAX_COMPONENT_LEN + 1)), (1, 0));
        let many =
            |count: usize| level(&(0..count).map(|number| format!("c{number},1\n")).collect::<Vec<_>>().concat());
        assert_eq!(many(SbatLevel::MAX_COMPONENTS + 1).components.len(), SbatLevel::MAX_COMPONENTS);
    }

    #[test]
    fn a_level_lacks_what_is_older_or_absent() {
        let read = level("sbat,1,2023012900\nshim,2\ngrub,3\n");
        let lacks =
            |csv: &str| read.lacks(&level(csv)).iter().map(|it| (it.name == "sbat", it.found)).collect::<Vec<_>>();
        for met in ["", "sbat,1,2023012900", "sbat,1,2021030218\nshim,1\ngrub,3"] {
            assert_eq!(lacks(met), [], "{met}");
        }
        assert_eq!(
            lacks("sbat,1,2023012901\ngrub,4\nsystemd,1"),
            [(true, Some(2_023_012_900)), (false, Some(3)), (false, None)]
        );
        assert_eq!(SbatLevel::default().lacks(&level("sbat,1,2021030218"))[0].found, None);
    }

    #[test]
    fn raising_keeps_the_more_of_both() {
        let mut read = level("sbat,1,2023012900\nshim,2\ngrub,3\n");
        read.raise(&level("sbat,1,2021030218\nshim,4\nsystemd,1\n"));
        assert_eq!(read.to_string(), "sbat 2023012900, grub 3, shim 4, systemd 1");
    }
}
