use aws_lc_rs::hmac;
use proptest::prelude::*;
use serde_json::{Value, json};
use vouchsafe_pki::LocalKey;

use super::super::keys::ResultKeys;
use super::*;

const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_100);

/// An engine's key that signs whatever it is given, as no engine does.
struct Signer {
    pkcs8: String,
    keys: ResultKeys,
}

impl Signer {
    fn new() -> Self {
        let key = LocalKey::generate().unwrap();
        Self { pkcs8: key.to_pkcs8_pem().to_string(), keys: ResultKeys::new(key, &[]).unwrap() }
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": self.keys.key_id(), "typ": "eat+jwt"})
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let key = LocalKey::from_pkcs8_pem(self.pkcs8.as_bytes()).unwrap();
        format!("{signed}.{}", encode(&key.sign_es256(signed.as_bytes()).unwrap()))
    }

    /// The honest token with some claims changed; a null takes one out.
    fn with_claims(&self, changes: &Value) -> String {
        self.sign(&self.header().to_string(), &merged(claims(), changes).to_string())
    }

    /// The honest claims under a header with some members changed; a null takes one out.
    fn with_header(&self, changes: &Value) -> String {
        self.sign(&merged(self.header(), changes).to_string(), &claims().to_string())
    }

    fn verify(&self, token: &str) -> Result<EarClaims, TokenRejected> {
        verify(token, self.keys.published(), None)
    }

    /// The code of the refusal.
    fn refused(&self, token: &str) -> &'static str {
        self.verify(token).unwrap_err().code()
    }
}

