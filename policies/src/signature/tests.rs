use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use super::*;

/// A key of each kind: private, public.
fn keys(algorithm: Algorithm) -> (SigningKey, Vec<u8>) {
    let (private, public) = match algorithm {
        Algorithm::Es256 => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            (key.to_pkcs8v1().unwrap().as_ref().to_vec(), key.public_key().as_der().unwrap().as_ref().to_vec())
        }
        Algorithm::EdDsa => {
            let key = Ed25519KeyPair::generate().unwrap();
            (key.to_pkcs8v1().unwrap().as_ref().to_vec(), key.public_key().as_der().unwrap().as_ref().to_vec())
        }
        Algorithm::Rs256 => {
            let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let private: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
            (private.as_ref().to_vec(), key.public_key().as_der().unwrap().as_ref().to_vec())
        }
    };
    let pem = |tag: &str, der: Vec<u8>| pem::encode(&pem::Pem::new(tag, der)).into_bytes();
    (SigningKey::from_pem(&pem("PRIVATE KEY", private)).unwrap(), pem("PUBLIC KEY", public))
}

fn verifying(id: &str, public: &[u8], scope: &str) -> VerifyingKeys {
    let mut keys = VerifyingKeys::default();
    keys.insert(id, VerifyingKey::from_pem(public, scope).unwrap());
    keys
}

fn files() -> Files {
    [(".manifest", "{\"revision\":\"1\"}"), ("a/data.json", "{\"x\": [1.0, true]}"), ("policy.rego", "package a\n")]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .into()
}

fn signed(key: &SigningKey, id: &str, scope: &str) -> Files {
    let mut files = files();
    let signature = sign(&files, key, id, scope).unwrap();
    files.insert(SIGNATURES_PATH.to_owned(), signature);
    files
}

/// The parts of the one token.
fn token(files: &Files) -> (serde_json::Value, serde_json::Value, String) {
    let signatures: serde_json::Value = serde_json::from_slice(&files[SIGNATURES_PATH]).unwrap();
    let token = signatures["signatures"][0].as_str().unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (json(parts[0]), json(parts[1]), parts[2].to_owned())
}

/// The same files with another token, signed or not.
fn with_token(
    mut files: Files,
    header: &serde_json::Value,
    claims: &serde_json::Value,
    key: Option<&SigningKey>,
) -> Files {
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = key.map(|key| URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap())).unwrap_or_default();
    let text = json!({"signatures": [format!("{message}.{signature}")]}).to_string();
    files.insert(SIGNATURES_PATH.to_owned(), text.into_bytes());
    files
}

#[test]
fn what_is_signed_is_verified_by_every_kind_of_key() {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
        let (key, public) = keys(algorithm);
        assert_eq!(key.algorithm(), algorithm);
        let files = signed(&key, "ci", "");
        assert_eq!(verify(&files, &verifying("ci", &public, "")).unwrap(), "ci", "{algorithm:?}");
        let (_, other) = keys(algorithm);
        assert!(matches!(verify(&files, &verifying("ci", &other, "")), Err(SignatureError::Signature)));
        let outcome = verify(&files, &verifying("other", &public, ""));
        assert!(matches!(outcome, Err(SignatureError::UnknownKey { id: Some(id) }) if id == "ci"));
    }
}

