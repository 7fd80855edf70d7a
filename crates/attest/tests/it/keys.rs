//! Which keys are believed (threats 2 and 3), in public areas and outside of them.

use vouchsafe_attest::certify::{self, CertifyRejected};
use vouchsafe_attest::forge::{Content, ForgedTpm, KeyKind, KeyTemplate, SoftwareKey};
use vouchsafe_attest::key::{
    AkRejected, AttestationKey, DeviceKey, DeviceKeyRejected, KeyRejected, OfflineKey, VerifyingKey,
};
use vouchsafe_attest::tpm::attest::AttestType;
use vouchsafe_attest::tpm::public::{Curve, ObjectAttributes, SignatureAlgorithm, SpkiRejected};
use vouchsafe_attest::tpm::{DecodeProblem, PublicArea, PublicKey, Signature};
use vouchsafe_model::HashAlgorithm;

const DATA: &[u8] = b"qualifying data";

fn ak(template: KeyTemplate) -> Result<AttestationKey, AkRejected> {
    AttestationKey::from_public(SoftwareKey::generate(template).public().clone())
}

fn device_key(template: KeyTemplate) -> Result<DeviceKey, DeviceKeyRejected> {
    DeviceKey::from_public(SoftwareKey::generate(template).public().clone())
}

// ---- Threat 2: attributes ----

#[test]
fn an_attestation_key_that_lacks_one_attribute_is_refused_for_that_one() {
    let good = KeyTemplate::AK;
    ak(good).unwrap();
    let faults = [
        (good.without(ObjectAttributes::RESTRICTED), "ak.not_restricted"),
        (good.without(ObjectAttributes::SIGN), "ak.not_signing"),
        (good.with(ObjectAttributes::DECRYPT), "ak.may_decrypt"),
        (good.without(ObjectAttributes::FIXED_TPM), "ak.not_fixed_tpm"),
        (good.without(ObjectAttributes::FIXED_PARENT), "ak.not_fixed_parent"),
        (good.without(ObjectAttributes::SENSITIVE_DATA_ORIGIN), "ak.imported"),
        (KeyTemplate { scheme: None, ..good }, "ak.no_scheme"),
        (KeyTemplate { name_alg: HashAlgorithm::Sha1, ..good }, "ak.weak_name_alg"),
    ];
    for (template, code) in faults {
        assert_eq!(ak(template).unwrap_err().code(), code);
    }
}

#[test]
fn better_names_than_sha256_are_accepted() {
    for name_alg in [HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
        let key = ak(KeyTemplate { name_alg, ..KeyTemplate::AK }).unwrap();
        assert_eq!(key.name().as_bytes().len(), 2 + name_alg.digest_len());
    }
}

#[test]
fn an_attestation_key_bound_to_a_broken_or_unknown_hash_is_refused() {
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sm3] {
        let good = SoftwareKey::generate(KeyTemplate::AK);
        let template = KeyTemplate { scheme: Some((SignatureAlgorithm::Ecdsa, hash)), ..KeyTemplate::AK };
        let rejected = AttestationKey::from_public(template.public_area(good.public().key())).unwrap_err();
        assert_eq!(rejected, AkRejected::Key(KeyRejected::UnsupportedHash { hash }));
    }
}

