//! Problem details (RFC 9457): how every error looks on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:vouchsafe:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence, in words: what was wrong and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request's id, under which the engine's log tells more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// A stable code: `quote.nonce_replayed`.
    pub code: String,
    /// What is wrong with a policy, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<ProblemFinding>,
}

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemFinding {
    /// A stable code: `rule.recursion`.
    pub code: String,
    /// Where: file, line and column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub instead: String,
}

impl Problem {
    /// A problem of this status, code and title.
    pub fn new(status: u16, code: &str, title: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:vouchsafe:problem:{code}"),
            title: title.into(),
            status,
            detail: None,
            instance: None,
            code: code.to_owned(),
            findings: Vec::new(),
        }
    }

    /// The same problem, with this occurrence in words.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same problem, with what is wrong one by one.
    #[must_use]
    pub fn with_findings(self, findings: Vec<ProblemFinding>) -> Self {
        Self { findings, ..self }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        write!(f, " ({})", self.code)
    }
}
