//! The document, as types. How it is spelled is in [`super::read`] and [`super::write`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{HashAlgorithm, ImageId, PcrIndex, Sha256Digest, Timestamp};

use super::accept::AcceptedDeviation;
use super::pattern::Pattern;
use super::period::Period;
use super::read;
use crate::eventlog::facts::Loader;
use crate::ima::RuntimeSection;
use crate::secure_boot::SbatLevel;

/// Digests by their algorithm; each of them will do.
pub type Digests = BTreeMap<HashAlgorithm, BTreeSet<PcrValue>>;

/// The values that PCRs may have, by bank.
pub type PcrReferences = BTreeMap<HashAlgorithm, BTreeMap<PcrIndex, BTreeSet<PcrValue>>>;

/// A golden image: what is expected of a device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenImage {
    /// Its name and version.
    #[serde(rename = "image")]
    pub id: ImageId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The images that it takes the place of.
    #[serde(default, deserialize_with = "read::set::<_, _, { super::MAX_SUPERSEDED }>")]
    pub supersedes: BTreeSet<ImageId>,
    /// How long those stay valid after this one is activated; not at all when it is absent.
    #[serde(default)]
    pub overlap: Option<Period>,
    /// The age at which it costs trust; never when it is absent.
    #[serde(default)]
    pub max_age: Option<Period>,
    /// PCRs that are left out on purpose. None of them has a value in `pcrs`.
    #[serde(default)]
    pub ignored_pcrs: PcrSet,
    /// PCR values that must match, in the bank that is quoted.
    #[serde(default, deserialize_with = "read::pcrs")]
    pub pcrs: PcrReferences,
    /// What the boot event log must say.
    #[serde(default)]
    pub boot: Option<BootSection>,
    /// What the IMA list may hold.
    #[serde(default, deserialize_with = "read::runtime")]
    pub runtime: Option<RuntimeSection>,
}

/// What is expected of a boot. A list that is absent is not checked; one that is empty allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootSection {
    /// What Secure Boot must be.
    #[serde(default)]
    pub secure_boot: SecureBootRule,
    /// Whether images must be booted in the order of [`Self::images`].
    #[serde(default)]
    pub ordered: bool,
    /// Deviations of the firmware that are known and accepted.
    #[serde(default, deserialize_with = "read::set::<_, _, { super::MAX_ACCEPTED }>")]
    pub accept: BTreeSet<AcceptedDeviation>,
    /// The command lines that are allowed.
    #[serde(default, rename = "command_line", deserialize_with = "read::list::<_, _, { super::MAX_COMMAND_LINES }>")]
    pub command_lines: Option<Vec<AllowedCommandLine>>,
    /// The images that firmware and shim may start: boot loaders, kernels.
    #[serde(default, rename = "image", deserialize_with = "read::list::<_, _, { super::MAX_BOOT_ITEMS }>")]
    pub images: Option<Vec<BootItem>>,
    /// The option ROMs and drivers that the firmware may load.
    #[serde(default, rename = "option_rom", deserialize_with = "read::list::<_, _, { super::MAX_BOOT_ITEMS }>")]
    pub option_roms: Option<Vec<BootItem>>,
    /// The files that a boot loader may read: its modules and configuration, kernels.
    #[serde(default, rename = "file", deserialize_with = "read::list::<_, _, { super::MAX_BOOT_ITEMS }>")]
    pub files: Option<Vec<BootItem>>,
    /// The initial file systems that a kernel may get.
    #[serde(default, rename = "initrd", deserialize_with = "read::list::<_, _, { super::MAX_BOOT_ITEMS }>")]
    pub initrds: Option<Vec<BootItem>>,
    /// The keys that are enrolled for Secure Boot.
    #[serde(default)]
    pub keys: EnrolledKeys,
    /// The revocations that must be enrolled; there may be more.
    #[serde(default)]
    pub dbx: Option<RequiredDbx>,
    /// The SBAT level of shim that must be in force; it may be a newer one.
    #[serde(default, deserialize_with = "read::sbat_level")]
    pub sbat_level: Option<SbatLevel>,
}

/// What Secure Boot must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecureBootRule {
    /// On, with keys that are not open to anyone.
    On,
    /// On or off.
    #[default]
    Any,
}

/// A command line that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedCommandLine {
    /// Who may measure it. When absent: whoever hands it to a kernel, which GRUB's own commands are not.
    pub loader: Option<Loader>,
    /// The whole of it.
    pub text: CommandText,
}

/// A text, or what it must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandText {
    /// This very text.
    Exact(String),
    /// A text of this form, from its first character to its last.
    Pattern(Pattern),
    /// What was measured has one of these digests: for a boot whose log does not hold the text.
    Measured(Digests),
}

/// An image, driver or file that is allowed in a boot: by any of its digests, or by any of its signers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootItem {
    /// What it is called in findings and differences; of no weight.
    pub name: String,
    /// Authenticode digests of images, plain digests of files.
    pub digests: Digests,
    /// What it may have been verified by. For images and drivers alone: files are not verified by a key that is measured.
    pub signers: BTreeSet<Signer>,
    /// Whether a boot without it fails.
    pub required: bool,
}

/// The certificate that an image was verified by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signer {
    /// By SHA-256 of the certificate.
    Certificate(Sha256Digest),
    /// By its subject. Whoever can enrol keys can give theirs this subject, so the image should hold the keys as well.
    Subject(String),
}