#[test]
fn a_device_key_that_lacks_one_attribute_is_refused_for_that_one() {
    let good = KeyTemplate::DEVICE_KEY;
    device_key(good).unwrap();
    let p384 = KeyTemplate { kind: KeyKind::P384, ..good };
    let faults = [
        (good.without(ObjectAttributes::SIGN), "device_key.not_signing"),
        (good.with(ObjectAttributes::DECRYPT), "device_key.may_decrypt"),
        (good.with(ObjectAttributes::RESTRICTED), "device_key.restricted"),
        (good.without(ObjectAttributes::FIXED_TPM), "device_key.not_fixed_tpm"),
        (good.without(ObjectAttributes::FIXED_PARENT), "device_key.not_fixed_parent"),
        (good.without(ObjectAttributes::SENSITIVE_DATA_ORIGIN), "device_key.imported"),
        (KeyTemplate { name_alg: HashAlgorithm::Sha1, ..good }, "device_key.weak_name_alg"),
        (p384, "device_key.wrong_curve"),
    ];
    for (template, code) in faults {
        assert_eq!(device_key(template).unwrap_err().code(), code);
    }
    assert_eq!(device_key(p384).unwrap_err(), DeviceKeyRejected::WrongCurve(Curve::P384));
}

#[test]
fn an_rsa_device_key_is_accepted() {
    let key = device_key(KeyTemplate { kind: KeyKind::Rsa2048, ..KeyTemplate::DEVICE_KEY }).unwrap();
    assert_eq!(PublicKey::from_spki_der(&key.to_spki_der()).unwrap(), *key.public().key());
}

#[test]
fn a_point_off_its_curve_is_no_key() {
    let good = SoftwareKey::generate(KeyTemplate::AK).public().clone();
    let mut bytes = good.as_tpmt().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let off_curve = PublicArea::parse_tpmt(&bytes).unwrap();
    assert_eq!(AttestationKey::from_public(off_curve.clone()).unwrap_err().code(), "ak.unusable");
    assert_eq!(VerifyingKey::from_public(&off_curve).unwrap_err().code(), "key.invalid");
    let spki = VerifyingKey::from_spki_der(&off_curve.to_spki_der()).unwrap_err();
    assert!(matches!(spki, KeyRejected::Invalid(_)), "{spki}");
}

// ---- Public areas ----

fn rsa_area() -> Vec<u8> {
    let key = SoftwareKey::generate(KeyTemplate { kind: KeyKind::Rsa2048, ..KeyTemplate::DEVICE_KEY });
    key.public().as_tpmt().to_vec()
}

/// Type, `nameAlg`, attributes, an empty policy, no cipher and no scheme take 14 bytes; `keyBits` and exponent follow.
const KEY_BITS: usize = 14;
const EXPONENT: usize = 16;

fn refusal(bytes: &[u8]) -> String {
    PublicArea::parse_tpmt(bytes).unwrap_err().to_string()
}

#[test]
fn rsa_keys_below_2048_bits_are_refused() {
    let mut area = rsa_area();
    area[KEY_BITS..KEY_BITS + 2].copy_from_slice(&1024u16.to_be_bytes());
    assert_eq!(refusal(&area), "TPMS_RSA_PARMS.keyBits at byte 14: 0x400 instead of 2048, 3072 or 4096");
}

#[test]
fn exponents_that_are_small_or_even_are_refused_and_other_odd_ones_read() {
    let mut area = rsa_area();
    for exponent in [1u32, 2, 3, 17, 65_535, 65_536, 65_538, u32::MAX - 1] {
        area[EXPONENT..EXPONENT + 4].copy_from_slice(&exponent.to_be_bytes());
        assert!(refusal(&area).contains("TPMS_RSA_PARMS.exponent"), "{exponent}");
    }
    for exponent in [0u32, 65_537, u32::MAX] {
        area[EXPONENT..EXPONENT + 4].copy_from_slice(&exponent.to_be_bytes());
        let PublicKey::Rsa(rsa) = PublicArea::parse_tpmt(&area).unwrap().key().clone() else { panic!("an RSA key") };
        assert_eq!(rsa.exponent(), exponent.max(65_537));
    }
}

#[test]
fn moduli_that_are_even_or_short_are_refused() {
    let mut even = rsa_area();
    *even.last_mut().unwrap() &= 0xFE;
    assert!(refusal(&even).contains("an odd last byte"));
    let mut short = rsa_area();
    let modulus = short.len() - 256;
    short[modulus] &= 0x7F;
    assert!(refusal(&short).contains("a first byte whose top bit is set"));
}

