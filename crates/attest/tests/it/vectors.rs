//! Known answers: quotes and a certification of a software TPM in `vectors/`, one file each, which says what it
//! expects.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_attest::certify::{self, CertifyRejected};
use vouchsafe_attest::key::{AttestationKey, DeviceKey, VerifyingKey};
use vouchsafe_attest::quote::{
    AuthenticQuote, OfflineCheck, QuoteCheck, QuoteRejected, Sha1Bank, SignedQuote, pcr_file,
};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::PcrBank;

/// One file: `field: value` lines, values in hexadecimal unless they are words or JSON.
struct Vector {
    file: String,
    fields: BTreeMap<String, String>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let fields = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (field, value) = line.split_once(": ").expect("field: value");
            (field.to_owned(), value.to_owned())
        });
        Self { file: path.file_name().unwrap().to_string_lossy().into_owned(), fields: fields.collect() }
    }

    fn text(&self, field: &str) -> &str {
        self.fields.get(field).unwrap_or_else(|| panic!("{} has no {field}", self.file))
    }

    fn bytes(&self, field: &str) -> Vec<u8> {
        hex::decode(self.text(field)).unwrap()
    }
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Vector::read(path)).collect()
}

fn quotes() -> Vec<Vector> {
    vectors().into_iter().filter(|vector| vector.fields.contains_key("message")).collect()
}

fn check_offline(vector: &Vector, message: &[u8], signature: &[u8]) -> Result<SignedQuote, QuoteRejected> {
    let public = PublicArea::parse_tpm2b(&vector.bytes("ak")).unwrap();
    let key = VerifyingKey::from_public(&public).unwrap();
    let nonce = vector.bytes("nonce");
    let quote = OfflineCheck { key: &key, message, signature, qualifying_data: Some(&nonce) }.verify()?;
    let pcrs = pcr_file::parse(vector.text("pcrs").as_bytes(), quote.selections()).unwrap();
    quote.check_pcrs(&pcrs).map(|()| quote)
}

fn check_online(vector: &Vector, pcrs: &PcrBank) -> Result<AuthenticQuote, QuoteRejected> {
    let ak = AttestationKey::from_public(PublicArea::parse_tpm2b(&vector.bytes("ak")).unwrap()).unwrap();
    let [message, signature, nonce] = ["message", "signature", "nonce"].map(|field| vector.bytes(field));
    QuoteCheck {
        ak: &ak,
        message: &message,
        signature: &signature,
        qualifying_data: &nonce,
        selection: &pcrs.selection(),
        pcrs,
        sha1: Sha1Bank::Refused,
    }
    .verify()
}

fn outcome(vector: &Vector) -> &'static str {
    let public = PublicArea::parse_tpm2b(&vector.bytes("ak")).unwrap();
    assert_eq!(public.name().as_bytes(), vector.bytes("name"), "{}: the name is the TPM's", vector.file);
    if let Err(error) = VerifyingKey::from_public(&public) {
        return error.code();
    }
    match check_offline(vector, &vector.bytes("message"), &vector.bytes("signature")) {
        Ok(_) => "authentic",
        Err(error) => error.code(),
    }
}

#[test]
fn every_quote_comes_to_what_its_file_expects() {
    assert!(quotes().len() >= 15);
    for vector in quotes() {
        assert_eq!(outcome(&vector), vector.text("expect"), "{}", vector.file);
    }
}

#[test]
fn what_is_authentic_offline_is_authentic_online_when_it_is_of_one_bank() {
    for vector in quotes().iter().filter(|vector| vector.text("expect") == "authentic") {
        let banks = pcr_file::parse(vector.text("pcrs").as_bytes(), &[]).unwrap();
        let result = check_online(vector, &banks[0]);
        match banks.as_slice() {
            [pcrs] => assert_eq!(result.unwrap().pcrs(), pcrs, "{}", vector.file),
            _ => assert_eq!(result.unwrap_err().code(), "quote.wrong_selection", "{}", vector.file),
        }
    }
}

#[test]
fn no_quote_survives_a_flipped_bit_in_any_byte_of_message_or_signature() {
    for vector in quotes().iter().filter(|vector| vector.text("expect") == "authentic") {
        let (message, signature) = (vector.bytes("message"), vector.bytes("signature"));
        for index in 0..message.len() {
            let mut flipped = message.clone();
            flipped[index] ^= 1 << (index % 8);
            assert!(check_offline(vector, &flipped, &signature).is_err(), "{}: message byte {index}", vector.file);
        }
        for index in 0..signature.len() {
            let mut flipped = signature.clone();
            flipped[index] ^= 1 << (index % 8);
            assert!(check_offline(vector, &message, &flipped).is_err(), "{}: signature byte {index}", vector.file);
        }
    }
}

#[test]
fn a_certification_of_a_software_tpm_holds_and_for_no_other_key_or_data() {
    let vectors = vectors();
    let vector = vectors.iter().find(|vector| vector.file == "certify.txt").unwrap();
    let key = |field| PublicArea::parse_tpm2b(&vector.bytes(field)).unwrap();
    let ak = AttestationKey::from_public(key("ak")).unwrap();
    let device_key = DeviceKey::from_public(key("device_key")).unwrap();
    let (attest, signature, data) =
        (vector.bytes("attest"), vector.bytes("signature"), vector.bytes("qualifying_data"));
    let certified = certify::verify(&ak, &attest, &signature, &device_key, &data).unwrap();
    assert_eq!(certified.device_key().public(), &key("device_key"));
    let other_data = certify::verify(&ak, &attest, &signature, &device_key, b"other").unwrap_err();
    assert_eq!(other_data, CertifyRejected::WrongQualifyingData);
    for index in 0..attest.len() {
        let mut flipped = attest.clone();
        flipped[index] ^= 1;
        assert!(certify::verify(&ak, &flipped, &signature, &device_key, &data).is_err(), "byte {index}");
    }
}
