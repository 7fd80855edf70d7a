//! What the running agent says of itself to whoever asks on this host: a small file beside the state.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{Timestamp, TrustScore};

use crate::state_directory::{Durability, StateError, read_bounded, write_atomically};

const STATUS_FILE: &str = "status.json";

/// What the agent last did. Nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When this was written, by the host's clock.
    pub updated_at: Option<Timestamp>,
    /// The last evidence that the engine appraised.
    #[serde(default)]
    pub last_attestation: Option<LastAttestation>,
    /// When the next is due, by the host's clock.
    #[serde(default)]
    pub next_due_at: Option<Timestamp>,
    /// What went wrong since the last success, if anything did.
    #[serde(default)]
    pub last_failure: Option<LastFailure>,
}

/// What the engine made of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastAttestation {
    /// When, by the engine's clock.
    pub appraised_at: Timestamp,
    /// What it came to.
    pub verdict: VerdictStatus,
    /// The device's score then.
    pub score: TrustScore,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// When, by the host's clock.
    pub at: Timestamp,
    /// What, in words.
    pub text: String,
}

impl Status {
    /// Reads what was last written; nothing where there is nothing, or nothing that can be read.
    pub fn read(directory: &Path) -> Self {
        let content = read_bounded(&directory.join(STATUS_FILE)).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), StateError> {
        // A status that cannot be put into JSON is worth no more than none.
        let content = serde_json::to_vec(self).unwrap_or_default();
        write_atomically(directory, STATUS_FILE, &content, Durability::Eventually)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written_and_is_empty_where_there_is_none() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(Status::read(scratch.path()), Status::default());
        let status = Status {
            updated_at: Some(Timestamp::from_unix_secs(3)),
            last_attestation: Some(LastAttestation {
                appraised_at: Timestamp::from_unix_secs(1),
                verdict: VerdictStatus::Affirming,
                score: TrustScore::new(71.5),
            }),
            next_due_at: Some(Timestamp::from_unix_secs(60)),
            last_failure: Some(LastFailure { at: Timestamp::from_unix_secs(2), text: "no route".to_owned() }),
        };
        status.write(scratch.path()).unwrap();
        assert_eq!(Status::read(scratch.path()), status);
        std::fs::write(scratch.path().join(STATUS_FILE), "{").unwrap();
        assert_eq!(Status::read(scratch.path()), Status::default());
    }
}