fn verify(token: &str, keys: &KeySet, nonce: Option<&ResultNonce>) -> Result<EarClaims, TokenRejected> {
    UnverifiedToken::parse(token).unwrap().verify(&Expected { keys, nonce, now: NOW })
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn merged(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn claims() -> Value {
    json!({
        "eat_profile": EAR_PROFILE, "iss": "example.org",
        "sub": "spiffe://example.org/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf",
        "iat": 1_800_000_090, "exp": 1_800_000_980, "jti": "c3c3", "eat_nonce": "ABEiM0RVZneImQ",
        "ear_verifier_id": {"developer": "Vouchsafe", "build": "vouchsafe 1"}, "ear_status": "affirming",
        "submods": {"tpm": {
            "ear_status": "affirming",
            "ear_trustworthiness_vector": {
                "instance-identity": 2, "configuration": 2, "executables": 3, "file-system": 0, "hardware": 2,
                "runtime-opaque": 0, "storage-opaque": 0, "sourced-data": 0,
            },
            "ear_appraisal_policy_ids": ["web@1"],
            "ear_verifier_claims": {"vouchsafe": {
                "attestation": "0190163d-8694-739b-aea5-966c26f8ad91", "quoted_at": "2027-01-15T08:01:20.000Z",
                "held_down_by": [], "findings": [], "findings_omitted": 0,
            }},
        }},
    })
}

#[test]
fn an_honest_token_is_believed() {
    let signer = Signer::new();
    let honest = signer.with_claims(&json!({}));
    let claims = signer.verify(&honest).unwrap();
    assert_eq!(claims.issuer, "example.org");
    let again = signer.keys.sign(&claims).unwrap();
    assert_eq!(signer.verify(&again).unwrap(), claims);
    // What RFC 7519, 4 and RFC 7515, 4 say is to be passed over, and both forms of the type.
    assert!(signer.verify(&signer.with_claims(&json!({"aud": "anyone", "another": {"x": []}}))).is_ok());
    assert!(signer.verify(&signer.with_header(&json!({"typ": "application/EAT+jwt", "cty": "x"}))).is_ok());
}

#[test]
fn a_former_key_that_is_still_published_verifies_and_one_that_is_not_does_not() {
    let (former, present) = (Signer::new(), LocalKey::generate().unwrap());
    let token = former.with_claims(&json!({}));
    let former_key = LocalKey::from_pkcs8_pem(former.pkcs8.as_bytes()).unwrap();
    let rotated = ResultKeys::new(present, &[former_key]).unwrap();
    assert!(verify(&token, rotated.published(), None).is_ok());
    let forgotten = ResultKeys::new(LocalKey::generate().unwrap(), &[]).unwrap();
    assert_eq!(verify(&token, forgotten.published(), None).unwrap_err().code(), "token.key_unknown");
}

#[test]
fn a_token_that_is_not_signed_is_refused_by_name() {
    let signer = Signer::new();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = merged(signer.header(), &json!({"alg": alg})).to_string();
        let unsigned = format!("{}.{}.", encode(header.as_bytes()), encode(claims().to_string().as_bytes()));
        assert_eq!(signer.refused(&unsigned), "token.alg_none", "{alg}");
        assert_eq!(signer.refused(&signer.with_header(&json!({"alg": alg}))), "token.alg_none", "{alg}");
    }
    let honest = signer.with_claims(&json!({}));
    let (input, _) = honest.rsplit_once('.').unwrap();
    assert_eq!(signer.refused(&format!("{input}.")), "token.bad_signature");
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let signer = Signer::new();
    let public = signer.keys.published().keys[0].point();
    for (alg, secret) in [("HS256", public), ("hs256", public), ("HS512", &public[1..])] {
        let header = merged(signer.header(), &json!({"alg": alg})).to_string();
        let input = format!("{}.{}", encode(header.as_bytes()), encode(claims().to_string().as_bytes()));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        assert_eq!(signer.refused(&format!("{input}.{}", encode(mac.as_ref()))), "token.alg_symmetric", "{alg}");
    }
}

#[test]
fn other_algorithms_are_refused_by_name() {
    let signer = Signer::new();
    for alg in ["RS256", "PS256", "ES384", "ES256K", "EdDSA", "es256", "ES256 ", "", "é"] {
        let refused = signer.verify(&signer.with_header(&json!({"alg": alg}))).unwrap_err();
        assert_eq!(refused.code(), "token.alg_not_accepted", "{alg}");
        assert!(refused.to_string().contains(alg), "{refused}");
    }
}

#[test]
fn a_token_brings_no_key_of_its_own() {
    let (signer, attacker) = (Signer::new(), Signer::new());
    let theirs = serde_json::to_value(&attacker.keys.published().keys[0]).unwrap();
    for (member, value) in [
        ("jwk", theirs),
        ("jku", "https://attacker.example/keys".into()),
        ("x5u", "https://attacker.example/cert".into()),
        ("x5c", json!(["MIIB"])),
    ] {
        let token = attacker.with_header(&json!({member: value}));
        let refused = signer.verify(&token).unwrap_err();
        assert_eq!(refused.code(), "token.embedded_key");
        assert!(refused.to_string().contains(&format!("'{member}'")), "{refused}");
    }
    let mut header = signer.header().to_string();
    header.insert_str(1, r#""jwk":null,"#);
    assert_eq!(signer.refused(&signer.sign(&header, &claims().to_string())), "token.embedded_key");
    assert_eq!(signer.refused(&signer.with_header(&json!({"crit": ["exp"]}))), "token.critical");
}

#[test]
fn the_key_is_the_one_that_is_named_and_nothing_is_looked_up_by_its_name() {
    let (signer, attacker) = (Signer::new(), Signer::new());
    assert_eq!(signer.refused(&attacker.with_claims(&json!({}))), "token.key_unknown");
    let stolen_name = attacker.with_header(&json!({"kid": signer.keys.key_id()}));
    assert_eq!(signer.refused(&stolen_name), "token.bad_signature");
    for kid in ["", "../../../dev/null", "' OR 1=1 --", &"x".repeat(1000)] {
        assert_eq!(signer.refused(&signer.with_header(&json!({"kid": kid}))), "token.key_unknown", "{kid}");
    }
    assert_eq!(signer.refused(&signer.with_header(&json!({"kid": null}))), "token.key_missing");
}

#[test]
fn tokens_of_other_kinds_are_refused() {
    let signer = Signer::new();
    for typ in [json!("JWT"), json!("at+jwt"), json!(null), json!("eat+cwt")] {
        assert_eq!(signer.refused(&signer.with_header(&json!({"typ": typ}))), "token.wrong_type", "{typ}");
    }
    for profile in ["tag:ietf.org,2026:rats/ear#03", "tag:github.com,2023:veraison/ear", ""] {
        assert_eq!(signer.refused(&signer.with_claims(&json!({"eat_profile": profile}))), "token.wrong_profile");
    }
}

#[test]
fn claims_that_are_missing_or_of_the_wrong_type_are_refused() {
    let signer = Signer::new();
    for name in ["eat_profile", "iss", "sub", "iat", "exp", "jti", "ear_verifier_id", "ear_status", "submods"] {
        assert_eq!(signer.refused(&signer.with_claims(&json!({name: null}))), "token.malformed_claims", "{name}");
    }
    for changes in [
        json!({"exp": "1800000980"}),
        json!({"exp": 1e300}),
        json!({"exp": true}),
        json!({"exp": [1_800_000_980]}),
        json!({"iat": {}}),
        json!({"ear_status": "splendid"}),
        json!({"ear_status": 2}),
        json!({"eat_nonce": ["ABEiM0RVZneImQ"]}),
        json!({"submods": []}),
        json!({"submods": {"tpm": {}}}),
    ] {
        assert_eq!(signer.refused(&signer.with_claims(&changes)), "token.malformed_claims", "{changes}");
    }
    let header = signer.header().to_string();
    for text in ["", "[]", "null", "{", "{}{}", r#"{"exp":1,"exp":2}"#] {
        assert_eq!(signer.refused(&signer.sign(&header, text)), "token.malformed_claims", "{text}");
    }
}

#[test]
fn a_token_is_good_in_its_time_alone() {
    let signer = Signer::new();
    let now = NOW.unix_secs();
    assert!(signer.verify(&signer.with_claims(&json!({"exp": now + 1}))).is_ok());
    assert_eq!(signer.refused(&signer.with_claims(&json!({"exp": now}))), "token.expired");
    assert_eq!(signer.refused(&signer.with_claims(&json!({"exp": i64::MIN}))), "token.expired");
    assert!(signer.verify(&signer.with_claims(&json!({"iat": now + MAX_CLOCK_AHEAD_SECS}))).is_ok());
    assert_eq!(signer.refused(&signer.with_claims(&json!({"iat": now + MAX_CLOCK_AHEAD_SECS + 1}))), "token.not_yet");
    assert_eq!(signer.refused(&signer.with_claims(&json!({"iat": i64::MAX}))), "token.not_yet");
}

#[test]
fn a_nonce_that_was_asked_for_has_to_be_there() {
    let signer = Signer::new();
    let (keys, honest) = (signer.keys.published(), signer.with_claims(&json!({})));
    let asked: ResultNonce = "00112233445566778899".parse().unwrap();
    let other: ResultNonce = "00112233445566778898".parse().unwrap();
    assert!(verify(&honest, keys, Some(&asked)).is_ok());
    assert_eq!(verify(&honest, keys, Some(&other)).unwrap_err().code(), "token.wrong_nonce");
    let without = signer.with_claims(&json!({"eat_nonce": null}));
    assert_eq!(verify(&without, keys, Some(&asked)).unwrap_err().code(), "token.nonce_missing");
}

#[test]
fn what_is_no_token_is_told_with_its_place() {
    let signer = Signer::new();
    let told = |text: &str| UnverifiedToken::parse(text).unwrap_err().to_string();
    let honest = signer.with_claims(&json!({}));
    let [header, claims, signature] = honest.split('.').collect::<Vec<_>>().try_into().unwrap();
    for (text, count) in [("", 1), ("a", 1), ("a.b", 2), ("a.b.c.d", 4), (&format!("{honest}."), 4)] {
        assert_eq!(told(text), format!("a token is three parts with dots between them, and this has {count}"));
    }
    assert!(told(&format!("{header}=.{claims}.{signature}")).starts_with("the header is no base64url"));
    let broken = format!("{header}.!{claims}.{signature}");
    assert_eq!(
        told(&broken),
        format!("the claims is no base64url without padding, at byte {} of the token", header.len() + 1)
    );
    assert!(told(&format!("{header}.{claims}.{signature}\n")).starts_with("the signature is no base64url"));
    let of = |header: &str| format!("{}.{claims}.{signature}", encode(header.as_bytes()));
    assert_eq!(told(&of("")), "the header is malformed: EOF while parsing a value at line 1 column 0");
    assert!(told(&of("{}")).contains("missing field `alg`"));
    assert!(told(&of(r#"{"alg":"none","alg":"ES256"}"#)).contains("duplicate field `alg`"));
    assert!(told(&of(r#"{"alg":["ES256"]}"#)).contains("invalid type: sequence"));
    let padded =
        |len: usize| of(&format!("{}{}", signer.header(), " ".repeat(len - signer.header().to_string().len())));
    assert!(UnverifiedToken::parse(&padded(MAX_HEADER_LEN)).is_ok());
    assert_eq!(told(&padded(MAX_HEADER_LEN + 1)), "the header is longer than 4096 bytes");
    let long = |len: usize| format!("{header}.{}.{signature}", "A".repeat(len - header.len() - signature.len() - 2));
    // A length that leaves one character over is no base64url, so that one of two must do.
    assert!((0..2).any(|less| UnverifiedToken::parse(&long(MAX_TOKEN_LEN - less)).is_ok()));
    assert_eq!(told(&long(MAX_TOKEN_LEN + 1)), "the token is longer than 4194304 bytes");
}

#[test]
fn no_beginning_of_a_token_is_believed_and_nothing_may_follow_it() {
    let signer = Signer::new();
    let honest = signer.with_claims(&json!({}));
    for end in 0..honest.len() {
        if let Ok(token) = UnverifiedToken::parse(honest.get(..end).unwrap()) {
            let expected = Expected { keys: signer.keys.published(), nonce: None, now: NOW };
            assert_eq!(token.verify(&expected).unwrap_err().code(), "token.bad_signature", "{end}");
        }
    }
    assert_eq!(signer.refused(&format!("{honest}AAAA")), "token.bad_signature");
}

#[test]
fn no_character_can_be_exchanged() {
    let signer = Signer::new();
    let honest = signer.with_claims(&json!({}));
    for at in 0..honest.len() {
        for bit in 0..6 {
            let mut bytes = honest.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if let Ok(token) = UnverifiedToken::parse(&text) {
                let expected = Expected { keys: signer.keys.published(), nonce: None, now: NOW };
                assert!(token.verify(&expected).is_err(), "bit {bit} of character {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_is_believed(text in "[A-Za-z0-9_-]{0,64}\\.?[A-Za-z0-9_-]{0,64}\\.?.{0,64}", header in ".{0,40}") {
        let keys = Signer::new();
        for text in [text.clone(), format!("{}.{text}", encode(header.as_bytes()))] {
            if let Ok(token) = UnverifiedToken::parse(&text) {
                let expected = Expected { keys: keys.keys.published(), nonce: None, now: NOW };
                prop_assert!(token.verify(&expected).is_err());
            }
        }
    }
}
