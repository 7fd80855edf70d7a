//! **For tests alone** (feature `forge`): a TPM without a TPM. Its keys lie in memory, and it says whatever it is told
//! to.
//!
//! It makes what an honest TPM makes, to test what is accepted, and [`Statement`] makes what no honest TPM would, to
//! test what is refused. It draws randomness and panics when it cannot go on: nothing that ships may enable this
//! feature.

#![expect(clippy::expect_used, reason = "a tool for tests that cannot go on should stop the test")]

pub mod boot_log;
mod ek;
mod ima_list;
mod key;
mod statement;

use std::collections::BTreeMap;

use vouchsafe_model::pcr::{PcrValue, PcrValues};
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex, PcrSelection};

pub use boot_log::BootLog;
pub use ek::SoftwareEk;
pub use ima_list::{ImaList, ImaSigner, digest_ng};
pub use key::{KeyKind, KeyTemplate, PssSalt, SoftwareKey};
pub use statement::{Content, Statement};

use crate::clock::ClockReading;
use crate::digest;
use crate::tpm::PublicArea;

/// A software TPM: an endorsement key, an attestation key, a device key, PCRs and a clock.
#[derive(Debug)]
pub struct ForgedTpm {
    ek: SoftwareEk,
    ak: SoftwareKey,
    device_key: SoftwareKey,
    pcrs: BTreeMap<HashAlgorithm, PcrValues>,
    clock: ClockReading,
}

/// A quote with the values that it is about.
#[derive(Clone, Debug)]
pub struct ForgedQuote {
    /// The `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// The `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The values.
    pub pcrs: PcrBank,
}

/// What `TPM2_Certify` answers.
#[derive(Clone, Debug)]
pub struct ForgedCertification {
    /// The `TPMS_ATTEST`.
    pub attest: Vec<u8>,
    /// The `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
}

impl ForgedTpm {
    /// A TPM with a P-256 EK, AK and device key, banks SHA-1 to SHA-512 at their reset values, and some time behind it.
    pub fn new() -> Self {
        Self::with_ak(KeyTemplate::AK)
    }

