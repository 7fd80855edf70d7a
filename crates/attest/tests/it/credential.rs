//! Credentials against known answers, and opened again as a TPM would.

use std::path::PathBuf;

use aws_lc_rs::agreement::{UnparsedPublicKey, agree};
use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepPrivateDecryptingKey,
};
use aws_lc_rs::{digest, hmac};
use num_bigint::BigUint;
use vouchsafe_attest::credential::{Credential, CredentialEntropy, CredentialError, MIN_SECRET_LEN, make_credential};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_attest::tpm::public::PublicKey;

use crate::ek_templates::{EK_ATTRIBUTES, EccEk, LOW_RANGE, RsaEk, SHA384_AES256, Template, ecc_area};

const SECRET: &[u8; 32] = b"thirty-two bytes of enrolled sec";

fn ak_name() -> Vec<u8> {
    [&[0x00, 0x0B][..], &[0x5A; 32]].concat()
}

fn entropy(byte: u8) -> CredentialEntropy {
    CredentialEntropy::new([byte; CredentialEntropy::LEN])
}

// ---- Known answers ----

struct Vector {
    ek: PublicArea,
    challenge: Vec<u8>,
    ak_name: Vec<u8>,
    expected: Vec<u8>,
}

fn vectors() -> Option<serde_json::Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/attestation/makecredential/makecredential_vectors.json");
    if let Ok(text) = std::fs::read(&path) {
        return Some(serde_json::from_slice(&text).unwrap());
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn vector(vectors: &serde_json::Value, name: &str) -> Vector {
    let field = |field: &str| hex::decode(vectors[name][field].as_str().unwrap()).unwrap();
    Vector {
        ek: PublicArea::parse_tpm2b(&field("ek_tpm2b_public")).unwrap(),
        challenge: field("challenge"),
        ak_name: field("ak_name"),
        expected: field("expected"),
    }
}

/// The file format of tpm2-tools: a magic number and a version before the two structures.
fn tpm2_tools_blob(credential: &Credential) -> Vec<u8> {
    [&[0xBA, 0xDC, 0xC0, 0xDE, 0, 0, 0, 1][..], &credential.id_object, &credential.encrypted_secret].concat()
}

#[test]
fn an_elliptic_curve_credential_is_the_known_one_to_the_byte() {
    let Some(vectors) = vectors() else { return };
    let vector = vector(&vectors, "test_makecredential_ecc");
    let scalar: BigUint = vectors["ecc_ephemeral"]["priv"].as_str().unwrap().parse().unwrap();
    let mut bytes = [0; CredentialEntropy::LEN];
    bytes[..32].copy_from_slice(&scalar.to_bytes_be());
    let credential =
        make_credential(&vector.ek, &vector.ak_name, &vector.challenge, &CredentialEntropy::new(bytes)).unwrap();
    assert_eq!(hex::encode(tpm2_tools_blob(&credential)), hex::encode(vector.expected));
}

#[test]
fn an_rsa_credential_is_the_known_one_up_to_the_random_padding() {
    let Some(vectors) = vectors() else { return };
    let vector = vector(&vectors, "test_makecredential");
    let credential = make_credential(&vector.ek, &vector.ak_name, &vector.challenge, &entropy(0x12)).unwrap();
    let blob = tpm2_tools_blob(&credential);
    assert_eq!(vector.expected.len(), 80);
    assert_eq!(hex::encode(&blob[..80]), hex::encode(vector.expected));
    assert_eq!(blob.len(), 80 + 256);
}

// ---- Opened again ----

/// What `TPM2_ActivateCredential` does once it has the seed (Part 1, 24), written out apart from the code under test.
fn unseal(ek: &PublicArea, ak_name: &[u8], seed: &[u8], id_object: &[u8]) -> Option<Vec<u8>> {
    let hash = match ek.name_alg().digest_len() {
        32 => hmac::HMAC_SHA256,
        48 => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    let digest_len = ek.name_alg().digest_len();
    let (outer_len, body) = id_object.split_at(2);
    assert_eq!(usize::from(u16::from_be_bytes(outer_len.try_into().unwrap())), body.len());
    let (mac, encrypted) = body.split_at(2 + digest_len);
    let derive = |label: &[u8], context: &[u8], bytes: usize| {
        let bits = u32::try_from(bytes * 8).unwrap();
        let info = [&[0, 0, 0, 1][..], label, context, &bits.to_be_bytes()].concat();
        hmac::sign(&hmac::Key::new(hash, seed), &info).as_ref()[..bytes].to_vec()
    };
    let integrity_key = hmac::Key::new(hash, &derive(b"INTEGRITY\0", &[], digest_len));
    hmac::verify(&integrity_key, &[encrypted, ak_name].concat(), &mac[2..]).ok()?;
    let bits = ek.symmetric().unwrap().key_bits();
    let algorithm = match bits {
        128 => &AES_128,
        192 => &AES_192,
        _ => &AES_256,
    };
    let key = UnboundCipherKey::new(algorithm, &derive(b"STORAGE\0", ak_name, usize::from(bits / 8))).unwrap();
    let mut plain = encrypted.to_vec();
    let zero_iv = DecryptionContext::Iv128(FixedLength::from([0; 16]));
    DecryptingKey::cfb128(key).unwrap().decrypt(&mut plain, zero_iv).unwrap();
    let (len, secret) = plain.split_at(2);
    assert_eq!(usize::from(u16::from_be_bytes(len.try_into().unwrap())), secret.len());
    Some(secret.to_vec())
}

fn sized(structure: &[u8]) -> (&[u8], &[u8]) {
    let (len, rest) = structure.split_at(2);
    rest.split_at(usize::from(u16::from_be_bytes(len.try_into().unwrap())))
}

fn activate_ecc(ek: &EccEk, ak_name: &[u8], credential: &Credential) -> Option<Vec<u8>> {
    let PublicKey::Ecc(public) = ek.area.key() else { panic!("not an elliptic curve key") };
    let (point, rest) = sized(&credential.encrypted_secret);
    assert!(rest.is_empty());
    let (x, rest) = sized(point);
    let (y, rest) = sized(rest);
    assert!(rest.is_empty());
    let ephemeral = UnparsedPublicKey::new(ek.algorithm, [&[4], x, y].concat());
    let seed = agree(&ek.private, ephemeral, (), |z| {
        let algorithm = match ek.area.name_alg().digest_len() {
            32 => &digest::SHA256,
            48 => &digest::SHA384,
            _ => &digest::SHA512,
        };
        let info = [&[0, 0, 0, 1][..], z, b"IDENTITY\0", x, public.x()].concat();
        Ok(digest::digest(algorithm, &info).as_ref().to_vec())
    })
    .unwrap();
    unseal(&ek.area, ak_name, &seed, &credential.id_object)
}

fn activate_rsa(ek: &RsaEk, ak_name: &[u8], credential: &Credential) -> Option<Vec<u8>> {
    let algorithm = match ek.area.name_alg().digest_len() {
        32 => &OAEP_SHA256_MGF1SHA256,
        48 => &OAEP_SHA384_MGF1SHA384,
        _ => &OAEP_SHA512_MGF1SHA512,
    };
    let key = OaepPrivateDecryptingKey::new(ek.private.clone()).unwrap();
    let (ciphertext, rest) = sized(&credential.encrypted_secret);
    assert!(rest.is_empty());
    let mut buffer = vec![0; key.min_output_size()];
    let seed = key.decrypt(algorithm, ciphertext, &mut buffer, Some(b"IDENTITY\0")).unwrap();
    unseal(&ek.area, ak_name, seed, &credential.id_object)
}

#[test]
fn every_curve_cipher_and_hash_opens_with_the_private_key_alone() {
    for algorithm in [EccEk::P256, EccEk::P384, EccEk::P521] {
        for (name_alg, aes_bits) in [(0x000B, 128), (0x000B, 192), (0x000C, 256), (0x000D, 256)] {
            let template = Template { name_alg, attributes: EK_ATTRIBUTES, aes_bits: Some(aes_bits) };
            let ek = EccEk::generate(algorithm, template);
            let credential = make_credential(&ek.area, &ak_name(), SECRET, &entropy(0x5C)).unwrap();
            assert_eq!(
                activate_ecc(&ek, &ak_name(), &credential).as_deref(),
                Some(&SECRET[..]),
                "{algorithm:?} {name_alg:#x} AES-{aes_bits}"
            );
            let other_ek = EccEk { private: EccEk::generate(algorithm, template).private, ..ek };
            assert_eq!(activate_ecc(&other_ek, &ak_name(), &credential), None, "another key opens nothing");
        }
    }
}

#[test]
fn every_rsa_size_opens_with_the_private_key() {
    for (size, template) in [
        (KeySize::Rsa2048, LOW_RANGE),
        (KeySize::Rsa3072, SHA384_AES256),
        (KeySize::Rsa4096, Template { name_alg: 0x000D, attributes: EK_ATTRIBUTES, aes_bits: Some(256) }),
    ] {
        let ek = RsaEk::generate(size, template);
        let credential = make_credential(&ek.area, &ak_name(), SECRET, &entropy(7)).unwrap();
        assert_eq!(activate_rsa(&ek, &ak_name(), &credential).as_deref(), Some(&SECRET[..]));
    }
}

#[test]
fn a_credential_opens_for_no_other_name_and_not_after_a_change() {
    let ek = EccEk::generate(EccEk::P256, LOW_RANGE);
    let credential = make_credential(&ek.area, &ak_name(), SECRET, &entropy(0x5C)).unwrap();
    let mut other_name = ak_name();
    other_name[33] ^= 1;
    assert_eq!(activate_ecc(&ek, &other_name, &credential), None);
    for index in 4..credential.id_object.len() {
        let mut changed = credential.clone();
        changed.id_object[index] ^= 1;
        assert_eq!(activate_ecc(&ek, &ak_name(), &changed), None, "byte {index}");
    }
}

#[test]
fn secrets_of_every_allowed_length_open_and_others_are_refused() {
    let ek = EccEk::generate(EccEk::P384, SHA384_AES256);
    let secret = [0xA5; 50];
    for len in MIN_SECRET_LEN..=48 {
        let credential = make_credential(&ek.area, &ak_name(), &secret[..len], &entropy(9)).unwrap();
        assert_eq!(activate_ecc(&ek, &ak_name(), &credential).as_deref(), Some(&secret[..len]));
    }
    for len in [0, MIN_SECRET_LEN - 1, 49] {
        let refused = make_credential(&ek.area, &ak_name(), &secret[..len], &entropy(9));
        assert_eq!(refused, Err(CredentialError::SecretLength { len, max: 48 }));
    }
}

// ---- Refusals ----

#[test]
fn a_key_that_is_no_endorsement_key_is_refused_by_what_it_lacks() {
    let make = |attributes| {
        let ek = EccEk::generate(EccEk::P256, Template { attributes, ..LOW_RANGE });
        make_credential(&ek.area, &ak_name(), SECRET, &entropy(1)).map(|_| ()).map_err(|error| error.to_string())
    };
    for (bit, name) in [(1, "fixedTPM"), (4, "fixedParent"), (16, "restricted"), (17, "decrypt")] {
        let expected = format!("the EK lacks the attributes {name}, without which it is no endorsement key");
        assert_eq!(make(EK_ATTRIBUTES & !(1 << bit)), Err(expected));
    }
    assert_eq!(make(EK_ATTRIBUTES | 1 << 18), Err(CredentialError::EkMaySign.to_string()));
    assert_eq!(make(EK_ATTRIBUTES), Ok(()));
}

#[test]
fn a_key_without_cipher_or_with_a_sha1_name_is_refused() {
    let ek = EccEk::generate(EccEk::P256, Template { aes_bits: None, ..LOW_RANGE });
    let refused = make_credential(&ek.area, &ak_name(), SECRET, &entropy(1));
    assert_eq!(refused, Err(CredentialError::EkWithoutCipher));
    let ek = EccEk::generate(EccEk::P256, Template { name_alg: 0x0004, ..LOW_RANGE });
    let refused = make_credential(&ek.area, &ak_name(), &SECRET[..20], &entropy(1));
    assert!(matches!(refused, Err(CredentialError::UnsupportedEkNameAlg(_))), "{refused:?}");
}

#[test]
fn a_point_off_the_curve_is_refused() {
    let area = ecc_area(&[&[4][..], &[1; 32], &[2; 32]].concat(), LOW_RANGE);
    let refused = make_credential(&area, &ak_name(), SECRET, &entropy(1));
    assert_eq!(refused, Err(CredentialError::InvalidEkKey));
}

#[test]
fn a_malformed_name_of_the_ak_is_refused() {
    let ek = EccEk::generate(EccEk::P256, LOW_RANGE);
    let long = [ak_name(), vec![0]].concat();
    let sha1 = [&[0x00, 0x04][..], &[0; 20]].concat();
    let unknown = [&[0xFF, 0xFF][..], &[0; 32]].concat();
    let wrong_len = [&[0x00, 0x0C][..], &[0; 32]].concat();
    for name in [&[][..], &[0], &[0, 0x0B], &ak_name()[..33], &long, &sha1, &unknown, &wrong_len, &[0x40, 0, 0, 1]] {
        let refused = make_credential(&ek.area, name, SECRET, &entropy(1));
        assert_eq!(refused, Err(CredentialError::InvalidAkName { len: name.len() }));
    }
}

#[test]
fn entropy_that_is_no_scalar_asks_for_another_draw() {
    for (algorithm, bad) in [(EccEk::P256, vec![0u8, 0xFF]), (EccEk::P384, vec![0, 0xFF]), (EccEk::P521, vec![0, 0xFF])]
    {
        let ek = EccEk::generate(algorithm, LOW_RANGE);
        for byte in bad {
            let refused = make_credential(&ek.area, &ak_name(), SECRET, &entropy(byte));
            assert_eq!(refused, Err(CredentialError::ScalarOutOfRange), "{algorithm:?} {byte:#x}");
        }
    }
}

#[test]
fn nothing_secret_is_in_the_debug_text() {
    assert_eq!(format!("{:?}", entropy(0xAB)), "CredentialEntropy(redacted)");
    let ek = EccEk::generate(EccEk::P256, LOW_RANGE);
    let credential = make_credential(&ek.area, &ak_name(), SECRET, &entropy(0x5C)).unwrap();
    assert_eq!(format!("{credential:?}"), "Credential(id_object: 70 bytes, encrypted_secret: 70 bytes)");
}
