//! What outcome becomes which problem (RFC 9457). One place, so that a status means the same everywhere.
//!
//! What a stranger reads says what was wrong with what they sent. What went wrong with us goes to the log.

use std::error::Error;
use std::time::Duration;

use vouchsafe_http::HttpProblem;
use vouchsafe_model::token::TokenRefusal;
use vouchsafe_wire::v1::problem::Problem;

use crate::attest::AttestRejected;
use crate::engine::EngineError;
use crate::enrol::begin::BeginRejected;
use crate::enrol::complete::CompleteRejected;
use crate::enrol::ticket::TicketRejected;
use crate::measured::{AheadRejected, LogRejected};
use crate::nonce::NonceRejected;
use crate::operate::OperateRejected;
use crate::renew::RenewRejected;
use crate::result::ResultRejected;

/// An outcome that can be told to a peer.
pub(super) trait IntoProblem: Error + Sized + Send + Sync + 'static {
    /// Status, code and title; `None` when the fault is ours.
    fn told(&self) -> Option<(u16, &'static str, &'static str)>;

    /// Where the fault is ours: what exactly.
    fn engine_error(&self) -> Option<&EngineError> {
        None
    }

    /// The answer.
    fn into_problem(self) -> HttpProblem {
        match self.told() {
            Some((status, code, title)) => Problem::new(status, code, title).with_detail(self.to_string()).into(),
            None if self.engine_error().is_some_and(EngineError::is_transient) => {
                tracing::warn!(error = %self, "request could not be carried out now");
                HttpProblem::unavailable(
                    "engine.busy",
                    "Something that the engine depends on did not answer. Try again.",
                )
                .with_retry_after(RETRY_AFTER)
            }
            None => HttpProblem::internal(self),
        }
    }
}

impl EngineError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Contended => true,
            Self::Stopped => true,
            Self::TrustState { .. } | Self::KeptList { .. } | Self::Entropy | Self::TooLarge { .. } => false,
        }
    }
}

fn token(refusal: TokenRefusal) -> (u16, &'static str, &'static str) {
    match refusal {
        TokenRefusal::Expired => (403, "token.expired", "The join token has expired"),
        TokenRefusal::Spent => (403, "token.spent", "The join token is used up"),
        TokenRefusal::Revoked => (403, "token.revoked", "The join token was revoked"),
        TokenRefusal::Unknown => (403, "token.unknown", "The join token is not known"),
    }
}

/// Where a device is to send more, or from elsewhere, a fresh challenge tells it what (409).
fn log(rejected: &LogRejected) -> (u16, &'static str, &'static str) {
    match rejected {
        LogRejected::Compressed { .. } => (400, "evidence.log_compressed", "A log cannot be decompressed"),
        LogRejected::EventLogDigest { .. } => (422, "evidence.event_log_digest", "The event log is another"),
        LogRejected::EventLogUnnamed => (422, "evidence.event_log_unnamed", "The evidence names no event log"),
        LogRejected::EventLogUnknown { .. } => (409, "evidence.event_log_unknown", "The event log is not known"),
        LogRejected::Position { .. } => (409, "evidence.ima_position", "The IMA list goes on elsewhere"),
        LogRejected::OtherBoot => (422, "evidence.ima_boot", "The IMA list is of another boot"),
    }
}

/// When a peer may try again what failed because something was away for a moment.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const REVOKED: (u16, &str, &str) = (403, "device.revoked", "The device is revoked");

impl IntoProblem for BeginRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        Some(match self {
            Self::Token(refusal) => token(*refusal),
            Self::Malformed { .. } => (400, "enrol.malformed_key", "A key is malformed"),
            Self::TooManyIntermediates { .. } => (400, "enrol.too_many_intermediates", "Too many certificates"),
            Self::Endorsement(_) => (403, "enrol.endorsement_refused", "The endorsement is refused"),
            Self::EndorsementTooLow { .. } => (403, "enrol.endorsement_too_low", "Not enough vouches for the EK"),
            Self::Ak(_) => (403, "enrol.ak_refused", "The attestation key is refused"),
            Self::TlsKey(_) => (403, "enrol.tls_key_refused", "The TLS key is refused"),
            Self::Certify(_) => (403, "enrol.certification_refused", "The certification of the TLS key is refused"),
            Self::Credential(_) => (403, "enrol.ek_refused", "The endorsement key is refused"),
            Self::NoBank => (403, "enrol.no_bank", "The TPM has no bank of PCRs that is accepted"),
            Self::Revoked { .. } => REVOKED,
            Self::Engine(_) => return None,
        })
    }

    fn engine_error(&self) -> Option<&EngineError> {
        if let Self::Engine(error) = self { Some(error) } else { None }
    }
}

impl IntoProblem for CompleteRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        Some(match self {
            Self::Ticket(TicketRejected::Unknown) => (403, "enrol.ticket_unknown", "The ticket is not known"),
            Self::Ticket(TicketRejected::Expired { .. }) => (403, "enrol.ticket_expired", "The ticket has expired"),
            Self::WrongSecret => (403, "enrol.wrong_secret", "The credential was not opened"),
            Self::Csr(_) => (400, "enrol.csr_refused", "The certificate request is refused"),
            Self::OtherKey => (403, "enrol.other_key", "The certificate request is for another key"),
            Self::Token(refusal) => token(*refusal),
            Self::Overtaken => (409, "enrol.overtaken", "Another enrolment of the device came first"),
            Self::Revoked { .. } => REVOKED,
            Self::Key(_) | Self::Issue(_) | Self::Engine(_) => return None,
        })
    }

    fn engine_error(&self) -> Option<&EngineError> {
        if let Self::Engine(error) = self { Some(error) } else { None }
    }
}

