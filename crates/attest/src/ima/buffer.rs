//! What was measured instead of a file (`ima-buf`): keys above all.

use aws_lc_rs::digest::digest;
use vouchsafe_model::{FindingCode, HashAlgorithm};

use super::fields::Fields;
use super::judge::Judgement;
use super::key::FileKey;
use super::path::printable;
use super::policy::{Listing, RuntimePolicy};
use super::rule::RuleKind;
use super::table::Hashed;
use crate::digest::algorithm;

/// The keyrings whose keys the kernel checks files with.
const FILE_KEYRINGS: [&[u8]; 2] = [b".ima", b"_ima"];

/// Whether the digest beside the buffer is its own, as the kernel has it (`process_buffer_measurement`).
pub(super) fn is_consistent(fields: &Fields<'_>, buffer: &[u8]) -> bool {
    fields.digest.is_some_and(|told| {
        told.hash().and_then(algorithm).is_some_and(|algorithm| digest(algorithm, buffer).as_ref() == told.bytes)
    })
}

/// The key that a buffer is, if it is one: keys are measured by the name of the keyring that they are loaded on
/// (`ima_post_key_create_or_update`), and kernel keyrings begin with a dot.
pub(super) fn key(fields: &Fields<'_>, buffer: &[u8]) -> Option<Result<FileKey, &'static str>> {
    match FileKey::from_certificate(buffer) {
        Some(Ok(key)) => Some(Ok(key)),
        Some(Err(_)) => Some(Err("a certificate of a key that is not supported")),
        None if fields.name.starts_with(b".") || FILE_KEYRINGS.contains(&fields.name) => {
            Some(Err("bytes that are no X.509 certificate"))
        }
        None => None,
    }
}

/// Whether a key of this keyring may sign files.
pub(super) fn signs_files(fields: &Fields<'_>) -> bool {
    FILE_KEYRINGS.contains(&fields.name)
}

/// Whether a key may be loaded, by its certificate or by the digest that is listed for its keyring.
pub(super) fn is_allowed(policy: &RuntimePolicy, keyring: &[u8], key: &FileKey, der: &[u8]) -> bool {
    policy.allows_key(key, der) || {
        let sha256 = super::key::sha256(der);
        let digest = super::FileDigest::of_content(HashAlgorithm::Sha256, sha256.as_bytes());
        matches!(policy.listing(Hashed::of(keyring), &digest), Listing::Listed)
    }
}

/// Judges a buffer by the policy.
pub(super) fn judge<'p>(policy: &'p RuntimePolicy, fields: &Fields<'_>, buffer: &[u8]) -> Judgement<'p> {
    let Some(digest) = fields.digest else { return Judgement::found(FindingCode::FileUnlisted, None, "no digest") };
    let listing = policy.listing(Hashed::of(fields.name), &digest);
    if matches!(listing, Listing::Listed) {
        return Judgement::Listed;
    }
    match key(fields, buffer) {
        Some(Ok(key)) if policy.allows_key(&key, buffer) => return Judgement::Listed,
        Some(Ok(key)) => {
            let found = format!("{}, {digest}", key.name());
            return Judgement::found(FindingCode::KeyringKeyUnknown, None, found);
        }
        Some(Err(found)) => return Judgement::found(FindingCode::KeyringKeyUnknown, None, found),
        None => {}
    }
    if let Some(rule) = policy.rules().find(|rule| rule.kind == RuleKind::Buffers) {
        return Judgement::Passed(&rule.text);
    }
    if let Listing::Other(expected) = listing {
        return Judgement::found(FindingCode::FileChanged, Some(expected), digest.to_string());
    }
    let found = format!("{digest} of {} bytes beginning with {}", buffer.len(), beginning(buffer));
    Judgement::found(FindingCode::FileUnlisted, None, found)
}

fn beginning(buffer: &[u8]) -> String {
    const SHOWN: usize = 32;
    format!("'{}'", printable(buffer.get(..SHOWN).unwrap_or(buffer)))
}
