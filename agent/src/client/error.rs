//! Why a request did not succeed, and what that says about whether it arrived.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::AlertDescription;
use vouchsafe_wire::v1::problem::Problem;

use crate::machine::{Failure, FailureKind};
use crate::tpm::TpmError;

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The engine's address is none.
    #[error("'{url}' is no address of an engine, such as https://engine.example.org:8443")]
    Url {
        /// What was given.
        url: String,
    },
    /// The library refuses.
    #[error("the HTTP client cannot be made")]
    Library(#[source] reqwest::Error),
}

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody answered at the engine's address.
    #[error("the engine cannot be reached: {0}")]
    Unreachable(String),
    /// Who answered has no certificate of the engine's.
    #[error("the server's certificate is not one of the engine's: {0}")]
    Untrusted(String),
    /// The engine's TLS ended over our certificate.
    #[error("the engine refuses the device certificate: {0}")]
    CertificateRefused(String),
    /// The TPM did not sign the handshake.
    #[error(transparent)]
    Tpm(TpmError),
    /// The connection ended, or time did, before there was an answer.
    #[error("the engine gave no answer: {0}")]
    Interrupted(String),
    /// The engine answered with a problem.
    #[error("{problem}")]
    Problem {
        /// Which.
        problem: Box<Problem>,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The engine answered something else.
    #[error("the answer cannot be understood: {reason}")]
    Unintelligible {
        /// What is wrong with it.
        reason: String,
    },
}

impl RequestError {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        let text = words(error);
        match tls_error(error) {
            Some(rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => Self::CertificateRefused(text),
            Some(rustls::Error::InvalidCertificate(_)) => Self::Untrusted(text),
            tls => match tls.and_then(signature_error) {
                Some(tpm) => Self::Tpm(tpm.clone()),
                None if error.is_connect() => Self::Unreachable(text),
                None => Self::Interrupted(text),
            },
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        let (kind, retry_after) = match error {
            RequestError::Unreachable(_) => (FailureKind::Unreachable, None),
            RequestError::Untrusted(_) => (FailureKind::Untrusted, None),
            RequestError::CertificateRefused(_) => (FailureKind::CertificateRefused, None),
            RequestError::Tpm(error) => return error.into(),
            RequestError::Interrupted(_) => (FailureKind::Interrupted, None),
            RequestError::Problem { problem, retry_after } => {
                (FailureKind::Problem { status: problem.status, code: problem.code }, retry_after)
            }
            RequestError::Unintelligible { .. } => (FailureKind::Unintelligible, None),
        };
        Self { kind, retry_after, text }
    }
}

impl From<TpmError> for Failure {
    fn from(error: TpmError) -> Self {
        let kind = match &error {
            TpmError::CredentialRefused { .. } | TpmError::EndorsementKeyChanged => FailureKind::CredentialRefused,
            error if error.is_permanent() => FailureKind::TpmUnusable,
            _ => FailureKind::Tpm,
        };
        Self { kind, retry_after: None, text: error.to_string() }
    }
}

/// Alerts by which a server says that it does not want a certificate, or its holder's signature (RFC 8446, 6.2).
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // An authority was made anew under its old name: the signature does not fit.
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

/// The TLS error below an error, however deep. I/O errors carry it as their content rather than as their source.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    None
}

/// What the TPM said when it was asked for the handshake's signature.
fn signature_error(error: &rustls::Error) -> Option<&TpmError> {
    match error {
        rustls::Error::Other(other) => other.0.downcast_ref(),
        _ => None,
    }
}

/// An error with all that is below it, without what is said twice.
fn words(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !words.contains(&text) {
            if !words.is_empty() {
                words.push_str(": ");
            }
            words.push_str(&text);
        }
        next = error.source();
    }
    words
}
