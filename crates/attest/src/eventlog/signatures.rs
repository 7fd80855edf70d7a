//! Signature databases (UEFI 2.10, 32.4.1): which keys and images Secure Boot accepts, and which it refuses.

use aws_lc_rs::digest::{SHA256, digest};
use vouchsafe_model::Sha256Digest;

use super::bytes::{Bytes, guid, guid_text};
use super::facts::{SignatureEntry, SignatureKind};
use super::subject;

const X509: [u8; 16] = guid(0xa5c0_59a1_94e4_4aa7_87b5_ab15_5c2b_f072);
const SHA256_IMAGE: [u8; 16] = guid(0xc1c4_1626_504c_4092_aca9_41f9_3693_4328);
const X509_SHA256: [u8; 16] = guid(0x3bd2_a492_96c0_4079_b420_fcf9_8ef1_03ed);

/// The length of a list's header, in bytes: type and three lengths.
const HEADER_LEN: usize = 28;
/// The length of an entry's owner, in bytes.
const OWNER_LEN: usize = 16;
/// The most entries that are read. The largest dbx of 2025 has some 500.
pub(super) const MAX_ENTRIES: usize = 20_000;

/// Why bytes are no signature database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureListError {
    /// A list ends before its own length says.
    #[error("the list at byte {offset} is truncated")]
    Truncated {
        /// Where the list begins, in bytes.
        offset: usize,
    },
    /// The lengths of a list contradict each other.
    #[error("the lengths of the list at byte {offset} contradict each other")]
    BadLengths {
        /// Where the list begins, in bytes.
        offset: usize,
    },
    /// There are more entries than are read.
    #[error("more than the {MAX_ENTRIES} entries allowed")]
    TooMany,
    /// An update does not begin with the time and the signature that authenticate it.
    #[error("no EFI_VARIABLE_AUTHENTICATION_2 at its beginning")]
    NoAuthentication,
}

/// One `EFI_SIGNATURE_LIST`.
struct List<'a> {
    kind: [u8; 16],
    entry_len: usize,
    entries: &'a [u8],
}

/// The lists of a database, one after another; ends after the first error.
struct Lists<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Lists<'a> {
    type Item = Result<List<'a>, SignatureListError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let list = self.list();
        if list.is_err() {
            self.rest = &[];
        }
        Some(list)
    }
}

impl<'a> Lists<'a> {
    fn list(&mut self) -> Result<List<'a>, SignatureListError> {
        let offset = self.offset;
        let truncated = SignatureListError::Truncated { offset };
        let bad = SignatureListError::BadLengths { offset };
        let mut bytes = Bytes::new(self.rest);
        let kind = bytes.array().ok_or(truncated)?;
        let list_len = bytes.len32().ok_or(truncated)?;
        let header_len = bytes.len32().ok_or(truncated)?;
        let entry_len = bytes.len32().ok_or(truncated)?;
        let mut body = Bytes::new(bytes.take(list_len.checked_sub(HEADER_LEN).ok_or(bad)?).ok_or(truncated)?);
        body.take(header_len).ok_or(bad)?;
        let entries = body.rest();
        if entry_len <= OWNER_LEN || !entries.len().is_multiple_of(entry_len) {
            return Err(bad);
        }
        self.rest = bytes.rest();
        self.offset = offset.saturating_add(list_len);
        Ok(List { kind, entry_len, entries })
    }
}

/// Reads a signature database: the value of `PK`, `KEK`, `db` or `dbx`, or of a file that would update one.
///
/// # Errors
/// When a length is wrong, or there are more entries than are read.
pub fn signature_lists(bytes: &[u8]) -> Result<Vec<SignatureEntry>, SignatureListError> {
    let mut entries: Vec<SignatureEntry> = Vec::with_capacity(count(bytes)?);
    for list in (Lists { rest: bytes, offset: 0 }) {
        let list = list?;
        for entry in list.entries.chunks_exact(list.entry_len) {
            let Some((owner, data)) = entry.split_first_chunk::<OWNER_LEN>() else { continue };
            entries.push(SignatureEntry { owner: guid_text(owner), kind: kind(&list.kind, data) });
        }
    }
    Ok(entries)
}

