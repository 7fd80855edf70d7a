//! DSSE envelopes: known answers, and everything that must not verify.

use std::path::PathBuf;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use data_encoding::BASE64;
use vouchsafe_attest::dsse::{
    DsseKey, DsseKeyRejected, DsseRejected, Envelope, EnvelopeError, MAX_KEYS, MAX_NAME_LEN, MAX_SIGNATURE_LEN,
    MAX_SIGNATURES, pre_authentication,
};
use vouchsafe_attest::image::signed::{OpenError, PAYLOAD_TYPE, SignError, SignedImage, sign};

use crate::image_document::EXAMPLE;

const TYPE: &str = "application/example";

type SignFn = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Someone who signs.
struct Signer {
    key: DsseKey,
    sign: SignFn,
}

impl Signer {
    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let key = DsseKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        Self { key, sign: Box::new(move |message| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()) }
    }

    fn p256() -> Self {
        Self::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = DsseKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        Self { key, sign: Box::new(move |message| pair.sign(message).as_ref().to_vec()) }
    }

    fn rsa(encoding: &'static dyn RsaEncoding) -> Self {
        let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let key = DsseKey::from_spki_der(pair.public_key().as_der().unwrap().as_ref()).unwrap();
        let sign = move |message: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        };
        Self { key, sign: Box::new(sign) }
    }

    fn envelope(&self, payload_type: &str, payload: &[u8]) -> Envelope {
        let sign = |message: &[u8]| Ok::<_, std::convert::Infallible>((self.sign)(message));
        Envelope::sign(payload_type, payload, self.key.id(), sign).unwrap()
    }
}

