//! What can go wrong with any operation, as opposed to the outcomes that each has by itself.

use std::fmt;

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    /// A join token.
    Token,
    /// A device.
    Device,
    /// An enrolment of a device: its keys.
    Enrolment,
    /// A device's TLS certificate.
    Certificate,
    /// A golden image.
    Image,
    /// A nonce.
    Nonce,
    /// An attestation.
    Attestation,
    /// Evidence that was refused.
    Refusal,
    /// A boot event log.
    EventLog,
    /// What is known of a device's present boot.
    Boot,
    /// The IMA list of a device's present boot.
    ImaList,
    /// A forbidden signature database.
    Dbx,
    /// A row of a trust history.
    Trust,
    /// The database as a whole.
    Database,
}

impl Entity {
    /// Its name, as errors and logs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "join token",
            Self::Device => "device",
            Self::Enrolment => "enrolment",
            Self::Certificate => "certificate",
            Self::Image => "image",
            Self::Nonce => "nonce",
            Self::Attestation => "attestation",
            Self::Refusal => "refusal",
            Self::EventLog => "event log",
            Self::Boot => "boot record",
            Self::ImaList => "IMA list",
            Self::Dbx => "forbidden signature database",
            Self::Trust => "trust history",
            Self::Database => "database",
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why an operation did not happen. Whatever the variant, nothing was changed.
///
/// `operation` is the name of the method.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, read or written: a full disk, a lost connection. Trying again later may help.
    #[error("{operation}: the database is unavailable")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Others held the database for longer than this operation was to wait. Trying again soon may help.
    #[error("{operation}: the database stayed busy")]
    Busy {
        /// What was being done.
        operation: &'static str,
    },
    /// What is stored cannot be what was stored, or does not fit together.
    #[error("{operation}: a stored {entity} is corrupt: {what}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// What is corrupt.
        entity: Entity,
        /// Where, and how it shows.
        what: String,
    },
    /// Something else has this name already, or what was to be stored contradicts what is, or itself.
    #[error("{operation}: {entity} {id} conflicts with what is stored")]
    Conflict {
        /// What was being done.
        operation: &'static str,
        /// What conflicts.
        entity: Entity,
        /// Its name.
        id: String,
    },
    /// The operation is about something that does not exist.
    #[error("{operation}: there is no {entity} {id}")]
    Missing {
        /// What was being done.
        operation: &'static str,
        /// What is missing.
        entity: Entity,
        /// Its name.
        id: String,
    },
    /// A part of what was to be stored is larger than anything that is meant to be stored there.
    #[error("{operation}: {what} has {found} of at most {max}")]
    TooLarge {
        /// What was being done.
        operation: &'static str,
        /// Which part.
        what: &'static str,
        /// Its size, in bytes or rows.
        found: usize,
        /// The most that it may be.
        max: usize,
    },
}

impl StoreError {
    /// The operation that failed.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Unavailable { operation, .. }
            | Self::Busy { operation }
            | Self::Corrupt { operation, .. }
            | Self::Conflict { operation, .. }
            | Self::Missing { operation, .. }
            | Self::TooLarge { operation, .. } => operation,
        }
    }

    /// Whether the same call may succeed when it is made again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Busy { .. })
    }
}