impl IntoProblem for AheadRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Device(rejected) => rejected.told(),
            Self::Compressed(_) => Some((400, "evidence.log_compressed", "A log cannot be decompressed")),
            Self::Malformed(_) => Some((422, "evidence.ima_malformed", "The part is no IMA list")),
            Self::Engine(_) => None,
        }
    }

    fn engine_error(&self) -> Option<&EngineError> {
        match self {
            Self::Device(rejected) => rejected.engine_error(),
            Self::Engine(error) => Some(error),
            Self::Compressed(_) | Self::Malformed(_) => None,
        }
    }
}

impl IntoProblem for AttestRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        Some(match self {
            Self::Unknown { .. } => (403, "device.unknown", "The device is not known"),
            Self::Revoked { .. } => REVOKED,
            Self::Logs(rejected) => log(rejected),
            Self::StaleCertificate => (403, "device.stale_certificate", "The certificate is of an earlier enrolment"),
            Self::Nonce(NonceRejected::Unknown) => (409, "quote.nonce_unknown", "The nonce is not known"),
            Self::Nonce(NonceRejected::Expired { .. }) => (409, "quote.nonce_expired", "The nonce has expired"),
            Self::NonceSpent => (409, "quote.nonce_spent", "The nonce was used before"),
            Self::Payload(_) => (422, "evidence.malformed_payload", "The payload is malformed"),
            Self::Quote(rejected) => (422, rejected.code(), "The quote is refused"),
            Self::StoredAk { .. } | Self::Engine(_) => return None,
        })
    }

    fn engine_error(&self) -> Option<&EngineError> {
        if let Self::Engine(error) = self { Some(error) } else { None }
    }
}

impl IntoProblem for RenewRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Device(rejected) => rejected.told(),
            Self::Csr(_) => Some((400, "renew.csr_refused", "The certificate request is refused")),
            Self::OtherKey => Some((403, "renew.other_key", "The certificate request is for another key")),
            Self::Issue(_) => None,
        }
    }

    fn engine_error(&self) -> Option<&EngineError> {
        if let Self::Device(rejected) = self { rejected.engine_error() } else { None }
    }
}

impl IntoProblem for ResultRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        match self {
            Self::Device(rejected) => rejected.told(),
            Self::Own(rejected) => rejected.told(),
            Self::NotVouched { .. } => Some((409, "result.not_vouched", "The device has not vouched for itself yet")),
            Self::TooOld { .. } => Some((409, "result.too_old", "The last evidence is too old")),
            Self::Sign(_) | Self::Engine(_) => None,
        }
    }

    fn engine_error(&self) -> Option<&EngineError> {
        match self {
            Self::Device(rejected) => rejected.engine_error(),
            Self::Own(rejected) => rejected.engine_error(),
            Self::Engine(error) => Some(error),
            _ => None,
        }
    }
}

impl IntoProblem for OperateRejected {
    fn told(&self) -> Option<(u16, &'static str, &'static str)> {
        Some(match self {
            Self::NotFound { .. } => (404, "request.not_found", "Not found"),
            Self::Exists { .. } => (409, "request.exists", "The name is taken"),
            Self::Field { .. } => (422, "request.field", "The request is not acceptable"),
            Self::NothingQuoted => (409, "image.nothing_quoted", "There is nothing to capture"),
            Self::NoList => (409, "device.no_ima_list", "There is no IMA list"),
            Self::ListNotKept { .. } => (409, "device.ima_list_not_kept", "The IMA list is not kept"),
            Self::ImageRetired { .. } => (409, "image.retired", "The image is retired"),
            Self::Csr(_) => (400, "credential.csr_refused", "The certificate request is refused"),
            Self::Issue(_) => (422, "credential.not_issued", "No certificate could be issued"),
            Self::Engine(_) => return None,
        })
    }

    fn engine_error(&self) -> Option<&EngineError> {
        if let Self::Engine(error) = self { Some(error) } else { None }
    }
}

/// A query parameter that is not what it must be.
pub(super) fn bad_query(parameter: &'static str, error: &dyn std::fmt::Display) -> HttpProblem {
    Problem::new(400, "request.query", "A query parameter is malformed")
        .with_detail(format!("{parameter}: {error}"))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Sha256Digest;
    use vouchsafe_wire::v1::logs::InflateError;

    fn status_and_code(rejected: LogRejected) -> (u16, &'static str) {
        let (status, code, _) = AttestRejected::Logs(rejected).told().unwrap();
        (status, code)
    }

    #[test]
    fn a_device_that_is_to_send_otherwise_gets_a_conflict_and_one_that_sends_nonsense_does_not() {
        let (named, sent) = (Sha256Digest::new([1; 32]), Sha256Digest::new([2; 32]));
        let position = LogRejected::Position { known: 7, sent: 0 };
        assert_eq!(status_and_code(position), (409, "evidence.ima_position"));
        assert_eq!(status_and_code(LogRejected::EventLogUnknown { named }), (409, "evidence.event_log_unknown"));
        let bomb = LogRejected::Compressed { log: "IMA list", source: InflateError::TooLong { max: 7 } };
        assert_eq!(status_and_code(bomb), (400, "evidence.log_compressed"));
        assert_eq!(status_and_code(LogRejected::EventLogDigest { sent, named }), (422, "evidence.event_log_digest"));
        assert_eq!(status_and_code(LogRejected::EventLogUnnamed), (422, "evidence.event_log_unnamed"));
        assert_eq!(status_and_code(LogRejected::OtherBoot), (422, "evidence.ima_boot"));
    }
}
