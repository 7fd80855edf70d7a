//! Attacks on the form of quotes (threat 7) and their algorithms (threat 12).

use vouchsafe_attest::forge::{Content, ForgedQuote, ForgedTpm, KeyKind, KeyTemplate, PssSalt, SoftwareKey};
use vouchsafe_attest::key::{AttestationKey, SignatureRejected};
use vouchsafe_attest::quote::QuoteRejected;
use vouchsafe_attest::tpm::Signature;
use vouchsafe_attest::tpm::attest::AttestType;
use vouchsafe_attest::tpm::public::SignatureAlgorithm;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, PcrBank};

use crate::engine::{Engine, NONCE, changed, pcr, selection, signed};

#[test]
fn an_honest_quote_is_authentic_and_says_what_the_tpm_said() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let quote = engine.check(&tpm.quote(&engine.selection, NONCE)).unwrap();
    assert_eq!(quote.pcrs(), &tpm.pcrs(&engine.selection));
    assert_eq!(quote.clock(), &tpm.clock());
    assert_eq!(quote.qualified_signer(), tpm.ak_public().name().as_bytes());
    assert_eq!(quote.digest().len(), 32);
}

// ---- Threat 7: form ----

#[test]
fn bytes_that_no_tpm_made_are_refused_although_the_key_signed_them() {
    let (engine, quote) = changed(|statement| statement.magic = 0xFF54_4346);
    assert_eq!(engine.code(&quote), "quote.not_tpm_generated");
}

#[test]
fn an_attestation_of_another_type_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let certification = tpm.certify_statement(tpm.device_key(), NONCE).encode();
    let quote = signed(&tpm, certification, tpm.pcrs(&engine.selection));
    assert_eq!(engine.check(&quote).unwrap_err(), QuoteRejected::WrongType(AttestType::CERTIFY));
    for kind in [0x8014, 0x8015, 0x8016, 0x8019, 0x801A, 0x801C, 0x0000, 0xFFFF] {
        let (engine, quote) = changed(|statement| statement.kind = AttestType(kind));
        assert_eq!(engine.code(&quote), "quote.wrong_type", "{kind:#x}");
    }
    let (engine, relabelled) = changed(|statement| statement.kind = AttestType::CERTIFY);
    assert!(engine.check(&relabelled).is_err());
}

#[test]
fn truncated_and_prolonged_messages_and_signatures_are_refused_although_the_key_signed_them() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let honest = tpm.quote(&engine.selection, NONCE);
    for len in 0..honest.message.len() {
        let quote = signed(&tpm, honest.message[..len].to_vec(), honest.pcrs.clone());
        assert_eq!(engine.code(&quote), "quote.malformed", "{len} bytes");
    }
    let trailing = signed(&tpm, [&honest.message[..], &[0]].concat(), honest.pcrs.clone());
    assert_eq!(engine.code(&trailing), "quote.malformed");
    for len in 0..honest.signature.len() {
        let quote = ForgedQuote { signature: honest.signature[..len].to_vec(), ..honest.clone() };
        assert_eq!(engine.code(&quote), "quote.malformed_signature", "{len} bytes");
    }
    let trailing = ForgedQuote { signature: [&honest.signature[..], &[0]].concat(), ..honest };
    assert_eq!(engine.code(&trailing), "quote.malformed_signature");
}

#[test]
fn oversized_fields_are_refused() {
    let (engine, quote) = changed(|statement| statement.extra_data = vec![0; 67]);
    assert_eq!(engine.code(&quote), "quote.malformed");
    let (engine, quote) = changed(|statement| statement.qualified_signer = vec![0; 67]);
    assert_eq!(engine.code(&quote), "quote.malformed");
    let (engine, quote) = changed(|statement| {
        let Content::Quote { digest, .. } = &mut statement.content else { panic!("a quote") };
        *digest = vec![0; 65];
    });
    assert_eq!(engine.code(&quote), "quote.malformed");
}

#[test]
fn a_signature_of_another_algorithm_than_the_keys_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let honest = tpm.quote(&engine.selection, NONCE);
    // The same r and s under the label of another hash.
    let mut relabelled = honest.clone();
    relabelled.signature[3] = 0x0C;
    assert_eq!(engine.code(&relabelled), "quote.wrong_algorithm");
    for (id, name) in [(0x14, "RSASSA"), (0x16, "RSAPSS")] {
        let signature = [&[0, id, 0, 0x0B, 0, 64][..], &[7; 64]].concat();
        let rejected = engine.check(&ForgedQuote { signature, ..honest.clone() }).unwrap_err();
        assert_eq!(rejected.code(), "quote.wrong_algorithm");
        let text = format!(
            "the signature is refused: the signature is {name} with sha256, and the key is bound to ECDSA with sha256"
        );
        assert_eq!(rejected.to_string(), text);
    }
}

