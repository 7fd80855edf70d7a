//! What a TPM signs about itself (TPM 2.0 Part 2, 10.12 `TPMS_ATTEST`).

use std::fmt;

use vouchsafe_model::PcrSelection;

use super::{DecodeError, Reader, pcr_selection};
use crate::clock::ClockReading;

/// The first four bytes of everything that a TPM attests to: 0xFF and "TCG" (Part 2, 6.2 `TPM_GENERATED_VALUE`).
///
/// A restricted key signs outside data only when it does not begin like this, so that the bytes prove their maker.
pub const GENERATED_VALUE: u32 = 0xFF54_4347;

/// A parsed `TPMS_ATTEST`. It borrows; nothing in it is authentic yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest<'a> {
    /// The qualified name of the key that signs (a hash over its name and those of its parents).
    pub qualified_signer: &'a [u8],
    /// The data that the caller gave to be signed along: the nonce.
    pub extra_data: &'a [u8],
    /// Clock, counters and firmware at that moment.
    pub clock: ClockReading,
    /// What is attested to.
    pub attested: Attested<'a>,
}

/// What is attested to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attested<'a> {
    /// PCR values (Part 2, 10.12 `TPMS_QUOTE_INFO`).
    Quote(QuoteInfo<'a>),
    /// That a key is in this TPM (Part 2, 10.12 `TPMS_CERTIFY_INFO`).
    Certify(CertifyInfo<'a>),
}

/// PCR values, as a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteInfo<'a> {
    /// Which PCRs of which banks, in the order of the digest.
    pub selections: Vec<PcrSelection>,
    /// The digest over their values.
    pub digest: &'a [u8],
}

/// A key that is in this TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifyInfo<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its qualified name.
    pub qualified_name: &'a [u8],
}

/// What a `TPMS_ATTEST` is about (Part 2, 6.9 `TPMI_ST_ATTEST`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AttestType(pub u16);

/// Why bytes are no attestation that is understood here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestError {
    /// No TPM made these bytes of its own.
    #[error("the message begins with {0:#010x} instead of TPM_GENERATED_VALUE")]
    NotTpmGenerated(u32),
    /// A TPM made them, to say something else.
    #[error("{0} is neither a quote nor a certification")]
    UnknownType(AttestType),
    /// They do not have the form that they claim.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// A name is at most an algorithm and a SHA-512 digest; `extraData` likewise (Part 2, 10.4.3 `TPM2B_DATA` holds a
/// `TPMT_HA`).
const MAX_HASHED: usize = 2 + 64;
/// The longest digest.
const MAX_DIGEST: usize = 64;

impl<'a> Attest<'a> {
    /// Reads a `TPMS_ATTEST`: magic first, then the type, then the rest to its last byte.
    ///
    /// # Errors
    /// See [`AttestError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AttestError> {
        let mut reader = Reader::new("TPMS_ATTEST", bytes);
        let magic = reader.u32("magic")?;
        if magic != GENERATED_VALUE {
            return Err(AttestError::NotTpmGenerated(magic));
        }
        let kind = AttestType(reader.u16("type")?);
        if kind != AttestType::QUOTE && kind != AttestType::CERTIFY {
            return Err(AttestError::UnknownType(kind));
        }
        let qualified_signer = reader.sized("qualifiedSigner", MAX_HASHED)?;
        let extra_data = reader.sized("extraData", MAX_HASHED)?;
        let clock = read_clock(&mut reader)?;
        let attested = if kind == AttestType::QUOTE {
            let selections = pcr_selection::read(&mut reader)?;
            reader.enter("TPMS_QUOTE_INFO");
            Attested::Quote(QuoteInfo { selections, digest: reader.sized("pcrDigest", MAX_DIGEST)? })
        } else {
            reader.enter("TPMS_CERTIFY_INFO");
            let name = reader.sized("name", MAX_HASHED)?;
            Attested::Certify(CertifyInfo { name, qualified_name: reader.sized("qualifiedName", MAX_HASHED)? })
        };
        reader.enter("TPMS_ATTEST");
        reader.finish()?;
        Ok(Self { qualified_signer, extra_data, clock, attested })
    }
}

/// Reads `TPMS_CLOCK_INFO` and the firmware version behind it (Part 2, 10.11.1).
fn read_clock(reader: &mut Reader<'_>) -> Result<ClockReading, DecodeError> {
    reader.enter("TPMS_CLOCK_INFO");
    let clock_ms = reader.u64("clock")?;
    let reset_count = reader.u32("resetCount")?;
    let restart_count = reader.u32("restartCount")?;
    let safe = match reader.u8("safe")? {
        0 => false,
        1 => true,
        other => return Err(reader.bad_value("safe", other, "YES (1) or NO (0)")),
    };
    reader.enter("TPMS_ATTEST");
    let firmware_version = reader.u64("firmwareVersion")?;
    Ok(ClockReading { clock_ms, reset_count, restart_count, safe, firmware_version })
}

impl Attested<'_> {
    /// Which type this is.
    pub const fn kind(&self) -> AttestType {
        match self {
            Self::Quote(_) => AttestType::QUOTE,
            Self::Certify(_) => AttestType::CERTIFY,
        }
    }
}

impl AttestType {
    /// `TPM_ST_ATTEST_CERTIFY`.
    pub const CERTIFY: Self = Self(0x8017);
    /// `TPM_ST_ATTEST_QUOTE`.
    pub const QUOTE: Self = Self(0x8018);

    /// Its name in Part 2, 6.9.
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0x8014 => Some("TPM_ST_ATTEST_NV"),
            0x8015 => Some("TPM_ST_ATTEST_COMMAND_AUDIT"),
            0x8016 => Some("TPM_ST_ATTEST_SESSION_AUDIT"),
            0x8017 => Some("TPM_ST_ATTEST_CERTIFY"),
            0x8018 => Some("TPM_ST_ATTEST_QUOTE"),
            0x8019 => Some("TPM_ST_ATTEST_TIME"),
            0x801A => Some("TPM_ST_ATTEST_CREATION"),
            0x801C => Some("TPM_ST_ATTEST_NV_DIGEST"),
            _ => None,
        }
    }
}

impl fmt::Display for AttestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "attestation type {:#06x}", self.0),
        }
    }
}

impl fmt::Debug for AttestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
