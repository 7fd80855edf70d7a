//! What comes of a request, and what it tells the machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::post;
use rustls::sign::{Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};
use vouchsafe_agent::client::{Client, MAX_ANSWER, RequestError};
use vouchsafe_agent::machine::{Failure, FailureKind};
use vouchsafe_agent::tls::{for_device, for_enrolment};
use vouchsafe_agent::tpm::TpmError;
use vouchsafe_model::{
    AttestationId, Coverage, EndorsementGrade, Finding, FindingCode, HashAlgorithm, PcrIndex, Timestamp, Verdict,
};
use vouchsafe_wire::v1::problem::Problem;

use crate::server::{Authority, LIMIT};

const CHALLENGE: &str = r#"{"nonce":"AAEC","selection":{"bank":"sha256","pcrs":[0,7]},"due_at":"2026-01-31T12:00:00Z",
    "due_in_ms":1000,"expires_at":"2026-01-31T12:01:00Z"}"#;

fn challenges() -> Router {
    Router::new().route("/v1/challenge", post(|| async { CHALLENGE }))
}

fn failure(error: RequestError) -> Failure {
    error.into()
}

#[tokio::test]
async fn an_answer_is_an_answer_and_the_request_is_an_empty_object() {
    let authority = Authority::new();
    let echo = |body: Bytes| async move { if body == "{}" { CHALLENGE } else { "no" } };
    let server = authority.serve(Router::new().route("/v1/challenge", post(echo)), None).await;
    let challenge = server.stranger().challenge().await.unwrap();
    assert_eq!((challenge.nonce.as_slice(), challenge.due_in_ms), ([0, 1, 2].as_slice(), 1000));
}

#[tokio::test]
async fn a_path_in_the_engines_address_is_kept() {
    let authority = Authority::new();
    let server = authority.serve(Router::new().nest("/engine", challenges()), None).await;
    for path in ["/engine", "/engine/"] {
        let tls = for_enrolment(&server.trust_bundle_pem).unwrap();
        let client = Client::new(&format!("https://{}{path}", server.address), tls, LIMIT).unwrap();
        assert!(client.challenge().await.is_ok(), "{path}");
    }
}

#[tokio::test]
async fn problems_keep_their_code_and_their_patience() {
    let authority = Authority::new();
    let answer = || async {
        let problem = Problem::new(429, "request.rate_limited", "Too many requests").with_detail("one a second");
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "17")], axum::Json(problem))
    };
    let server = authority.serve(Router::new().route("/v1/challenge", post(answer)), None).await;
    let failure = failure(server.stranger().challenge().await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Problem { status: 429, code: "request.rate_limited".to_owned() });
    assert_eq!(failure.retry_after, Some(Duration::from_secs(17)));
    assert_eq!(failure.text, "Too many requests: one a second (request.rate_limited)");
}

#[tokio::test]
async fn a_revocation_is_recognised_and_a_problem_that_lies_about_its_status_is_not() {
    let authority = Authority::new();
    for (status, revoked) in [(StatusCode::FORBIDDEN, true), (StatusCode::OK, false), (StatusCode::BAD_GATEWAY, false)]
    {
        let answer = move || async move { (status, axum::Json(Problem::new(403, "device.revoked", "Revoked"))) };
        let server = authority.serve(Router::new().route("/v1/challenge", post(answer)), None).await;
        let failure = failure(server.stranger().challenge().await.unwrap_err());
        assert_eq!(failure.kind.is_revocation(), revoked, "{status}: {failure:?}");
    }
}

#[tokio::test]
async fn an_error_of_somebody_in_between_is_an_error_all_the_same() {
    let authority = Authority::new();
    let answer = || async { (StatusCode::BAD_GATEWAY, "<html>nginx</html>") };
    let server = authority.serve(Router::new().route("/v1/challenge", post(answer)), None).await;
    let failure = failure(server.stranger().challenge().await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Problem { status: 502, code: "http".to_owned() });
    assert_eq!(failure.text, "Bad Gateway (http)");
}

#[tokio::test]
async fn an_answer_may_be_as_long_as_the_bound_and_no_longer() {
    let authority = Authority::new();
    for (len, readable) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
        let answer = move || async move {
            let spaces = " ".repeat(len - CHALLENGE.len());
            format!("{CHALLENGE}{spaces}").into_response()
        };
        let server = authority.serve(Router::new().route("/v1/challenge", post(answer)), None).await;
        let outcome = server.stranger().challenge().await;
        match outcome {
            Ok(_) => assert!(readable),
            Err(error) => {
                assert!(!readable, "{error}");
                assert_eq!(failure(error).kind, FailureKind::Unintelligible);
            }
        }
    }
}