#[test]
fn symmetric_keys_and_keyed_hashes_are_refused_by_name() {
    let mut area = rsa_area();
    for (id, name) in [(0x08, "TPM_ALG_KEYEDHASH"), (0x25, "TPM_ALG_SYMCIPHER")] {
        area[1] = id;
        assert_eq!(refusal(&area), format!("TPMT_PUBLIC.type at byte 0: {name} is not supported here"));
    }
}

#[test]
fn names_by_sm3_are_refused_by_name() {
    let mut area = rsa_area();
    area[3] = 0x12;
    assert_eq!(refusal(&area), "TPMT_PUBLIC.nameAlg at byte 2: TPM_ALG_SM3_256 is not supported here");
}

#[test]
fn a_policy_of_another_length_than_a_digest_is_refused() {
    let mut area = rsa_area();
    area.splice(8..10, [0, 1, 0xAA]);
    assert!(refusal(&area).contains("TPMT_PUBLIC.authPolicy at byte 10"), "{}", refusal(&area));
    let mut area = rsa_area();
    area.splice(8..10, [&[0, 33][..], &[0xAA; 33]].concat());
    assert!(refusal(&area).contains("33 is more than the 32 allowed"), "{}", refusal(&area));
}

#[test]
fn coordinates_without_leading_zeros_are_padded_and_absent_ones_refused() {
    let key = SoftwareKey::generate(KeyTemplate::DEVICE_KEY);
    let area = key.public().as_tpmt();
    let head = &area[..area.len() - 68];
    let short = PublicArea::parse_tpmt(&[head, &[0, 1, 7, 0, 2, 1, 0]].concat()).unwrap();
    let PublicKey::Ecc(ecc) = short.key() else { panic!("an elliptic curve key") };
    assert_eq!((ecc.x()[31], ecc.x().len()), (7, 32));
    assert_eq!(ecc.y()[30..], [1, 0]);
    assert!(refusal(&[head, &[0, 0, 0, 0]].concat()).contains("unique.x"));
    let long = [head, &[0, 33][..], &[1; 33], &[0, 1, 1]].concat();
    let error = PublicArea::parse_tpmt(&long).unwrap_err();
    assert_eq!(error.problem, DecodeProblem::Oversized { len: 33, max: 32 });
}

#[test]
fn both_forms_of_a_public_area_are_told_apart() {
    for template in [KeyTemplate::AK, KeyTemplate { kind: KeyKind::Rsa2048, ..KeyTemplate::DEVICE_KEY }] {
        let public = SoftwareKey::generate(template).public().clone();
        let tpmt = public.as_tpmt();
        let tpm2b = [&u16::try_from(tpmt.len()).unwrap().to_be_bytes()[..], tpmt].concat();
        assert_eq!(PublicArea::parse_either(tpmt), Ok(public.clone()));
        assert_eq!(PublicArea::parse_either(&tpm2b), Ok(public.clone()));
        assert!(PublicArea::parse_tpmt(&tpm2b).is_err());
        assert!(PublicArea::parse_tpm2b(tpmt).is_err());
    }
    assert!(PublicArea::parse_either(&[]).is_err());
}

// ---- Keys outside of public areas ----

#[test]
fn every_key_survives_being_written_as_spki() {
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Rsa2048] {
        let public = SoftwareKey::generate(KeyTemplate { kind, ..KeyTemplate::DEVICE_KEY }).public().clone();
        let spki = public.to_spki_der();
        assert_eq!(PublicKey::from_spki_der(&spki).as_ref(), Ok(public.key()), "{kind:?}");
        for len in 0..spki.len() {
            assert!(PublicKey::from_spki_der(&spki[..len]).is_err(), "{kind:?}: {len} bytes");
        }
        let trailing = PublicKey::from_spki_der(&[&spki[..], &[0]].concat());
        assert_eq!(trailing, Err(SpkiRejected::Malformed));
    }
}

