//! Files that update `dbx`, as the UEFI Forum publishes and fwupd installs them.

use time::{Date, Month, PrimitiveDateTime, Time};
use vouchsafe_model::Timestamp;

use super::Dbx;
use crate::eventlog::facts::SignatureEntry;
use crate::eventlog::{SignatureListError, signature_lists};

/// The longest file that is read, in bytes. Variables are held to 32 KiB on most machines; files list several of them.
pub const MAX_UPDATE_LEN: usize = 1024 * 1024;

/// What a file says is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbxUpdate {
    /// The time that is signed with it; `None` in a file without a signature. It orders the updates of one signer, and is
    /// no date of making: some signers always write the same one.
    pub timestamp: Option<Timestamp>,
    /// The entries, in their order.
    pub entries: Vec<SignatureEntry>,
}

/// Why a file is no update of `dbx`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// It is too long to be worth reading.
    #[error("{len} bytes; an update of at most {MAX_UPDATE_LEN} is read")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It begins neither with a time and a signature, nor with a list, nor with a variable's attributes and a list.
    #[error("neither an EFI_VARIABLE_AUTHENTICATION_2 nor an EFI_SIGNATURE_LIST at byte 0")]
    UnknownForm,
    /// The time is none, or has fields that must be zero (UEFI 2.10, 8.2.2).
    #[error("the EFI_TIME at byte 0 is no time")]
    BadTime,
    /// The signature has no length that it could have.
    #[error("the WIN_CERTIFICATE at byte 16 says that it takes {len} bytes of {left}")]
    BadCertificateLength {
        /// What it says, in bytes.
        len: usize,
        /// What is there, in bytes.
        left: usize,
    },
    /// The signature is not one of an authenticated variable.
    #[error("the WIN_CERTIFICATE at byte 16 is no PKCS#7 signature of type EFI_GUID")]
    OtherCertificate,
    /// A list is broken.
    #[error("from byte {start} on: {error}")]
    Lists {
        /// Where the lists begin, in bytes.
        start: usize,
        /// What is wrong, counted from there.
        error: SignatureListError,
    },
    /// It revokes nothing.
    #[error("it lists nothing")]
    Empty,
}

const TIME_LEN: usize = 16;
/// `dwLength`, `wRevision`, `wCertificateType` and `CertType` (UEFI 2.10, 32.2.4 `WIN_CERTIFICATE_UEFI_GUID`).
const CERTIFICATE_HEADER_LEN: usize = 24;
const REVISION_2: [u8; 2] = [0x00, 0x02];
const TYPE_EFI_GUID: [u8; 2] = [0xF1, 0x0E];
/// `EFI_CERT_TYPE_PKCS7_GUID`, 4aafd29d-68df-49ee-8aa9-347d375665a7.
const PKCS7: [u8; 16] =
    [0x9D, 0xD2, 0xAF, 0x4A, 0xDF, 0x68, 0xEE, 0x49, 0x8A, 0xA9, 0x34, 0x7D, 0x37, 0x56, 0x65, 0xA7];
/// A file under /sys/firmware/efi/efivars begins with the variable's attributes.
const ATTRIBUTES_LEN: usize = 4;
/// How signature lists begin: with one of these GUIDs (UEFI 2.10, 32.4.1), by its first four bytes.
const LIST_TYPES: [[u8; 4]; 11] = [
    0xc1c4_1626_u32.to_le_bytes(), // SHA-256
    0x3c57_56fc_u32.to_le_bytes(), // RSA-2048
    0xe2b3_6190_u32.to_le_bytes(), // RSA-2048 with SHA-256
    0x826c_a512_u32.to_le_bytes(), // SHA-1
    0x67f8_444f_u32.to_le_bytes(), // RSA-2048 with SHA-1
    0xa5c0_59a1_u32.to_le_bytes(), // X.509
    0x0b6e_5233_u32.to_le_bytes(), // SHA-224
    0xff3e_5307_u32.to_le_bytes(), // SHA-384
    0x093e_0fae_u32.to_le_bytes(), // SHA-512
    0x3bd2_a492_u32.to_le_bytes(), // X.509 by SHA-256
    0x7076_876e_u32.to_le_bytes(), // X.509 by SHA-384
];

impl DbxUpdate {
    /// Reads an update in any of three forms: a signed one, bare lists, or a variable as Linux shows it.
    ///
    /// The signature is not checked: it is for the firmware, which knows the KEK. Whoever imports the file vouches for it.
    ///
    /// # Errors
    /// When it is of none of these forms, broken, or lists nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, UpdateError> {
        if bytes.len() > MAX_UPDATE_LEN {
            return Err(UpdateError::TooLong { len: bytes.len() });
        }
        let begins_list = |at: usize| bytes.get(at..).is_some_and(is_list);
        let (timestamp, start) = if begins_list(0) {
            (None, 0)
        } else if begins_list(ATTRIBUTES_LEN) {
            (None, ATTRIBUTES_LEN)
        } else {
            let (timestamp, start) = authentication(bytes)?;
            (Some(timestamp), start)
        };
        let lists = bytes.get(start..).unwrap_or_default();
        let entries = signature_lists(lists).map_err(|error| UpdateError::Lists { start, error })?;
        if entries.is_empty() { Err(UpdateError::Empty) } else { Ok(Self { timestamp, entries }) }
    }

    /// The entries, ready to be asked.
    pub fn dbx(&self) -> Dbx {
        self.entries.iter().collect()
    }
}

fn is_list(bytes: &[u8]) -> bool {
    bytes.first_chunk::<4>().is_some_and(|start| LIST_TYPES.contains(start))
}

/// Reads an `EFI_VARIABLE_AUTHENTICATION_2`: its time, and where it ends.
fn authentication(bytes: &[u8]) -> Result<(Timestamp, usize), UpdateError> {
    let (time, rest) = bytes.split_first_chunk::<TIME_LEN>().ok_or(UpdateError::UnknownForm)?;
    let (header, _) = rest.split_first_chunk::<CERTIFICATE_HEADER_LEN>().ok_or(UpdateError::UnknownForm)?;
    if header.get(4..6) != Some(&REVISION_2) || header.get(6..8) != Some(&TYPE_EFI_GUID) {
        return Err(UpdateError::UnknownForm);
    }
    if header.get(8..) != Some(&PKCS7) {
        return Err(UpdateError::OtherCertificate);
    }
    let len = header.first_chunk::<4>().map_or(0, |len| u32::from_le_bytes(*len));
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len < CERTIFICATE_HEADER_LEN || len > rest.len() {
        return Err(UpdateError::BadCertificateLength { len, left: rest.len() });
    }
    Ok((timestamp(time).ok_or(UpdateError::BadTime)?, TIME_LEN.saturating_add(len)))
}

/// Reads an `EFI_TIME` (UEFI 2.10, 8.3) of which all but date and time of day are zero.
fn timestamp(time: &[u8; TIME_LEN]) -> Option<Timestamp> {
    let [low, high, month, day, hour, minute, second, rest @ ..] = *time;
    if rest != [0; 9] {
        return None;
    }
    let year = i32::from(u16::from_le_bytes([low, high]));
    let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    (1900..=9999).contains(&year).then(|| PrimitiveDateTime::new(date, time).assume_utc().into())
}