/// How many entries a signature database has.
///
/// # Errors
/// As for [`signature_lists`].
pub(super) fn count(bytes: &[u8]) -> Result<usize, SignatureListError> {
    let mut entries = 0usize;
    for list in (Lists { rest: bytes, offset: 0 }) {
        let list = list?;
        entries = entries.saturating_add(list.entries.len() / list.entry_len.max(1));
    }
    if entries > MAX_ENTRIES { Err(SignatureListError::TooMany) } else { Ok(entries) }
}

/// The signature database in a file that updates one, behind the `EFI_VARIABLE_AUTHENTICATION_2` (UEFI 2.10, 8.2.2) that
/// holds the time and the signature. The signature is not checked.
///
/// # Errors
/// When there is none at its beginning.
pub fn update_payload(bytes: &[u8]) -> Result<&[u8], SignatureListError> {
    const WIN_CERT_TYPE_EFI_GUID: u16 = 0x0EF1;
    const PKCS7: [u8; 16] = guid(0x4aaf_d29d_68df_49ee_8aa9_347d_3756_65a7);
    const WIN_CERTIFICATE_LEN: usize = 8;
    let payload = || {
        let mut rest = Bytes::new(bytes);
        // The time.
        rest.take(16)?;
        let certificate_len = rest.len32()?;
        let revision = rest.u16()?;
        let kind = rest.u16()?;
        let mut certificate = Bytes::new(rest.take(certificate_len.checked_sub(WIN_CERTIFICATE_LEN)?)?);
        let is_good = revision == 0x0200 && kind == WIN_CERT_TYPE_EFI_GUID && certificate.array()? == PKCS7;
        is_good.then_some(rest.rest())
    };
    payload().ok_or(SignatureListError::NoAuthentication)
}

fn kind(kind: &[u8; 16], data: &[u8]) -> SignatureKind {
    let first_digest = data.first_chunk::<32>().map(|digest| Sha256Digest::new(*digest));
    match (*kind, first_digest) {
        (X509, _) => certificate(data),
        (SHA256_IMAGE, Some(digest)) if data.len() == 32 => SignatureKind::Sha256 { digest },
        // The digest, and an EFI_TIME from which on the certificate is revoked.
        (X509_SHA256, Some(digest)) if data.len() == 48 => SignatureKind::X509Sha256 { digest },
        _ => SignatureKind::Other { guid: guid_text(kind), length: data.len() },
    }
}

/// An entry of one certificate.
fn certificate(der: &[u8]) -> SignatureKind {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, der).as_ref());
    SignatureKind::X509 { sha256: Sha256Digest::new(sha256), subject: subject::of(der), der: der.to_vec() }
}

/// What an image was verified by, as `EV_EFI_VARIABLE_AUTHORITY` holds it: an `EFI_SIGNATURE_DATA`, or the bare certificate
/// that shim writes, whose owner is then the vendor of the variable.
pub(super) fn authority(vendor: &[u8; 16], data: &[u8]) -> Option<SignatureEntry> {
    if subject::is_one_sequence(data) {
        return Some(SignatureEntry { owner: guid_text(vendor), kind: certificate(data) });
    }
    let (owner, data) = data.split_first_chunk::<OWNER_LEN>()?;
    let kind = match data.first_chunk::<32>() {
        Some(digest) if data.len() == 32 => SignatureKind::Sha256 { digest: Sha256Digest::new(*digest) },
        _ if subject::is_one_sequence(data) => certificate(data),
        _ => return None,
    };
    Some(SignatureEntry { owner: guid_text(owner), kind })
}
