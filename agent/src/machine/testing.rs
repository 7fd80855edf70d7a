//! Values for tests: as short as they can be.

use std::time::Duration;

use vouchsafe_model::Timestamp;
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::Challenge;
use vouchsafe_wire::v1::enrol::{DeviceCertificate, Enrolled};
use vouchsafe_wire::v1::logs::KnownLogs;

use super::event::{Failure, FailureKind, Now};
use crate::state::{EngineAddress, Membership, PendingEnrolment, State};
use crate::tpm::DeviceKeys;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// The engine's time when the host boots.
pub(crate) const ENGINE_BOOT: Timestamp = Timestamp::from_unix_millis(1_770_000_000_000);

pub(crate) fn now(boot: Duration) -> Now {
    Now { boot, wall: ENGINE_BOOT.plus(boot) }
}

pub(crate) fn keys() -> DeviceKeys {
    let key = serde_json::json!({ "public": "", "private": "" });
    let parent = serde_json::json!({ "kind": "ecc", "name": "000b" });
    serde_json::from_value(serde_json::json!({ "parent": parent, "ak": key, "tls": key })).unwrap()
}

pub(crate) fn pending() -> PendingEnrolment {
    PendingEnrolment {
        ek: serde_json::from_value(serde_json::json!({ "template": "l1", "recipe": "default" })).unwrap(),
        ek_public: Bytes::default(),
        ticket: Bytes::new([1]).unwrap(),
        credential: Bytes::default(),
        encrypted_secret: Bytes::default(),
        expires_at: ENGINE_BOOT.plus(DAY),
    }
}

pub(crate) fn certificate(issued_at: Timestamp, life: Duration) -> DeviceCertificate {
    DeviceCertificate {
        chain_pem: String::new(),
        trust_bundle_pem: "roots".to_owned(),
        expires_at: issued_at.plus(life),
        renew_at: issued_at.plus(life / 2),
    }
}

/// A challenge made at this instant of the engine.
pub(crate) fn challenge(made_at: Timestamp, number: u64, due_in: Duration, life: Duration) -> Challenge {
    Challenge {
        nonce: Bytes::new(number.to_be_bytes()).unwrap(),
        selection: "sha256:0-7".parse().unwrap(),
        due_at: made_at.plus(due_in),
        due_in_ms: u64::try_from(due_in.as_millis()).unwrap(),
        expires_at: made_at.plus(due_in + life),
        logs: KnownLogs::default(),
    }
}

pub(crate) fn enrolled(at: Timestamp, challenge: Challenge, life: Duration) -> Enrolled {
    Enrolled {
        device: "uws2ljnfuws2ljnfuws2ljnfuws2ljnf".parse().unwrap(),
        certificate: certificate(at, life),
        challenge,
    }
}

/// The state of a device that has enrolled, with a challenge that is due a minute after boot.
pub(crate) fn member() -> State {
    let minute = Duration::from_secs(60);
    let Enrolled { device, certificate, challenge } =
        enrolled(ENGINE_BOOT, challenge(ENGINE_BOOT, 0, minute, minute), DAY);
    State {
        engine: Some(EngineAddress {
            enrol_url: "https://engine:8441".to_owned(),
            attest_url: "https://engine:8443".to_owned(),
            trust_bundle_pem: "roots".to_owned(),
        }),
        keys: Some(keys()),
        pending: None,
        membership: Some(Membership { device, certificate, challenge: Some(challenge) }),
    }
}

pub(crate) fn failure(kind: FailureKind) -> Failure {
    Failure { kind, retry_after: None, text: "it failed".to_owned() }
}

pub(crate) fn problem(status: u16, code: &str) -> Failure {
    failure(FailureKind::Problem { status, code: code.to_owned() })
}
