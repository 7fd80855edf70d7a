//! Command lines, and what may be booted.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use vouchsafe_model::HashAlgorithm;

use super::super::document::{AllowedCommandLine, BootItem, CommandText, Digests, Signer};
use super::super::pattern::Pattern;
use super::super::{MAX_COMMAND_LINE_LEN, MAX_PER_BOOT_ITEM};
use super::{BadItem, Hex, Name, Several, Text, check_len, from_table, values};
use crate::eventlog::facts::Loader;

/// Who measures command lines, by the name that the document gives them.
const LOADERS: [(&str, Loader); 5] = [
    ("grub", Loader::Grub),
    ("grub_kernel", Loader::GrubKernel),
    ("systemd", Loader::Systemd),
    ("linux_stub", Loader::LinuxStub),
    ("firmware", Loader::Firmware),
];

/// The name that the document gives to a loader.
pub(in super::super) fn loader_name(loader: Loader) -> &'static str {
    LOADERS.iter().find(|(_, known)| *known == loader).map_or("", |(name, _)| name)
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

/// A command line as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommandLine {
    loader: Option<Text<LoaderName>>,
    text: Option<String>,
    pattern: Option<String>,
    sha1: Option<Several<Hex<20>, MAX_PER_BOOT_ITEM>>,
    sha256: Option<Several<Hex<32>, MAX_PER_BOOT_ITEM>>,
    sha384: Option<Several<Hex<48>, MAX_PER_BOOT_ITEM>>,
    sha512: Option<Several<Hex<64>, MAX_PER_BOOT_ITEM>>,
}

impl TryFrom<RawCommandLine> for AllowedCommandLine {
    type Error = BadItem;

    fn try_from(raw: RawCommandLine) -> Result<Self, BadItem> {
        let measured = digests(raw.sha1, raw.sha256, raw.sha384, raw.sha512);
        let text = match (raw.text, raw.pattern) {
            (None, None) if !measured.is_empty() => CommandText::Measured(measured),
            _ if !measured.is_empty() => return Err(BadItem::OneOfThree),
            (Some(text), None) => {
                check_len("a command line", &text, MAX_COMMAND_LINE_LEN)?;
                CommandText::Exact(text)
            }
            (None, Some(pattern)) => CommandText::Pattern(Pattern::parse(&pattern)?),
            _ => return Err(BadItem::OneOfThree),
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
        let digests = digests(sha1, sha256, sha384, sha512);
        let signers = signer.into_iter().flat_map(|Several(signers)| signers);
        let signers: BTreeSet<Signer> = signers.map(|Name(signer)| Signer::from(signer)).collect();
        if digests.is_empty() && signers.is_empty() {
            return Err(BadItem::MatchesNothing { name });
        }
        Ok(Self { name, digests, signers, required })
    }
}

fn digests(
    sha1: Option<Several<Hex<20>, MAX_PER_BOOT_ITEM>>,
    sha256: Option<Several<Hex<32>, MAX_PER_BOOT_ITEM>>,
    sha384: Option<Several<Hex<48>, MAX_PER_BOOT_ITEM>>,
    sha512: Option<Several<Hex<64>, MAX_PER_BOOT_ITEM>>,
) -> Digests {
    [
        (HashAlgorithm::Sha1, sha1.map(values)),
        (HashAlgorithm::Sha256, sha256.map(values)),
        (HashAlgorithm::Sha384, sha384.map(values)),
        (HashAlgorithm::Sha512, sha512.map(values)),
    ]
    .into_iter()
    .filter_map(|(algorithm, digests)| Some((algorithm, digests?)))
    .collect()
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
