//! What is known of a bundle in one file.

use serde::Serialize;
use vouchsafe_model::{Sha256Digest, Timestamp};
use vouchsafe_policies::{PackedBundle, PackedError};

use super::{clean, line};

/// What a bundle turned out to be.
#[derive(Debug, Serialize)]
pub(crate) struct PackedReport {
    /// Whether it is signed by a key that was named.
    pub(crate) authentic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Sha256Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl PackedReport {
    /// It is signed.
    pub(crate) fn authentic(bundle: &PackedBundle) -> Self {
        Self {
            authentic: true,
            signed_by: bundle.signed_by().map(str::to_owned),
            revision: Some(bundle.manifest().revision.clone()),
            policy: Some(bundle.bundle().hash()),
            expires_at: bundle.expires_at(),
            error: None,
        }
    }

    /// It is not, or is no bundle.
    pub(crate) fn refused(error: &PackedError) -> Self {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        let error = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self { authentic: false, signed_by: None, revision: None, policy: None, expires_at: None, error: Some(error) }
    }
}

/// The same for people.
pub(crate) fn report(report: &PackedReport) -> String {
    let mut text = String::new();
    if let Some(error) = &report.error {
        line(&mut text, format_args!("NOT AUTHENTIC: {}", clean(error)));
        return text;
    }
    let named = [
        ("signed by", report.signed_by.clone()),
        ("revision", report.revision.clone()),
        ("policy", report.policy.map(|hash| hash.to_string())),
        ("expires at", report.expires_at.map(|instant| instant.to_string())),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            line(&mut text, format_args!("{name:<10}  {}", clean(&value)));
        }
    }
    text
}
