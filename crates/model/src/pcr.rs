//! Platform configuration registers: which, and with what value.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hash::{HashAlgorithm, from_hex, to_hex};
use crate::id::InvalidId;

/// One of the 24 PCRs of the PC Client platform (PC Client Platform TPM Profile, 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(extend("minimum" = 0, "maximum" = 23))]
#[schema(value_type = u8, maximum = 23)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// How many there are.
    pub const COUNT: u8 = 24;

    /// The PCR of this number; `None` from 24 on.
    pub const fn new(index: u8) -> Option<Self> {
        if index < Self::COUNT { Some(Self(index)) } else { None }
    }

    /// Every PCR, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Its number, 0 to 23.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for PcrIndex {
    type Error = InvalidId;

    fn try_from(index: u8) -> Result<Self, Self::Error> {
        Self::new(index).ok_or_else(|| InvalidId::new("PCR", "a number from 0 to 23", &index.to_string()))
    }
}

impl From<PcrIndex> for u8 {
    fn from(index: PcrIndex) -> Self {
        index.0
    }
}

impl FromStr for PcrIndex {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<u8>().ok().and_then(Self::new).ok_or_else(|| InvalidId::new("PCR", "a number from 0 to 23", text))
    }
}

impl fmt::Display for PcrIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// PCRs of one bank: `sha256:0,1,2,3,7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct PcrSelection {
    /// The bank.
    pub bank: HashAlgorithm,
    /// The PCRs, ascending.
    pub pcrs: PcrSet,
}

impl fmt::Display for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bank, self.pcrs)
    }
}

impl FromStr for PcrSelection {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidId::new("PCR selection", "a bank and PCRs, such as sha256:0-7,14", text);
        let (bank, pcrs) = text.split_once(':').ok_or_else(invalid)?;
        Ok(Self { bank: bank.parse()?, pcrs: pcrs.parse().map_err(|_| invalid())? })
    }
}

/// A set of PCRs, kept as one bit each. Serialised as an ascending list of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(from = "Vec<PcrIndex>", into = "Vec<PcrIndex>")]
#[schemars(with = "Vec<PcrIndex>")]
#[schema(value_type = Vec<u8>)]
pub struct PcrSet(u32);

impl PcrSet {
    /// No PCR.
    pub const EMPTY: Self = Self(0);

    /// Every PCR.
    pub const fn all() -> Self {
        Self((1 << PcrIndex::COUNT) - 1)
    }

    /// The PCRs whose bits are set, bit 0 being PCR 0; `None` when a bit above 23 is set.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits >> PcrIndex::COUNT == 0 { Some(Self(bits)) } else { None }
    }

    /// One bit for each PCR, bit 0 being PCR 0.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether the PCR is in it.
    pub const fn contains(self, pcr: PcrIndex) -> bool {
        self.0 >> pcr.0 & 1 == 1
    }

    /// Adds a PCR.
    pub const fn insert(&mut self, pcr: PcrIndex) {
        self.0 |= 1 << pcr.0;
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The PCRs, ascending.
    pub fn iter(self) -> impl Iterator<Item = PcrIndex> {
        PcrIndex::all().filter(move |pcr| self.contains(*pcr))
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<PcrIndex> for PcrSet {
    fn from_iter<I: IntoIterator<Item = PcrIndex>>(pcrs: I) -> Self {
        let mut set = Self::EMPTY;
        pcrs.into_iter().for_each(|pcr| set.insert(pcr));
        set
    }
}

impl From<Vec<PcrIndex>> for PcrSet {
    fn from(pcrs: Vec<PcrIndex>) -> Self {
        pcrs.into_iter().collect()
    }
}

impl From<PcrSet> for Vec<PcrIndex> {
    fn from(set: PcrSet) -> Self {
        set.iter().collect()
    }
}

impl fmt::Display for PcrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, pcr) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            write!(f, "{pcr}")?;
        }
        Ok(())
    }
}

impl FromStr for PcrSet {
    type Err = InvalidId;

    /// Reads numbers and ranges: `0-7,14`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = Self::EMPTY;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (PcrIndex, PcrIndex) = (first.trim().parse()?, last.trim().parse()?);
            if first > last {
                return Err(InvalidId::new("range of PCRs", "the lower number first, such as 0-7", part));
            }
            PcrIndex::all().filter(|pcr| (first..=last).contains(pcr)).for_each(|pcr| set.insert(pcr));
        }
        Ok(set)
    }
}

/// A PCR's value, written in lower-case hexadecimal; as long as a digest of its bank.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrValue(Vec<u8>);

impl PcrValue {
    /// The longest digest of any bank, in bytes.
    pub const MAX_LEN: usize = 64;

    /// Names bytes as a PCR's value; `None` when there are more than any bank has.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= Self::MAX_LEN).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PcrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&to_hex(&self.0))
    }
}

impl fmt::Debug for PcrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PcrValue({self})")
    }
}

impl FromStr for PcrValue {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        from_hex(text)
            .and_then(Self::new)
            .ok_or_else(|| InvalidId::new("PCR value", "up to 128 hexadecimal digits", text))
    }
}

crate::id::text_serde!(PcrValue);
crate::id::text_schema!(PcrValue, "A PCR's value in hexadecimal.", "hex");

/// The values of PCRs of one bank, by number: `{"0": "ab…", "7": "cd…"}`.
pub type PcrValues = BTreeMap<PcrIndex, PcrValue>;

/// The values of PCRs of one bank, with the bank's algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct PcrBank {
    /// The bank.
    pub bank: HashAlgorithm,
    /// Each PCR's value.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub values: PcrValues,
}

impl PcrBank {
    /// Which PCRs have a value here.
    pub fn selection(&self) -> PcrSelection {
        PcrSelection { bank: self.bank, pcrs: self.values.keys().copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn selections_read_ranges_and_write_numbers() {
        let selection: PcrSelection = "sha256:0-3,7, 14".parse().unwrap();
        assert_eq!(selection.to_string(), "sha256:0,1,2,3,7,14");
        assert_eq!(serde_json::to_string(&selection).unwrap(), r#"{"bank":"sha256","pcrs":[0,1,2,3,7,14]}"#);
    }

    #[test]
    fn refuses_pcr_24_backward_ranges_and_unknown_banks() {
        for text in ["sha256:24", "sha256:7-0", "sha256:", "md5:1", "0,1", "sha256:-1", "sha256:256"] {
            assert!(text.parse::<PcrSelection>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<PcrSet>("[24]").is_err());
        assert_eq!(PcrSet::from_bits(1 << 24), None);
    }

    #[test]
    fn values_are_keyed_by_number() {
        let json = r#"{"bank":"sha1","values":{"0":"00ff","10":"abcd"}}"#;
        let bank: PcrBank = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&bank).unwrap(), json);
        assert!(serde_json::from_str::<PcrBank>(r#"{"bank":"sha1","values":{"24":"00"}}"#).is_err());
        let long = "00".repeat(65);
        assert!(long.parse::<PcrValue>().is_err(), "65 bytes are more than any bank has");
    }

    proptest! {
        #[test]
        fn sets_survive_being_written_and_read(bits in 1u32..1 << 24) {
            let set = PcrSet::from_bits(bits).unwrap();
            prop_assert_eq!(set.to_string().parse(), Ok(set));
            prop_assert_eq!(set.iter().collect::<PcrSet>(), set);
            prop_assert_eq!(set.iter().count(), set.len());
        }
    }
}
