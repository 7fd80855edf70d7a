//! What was odd about an endorsement, without being a reason to refuse it.

use std::fmt;

use vouchsafe_model::Timestamp;

use super::certificate::CertificateError;

/// A fact about an EK certificate or its chain that policies and people may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum ChainNote {
    /// The TPM has no EK certificate, or the host sent none.
    NoCertificate,
    /// The EK certificate's time is over. TPMs outlive their certificates, and the key does not change.
    LeafExpired {
        /// When it ended.
        not_after: Timestamp,
    },
    /// The EK certificate begins within the next day: one of two clocks is wrong.
    LeafNotYetValid {
        /// When it begins.
        not_before: Timestamp,
    },
    /// The EK certificate does not say that it is one (tcg-kp-EKCertificate, 2.23.133.8.1).
    MissingEkUsage,
    /// The certificate says that it is for something else, so that it endorses nothing.
    OtherUsage,
    /// The EK certificate does not say which TPM it is of (TCG EK Credential Profile, 3.2.9).
    MissingTpmIdentity,
    /// The EK certificate calls itself a CA's.
    LeafIsCa,
    /// The time of an intermediate is over.
    IntermediateExpired {
        /// Whose it is.
        subject: String,
        /// When it ended.
        not_after: Timestamp,
    },
    /// The time of the root is over.
    RootExpired {
        /// Whose it is.
        subject: String,
        /// When it ended.
        not_after: Timestamp,
    },
    /// A serial number is zero, negative or overlong.
    OddSerial {
        /// Of whose certificate.
        subject: String,
    },
    /// A certificate names another key identifier for its issuer than the issuer does; the signature is right.
    KeyIdentifierMismatch {
        /// Of whose certificate.
        subject: String,
        /// Whose key signed it.
        issuer: String,
    },
    /// An intermediate that the host sent cannot be used.
    UnusableIntermediate {
        /// Which one, counted from zero.
        index: usize,
        /// Why not.
        reason: CertificateError,
    },
    /// The chain ends at a certificate whose issuer nobody here has.
    MissingIssuer {
        /// Of whose certificate.
        subject: String,
        /// The issuer that is missing.
        issuer: String,
        /// The identifier of the issuer's key, in hexadecimal, if the certificate tells it.
        key_id: Option<String>,
    },
    /// The chain ends at a root that the operator does not trust.
    UntrustedRoot {
        /// Whose it is.
        subject: String,
    },
    /// The chain runs in a circle.
    IssuerLoop {
        /// Where it returns to itself.
        subject: String,
    },
    /// The chain rests on a signature by an algorithm that is too weak, or not known.
    UnreliableSignature {
        /// Of whose certificate.
        subject: String,
        /// The algorithm.
        algorithm: String,
    },
}

impl ChainNote {
    /// Its code, stable across versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate => "endorsement.no_certificate",
            Self::LeafExpired { .. } => "endorsement.leaf_expired",
            Self::LeafNotYetValid { .. } => "endorsement.leaf_not_yet_valid",
            Self::MissingEkUsage => "endorsement.missing_ek_usage",
            Self::OtherUsage => "endorsement.other_usage",
            Self::MissingTpmIdentity => "endorsement.missing_tpm_identity",
            Self::LeafIsCa => "endorsement.leaf_is_ca",
            Self::IntermediateExpired { .. } => "endorsement.intermediate_expired",
            Self::RootExpired { .. } => "endorsement.root_expired",
            Self::OddSerial { .. } => "endorsement.odd_serial",
            Self::KeyIdentifierMismatch { .. } => "endorsement.key_identifier_mismatch",
            Self::UnusableIntermediate { .. } => "endorsement.unusable_intermediate",
            Self::MissingIssuer { .. } => "endorsement.missing_issuer",
            Self::UntrustedRoot { .. } => "endorsement.untrusted_root",
            Self::IssuerLoop { .. } => "endorsement.issuer_loop",
            Self::UnreliableSignature { .. } => "endorsement.unreliable_signature",
        }
    }
}

impl fmt::Display for ChainNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => write!(f, "the TPM presented no EK certificate"),
            Self::LeafExpired { not_after } => write!(f, "the EK certificate expired at {not_after}"),
            Self::LeafNotYetValid { not_before } => write!(f, "the EK certificate begins at {not_before} only"),
            Self::MissingEkUsage => write!(f, "the certificate does not say that it is an EK certificate"),
            Self::OtherUsage => write!(f, "the certificate says that it is for other uses than to endorse a TPM"),
            Self::MissingTpmIdentity => write!(f, "the EK certificate does not say which TPM it is of"),
            Self::LeafIsCa => write!(f, "the EK certificate calls itself a CA's"),
            Self::IntermediateExpired { subject, not_after } => {
                write!(f, "the intermediate '{subject}' expired at {not_after}")
            }
            Self::RootExpired { subject, not_after } => write!(f, "the root '{subject}' expired at {not_after}"),
            Self::OddSerial { subject } => {
                write!(f, "the serial number of '{subject}' is zero, negative or overlong")
            }
            Self::KeyIdentifierMismatch { subject, issuer } => {
                write!(f, "'{subject}' names another key identifier for its issuer '{issuer}' than the issuer does")
            }
            Self::UnusableIntermediate { index, reason } => {
                write!(f, "intermediate {index} that the host sent cannot be used: {reason}")
            }
            Self::MissingIssuer { subject, issuer, key_id } => {
                write!(f, "the issuer '{issuer}' of '{subject}' is not known")?;
                key_id.as_ref().map_or(Ok(()), |key_id| write!(f, " (key identifier {key_id})"))
            }
            Self::UntrustedRoot { subject } => write!(f, "the root '{subject}' is not trusted"),
            Self::IssuerLoop { subject } => write!(f, "the chain runs in a circle through '{subject}'"),
            Self::UnreliableSignature { subject, algorithm } => {
                write!(f, "the signature of '{subject}' by {algorithm} cannot be relied on")
            }
        }
    }
}