    /// The same with another AK.
    pub fn with_ak(template: KeyTemplate) -> Self {
        let banks = [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
        Self {
            ek: SoftwareEk::generate(),
            ak: SoftwareKey::generate(template),
            device_key: SoftwareKey::generate(KeyTemplate::DEVICE_KEY),
            pcrs: banks.into_iter().map(|bank| (bank, reset_values(bank))).collect(),
            clock: ClockReading {
                clock_ms: 1_000_000_000,
                reset_count: 10,
                restart_count: 0,
                safe: true,
                firmware_version: 0x2019_1023_0016_3636,
            },
        }
    }

    /// The same TPM with another AK and another device key, as after its agent lost its state.
    #[must_use]
    pub fn with_new_keys(self) -> Self {
        let (ak, device_key) = (KeyTemplate::AK, KeyTemplate::DEVICE_KEY);
        Self { ak: SoftwareKey::generate(ak), device_key: SoftwareKey::generate(device_key), ..self }
    }

    /// The endorsement key.
    pub fn ek(&self) -> &SoftwareEk {
        &self.ek
    }

    /// The attestation key.
    pub fn ak(&self) -> &SoftwareKey {
        &self.ak
    }

    /// The device key.
    pub fn device_key(&self) -> &SoftwareKey {
        &self.device_key
    }

    /// The public area of the endorsement key.
    pub fn ek_public(&self) -> &PublicArea {
        self.ek.public()
    }

    /// The public area of the attestation key.
    pub fn ak_public(&self) -> &PublicArea {
        self.ak.public()
    }

    /// The public area of the device key.
    pub fn device_key_public(&self) -> &PublicArea {
        self.device_key.public()
    }

    /// The time.
    pub fn clock(&self) -> ClockReading {
        self.clock
    }

    /// Sets the time, as no TPM lets anyone do.
    pub fn set_clock(&mut self, clock: ClockReading) {
        self.clock = clock;
    }

    /// Lets milliseconds pass.
    pub fn advance(&mut self, millis: u64) {
        self.clock.clock_ms = self.clock.clock_ms.saturating_add(millis);
    }

    /// Restarts the host: PCRs are reset.
    pub fn reboot(&mut self) {
        self.clock.reset_count = self.clock.reset_count.wrapping_add(1);
        self.clock.restart_count = 0;
        for (bank, values) in &mut self.pcrs {
            *values = reset_values(*bank);
        }
    }

    /// Suspends and resumes the host: PCRs stay.
    pub fn resume(&mut self) {
        self.clock.restart_count = self.clock.restart_count.wrapping_add(1);
    }

    /// Extends a PCR of every bank with the digest of the data, as `TPM2_PCR_Event` does.
    pub fn extend(&mut self, pcr: PcrIndex, data: &[u8]) {
        for (bank, values) in &mut self.pcrs {
            let algorithm = digest::algorithm(*bank).expect("the library has the hash of every bank");
            let value = values.get_mut(&pcr).expect("every bank has every PCR");
            let event = digest::digest_of(algorithm, [data]);
            *value = pcr_value(digest::digest_of(algorithm, [value.as_bytes(), event.as_ref()]).as_ref());
        }
    }

    /// The values of PCRs.
    pub fn pcrs(&self, selection: &PcrSelection) -> PcrBank {
        let values = self.pcrs.get(&selection.bank).expect("the bank is there");
        let selected = values.iter().filter(|(pcr, _)| selection.pcrs.contains(**pcr));
        PcrBank { bank: selection.bank, values: selected.map(|(pcr, value)| (*pcr, value.clone())).collect() }
    }

    /// What an honest `TPM2_Quote` answers.
    pub fn quote(&self, selection: &PcrSelection, qualifying_data: &[u8]) -> ForgedQuote {
        let pcrs = self.pcrs(selection);
        let message = self.quote_statement(std::slice::from_ref(&pcrs), qualifying_data).encode();
        ForgedQuote { signature: self.ak.sign(&message), message, pcrs }
    }

    /// What an honest quote of these banks says, to be changed before it is signed.
    pub fn quote_statement(&self, banks: &[PcrBank], qualifying_data: &[u8]) -> Statement {
        let algorithm = digest::algorithm(self.ak.hash()).expect("the library has the hash of the scheme");
        let values = banks.iter().flat_map(|bank| bank.values.values()).map(PcrValue::as_bytes);
        Statement::about(
            self,
            qualifying_data,
            Content::Quote {
                selections: banks.iter().map(PcrBank::selection).collect(),
                digest: digest::digest_of(algorithm, values).as_ref().to_vec(),
            },
        )
    }

    /// What an honest `TPM2_Certify` of the device key answers.
    pub fn certify(&self, qualifying_data: &[u8]) -> ForgedCertification {
        let attest = self.certify_statement(&self.device_key, qualifying_data).encode();
        ForgedCertification { signature: self.ak.sign(&attest), attest }
    }

    /// What an honest certification of a key says, to be changed before it is signed.
    pub fn certify_statement(&self, key: &SoftwareKey, qualifying_data: &[u8]) -> Statement {
        let name = key.public().name().as_bytes().to_vec();
        Statement::about(self, qualifying_data, Content::Certify { qualified_name: name.clone(), name })
    }

    /// What `TPM2_ActivateCredential` answers for the AK: the secret, if the credential is for this EK and this AK.
    pub fn activate_credential(&self, id_object: &[u8], encrypted_secret: &[u8]) -> Option<Vec<u8>> {
        self.ek.activate_credential(self.ak.public().name(), id_object, encrypted_secret)
    }
}

impl Default for ForgedTpm {
    fn default() -> Self {
        Self::new()
    }
}

/// PCRs 17 to 22 start from all ones, the others from zero (PC Client Platform TPM Profile, PCR attributes).
fn reset_values(bank: HashAlgorithm) -> PcrValues {
    let fill = |pcr: PcrIndex| if (17..=22).contains(&pcr.get()) { 0xFF } else { 0 };
    PcrIndex::all().map(|pcr| (pcr, pcr_value(&vec![fill(pcr); bank.digest_len()]))).collect()
}

fn pcr_value(bytes: &[u8]) -> PcrValue {
    PcrValue::new(bytes.to_vec()).expect("a digest is no longer than the longest")
}

/// The bytes behind their length.
fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("no structure of a TPM is longer than 65535 bytes");
    [&len.to_be_bytes(), bytes].concat()
}