#[test]
fn a_key_without_scheme_verifies_each_of_its_algorithms_and_none_of_the_other_kind() {
    let key = SoftwareKey::generate(KeyTemplate::AK);
    let any = VerifyingKey::from_spki_der(&key.public().to_spki_der()).unwrap();
    let signature = key.sign(b"message");
    any.verify(b"message", &Signature::parse(&signature).unwrap()).unwrap();
    assert!(any.verify(b"another", &Signature::parse(&signature).unwrap()).is_err());
    let rsa = [&[0, 0x14, 0, 0x0B, 0, 64][..], &[7; 64]].concat();
    let rejected = any.verify(b"message", &Signature::parse(&rsa).unwrap()).unwrap_err();
    let text = "the signature is RSASSA with sha256, and the key is an elliptic curve key";
    assert_eq!(rejected.to_string(), text);
}

#[test]
fn what_is_no_pem_public_key_is_refused() {
    for text in
        [&b""[..], b"-----BEGIN", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xFF\x00"]
    {
        assert_eq!(VerifyingKey::from_pem(text).unwrap_err(), KeyRejected::NotPem);
    }
    let pem = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    assert_eq!(VerifyingKey::from_pem(pem).unwrap_err(), KeyRejected::Spki(SpkiRejected::Malformed));
}

#[test]
fn a_key_file_is_read_in_each_of_its_forms() {
    let public = SoftwareKey::generate(KeyTemplate::AK).public().clone();
    let tpmt = public.as_tpmt();
    let tpm2b = [&u16::try_from(tpmt.len()).unwrap().to_be_bytes()[..], tpmt].concat();
    let der = public.to_spki_der();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der.clone()));
    let forms = [(tpmt, Some(true)), (&tpm2b, Some(true)), (&der, None), (pem.as_bytes(), None)];
    for (file, is_restricted) in forms {
        let key = OfflineKey::parse(file).unwrap();
        assert_eq!(key.verifying_key().public(), public.key());
        assert_eq!(key.is_restricted(), is_restricted);
        assert!(OfflineKey::parse(&file[..file.len() / 2]).is_err());
    }
    assert_eq!(OfflineKey::parse(b"").unwrap_err().code(), "key.malformed");
    let device_key = SoftwareKey::generate(KeyTemplate::DEVICE_KEY);
    assert_eq!(OfflineKey::parse(device_key.public().as_tpmt()).unwrap().is_restricted(), Some(false));
}

#[test]
fn small_rsa_keys_and_other_curves_are_refused_outside_of_public_areas_too() {
    // SubjectPublicKeyInfo of an RSA-1024 key whose modulus is all ones, exponent 65537.
    let modulus = [&[0x02, 0x81, 0x81, 0x00][..], &[0xFF; 128]].concat();
    let key = [&[0x30, 0x81, 0x89][..], &modulus, &[0x02, 3, 1, 0, 1]].concat();
    let algorithm = hex::decode("300d06092a864886f70d0101010500").unwrap();
    let spki = [&[0x30, 0x81, 0x9F][..], &algorithm, &[0x03, 0x81, 0x8D, 0], &key].concat();
    assert_eq!(PublicKey::from_spki_der(&spki), Err(SpkiRejected::UnsupportedRsaSize(1024)));
    // secp256k1 in the place of P-256.
    let mut spki = SoftwareKey::generate(KeyTemplate::AK).public().to_spki_der();
    spki.splice(..23, hex::decode("3056301006072a8648ce3d020106052b8104000a").unwrap());
    assert_eq!(PublicKey::from_spki_der(&spki), Err(SpkiRejected::Malformed));
    // An Ed25519 key.
    let ed25519 = [hex::decode("302a300506032b6570032100").unwrap(), vec![1; 32]].concat();
    let refused = PublicKey::from_spki_der(&ed25519);
    assert_eq!(refused, Err(SpkiRejected::UnsupportedAlgorithm("1.3.101.112".to_owned())));
}