fn shared(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation/dsse").join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn json(payload: &str, signatures: &str) -> String {
    format!(r#"{{"payloadType":"{TYPE}","payload":"{payload}","signatures":{signatures}}}"#)
}

#[test]
fn the_encoding_is_that_of_the_specification() {
    assert_eq!(
        pre_authentication("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    assert_eq!(pre_authentication("", b""), b"DSSEv1 0  0 ");
}

#[test]
fn the_envelope_of_another_tool_verifies_and_its_tampered_copy_does_not() {
    let (Some(key), Some(good), Some(bad)) = (
        shared("runtime-policy-pubkey.pub"),
        shared("runtime-policy-test-signed.json"),
        shared("runtime-policy-test-signed-bad.json"),
    ) else {
        return;
    };
    let keys = [DsseKey::from_pem(&key).unwrap()];
    let kind = "application/vnd.keylime+json";
    let verified = Envelope::parse(&good).unwrap().verify(kind, &keys).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(verified.payload()).unwrap();
    assert_eq!(payload["meta"]["version"], 1);
    assert_eq!(verified.signer(), keys[0].id());
    let bad = Envelope::parse(&bad).map(|bad| bad.verify(kind, &keys));
    assert!(!matches!(bad, Ok(Ok(_))), "{bad:?}");
    let other = Envelope::parse(&good).unwrap().verify(PAYLOAD_TYPE, &keys).unwrap_err();
    assert_eq!(other, DsseRejected::OtherType { expected: PAYLOAD_TYPE, found: kind.to_owned() });
}

#[test]
fn every_kind_of_key_signs_and_none_verifies_for_another() {
    let signers = [
        Signer::p256(),
        Signer::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        Signer::ed25519(),
        Signer::rsa(&RSA_PSS_SHA256),
        Signer::rsa(&RSA_PKCS1_SHA256),
    ];
    for (position, signer) in signers.iter().enumerate() {
        let envelope = signer.envelope(TYPE, b"payload");
        let read = Envelope::parse(envelope.to_json().as_bytes()).unwrap();
        assert_eq!(read, envelope);
        for (other, key) in signers.iter().map(|signer| signer.key.clone()).enumerate() {
            let verified = read.clone().verify(TYPE, &[key]);
            assert_eq!(verified.is_ok(), other == position, "{position} {other}");
        }
        let all: Vec<DsseKey> = signers.iter().map(|signer| signer.key.clone()).collect();
        assert_eq!(read.verify(TYPE, &all).unwrap().signer(), signer.key.id());
    }
}

#[test]
fn nothing_survives_one_flipped_bit_of_payload_type_or_signature() {
    let signer = Signer::p256();
    let envelope: serde_json::Value = serde_json::from_str(&signer.envelope(TYPE, b"payload").to_json()).unwrap();
    let verifies = |envelope: &serde_json::Value| {
        let read = Envelope::parse(envelope.to_string().as_bytes());
        read.is_ok_and(|read| read.verify(TYPE, std::slice::from_ref(&signer.key)).is_ok())
    };
    assert!(verifies(&envelope));
    for place in ["/payload", "/signatures/0/sig"] {
        let bytes = BASE64.decode(envelope.pointer(place).unwrap().as_str().unwrap().as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let (mut flipped, mut copy) = (bytes.clone(), envelope.clone());
            flipped[bit / 8] ^= 1 << (bit % 8);
            *copy.pointer_mut(place).unwrap() = BASE64.encode(&flipped).into();
            assert!(!verifies(&copy), "{place} bit {bit}");
        }
    }
}

#[test]
fn bytes_cannot_move_between_type_and_payload() {
    let signer = Signer::p256();
    let envelope = signer.envelope("application/example 7 a", b"payload");
    let mut moved: serde_json::Value = serde_json::from_str(&envelope.to_json()).unwrap();
    moved["payloadType"] = TYPE.into();
    moved["payload"] = BASE64.encode(b"a 7 payload").into();
    let moved = Envelope::parse(moved.to_string().as_bytes()).unwrap();
    assert_eq!(moved.verify(TYPE, &[signer.key]), Err(DsseRejected::DoesNotVerify));
}

#[test]
fn one_good_signature_among_others_is_enough_and_the_key_id_counts_for_nothing() {
    let (signer, stranger) = (Signer::p256(), Signer::p256());
    let mut good: serde_json::Value = serde_json::from_str(&signer.envelope(TYPE, b"p").to_json()).unwrap();
    let other: serde_json::Value = serde_json::from_str(&stranger.envelope(TYPE, b"p").to_json()).unwrap();
    good["signatures"][0]["keyid"] = stranger.key.id().into();
    good["signatures"].as_array_mut().unwrap().insert(0, other["signatures"][0].clone());
    let good = Envelope::parse(good.to_string().as_bytes()).unwrap();
    assert_eq!(good.verify(TYPE, std::slice::from_ref(&signer.key)).unwrap().signer(), signer.key.id());
    let mut claimed = other;
    claimed["signatures"][0]["keyid"] = signer.key.id().into();
    let claimed = Envelope::parse(claimed.to_string().as_bytes()).unwrap();
    assert_eq!(claimed.verify(TYPE, &[signer.key]), Err(DsseRejected::DoesNotVerify));
}

#[test]
fn what_is_no_envelope_says_why() {
    let signature = r#"[{"sig":"AAAA"}]"#;
    let parse = |text: String| Envelope::parse(text.as_bytes());
    assert!(parse(json("AAAA", signature)).is_ok());
    assert!(parse(json("-_-_", signature)).is_ok(), "the other alphabet");
    assert!(parse(json("AAAA", r#"[{"sig":"AAAA","cert":"x"}]"#)).is_ok(), "unknown fields are ignored");
    for payload in ["A", "AA", "AAA", "AB==", "AA=", "AAAA=", "AA AA", "AA\\nAA", "+/-_", "AA==AAAA"] {
        assert!(matches!(parse(json(payload, signature)), Err(EnvelopeError::Malformed(_))), "{payload}");
    }
    let twice = json("AAAA", signature).replacen('{', r#"{"payload":"BBBB","#, 1);
    assert!(parse(twice).unwrap_err().to_string().contains("duplicate field `payload`"));
    assert!(parse(json("AAAA", r#"[{"sig":"AAAA","sig":"AAAA"}]"#)).unwrap_err().to_string().contains("duplicate"));
    assert!(matches!(parse(json("AAAA", signature) + "x"), Err(EnvelopeError::Malformed(_))));
    assert_eq!(parse(json("AAAA", "[]")), Err(EnvelopeError::NoSignature));
    assert!(matches!(parse("{}".to_owned()), Err(EnvelopeError::Malformed(_))));
    let whole = json("AAAA", signature);
    for len in 0..whole.len() {
        assert!(Envelope::parse(&whole.as_bytes()[..len]).is_err(), "{len}");
    }
}

#[test]
fn everything_is_read_up_to_its_bound_and_not_beyond() {
    let signatures = |count: usize| format!("[{}]", vec![r#"{"sig":"AAAA"}"#; count].join(","));
    let of_len = |len: usize| format!(r#"[{{"sig":"{}"}}]"#, BASE64.encode(&vec![0; len]));
    let named = |len: usize| format!(r#"[{{"sig":"AAAA","keyid":"{}"}}]"#, "k".repeat(len));
    let parse = |signatures: String| Envelope::parse(json("", &signatures).as_bytes());
    assert!(parse(signatures(MAX_SIGNATURES)).is_ok());
    assert_eq!(parse(signatures(MAX_SIGNATURES + 1)), Err(EnvelopeError::TooManySignatures(MAX_SIGNATURES + 1)));
    assert!(parse(of_len(MAX_SIGNATURE_LEN)).is_ok());
    for len in [0, MAX_SIGNATURE_LEN + 1] {
        assert_eq!(parse(of_len(len)), Err(EnvelopeError::SignatureLength { index: 1, len }));
    }
    assert!(parse(named(MAX_NAME_LEN)).is_ok());
    let len = MAX_NAME_LEN + 1;
    assert_eq!(parse(named(len)), Err(EnvelopeError::NameTooLong { what: "keyid", len }));
    let signer = Signer::p256();
    let verify = |count: usize| signer.envelope(TYPE, b"p").verify(TYPE, &vec![signer.key.clone(); count]);
    assert!(verify(MAX_KEYS).is_ok());
    assert_eq!(verify(MAX_KEYS + 1), Err(DsseRejected::TooManyKeys(MAX_KEYS + 1)));
    assert_eq!(verify(0), Err(DsseRejected::NoKey));
}

#[test]
fn keys_of_other_kinds_are_refused_by_name() {
    let p521 = EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P521_SHA512_ASN1_SIGNING).unwrap();
    let p521 = DsseKey::from_spki_der(p521.public_key().as_der().unwrap().as_ref());
    assert_eq!(p521.unwrap_err(), DsseKeyRejected::P521);
    assert_eq!(DsseKey::from_pem(b"no PEM").unwrap_err(), DsseKeyRejected::NotPem);
    assert!(matches!(DsseKey::from_spki_der(&[0x30, 0]), Err(DsseKeyRejected::Spki(_))));
}

#[test]
fn a_signed_image_is_opened_to_the_byte_by_its_key_alone() {
    let (signer, stranger) = (Signer::p256(), Signer::p256());
    let envelope = sign(EXAMPLE, signer.key.id(), |message| Ok::<_, ()>((signer.sign)(message))).unwrap().to_json();
    let opened = SignedImage::open(envelope.as_bytes(), std::slice::from_ref(&signer.key)).unwrap();
    assert_eq!((opened.text(), opened.signer()), (EXAMPLE, signer.key.id()));
    assert_eq!(opened.image().id.to_string(), "web@2026.1");
    let refused = SignedImage::open(envelope.as_bytes(), &[stranger.key]).unwrap_err();
    assert_eq!(refused, OpenError::Rejected(DsseRejected::DoesNotVerify));
    let other = signer.envelope(TYPE, EXAMPLE.as_bytes()).to_json();
    let refused = SignedImage::open(other.as_bytes(), std::slice::from_ref(&signer.key)).unwrap_err();
    assert!(matches!(refused, OpenError::Rejected(DsseRejected::OtherType { .. })));
    let no_image = signer.envelope(PAYLOAD_TYPE, b"format = 1").to_json();
    assert!(matches!(SignedImage::open(no_image.as_bytes(), &[signer.key]), Err(OpenError::Document(_))));
    assert!(matches!(sign("", "", |_| Ok::<_, ()>(vec![1])), Err(SignError::Document(_))), "no image is not signed");
}
