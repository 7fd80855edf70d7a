//! The boot event log: what firmware and boot loaders say they measured (TCG PC Client Platform Firmware Profile, 10).
//!
//! A log is a claim. [`EventLog::parse`] reads its form; [`EventLog::authenticate`] replays it and holds it against PCRs
//! that a TPM signed, and is the only way to a [`ReplayedLog`]. Even then only the digests are vouched for: not the types
//! of events, and not their data, unless its digest is what was extended. [`EventLog::deviations`] recomputes digests
//! wherever the type says of what they are, and names all that is out of place; a deviation is never repaired.
//! [`EventLog::facts`] tells what the log says in typed [`facts`].
//!
//! What userspace measures later stands in another log: [`cel`].

mod allowed;
mod authentic;
mod bytes;
pub mod cel;
mod check;
mod deviations;
mod device_path;
mod event;
pub mod facts;
mod gather;
mod gpt;
mod loader;
mod parse;
mod replay;
mod separators;
mod signatures;
mod subject;
mod variable;

use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, HashAlgorithm, PcrIndex};

pub use authentic::ReplayedLog;
pub use event::{Event, EventType};
use facts::BootFacts;
pub use parse::{EventLogError, EventLogProblem};
pub use replay::Replay;
pub use signatures::{SignatureListError, signature_lists, update_payload};

/// The longest log that is read, in bytes. Real ones are 10 to 100 KB.
pub const MAX_LEN: usize = 1024 * 1024;
/// The most events that are read. Real logs have 20 to 300.
pub const MAX_EVENTS: usize = 10_000;
/// The most algorithms that a log may list.
pub const MAX_ALGORITHMS: usize = 16;
/// The longest digest of an algorithm that is not known, in bytes.
pub const MAX_DIGEST_LEN: usize = 128;
/// The most deviations that are told one by one.
pub const MAX_DEVIATIONS: usize = 256;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One SHA-1 digest for each event, as for TPM 1.2.
    Tpm12,
    /// Digests of every bank for each event.
    CryptoAgile,
}

/// An algorithm that a log lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LogAlgorithm {
    id: u16,
    digest_len: usize,
}

/// A log whose form is good. Who wrote it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog<'a> {
    format: LogFormat,
    algorithms: Vec<LogAlgorithm>,
    banks: Vec<HashAlgorithm>,
    events: Vec<Event<'a>>,
    padding: usize,
}

impl<'a> EventLog<'a> {
    /// Reads a log of either format, told apart by its first event.
    ///
    /// Zeros or 0xFF behind the last event are padding, as firmware leaves it in the memory that the kernel copies.
    /// Algorithms that are not known are skipped by the length that the first event gives.
    ///
    /// # Errors
    /// At the first event whose form is not good.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EventLogError> {
        parse::parse(bytes)
    }

    /// How it is written.
    pub fn format(&self) -> LogFormat {
        self.format
    }

    /// The banks that it has digests for, as far as they have a name in the model.
    pub fn banks(&self) -> &[HashAlgorithm] {
        &self.banks
    }

    /// The numbers of all algorithms that it lists, known or not.
    pub fn algorithm_ids(&self) -> impl Iterator<Item = u16> {
        self.algorithms.iter().map(|algorithm| algorithm.id)
    }

    /// Its events, in their order.
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// How many bytes of padding follow the last event.
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// What PCRs come to when all its events are extended.
    pub fn replay(&self) -> Replay {
        replay::replay(self)
    }

    /// What it says.
    ///
    /// Claims of the log, as long as it is not authentic; see [`ReplayedLog::facts`].
    pub fn facts(&self) -> BootFacts {
        gather::gather(self.events.iter())
    }

    /// What is wrong or out of place with it, by event. At most [`MAX_DEVIATIONS`] are told, and one that says that there
    /// are more.
    pub fn deviations(&self) -> Vec<Finding> {
        deviations::deviations(self)
    }

    /// Whether UEFI firmware wrote it.
    fn is_uefi(&self) -> bool {
        self.events.iter().any(|event| event.kind.is_uefi())
    }

    /// The events that extend this PCR.
    fn extending(&self, pcr: PcrIndex) -> impl Iterator<Item = &Event<'a>> {
        self.events.iter().filter(move |event| event.extends() == Some(pcr))
    }
}

/// The PCRs that the running system goes on extending (UAPI Linux TPM PCR registry: 11 to 15), so that the log of the boot
/// need not replay to them. What it says of them counts only where it does.
pub fn extended_later() -> PcrSet {
    (11..=15).filter_map(PcrIndex::new).collect()
}

/// The PCRs of the firmware, 0 to 7.
fn firmware_pcrs() -> impl Iterator<Item = PcrIndex> {
    PcrIndex::all().take_while(|pcr| pcr.get() <= 7)
}
