//! How the parts of the document are spelled. Each bound is checked while reading, before anything more is kept.

mod items;
mod runtime;
mod sbat;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use vouchsafe_model::hash::from_hex;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, PcrIndex, Sha256Digest};

pub(super) use items::loader_name;
pub(super) use runtime::runtime;
pub(super) use sbat::sbat_level;

use super::document::{Enrolment, KeyId, PcrReferences};
use super::pattern::PatternError;
use super::{MAX_KEYS, MAX_NAME_LEN, MAX_REVOCATIONS, MAX_VALUES_PER_PCR};

/// Reads a value from its text.
pub(super) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    /// Within the visitor an error still gets the place of the text.
    struct Parsed<T>(PhantomData<T>);
    impl<T: FromStr<Err: Display>> Visitor<'_> for Parsed<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Parsed(PhantomData))
}

/// Reads a value from a table as it is written.
fn from_table<'de, D, Raw, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    Raw: Deserialize<'de>,
    T: TryFrom<Raw, Error: Display>,
{
    /// Within the visitor an error still gets the place of the table.
    struct Table<Raw, T>(PhantomData<(Raw, T)>);
    impl<'de, Raw: Deserialize<'de>, T: TryFrom<Raw, Error: Display>> Visitor<'de> for Table<Raw, T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            Raw::deserialize(MapAccessDeserializer::new(map))?.try_into().map_err(A::Error::custom)
        }
    }
    deserializer.deserialize_map(Table(PhantomData::<(Raw, T)>))
}

/// Reads a list in which nothing occurs twice.
pub(super) fn set<'de, D, T, const MAX: usize>(deserializer: D) -> Result<BTreeSet<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display> + Ord,
{
    deserializer.deserialize_seq(Listed::<T, MAX, false>(PhantomData))
}

/// Reads a list.
pub(super) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(List::<T, MAX>(PhantomData)).map(Some)
}

/// Reads `[pcrs.BANK]` tables, whose keys are PCRs and whose values are one value or a list of them.
pub(super) fn pcrs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PcrReferences, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Banks {
        sha1: Option<Bank<20>>,
        sha256: Option<Bank<32>>,
        sha384: Option<Bank<48>>,
        sha512: Option<Bank<64>>,
    }
    let Banks { sha1, sha256, sha384, sha512 } = Banks::deserialize(deserializer)?;
    let banks = [
        (HashAlgorithm::Sha1, sha1.map(|bank| bank.0)),
        (HashAlgorithm::Sha256, sha256.map(|bank| bank.0)),
        (HashAlgorithm::Sha384, sha384.map(|bank| bank.0)),
        (HashAlgorithm::Sha512, sha512.map(|bank| bank.0)),
    ];
    Ok(banks.into_iter().filter_map(|(bank, values)| Some((bank, values?))).collect())
}

/// Reads a Secure Boot variable: entries, each with its subject.
pub(super) fn enrolment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Enrolment>, D::Error> {
    named::<D, KeyId, MAX_KEYS>(deserializer).map(Some)
}

/// Reads certificates by SHA-256, each with its subject.
pub(super) fn certificates<'de, D>(deserializer: D) -> Result<BTreeMap<Sha256Digest, String>, D::Error>
where
    D: Deserializer<'de>,
{
    named::<D, Sha256Digest, MAX_REVOCATIONS>(deserializer)
}

fn too_many<E: Error>(what: &str, max: usize) -> E {
    E::custom(format_args!("more than {max} {what}"))
}