// ---- Threat 3: certification ----

fn certify(tpm: &ForgedTpm, attest: &[u8]) -> Result<(), CertifyRejected> {
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    let device_key = DeviceKey::from_public(tpm.device_key_public().clone()).unwrap();
    certify::verify(&ak, attest, &tpm.ak().sign(attest), &device_key, DATA).map(|_| ())
}

#[test]
fn an_honest_certification_is_accepted() {
    let tpm = ForgedTpm::new();
    let certification = tpm.certify(DATA);
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    let device_key = DeviceKey::from_public(tpm.device_key_public().clone()).unwrap();
    let certified = certify::verify(&ak, &certification.attest, &certification.signature, &device_key, DATA).unwrap();
    assert_eq!(certified.into_device_key().public(), tpm.device_key_public());
}

#[test]
fn a_device_key_that_was_not_certified_is_refused() {
    let tpm = ForgedTpm::new();
    let software = SoftwareKey::generate(KeyTemplate::DEVICE_KEY);
    let attest = tpm.certify_statement(&software, DATA).encode();
    assert_eq!(certify(&tpm, &attest), Err(CertifyRejected::WrongName));
    let mut nameless = tpm.certify_statement(tpm.device_key(), DATA);
    let Content::Certify { name, .. } = &mut nameless.content else { panic!("a certification") };
    name.clear();
    assert_eq!(certify(&tpm, &nameless.encode()), Err(CertifyRejected::WrongName));
}

#[test]
fn a_certification_by_another_key_is_refused() {
    let tpm = ForgedTpm::new();
    let other = ForgedTpm::new();
    let certification = tpm.certify(DATA);
    let ak = AttestationKey::from_public(other.ak_public().clone()).unwrap();
    let device_key = DeviceKey::from_public(tpm.device_key_public().clone()).unwrap();
    let rejected =
        certify::verify(&ak, &certification.attest, &certification.signature, &device_key, DATA).unwrap_err();
    assert_eq!(rejected.code(), "certify.bad_signature");
}

#[test]
fn a_certification_for_another_occasion_or_for_none_is_refused() {
    let tpm = ForgedTpm::new();
    let attest = tpm.certify(b"another occasion").attest;
    assert_eq!(certify(&tpm, &attest), Err(CertifyRejected::WrongQualifyingData));
    let attest = tpm.certify(b"").attest;
    assert_eq!(certify(&tpm, &attest), Err(CertifyRejected::WrongQualifyingData));
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    let device_key = DeviceKey::from_public(tpm.device_key_public().clone()).unwrap();
    let rejected = certify::verify(&ak, &attest, &tpm.ak().sign(&attest), &device_key, b"").unwrap_err();
    assert_eq!(rejected, CertifyRejected::NothingExpected);
}

#[test]
fn a_quote_or_outside_data_does_not_pass_for_a_certification() {
    let tpm = ForgedTpm::new();
    let quote = tpm.quote(&"sha256:0".parse().unwrap(), DATA).message;
    assert_eq!(certify(&tpm, &quote), Err(CertifyRejected::WrongType(AttestType::QUOTE)));
    let mut outside = tpm.certify_statement(tpm.device_key(), DATA);
    outside.magic = 0;
    assert_eq!(certify(&tpm, &outside.encode()).unwrap_err().code(), "certify.not_tpm_generated");
    let attest = tpm.certify(DATA).attest;
    for len in 0..attest.len() {
        assert_eq!(certify(&tpm, &attest[..len]).unwrap_err().code(), "certify.malformed", "{len} bytes");
    }
    assert_eq!(certify(&tpm, &[&attest[..], &[0]].concat()).unwrap_err().code(), "certify.malformed");
}
