//! `TPMS_ATTEST` structures of any content, honest or not.

use vouchsafe_model::PcrSelection;

use super::{ForgedTpm, tpm2b};
use crate::clock::ClockReading;
use crate::tpm::attest::{AttestType, GENERATED_VALUE};

/// A `TPMS_ATTEST`, each field of which may be set to anything before it is encoded.
#[derive(Clone, Debug)]
pub struct Statement {
    /// `TPM_GENERATED_VALUE`, if it is honest.
    pub magic: u32,
    /// What it claims to be; may differ from its content.
    pub kind: AttestType,
    /// The qualified name of the signer.
    pub qualified_signer: Vec<u8>,
    /// The qualifying data.
    pub extra_data: Vec<u8>,
    /// The time.
    pub clock: ClockReading,
    /// What it is about.
    pub content: Content,
}

/// What a statement is about.
#[derive(Clone, Debug)]
pub enum Content {
    /// PCRs.
    Quote {
        /// The selections, as they are signed.
        selections: Vec<PcrSelection>,
        /// The digest over the values.
        digest: Vec<u8>,
    },
    /// A key.
    Certify {
        /// Its name.
        name: Vec<u8>,
        /// Its qualified name.
        qualified_name: Vec<u8>,
    },
}

impl Statement {
    pub(super) fn about(tpm: &ForgedTpm, qualifying_data: &[u8], content: Content) -> Self {
        Self {
            magic: GENERATED_VALUE,
            kind: match content {
                Content::Quote { .. } => AttestType::QUOTE,
                Content::Certify { .. } => AttestType::CERTIFY,
            },
            qualified_signer: tpm.ak_public().name().as_bytes().to_vec(),
            extra_data: qualifying_data.to_vec(),
            clock: tpm.clock(),
            content,
        }
    }

    /// Writes the `TPMS_ATTEST`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_be_bytes().to_vec();
        bytes.extend(self.kind.0.to_be_bytes());
        bytes.extend(tpm2b(&self.qualified_signer));
        bytes.extend(tpm2b(&self.extra_data));
        bytes.extend(self.clock.clock_ms.to_be_bytes());
        bytes.extend(self.clock.reset_count.to_be_bytes());
        bytes.extend(self.clock.restart_count.to_be_bytes());
        bytes.push(u8::from(self.clock.safe));
        bytes.extend(self.clock.firmware_version.to_be_bytes());
        match &self.content {
            Content::Quote { selections, digest } => {
                let count = u32::try_from(selections.len()).expect("a statement has few selections");
                bytes.extend(count.to_be_bytes());
                for selection in selections {
                    bytes.extend(selection.bank.tpm_alg_id().to_be_bytes());
                    let [first, second, third, _] = selection.pcrs.bits().to_le_bytes();
                    bytes.extend([3, first, second, third]);
                }
                bytes.extend(tpm2b(digest));
            }
            Content::Certify { name, qualified_name } => {
                bytes.extend(tpm2b(name));
                bytes.extend(tpm2b(qualified_name));
            }
        }
        bytes
    }
}
