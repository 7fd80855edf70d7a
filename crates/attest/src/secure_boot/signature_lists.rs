//! Signature databases (UEFI 2.10, 32.4.1 `EFI_SIGNATURE_LIST`).

use aws_lc_rs::digest::SHA256;
use vouchsafe_model::Sha256Digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::digest::digest_of;
use crate::eventlog::facts::{SignatureEntry, SignatureKind};

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
}

const MAX_ENTRIES: usize = 20_000;
const HEADER_LEN: usize = 28;
const OWNER_LEN: usize = 16;
const X509: &str = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";
const SHA256_IMAGE: &str = "c1c41626-504c-4092-aca9-41f936934328";
const X509_SHA256: &str = "3bd2a492-96c0-4079-b420-fcf98ef103ed";

/// Reads a signature database.
pub(super) fn signature_lists(bytes: &[u8]) -> Result<Vec<SignatureEntry>, SignatureListError> {
    let (mut entries, mut rest, mut offset) = (Vec::new(), bytes, 0usize);
    while !rest.is_empty() {
        let truncated = SignatureListError::Truncated { offset };
        let bad = SignatureListError::BadLengths { offset };
        let (header, _) = rest.split_first_chunk::<HEADER_LEN>().ok_or(truncated)?;
        let [list_len, header_len, entry_len] = [16, 20, 24].map(|at| len_at(header, at));
        let body_start = HEADER_LEN.checked_add(header_len).ok_or(bad)?;
        let (list, after) = rest.split_at_checked(list_len).ok_or(truncated)?;
        let body = list.get(body_start..).ok_or(bad)?;
        if entry_len <= OWNER_LEN || !body.len().is_multiple_of(entry_len) {
            return Err(bad);
        }
        let kind_guid = guid_text(header);
        for entry in body.chunks_exact(entry_len) {
            let (owner, data) = entry.split_at_checked(OWNER_LEN).ok_or(bad)?;
            if entries.len() == MAX_ENTRIES {
                return Err(SignatureListError::TooMany);
            }
            entries.push(SignatureEntry { owner: guid_text(owner), kind: kind(&kind_guid, data) });
        }
        rest = after;
        offset = offset.saturating_add(list_len);
    }
    Ok(entries)
}

fn len_at(header: &[u8], at: usize) -> usize {
    let len = header.get(at..).and_then(<[u8]>::first_chunk::<4>).map_or(0, |len| u32::from_le_bytes(*len));
    usize::try_from(len).unwrap_or(usize::MAX)
}

fn kind(guid: &str, data: &[u8]) -> SignatureKind {
    let digest = data.first_chunk::<32>().map(|digest| Sha256Digest::new(*digest));
    match (guid, digest, data.len()) {
        (SHA256_IMAGE, Some(digest), 32) => SignatureKind::Sha256 { digest },
        (X509_SHA256, Some(digest), 48) => SignatureKind::X509Sha256 { digest },
        (X509, _, _) => {
            let mut sha256 = [0; 32];
            sha256.iter_mut().zip(digest_of(&SHA256, [data]).as_ref()).for_each(|(to, from)| *to = *from);
            let subject =
                X509Certificate::from_der(data).ok().map(|(_, certificate)| certificate.subject().to_string());
            SignatureKind::X509 { sha256: Sha256Digest::new(sha256), subject, der: data.to_vec() }
        }
        _ => SignatureKind::Other { guid: guid.to_owned(), length: data.len() },
    }
}

/// A GUID as UEFI writes it: the first three fields are little-endian (UEFI 2.10, appendix A).
fn guid_text(guid: &[u8]) -> String {
    let hex = |places: &[usize]| -> String {
        places.iter().map(|place| format!("{:02x}", guid.get(*place).copied().unwrap_or(0))).collect()
    };
    [hex(&[3, 2, 1, 0]), hex(&[5, 4]), hex(&[7, 6]), hex(&[8, 9]), hex(&[10, 11, 12, 13, 14, 15])].join("-")
}