#[test]
fn a_bundle_without_a_signature_is_not_signed() {
    let (_, public) = keys(Algorithm::Es256);
    let keys = verifying("ci", &public, "");
    assert!(matches!(verify(&files(), &keys), Err(SignatureError::Missing)));
    for text in ["{}", "[]", "{\"signatures\": 1}"] {
        let mut files = files();
        files.insert(SIGNATURES_PATH.to_owned(), text.as_bytes().to_vec());
        assert!(matches!(verify(&files, &keys), Err(SignatureError::Shape(_))), "{text}");
    }
    for (text, is_token) in [
        ("{\"signatures\": []}", false),
        ("{\"signatures\": [\"a.b.c\", \"a.b.c\"]}", false),
        ("{\"signatures\": [\"a.b.c\"], \"plugin\": \"mine\"}", false),
        ("{\"signatures\": [\"abc\"]}", true),
        ("{\"signatures\": [\"a.b\"]}", true),
        ("{\"signatures\": [\"!.b.c\"]}", true),
    ] {
        let mut files = files();
        files.insert(SIGNATURES_PATH.to_owned(), text.as_bytes().to_vec());
        match verify(&files, &keys) {
            Err(SignatureError::NotOneToken) => assert!(!is_token, "{text}"),
            Err(SignatureError::Token) => assert!(is_token, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn every_file_is_held_against_what_was_signed() {
    let (key, public) = keys(Algorithm::Es256);
    let keys = verifying("ci", &public, "");
    let good = signed(&key, "ci", "");
    let changed = |change: fn(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        verify(&files, &keys)
    };
    for path in [".manifest", "a/data.json", "policy.rego"] {
        let mut files = good.clone();
        files.remove(path);
        assert!(matches!(verify(&files, &keys), Err(SignatureError::Absent { path: absent }) if absent == path));
    }
    let outcome = changed(|files| drop(files.insert("more.rego".to_owned(), b"package more".to_vec())));
    assert!(matches!(outcome, Err(SignatureError::Unsigned { path }) if path == "more.rego"));
    let outcome = changed(|files| files.get_mut("policy.rego").unwrap().push(b' '));
    assert!(matches!(outcome, Err(SignatureError::Changed { path }) if path == "policy.rego"));
    let outcome = changed(|files| drop(files.insert("a/data.json".to_owned(), b"{\"x\":[1,true]}".to_vec())));
    assert!(matches!(outcome, Err(SignatureError::Changed { path }) if path == "a/data.json"));
    // What it says is the same.
    let outcome = changed(|files| drop(files.insert("a/data.json".to_owned(), b" {\n\"x\":[1.0,true]}".to_vec())));
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn how_a_token_is_verified_is_not_for_the_token_to_say() {
    let (key, public) = keys(Algorithm::Es256);
    let keys = verifying("ci", &public, "");
    let good = signed(&key, "ci", "");
    let (header, claims, _) = token(&good);
    for alg in ["none", "HS256", "RS256", "es256", ""] {
        let header = json!({"alg": alg, "kid": "ci"});
        for key in [None, Some(&key)] {
            let outcome = verify(&with_token(good.clone(), &header, &claims, key), &keys);
            assert!(
                matches!(&outcome, Err(SignatureError::Algorithm { found, .. }) if found == alg),
                "{alg}: {outcome:?}"
            );
        }
    }
    // A MAC with the public key as its secret, as a verifier that lets the token choose would take it.
    let message = |header: &serde_json::Value| {
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", encode(header), encode(&claims))
    };
    let header_of_mac = json!({"alg": "HS256", "kid": "ci"});
    let mac = aws_lc_rs::hmac::sign(
        &aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public),
        message(&header_of_mac).as_bytes(),
    );
    let mut files = good.clone();
    let text = json!({"signatures": [format!("{}.{}", message(&header_of_mac), URL_SAFE_NO_PAD.encode(mac))]});
    files.insert(SIGNATURES_PATH.to_owned(), text.to_string().into_bytes());
    assert!(matches!(verify(&files, &keys), Err(SignatureError::Algorithm { .. })));

    assert!(matches!(verify(&with_token(good.clone(), &header, &claims, None), &keys), Err(SignatureError::Signature)));
    let critical = json!({"alg": "ES256", "kid": "ci", "crit": ["exp"], "exp": 1});
    assert!(matches!(
        verify(&with_token(good.clone(), &critical, &claims, Some(&key)), &keys),
        Err(SignatureError::Token)
    ));
    for kid in ["../ci", "", "CI"] {
        let header = json!({"alg": "ES256", "kid": kid});
        let outcome = verify(&with_token(good.clone(), &header, &claims, Some(&key)), &keys);
        assert!(matches!(outcome, Err(SignatureError::UnknownKey { .. })), "{kid}: {outcome:?}");
    }
    // The key's id stands in the header, or where older versions put it.
    let without_kid = json!({"alg": "ES256"});
    assert!(verify(&with_token(good.clone(), &without_kid, &claims, Some(&key)), &keys).is_ok());
    let claims = json!({"files": claims["files"]});
    let outcome = verify(&with_token(good, &without_kid, &claims, Some(&key)), &keys);
    assert!(matches!(outcome, Err(SignatureError::UnknownKey { id: None })));
}

#[test]
fn a_key_vouches_for_its_scope_alone() {
    let (key, public) = keys(Algorithm::Es256);
    let files = signed(&key, "ci", "production");
    assert!(verify(&files, &verifying("ci", &public, "production")).is_ok());
    for scope in ["", "staging"] {
        let outcome = verify(&files, &verifying("ci", &public, scope));
        assert!(matches!(outcome, Err(SignatureError::Scope { .. })), "{scope}: {outcome:?}");
    }
}

#[test]
fn weak_digests_and_files_that_are_signed_twice_do_not_count() {
    let (key, public) = keys(Algorithm::Es256);
    let keys = verifying("ci", &public, "");
    let good = signed(&key, "ci", "");
    let (header, claims, _) = token(&good);
    let mut weak = claims.clone();
    weak["files"][2]["algorithm"] = "MD5".into();
    weak["files"][2]["hash"] = "00".into();
    let outcome = verify(&with_token(good.clone(), &header, &weak, Some(&key)), &keys);
    assert!(matches!(outcome, Err(SignatureError::Changed { .. })), "{outcome:?}");
    let mut twice = claims;
    let again = twice["files"][2].clone();
    twice["files"].as_array_mut().unwrap().push(again);
    let outcome = verify(&with_token(good, &header, &twice, Some(&key)), &keys);
    assert!(matches!(outcome, Err(SignatureError::Absent { .. })), "{outcome:?}");
}

#[test]
fn every_changed_byte_of_the_signature_is_seen() {
    let (key, public) = keys(Algorithm::EdDsa);
    let keys = verifying("ci", &public, "");
    let good = signed(&key, "ci", "");
    for index in 0..good[SIGNATURES_PATH].len() {
        let mut files = good.clone();
        files.get_mut(SIGNATURES_PATH).unwrap()[index] ^= 1;
        assert!(verify(&files, &keys).is_err(), "{index}");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let public = |text: &str| VerifyingKey::from_pem(text.as_bytes(), "").map(|_| ());
    assert!(matches!(public("no key"), Err(KeyError::Pem(_))));
    let pem = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    assert!(matches!(public(&pem("CERTIFICATE", b"x")), Err(KeyError::Label { .. })));
    assert!(matches!(public(&pem("PUBLIC KEY", b"x")), Err(KeyError::Kind)));
    let private = |text: &str| SigningKey::from_pem(text.as_bytes()).map(|_| ());
    assert!(matches!(private(&pem("PUBLIC KEY", b"x")), Err(KeyError::Label { .. })));
    assert!(matches!(private(&pem("PRIVATE KEY", b"x")), Err(KeyError::Kind)));
    assert!(matches!(private(&pem("EC PRIVATE KEY", b"x")), Err(KeyError::Kind)));
}
