//! What the engines remember, behind traits: join tokens, devices and their keys, golden images, attestations,
//! measurement logs, revocations, and the history of trust. Decisions are not here: they have a log of files.
//!
//! Each operation is one atomic transaction and is named after what happens in the domain, so that no caller can do
//! half of it: an enrolment counts its token and stores its keys, or neither; accepted evidence spends its nonce and
//! reaches the score, or none of it happened. What callers have to tell apart is an outcome, such as [`Acceptance`];
//! what they can only report is a [`StoreError`].
//!
//! The docs of the traits are the recipe for the next implementation, and `tests/it/contract` is its examination.
//! Nothing here judges: no evidence is verified, no score computed, no clock read. Instants are arguments.

mod attestations;
mod devices;
mod enrolment;
mod error;
mod ima_lists;
mod images;
pub mod limits;
mod logs;
mod maintenance;
mod page;
mod revocations;
mod sqlite;
mod tokens;
mod trust;

pub use attestations::{
    Acceptance, AcceptedAttestation, AttestationRecord, Attestations, ImageMove, NonceSpending, NonceUse,
    RefusalNumber, RefusalRecord, RefusalRecording, RefusedEvidence, StoredEvidence, TpmReading,
};
pub use devices::{CertificateRecording, DeviceFilter, Devices, IssuedCertificate, Standing, StateChange};
pub use enrolment::{EnrolmentOutcome, NewEnrolment};
pub use error::{Entity, StoreError};
pub use ima_lists::{ImaAheadPart, ImaList, ImaListChange, ImaListLost, ImaListPart};
pub use images::{Images, StoredDocument};
pub use logs::{AheadOutcome, BootRecord, BootUpdate, BootVersion, ImaAhead, Logs};
pub use maintenance::{Maintenance, Purged, RetentionPolicy};
pub use page::{Page, PageLimit};
pub use revocations::{DbxOutcome, Revocations, StoredDbx};
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
pub use tokens::Tokens;
pub use trust::{InitialTrust, TrustAppend, TrustHistory, TrustRow, TrustSequence, TrustUpdate};

/// Everything that is remembered, for those who need all of it.
///
/// Whoever needs less asks for less: `&dyn Tokens`, `&dyn Logs`.
pub trait Store: Tokens + Devices + Images + Attestations + Logs + Revocations + TrustHistory + Maintenance {}

impl<S> Store for S where S: Tokens + Devices + Images + Attestations + Logs + Revocations + TrustHistory + Maintenance {}
