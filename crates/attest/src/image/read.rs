//! How the parts of the document are spelled. Each bound is checked while reading, before anything more is kept.

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

use super::document::{AllowedCommandLine, BootItem, CommandText, Digests, Enrolment, KeyId, PcrReferences, Signer};
use super::pattern::{Pattern, PatternError};
use super::{
    MAX_COMMAND_LINE_LEN, MAX_DIGESTS_PER_PATH, MAX_KEYS, MAX_NAME_LEN, MAX_PATH_LEN, MAX_PATHS, MAX_PER_BOOT_ITEM,
    MAX_REVOCATIONS, MAX_VALUES_PER_PCR,
};
use crate::eventlog::facts::Loader;

/// Who measures command lines, by the name that the document gives them.
pub(super) const LOADERS: [(&str, Loader); 5] = [
    ("grub", Loader::Grub),
    ("grub_kernel", Loader::GrubKernel),
    ("systemd", Loader::Systemd),
    ("linux_stub", Loader::LinuxStub),
    ("firmware", Loader::Firmware),
];

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

impl<'de> Deserialize<'de> for AllowedCommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_table::<D, RawCommandLine, Self>(deserializer)
    }
}

impl<'de> Deserialize<'de> for BootItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_table::<D, RawBootItem, Self>(deserializer)
    }
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

/// Reads the digests of paths: one, or a list of them, each `ALGORITHM:HEX`.
pub(super) fn path_digests<'de, D>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Paths;
    impl<'de> Visitor<'de> for Paths {
        type Value = BTreeMap<String, Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of paths and their digests")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut paths = BTreeMap::new();
            while let Some(Text(Path(path))) = map.next_key()? {
                if paths.len() == MAX_PATHS {
                    return Err(too_many("paths", MAX_PATHS));
                }
                let Several(digests) = map.next_value::<Several<PathDigest, MAX_DIGESTS_PER_PATH>>()?;
                paths.insert(path, digests.into_iter().map(|digest| digest.0).collect());
            }
            Ok(paths)
        }
    }
    deserializer.deserialize_map(Paths)
}

/// A command line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommandLine {
    loader: Option<Text<LoaderName>>,
    text: Option<String>,
    pattern: Option<String>,
}

/// Why a text or table is not of its form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum BadItem {
    #[error("a command line has either a text or a pattern")]
    TextXorPattern,
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
    #[error("no loader: one of grub, grub_kernel, systemd, linux_stub, firmware")]
    NoLoader,
}

impl TryFrom<RawCommandLine> for AllowedCommandLine {
    type Error = BadItem;

    fn try_from(raw: RawCommandLine) -> Result<Self, BadItem> {
        let text = match (raw.text, raw.pattern) {
            (Some(text), None) => {
                check_len("a command line", &text, MAX_COMMAND_LINE_LEN)?;
                CommandText::Exact(text)
            }
            (None, Some(pattern)) => CommandText::Pattern(Pattern::parse(&pattern)?),
            _ => return Err(BadItem::TextXorPattern),
        };
        Ok(Self { loader: raw.loader.map(|Text(LoaderName(loader))| loader), text })
    }
}

/// An image, driver or file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBootItem {
    name: Text<Name>,
    sha1: Option<Several<Hex<20>, MAX_PER_BOOT_ITEM>>,
    sha256: Option<Several<Hex<32>, MAX_PER_BOOT_ITEM>>,
    sha384: Option<Several<Hex<48>, MAX_PER_BOOT_ITEM>>,
    sha512: Option<Several<Hex<64>, MAX_PER_BOOT_ITEM>>,
    signer: Option<Several<Name, MAX_PER_BOOT_ITEM>>,
    #[serde(default)]
    required: bool,
}

impl TryFrom<RawBootItem> for BootItem {
    type Error = BadItem;

    fn try_from(raw: RawBootItem) -> Result<Self, BadItem> {
        let RawBootItem { name: Text(Name(name)), sha1, sha256, sha384, sha512, signer, required } = raw;
        let digests: Digests = [
            (HashAlgorithm::Sha1, sha1.map(values)),
            (HashAlgorithm::Sha256, sha256.map(values)),
            (HashAlgorithm::Sha384, sha384.map(values)),
            (HashAlgorithm::Sha512, sha512.map(values)),
        ]
        .into_iter()
        .filter_map(|(algorithm, digests)| Some((algorithm, digests?)))
        .collect();
        let signers = signer.into_iter().flat_map(|Several(signers)| signers);
        let signers: BTreeSet<Signer> = signers.map(|Name(signer)| Signer::from(signer)).collect();
        if digests.is_empty() && signers.is_empty() {
            return Err(BadItem::MatchesNothing { name });
        }
        Ok(Self { name, digests, signers, required })
    }
}

fn values<const N: usize, const MAX: usize>(Several(digests): Several<Hex<N>, MAX>) -> BTreeSet<PcrValue> {
    digests.into_iter().map(|digest| digest.0).collect()
}

fn check_len(what: &'static str, text: &str, max: usize) -> Result<(), BadItem> {
    let len = text.len();
    if len > max { Err(BadItem::TooLong { what, len, max }) } else { Ok(()) }
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

/// A name or subject.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(String);

impl FromStr for Name {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        check_len("a name", text, MAX_NAME_LEN).map(|()| Self(text.to_owned()))
    }
}

/// A path.
struct Path(String);

impl FromStr for Path {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        check_len("a path", text, MAX_PATH_LEN)?;
        if text.is_empty() { Err(BadItem::EmptyPath) } else { Ok(Self(text.to_owned())) }
    }
}

/// `ALGORITHM:HEX`, kept in lower case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PathDigest(String);

impl FromStr for PathDigest {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        let is_digest = text.split_once(':').is_some_and(|(algorithm, hex)| {
            let digits =
                algorithm.parse().map_or(0, |algorithm: HashAlgorithm| algorithm.digest_len().saturating_mul(2));
            digits > 0 && hex.len() == digits && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        if is_digest { Ok(Self(text.to_ascii_lowercase())) } else { Err(BadItem::NoDigest) }
    }
}

/// Who measures a command line.
struct LoaderName(Loader);

impl FromStr for LoaderName {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        let known = LOADERS.iter().find(|(name, _)| *name == text);
        known.map(|(_, loader)| Self(*loader)).ok_or(BadItem::NoLoader)
    }
}