fn named<'de, D, K, const MAX: usize>(deserializer: D) -> Result<BTreeMap<K, String>, D::Error>
where
    D: Deserializer<'de>,
    K: FromStr<Err: Display> + Ord,
{
    struct Named<K, const MAX: usize>(PhantomData<K>);
    impl<'de, K: FromStr<Err: Display> + Ord, const MAX: usize> Visitor<'de> for Named<K, MAX> {
        type Value = BTreeMap<K, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of SHA-256 digests and subjects")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = BTreeMap::new();
            while let Some(Text(key)) = map.next_key()? {
                if entries.len() == MAX {
                    return Err(too_many("entries", MAX));
                }
                let Text(Name(subject)) = map.next_value()?;
                if entries.insert(key, subject).is_some() {
                    return Err(A::Error::custom("the entry occurs twice"));
                }
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_map(Named::<K, MAX>(PhantomData))
}

/// Why a text or table is not of its form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum BadItem {
    #[error("a command line has one of three: a text, a pattern, or digests of what was measured")]
    OneOfThree,
    #[error("{what} of {len} bytes; at most {max} are read")]
    TooLong { what: &'static str, len: usize, max: usize },
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error("'{name}' has neither a digest nor a signer: nothing would ever match it")]
    MatchesNothing { name: String },
    #[error("not {digits} hexadecimal digits")]
    NotHex { digits: usize },
    #[error("no digest such as sha256: and 64 hexadecimal digits")]
    NoDigest,
    #[error("an empty path")]
    EmptyPath,
    #[error("no component of an SBAT level: printable ASCII without blanks and commas")]
    NoComponent,
    #[error("no loader: one of grub, grub_kernel, systemd, linux_stub, firmware")]
    NoLoader,
}

fn values<const N: usize, const MAX: usize>(Several(digests): Several<Hex<N>, MAX>) -> BTreeSet<PcrValue> {
    digests.into_iter().map(|digest| digest.0).collect()
}

fn check_len(what: &'static str, text: &str, max: usize) -> Result<(), BadItem> {
    let len = text.len();
    if len > max { Err(BadItem::TooLong { what, len, max }) } else { Ok(()) }
}

/// A list of a bounded length.
struct List<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while items.len() < MAX {
            let Some(item) = seq.next_element()? else { return Ok(items) };
            items.push(item);
        }
        match seq.next_element::<IgnoredAny>()? {
            Some(_) => Err(too_many("items in the list", MAX)),
            None => Ok(items),
        }
    }
}

/// A list of a bounded length in which nothing occurs twice, or one value for itself where that will do.
struct Listed<T, const MAX: usize, const ONE_WILL_DO: bool>(PhantomData<T>);

impl<'de, T, const MAX: usize, const ONE_WILL_DO: bool> Visitor<'de> for Listed<T, MAX, ONE_WILL_DO>
where
    T: FromStr<Err: Display> + Ord,
{
    type Value = BTreeSet<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if ONE_WILL_DO { "a text or a list of texts" } else { "a list of texts" })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<BTreeSet<T>, E> {
        if !ONE_WILL_DO {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        text.parse().map(|one| BTreeSet::from([one])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<BTreeSet<T>, A::Error> {
        let mut items = BTreeSet::new();
        while let Some(Text(item)) = seq.next_element()? {
            if items.len() == MAX {
                return Err(too_many("items in the list", MAX));
            }
            if !items.insert(item) {
                return Err(A::Error::custom("the list holds something twice"));
            }
        }
        Ok(items)
    }
}

/// One or more values; never none.
struct Several<T, const MAX: usize>(BTreeSet<T>);

impl<'de, T: FromStr<Err: Display> + Ord, const MAX: usize> Deserialize<'de> for Several<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = deserializer.deserialize_any(Listed::<T, MAX, true>(PhantomData))?;
        if values.is_empty() {
            Err(D::Error::custom("an empty list, which nothing would match"))
        } else {
            Ok(Self(values))
        }
    }
}

/// The values of one bank.
struct Bank<const N: usize>(BTreeMap<PcrIndex, BTreeSet<PcrValue>>);

impl<'de, const N: usize> Deserialize<'de> for Bank<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pcrs<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Pcrs<N> {
            type Value = Bank<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of PCRs and their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bank<N>, A::Error> {
                let mut bank = BTreeMap::new();
                while let Some(Text(pcr)) = map.next_key::<Text<PcrIndex>>()? {
                    let one_or_more = map.next_value::<Several<Hex<N>, MAX_VALUES_PER_PCR>>()?;
                    if bank.insert(pcr, values(one_or_more)).is_some() {
                        return Err(A::Error::custom("the PCR occurs twice"));
                    }
                }
                Ok(Bank(bank))
            }
        }
        deserializer.deserialize_map(Pcrs)
    }
}

/// Anything that is read from its text.
struct Text<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer).map(Self)
    }
}

/// A digest of N bytes in hexadecimal.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Hex<const N: usize>(PcrValue);

impl<const N: usize> FromStr for Hex<N> {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        let value = from_hex(text).filter(|bytes| bytes.len() == N).and_then(PcrValue::new);
        value.map(Self).ok_or(BadItem::NotHex { digits: N.saturating_mul(2) })
    }
}

/// A name or subject.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl FromStr for Name {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        check_len("a name", text, MAX_NAME_LEN).map(|()| Self(text.to_owned()))
    }
}