#[test]
fn another_keys_signature_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let other = ForgedTpm::new();
    assert_eq!(engine.code(&other.quote(&engine.selection, NONCE)), "quote.bad_signature");
    let honest = tpm.quote(&engine.selection, NONCE);
    let by_device_key = ForgedQuote { signature: tpm.device_key().sign(&honest.message), ..honest };
    assert_eq!(engine.code(&by_device_key), "quote.bad_signature");
}

#[test]
fn a_signature_of_zeros_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let honest = tpm.quote(&engine.selection, NONCE);
    let zeros = [&[0, 0x18, 0, 0x0B, 0, 32][..], &[0; 32], &[0, 32], &[0; 32]].concat();
    let empty = vec![0, 0x18, 0, 0x0B, 0, 0, 0, 0];
    for signature in [zeros, empty] {
        assert_eq!(engine.code(&ForgedQuote { signature, ..honest.clone() }), "quote.bad_signature");
    }
}

// ---- Threat 12: algorithms ----

#[test]
fn the_sm3_bank_is_refused_by_name() {
    let tpm = ForgedTpm::new();
    let engine = Engine { selection: selection("sm3_256:0"), ..Engine::of(&tpm) };
    let values = [(pcr(0), PcrValue::new(vec![0; 32]).unwrap())].into();
    let pcrs = PcrBank { bank: HashAlgorithm::Sm3, values };
    let message = tpm.quote_statement(std::slice::from_ref(&pcrs), NONCE).encode();
    let rejected = engine.check(&signed(&tpm, message, pcrs)).unwrap_err();
    assert_eq!(rejected.to_string(), "the sm3_256 bank is not supported");
}

#[test]
fn signatures_over_sha1_and_sm3_are_refused_by_name() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let honest = tpm.quote(&engine.selection, NONCE);
    for (id, hash) in [(0x04, HashAlgorithm::Sha1), (0x12, HashAlgorithm::Sm3)] {
        let mut quote = honest.clone();
        quote.signature[3] = id;
        let rejected = engine.check(&quote).unwrap_err();
        assert_eq!(rejected, QuoteRejected::Signature(SignatureRejected::UnsupportedHash { hash }));
        assert!(rejected.to_string().contains(hash.name()), "{rejected}");
    }
}

#[test]
fn every_kind_of_key_and_scheme_gives_authentic_quotes_and_the_digest_follows_the_scheme() {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureAlgorithm::{Ecdsa, RsaPss, RsaSsa};
    let mut kinds = vec![
        (KeyKind::P256, Ecdsa, Sha256, PssSalt::Digest),
        (KeyKind::P384, Ecdsa, Sha384, PssSalt::Digest),
        (KeyKind::P521, Ecdsa, Sha256, PssSalt::Digest),
        (KeyKind::P521, Ecdsa, Sha384, PssSalt::Digest),
        (KeyKind::P521, Ecdsa, Sha512, PssSalt::Digest),
    ];
    for hash in [Sha256, Sha384, Sha512] {
        kinds.push((KeyKind::Rsa2048, RsaSsa, hash, PssSalt::Digest));
        kinds.push((KeyKind::Rsa2048, RsaPss, hash, PssSalt::Digest));
        kinds.push((KeyKind::Rsa2048, RsaPss, hash, PssSalt::Longest));
    }
    for (kind, algorithm, hash, salt) in kinds {
        let tpm = ForgedTpm::with_ak(KeyTemplate { salt, ..KeyTemplate::AK.of(kind, algorithm, hash) });
        let engine = Engine::of(&tpm);
        let mut quote = tpm.quote(&engine.selection, NONCE);
        let authentic = engine.check(&quote).unwrap_or_else(|error| panic!("{kind:?} {algorithm} {hash}: {error}"));
        assert_eq!(authentic.digest().len(), hash.digest_len());
        quote.message[60] ^= 1;
        assert!(engine.check(&quote).is_err(), "{kind:?} {algorithm} {hash}");
    }
}

#[test]
fn an_rsassa_signature_does_not_pass_for_an_rsapss_one() {
    let template = KeyTemplate::AK.of(KeyKind::Rsa2048, SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha256);
    let key = SoftwareKey::generate(template);
    let message = b"\xFFTCG and so on";
    let mut signature = key.sign(message);
    let verifying = AttestationKey::from_public(key.public().clone()).unwrap();
    let parsed = Signature::parse(&signature).unwrap();
    verifying.verifying_key().verify(message, &parsed).unwrap();
    signature[1] = 0x16;
    let parsed = Signature::parse(&signature).unwrap();
    let rejected = verifying.verifying_key().verify(message, &parsed).unwrap_err();
    assert!(matches!(rejected, SignatureRejected::WrongAlgorithm { .. }), "{rejected}");
}
