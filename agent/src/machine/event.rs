//! What the machine is told, and what it asks for.

use std::time::Duration;

use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::attest::Challenge;
use vouchsafe_wire::v1::enrol::{DeviceCertificate, Enrolled};

use crate::state::PendingEnrolment;
use crate::tpm::DeviceKeys;

/// The instant of an event, on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since the host booted, suspension included. It never jumps, and everything is timed by it.
    pub boot: Duration,
    /// What the host believes the time to be. It may be wrong by years.
    pub wall: Timestamp,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The device's keys were made.
    KeysMade(DeviceKeys),
    /// The engine answered the first message of an enrolment.
    EnrolmentBegan(PendingEnrolment),
    /// The engine answered the second one.
    Enrolled(Enrolled),
    /// The engine answered a challenge that was asked for.
    Challenged(Challenge),
    /// The engine appraised evidence.
    Appraised {
        /// What to quote next.
        challenge: Challenge,
        /// Whether to renew the certificate now.
        renew: bool,
    },
    /// In place of evidence, so much of a long list was sent ahead that the nonce is better left unused.
    SentAhead,
    /// The engine issued the next certificate.
    Renewed(DeviceCertificate),
    /// What was asked for last did not come about.
    Failed(Failure),
}

/// Something that did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of what kind it is.
    pub kind: FailureKind,
    /// How long the engine asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What happened, in words.
    pub text: String,
}

impl Failure {
    /// A failure on our side of the wire: nothing was sent.
    pub fn local(text: impl Into<String>) -> Self {
        Self { kind: FailureKind::Local, retry_after: None, text: text.into() }
    }
}

/// A kind of failure: what it says about whether to try again, and about what the engine has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The TPM failed for now; nothing was sent.
    Tpm,
    /// What was given to us cannot be used: an address, a trust bundle; nothing was sent.
    Local,
    /// The TPM will never do it; nothing was sent.
    TpmUnusable,
    /// The TPM cannot open the engine's credential; nothing was sent.
    CredentialRefused,
    /// The engine could not be reached; nothing was sent.
    Unreachable,
    /// Whoever answered is not the engine; nothing was sent.
    Untrusted,
    /// The engine ended the TLS handshake over our certificate; nothing was looked at.
    CertificateRefused,
    /// The connection ended without an answer: what was sent may have had its effect.
    Interrupted,
    /// The engine answered with a problem.
    Problem {
        /// The HTTP status.
        status: u16,
        /// The stable code of the problem.
        code: String,
    },
    /// The engine answered something that is no answer.
    Unintelligible,
}

impl FailureKind {
    /// Whether the engine may have acted on what was sent.
    pub fn may_be_delivered(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Problem { .. } | Self::Unintelligible)
    }

    /// Whether it says that the device is revoked.
    pub fn is_revocation(&self) -> bool {
        matches!(self, Self::Problem { status: 403, code } if code == "device.revoked")
    }

    /// Whether the same request would be refused again, however often it is sent: a 4xx other than 408 (timeout), 425
    /// (too early) and 429 (too many).
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Problem { status: 400..=407 | 409..=424 | 426..=428 | 430..=499, .. })
    }

    /// Whether it says, or may be due to the fact, that our certificate has expired.
    pub(super) fn is_about_certificate(&self) -> bool {
        matches!(self, Self::CertificateRefused | Self::Problem { status: 401 | 403, .. })
    }

    pub(super) fn says_certificate_expired(&self) -> bool {
        matches!(self, Self::Problem { status: 401, code } if code == "peer.certificate_expired")
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make the device's keys.
    MakeKeys,
    /// Send the first message of an enrolment.
    BeginEnrolment,
    /// Open the credential and send the second message.
    CompleteEnrolment(PendingEnrolment),
    /// Ask for a challenge.
    FetchChallenge,
    /// Quote, and send the evidence; what is long of the logs goes ahead of it.
    Attest(Challenge),
    /// Ask for the next certificate.
    Renew,
    /// Do nothing until this instant since boot, then say [`Event::Tick`].
    SleepUntil(Duration),
    /// Do nothing: what was asked for has not come about yet.
    Await,
    /// End.
    Stop(Stop),
}

/// Why the agent ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// An operator revoked the device.
    #[error("this device is revoked: {0}")]
    Revoked(String),
    /// The engine does not let the device in.
    #[error("the engine refuses the enrolment: {0}")]
    EnrolmentRefused(String),
    /// The certificate ended before it could be renewed.
    #[error("the device certificate expired at {0}; enrol again with a new join file")]
    CertificateExpired(Timestamp),
    /// The TPM will never do what is needed.
    #[error("the TPM cannot be used: {0}")]
    TpmUnusable(String),
    /// The device never enrolled, and has nothing to enrol with.
    #[error("this device is not enrolled; give it a join file (`vouchsafe-agent run --join FILE`)")]
    NotEnrolled,
}

/// An action, and whether the machine's state must be on the disk before it is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Store the state first.
    pub store: bool,
    /// Then do this.
    pub action: Action,
}