/// The keys that are enrolled for Secure Boot. A list that is absent is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolledKeys {
    /// The platform key.
    #[serde(default, deserialize_with = "read::enrolment")]
    pub pk: Option<Enrolment>,
    /// Who may change `db` and `dbx`.
    #[serde(default, deserialize_with = "read::enrolment")]
    pub kek: Option<Enrolment>,
    /// Who may sign images.
    #[serde(default, deserialize_with = "read::enrolment")]
    pub db: Option<Enrolment>,
    /// Shim's own keys.
    #[serde(default, deserialize_with = "read::enrolment")]
    pub mok: Option<Enrolment>,
}

/// The entries of one Secure Boot variable, each with its subject, which is for the reader and of no weight.
pub type Enrolment = BTreeMap<KeyId, String>;

/// An entry of a Secure Boot variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyId {
    /// A certificate, by SHA-256 of it. Spelled as the digest.
    Certificate(Sha256Digest),
    /// An image that may be loaded, by its Authenticode SHA-256. Spelled `image-` and the digest.
    Image(Sha256Digest),
}

/// The revocations that must be enrolled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredDbx {
    /// Images, by their Authenticode SHA-256.
    #[serde(default, rename = "sha256", deserialize_with = "read::set::<_, _, { super::MAX_REVOCATIONS }>")]
    pub images: BTreeSet<Sha256Digest>,
    /// Certificates, by SHA-256 of their to-be-signed part.
    #[serde(default, rename = "x509_sha256", deserialize_with = "read::set::<_, _, { super::MAX_REVOCATIONS }>")]
    pub to_be_signed: BTreeSet<Sha256Digest>,
    /// Certificates, by SHA-256 of the whole, each with its subject.
    #[serde(default, deserialize_with = "read::certificates")]
    pub certificates: BTreeMap<Sha256Digest, String>,
}

impl GoldenImage {
    /// An image of this name that expects nothing yet.
    pub fn new(id: ImageId, created_at: Timestamp) -> Self {
        Self {
            id,
            created_at,
            supersedes: BTreeSet::new(),
            overlap: None,
            max_age: None,
            ignored_pcrs: PcrSet::EMPTY,
            pcrs: PcrReferences::new(),
            boot: None,
            runtime: None,
        }
    }

    /// The PCRs that it holds a value for, in any bank.
    pub fn held_pcrs(&self) -> PcrSet {
        self.pcrs.values().flat_map(BTreeMap::keys).copied().collect()
    }

    /// The banks in which it holds PCR values or digests of what is booted.
    pub fn banks(&self) -> BTreeSet<HashAlgorithm> {
        let boot = self.boot.iter();
        let items = boot.clone().flat_map(BootSection::lists).flat_map(|(_, items)| items.unwrap_or_default());
        let measured = boot.flat_map(|boot| boot.command_lines.iter().flatten()).filter_map(|line| match &line.text {
            CommandText::Measured(digests) => Some(digests),
            CommandText::Exact(_) | CommandText::Pattern(_) => None,
        });
        let digests = items.map(|item| &item.digests).chain(measured).flat_map(Digests::keys);
        self.pcrs.keys().chain(digests).copied().collect()
    }

    /// Whether it asks for anything at all. Everything agrees with an image that does not.
    pub fn expects_something(&self) -> bool {
        let has_values = !self.held_pcrs().is_empty();
        has_values || self.runtime.is_some() || self.boot.as_ref().is_some_and(BootSection::expects_something)
    }
}

impl BootSection {
    /// Whether it asks for more than a log that can be read.
    pub fn expects_something(&self) -> bool {
        let Self { secure_boot, command_lines, images, option_roms, files, initrds, keys, .. } = self;
        *secure_boot == SecureBootRule::On
            || command_lines.is_some()
            || [images, option_roms, files, initrds].into_iter().any(Option::is_some)
            || keys.lists().any(|(_, list)| list.is_some())
            || self.asks_for_revocations()
    }

    /// Whether it asks for revocations that must be in force.
    pub(super) fn asks_for_revocations(&self) -> bool {
        self.dbx.as_ref().is_some_and(|dbx| !dbx.is_empty())
            || self.sbat_level.as_ref().is_some_and(|level| !level.is_empty())
    }

    /// The four lists of what may be booted, each by its name in the document.
    pub(super) fn lists(&self) -> [(&'static str, Option<&[BootItem]>); 4] {
        [
            ("image", self.images.as_deref()),
            ("option_rom", self.option_roms.as_deref()),
            ("file", self.files.as_deref()),
            ("initrd", self.initrds.as_deref()),
        ]
    }
}

impl EnrolledKeys {
    /// The lists, each by its name in the document.
    pub(super) fn lists(&self) -> impl Iterator<Item = (&'static str, Option<&Enrolment>)> {
        let Self { pk, kek, db, mok } = self;
        [("pk", pk.as_ref()), ("kek", kek.as_ref()), ("db", db.as_ref()), ("mok", mok.as_ref())].into_iter()
    }
}

impl RequiredDbx {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty() && self.to_be_signed.is_empty() && self.certificates.is_empty()
    }
}

const IMAGE_PREFIX: &str = "image-";

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(digest) => digest.fmt(f),
            Self::Image(digest) => write!(f, "{IMAGE_PREFIX}{digest}"),
        }
    }
}

impl FromStr for KeyId {
    type Err = vouchsafe_model::id::InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(IMAGE_PREFIX) {
            Some(digest) => digest.parse().map(Self::Image),
            None => text.parse().map(Self::Certificate),
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(digest) => digest.fmt(f),
            Self::Subject(subject) => f.pad(subject),
        }
    }
}

impl From<String> for Signer {
    /// 64 hexadecimal digits are a certificate, anything else a subject.
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Subject(text), Self::Certificate)
    }
}
