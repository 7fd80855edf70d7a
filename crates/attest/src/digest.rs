//! Digests by the names that a TPM gives them.

use aws_lc_rs::digest::{Algorithm, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use vouchsafe_model::HashAlgorithm;

/// The library's algorithm; `None` for SM3, which it does not have.
///
/// SHA-1 is among them because a TPM may name an object with it and keep PCRs in it. Whether that is good enough is
/// decided by who asks, and never for signatures.
pub(crate) fn algorithm(hash: HashAlgorithm) -> Option<&'static Algorithm> {
    match hash {
        HashAlgorithm::Sha1 => Some(&SHA1_FOR_LEGACY_USE_ONLY),
        HashAlgorithm::Sha256 => Some(&SHA256),
        HashAlgorithm::Sha384 => Some(&SHA384),
        HashAlgorithm::Sha512 => Some(&SHA512),
        HashAlgorithm::Sm3 => None,
    }
}

/// The digest of the parts, one after another.
pub(crate) fn digest_of<'a>(
    algorithm: &'static Algorithm,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> aws_lc_rs::digest::Digest {
    let mut context = Context::new(algorithm);
    parts.into_iter().for_each(|part| context.update(part));
    context.finish()
}
