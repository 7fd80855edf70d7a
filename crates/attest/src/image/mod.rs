//! Golden images: the state in which a device is trusted, as a text that people review.
//!
//! The text is TOML, lives in git, and is signed as it stands ([`signed`]): one line for each fact, so that an update is a
//! diff of a few lines. [`GoldenImage::parse`] is strict, since a misspelt field would be a check that is never made;
//! [`GoldenImage::to_text`] writes every image in one way. [`Compiled`] is what evidence is held against, made once and
//! shared by all devices of the image:
//!
//! - [`pcrs::compare`] holds a quote against the PCR values,
//! - [`boot::compare`] the facts of the event log against the boot section,
//! - [`accept`] passes the deviations of the firmware that the image knows of,
//! - [`SeenBoot`] puts these together for a quote and its log, [`ClaimedBoot`] for files,
//! - [`choose`] finds the one of several valid images that a boot meets.
//!
//! What an image does not speak of is not checked. An image that speaks of nothing never passes.
//!
//! Nothing here may make an image pass more than its text says: patterns never reach across a word, a deviation that would
//! let events hide is accepted only for a PCR whose value the image holds, and a fact counts only in the bank and the
//! PCRs that the TPM signed.

mod accept;
pub mod boot;
mod capture;
mod check;
mod choose;
mod compiled;
mod diff;
mod document;
mod lint;
mod merge;
mod parse;
mod pattern;
pub mod pcrs;
mod period;
mod read;
mod seen;
pub mod signed;
mod write;

pub use accept::{AcceptedDeviation, DeviationRefused, accept};
pub use capture::{Capture, capture};
pub use check::Inconsistency;
pub use choose::{Choice, choose};
pub use compiled::{CompileError, Compiled};
pub use diff::{Change, diff};
pub use document::{
    AllowedCommandLine, BootItem, BootSection, CommandText, Digests, EnrolledKeys, Enrolment, GoldenImage, KeyId,
    PcrReferences, RequiredDbx, SecureBootRule, Signer,
};
pub use lint::{Lint, lint};
pub use merge::{MergeConflict, merge};
pub use parse::DocumentError;
pub use pattern::{Pattern, PatternError};
pub use period::{Period, PeriodError};
pub use seen::{ClaimedBoot, SeenBoot};

/// What the first line of an image says, for this version of the format.
pub const FORMAT: &str = "vouchsafe-image/1";

/// The longest text of an image, in bytes: 1,000,000 paths with one digest each take less than twice this, 400,000 less
/// than this.
pub const MAX_TEXT_LEN: usize = 64 * 1024 * 1024;
/// How many values one PCR may have.
pub const MAX_VALUES_PER_PCR: usize = 64;
/// How many images one image may supersede.
pub const MAX_SUPERSEDED: usize = 64;
/// How many images, files, drivers or initial file systems one boot section may list, of each.
pub const MAX_BOOT_ITEMS: usize = 4096;
/// How many digests or signers one of them may have.
pub const MAX_PER_BOOT_ITEM: usize = 256;
/// How many command lines a boot section may allow; GRUB measures each command of its scripts.
pub const MAX_COMMAND_LINES: usize = 4096;
/// How many of them may be patterns.
pub const MAX_PATTERNS: usize = 256;
/// The longest command line, in bytes.
pub const MAX_COMMAND_LINE_LEN: usize = 8 * 1024;
/// How many keys each of the Secure Boot variables may have.
pub const MAX_KEYS: usize = 1024;
/// How many revocations of each kind an image may ask for.
pub const MAX_REVOCATIONS: usize = 65_536;
/// The longest name, subject or other text that is no command line and no path, in bytes.
pub const MAX_NAME_LEN: usize = 512;
/// How many deviations an image may accept.
pub const MAX_ACCEPTED: usize = 256;