#[test]
fn the_longest_verdict_fits_into_an_answer() {
    let text = "\u{1}".repeat(Finding::MAX_TEXT_LEN);
    let wordiest = FindingCode::ALL.iter().max_by_key(|code| code.advice().len()).unwrap();
    let finding = Finding { entry: Some(u64::MAX), event: Some(u64::MAX), ..Finding::new(*wordiest) };
    let finding = finding.about(&text).with(&text, &text).at_pcr(HashAlgorithm::Sha256, PcrIndex::new(23).unwrap());
    let now = Timestamp::from_unix_secs(1);
    let verdict = Verdict::new(
        AttestationId::new(now, &[0; 10]),
        now,
        now,
        Some("a@1".parse().unwrap()),
        Coverage::quote_only(EndorsementGrade::Vendor),
        vec![finding; Verdict::MAX_FINDINGS],
    );
    let longest = serde_json::to_string(&verdict).unwrap().len();
    // Challenge, score and the rest of the answer are a few hundred bytes; a name of an image has 129 at most.
    let rest = 4096;
    assert!(longest > 4 * 1024 * 1024 && longest + rest <= MAX_ANSWER, "{longest} bytes");
}

#[tokio::test]
async fn what_is_no_answer_is_not_taken_for_one() {
    let authority = Authority::new();
    for body in ["", "{}", "null", "<html>", r#"{"nonce":"****"}"#] {
        let server =
            authority.serve(Router::new().route("/v1/challenge", post(move || async move { body })), None).await;
        let failure = failure(server.stranger().challenge().await.unwrap_err());
        assert_eq!(failure.kind, FailureKind::Unintelligible, "{body}");
        assert!(failure.kind.may_be_delivered());
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let authority = Authority::new();
    let away = || async { axum::response::Redirect::temporary("/v1/elsewhere") };
    let router = Router::new().route("/v1/challenge", post(away)).route("/v1/elsewhere", post(|| async { CHALLENGE }));
    let server = authority.serve(router, None).await;
    let failure = failure(server.stranger().challenge().await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Problem { status: 307, code: "http".to_owned() });
}

#[tokio::test]
async fn a_server_of_another_authority_is_told_nothing() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = theirs.serve(challenges(), None).await;
    let bundle = ours.serve(Router::new(), None).await.trust_bundle_pem.clone();
    let client = Client::new(&format!("https://{}", server.address), for_enrolment(&bundle).unwrap(), LIMIT).unwrap();
    let failure = failure(client.challenge().await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Untrusted);
    assert!(failure.text.contains("certificate") && !failure.kind.may_be_delivered(), "{}", failure.text);
}

#[tokio::test]
async fn a_certificate_that_the_server_does_not_take_is_told_apart() {
    let (engine, devices, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = engine.serve(challenges(), Some(&devices)).await;
    assert!(server.member(&devices.identity()).challenge().await.is_ok());
    for refused in [server.member(&others.identity()), server.stranger()] {
        let failure = failure(refused.challenge().await.unwrap_err());
        assert_eq!(failure.kind, FailureKind::CertificateRefused, "{}", failure.text);
    }
}

/// A key whose TPM has no time.
#[derive(Clone, Debug)]
struct Unsigned;

impl SigningKey for Unsigned {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Unsigned {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        Err(rustls::Error::Other(OtherError(Arc::new(TpmError::Timeout { limit_secs: 20 }))))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

#[tokio::test]
async fn a_tpm_that_does_not_sign_the_handshake_is_what_is_reported() {
    let (engine, devices) = (Authority::new(), Authority::new());
    let server = engine.serve(challenges(), Some(&devices)).await;
    let tls = for_device(&server.trust_bundle_pem, &devices.identity().chain_pem, Arc::new(Unsigned)).unwrap();
    let client = Client::new(&format!("https://{}", server.address), tls, LIMIT).unwrap();
    let failure = failure(client.challenge().await.unwrap_err());
    assert_eq!((failure.kind, failure.text.as_str()), (FailureKind::Tpm, "the TPM did not answer within 20 s"));
}

#[tokio::test]
async fn nobody_there_and_no_answer_are_two_things() {
    let authority = Authority::new();
    let server = authority.serve(Router::new(), None).await;
    let (address, bundle) = (server.address, server.trust_bundle_pem.clone());
    drop(server);
    let limit = Duration::from_millis(700);
    let client = Client::new(&format!("https://{address}"), for_enrolment(&bundle).unwrap(), limit).unwrap();
    let mut gone = failure(client.challenge().await.unwrap_err());
    // The listener is closed by a task that may take a moment.
    for _ in 0..50 {
        if gone.kind == FailureKind::Unreachable {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        gone = failure(client.challenge().await.unwrap_err());
    }
    assert_eq!(gone.kind, FailureKind::Unreachable, "{}", gone.text);

    let silent = || async { tokio::time::sleep(Duration::from_secs(60)).await };
    let server = authority.serve(Router::new().route("/v1/challenge", post(silent)), None).await;
    let tls = for_enrolment(&server.trust_bundle_pem).unwrap();
    let client = Client::new(&format!("https://{}", server.address), tls, limit).unwrap();
    let before = Instant::now();
    let silence = failure(client.challenge().await.unwrap_err());
    assert_eq!(silence.kind, FailureKind::Interrupted, "{}", silence.text);
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn engines_have_addresses_of_https() {
    let authority = Authority::new();
    let bundle = authority.serve(Router::new(), None).await.trust_bundle_pem.clone();
    for url in ["http://engine", "engine:8443", "https://engine?x=1", "https://engine#x", "", "mailto:a@b"] {
        assert!(Client::new(url, for_enrolment(&bundle).unwrap(), LIMIT).is_err(), "{url}");
    }
}
