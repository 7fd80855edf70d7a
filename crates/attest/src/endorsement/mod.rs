//! Who vouches for an endorsement key: the maker of the TPM, an operator who named it, or nobody.
//!
//! An endorsement is graded, not required: TPMs without a certificate exist, and vendors let intermediates expire. What
//! is never graded but refused is evidence of a lie: a certificate of another EK, a broken signature, an issuer that is no
//! CA. The line between the two: an **honest** device with old or lacking certificates falls to what is left
//! (pinned, or none) with a [`ChainNote`] that says why; what **no honest device** presents is an
//! [`EndorsementRejected`]. A device cannot lift its grade by either.
//!
//! Nothing is fetched, and revocation is not asked about: an operator who no longer trusts a CA takes it out of
//! [`TrustAnchors`]. Specifications: TCG EK Credential Profile for TPM 2.0 (2.5, 3.2), RFC 5280, RFC 4158.

mod anchors;
mod certificate;
mod ek;
mod key;
mod name;
mod notes;
mod path;
mod signature;

use std::time::Duration;

use aws_lc_rs::digest::SHA256;
use vouchsafe_model::{EndorsementGrade, Sha256Digest, Timestamp};

pub use anchors::{
    AnchorRefusal, AnchorRefusalReason, AnchorRole, AnchorSource, MAX_ANCHORS, MAX_SOURCE_LEN, TrustAnchors,
};
pub use certificate::{CertificateError, MAX_CERTIFICATE_LEN};
pub use ek::{EkCertificate, TpmIdentity};
pub use notes::ChainNote;
pub use path::{MAX_INTERMEDIATES, MAX_SIGNATURE_CHECKS};

use crate::digest;
use crate::tpm::PublicArea;
use anchors::Pool;
use certificate::Certificate;
use path::PathOutcome;

/// How many intermediates a host may send along with its EK certificate.
pub const MAX_PRESENTED_INTERMEDIATES: usize = 16;

/// How far in the future a certificate may begin: clocks of hosts in a factory and of engines differ.
pub const NOT_YET_VALID_ALLOWANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// What a device and its operator say of its EK.
#[derive(Clone, Copy, Debug)]
pub struct EndorsementClaim<'a> {
    /// The EK as its TPM shows it. That the TPM holds it, [`crate::credential`] proves.
    pub ek_public: &'a PublicArea,
    /// The certificate from NV, padding included; `None` when there is none.
    pub ek_certificate: Option<&'a [u8]>,
    /// Further certificates from NV (TCG EK Credential Profile, 2.2.1.5) or from the host.
    pub extra_intermediates: &'a [Vec<u8>],
    /// SHA-256 of the `SubjectPublicKeyInfo` of the EK that the operator expects, if one was named.
    pub pinned: Option<&'a Sha256Digest>,
}

/// How well an EK is vouched for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Endorsement {
    /// By whom.
    pub grade: EndorsementGrade,
    /// SHA-256 of the EK's `SubjectPublicKeyInfo`, computed from its public area: what a device's name derives from.
    pub ek_digest: Sha256Digest,
    /// The maker of the TPM. Only at [`EndorsementGrade::Vendor`]: below, anyone could have written it.
    pub manufacturer: Option<String>,
    /// The root that vouches, at [`EndorsementGrade::Vendor`].
    pub root: Option<String>,
    /// What is odd.
    pub notes: Vec<ChainNote>,
}

/// Why an EK is refused, whatever grade a policy would be content with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EndorsementRejected {
    /// The operator named another EK.
    #[error("the EK {presented} is not the pinned {pinned}")]
    PinMismatch {
        /// The one that was named.
        pinned: Sha256Digest,
        /// The one that is there.
        presented: Sha256Digest,
    },
    /// Too many certificates were sent along.
    #[error("{count} intermediates were sent; at most {MAX_PRESENTED_INTERMEDIATES} are read")]
    TooManyIntermediates {
        /// How many.
        count: usize,
    },
    /// What was sent as EK certificate is none.
    #[error("the EK certificate cannot be read")]
    UnreadableCertificate(#[source] CertificateError),
    /// The certificate is of another EK: that of another TPM, or of another key of this one.
    #[error("the EK certificate is of another key than the EK")]
    CertificateOfAnotherKey,
    /// The certificate or its chain is not what an honest TPM has.
    #[error("the EK certificate's chain is not acceptable")]
    Chain(#[source] ChainFault),
}

/// What no honest chain has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A certificate is not signed by the key of the issuer that it names.
    #[error("'{issuer}' did not sign the certificate of '{subject}'")]
    BrokenSignature {
        /// Whose certificate.
        subject: String,
        /// Who should have signed it.
        issuer: String,
    },
    /// A certificate was issued by one that is no CA's.
    #[error("'{issuer}' issued a certificate and is no CA")]
    IssuerIsNoCa {
        /// By whom.
        issuer: String,
    },
    /// A certificate was issued by a key that may not sign certificates.
    #[error("'{issuer}' issued a certificate, for which its key usage does not allow it")]
    IssuerMayNotSign {
        /// By whom.
        issuer: String,
    },
    /// A certificate was issued by a CA for other uses than EK certificates.
    #[error("'{issuer}' issued a certificate, and its extended key usage does not allow EK certificates")]
    IssuerIsForOtherUses {
        /// By whom.
        issuer: String,
    },
    /// More intermediates follow a CA than it may have.
    #[error("{found} intermediates follow '{issuer}', which may have {allowed}")]
    PathTooLong {
        /// The CA.
        issuer: String,
        /// How many may follow.
        allowed: u32,
        /// How many do.
        found: usize,
    },
    /// A certificate begins in the future.
    #[error("the certificate of '{subject}' begins at {not_before} only")]
    NotYetValid {
        /// Whose certificate.
        subject: String,
        /// When it begins.
        not_before: Timestamp,
    },
    /// A certificate has a critical extension that is not understood.
    #[error("the critical extension {oid} of the certificate of '{subject}' is not understood")]
    UnknownCriticalExtension {
        /// Whose certificate.
        subject: String,
        /// Which extension.
        oid: String,
    },
    /// The chain is longer than any that a vendor has.
    #[error("the chain has more than {MAX_INTERMEDIATES} intermediates")]
    TooDeep,
    /// The certificates branch and cross so much that nobody should follow them.
    #[error("no chain was found within {MAX_SIGNATURE_CHECKS} signature checks")]
    TooManySignatureChecks,
}

/// Grades the endorsement of an EK at `now`.
///
/// # Errors
/// When the EK is not the pinned one, and when what is said to be its certificate cannot be read, is of another key, or
/// comes with a chain that no honest device presents.
pub fn grade(
    claim: EndorsementClaim<'_>,
    anchors: &TrustAnchors,
    now: Timestamp,
) -> Result<Endorsement, EndorsementRejected> {
    let ek_digest = sha256(&claim.ek_public.to_spki_der());
    if let Some(pinned) = claim.pinned.filter(|pinned| **pinned != ek_digest) {
        return Err(EndorsementRejected::PinMismatch { pinned: *pinned, presented: ek_digest });
    }
    let without_vendor = if claim.pinned.is_some() { EndorsementGrade::Pinned } else { EndorsementGrade::None };
    let mut endorsement =
        Endorsement { grade: without_vendor, ek_digest, manufacturer: None, root: None, notes: Vec::new() };
    let Some(ek_certificate) = claim.ek_certificate else {
        endorsement.notes.push(ChainNote::NoCertificate);
        return Ok(endorsement);
    };
    let count = claim.extra_intermediates.len();
    if count > MAX_PRESENTED_INTERMEDIATES {
        return Err(EndorsementRejected::TooManyIntermediates { count });
    }
    let leaf = EkCertificate::parse(ek_certificate).map_err(EndorsementRejected::UnreadableCertificate)?;
    if !leaf.certifies(claim.ek_public.key()) {
        return Err(EndorsementRejected::CertificateOfAnotherKey);
    }
    path::check_use(&leaf.certificate, now).map_err(EndorsementRejected::Chain)?;
    endorsement.notes = notes_on_leaf(&leaf, now);
    let presented = presented_pool(claim.extra_intermediates, &mut endorsement.notes);
    match path::find(&leaf.certificate, anchors, &presented, now) {
        PathOutcome::Faulty(fault) => return Err(EndorsementRejected::Chain(fault)),
        PathOutcome::Unanchored(note) => endorsement.notes.push(note),
        // RFC 5280, 4.2.1.12: a certificate for other uses is of no use here, whoever issued it.
        PathOutcome::Anchored { .. } if leaf.is_for_other_uses() => endorsement.notes.push(ChainNote::OtherUsage),
        PathOutcome::Anchored { root, notes } => {
            endorsement.grade = EndorsementGrade::Vendor;
            endorsement.manufacturer.clone_from(&leaf.identity().manufacturer);
            endorsement.root = Some(root.subject.to_string());
            endorsement.notes.extend(notes);
        }
    }
    Ok(endorsement)
}

fn notes_on_leaf(leaf: &EkCertificate, now: Timestamp) -> Vec<ChainNote> {
    let (not_before, not_after) = (leaf.not_before(), leaf.not_after());
    let notes = [
        (not_after < now, ChainNote::LeafExpired { not_after }),
        (not_before > now, ChainNote::LeafNotYetValid { not_before }),
        (!leaf.has_ek_usage() && !leaf.is_for_other_uses(), ChainNote::MissingEkUsage),
        (leaf.identity().is_empty(), ChainNote::MissingTpmIdentity),
        (leaf.certificate.extensions.is_ca == Some(true), ChainNote::LeafIsCa),
    ];
    notes.into_iter().filter_map(|(applies, note)| applies.then_some(note)).collect()
}

/// Reads what the host sent along. What cannot be read is noted: it may have nothing to do with the chain.
fn presented_pool(certificates: &[Vec<u8>], notes: &mut Vec<ChainNote>) -> Pool {
    let mut pool = Pool::default();
    for (index, bytes) in certificates.iter().enumerate() {
        match Certificate::parse(bytes) {
            Ok(certificate) => pool.insert(certificate),
            Err(reason) => notes.push(ChainNote::UnusableIntermediate { index, reason }),
        }
    }
    pool
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut digits = [0; 32];
    digits.iter_mut().zip(digest::digest_of(&SHA256, [bytes]).as_ref()).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(digits)
}
