//! Known answers from outside: quotes of a cloud's virtual TPM and of a TPM simulator, if the shared data is there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vouchsafe_attest::key::{AttestationKey, VerifyingKey};
use vouchsafe_attest::quote::{
    AuthenticQuote, OfflineCheck, QuoteCheck, QuoteRejected, Sha1Bank, SignedQuote, pcr_file,
};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::pcr::{PcrValue, PcrValues};
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex};

/// A file of the shared data; says so and stays away when it is not there.
fn shared(path: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation/quotes").join(path);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// A quote of one bank.
struct Quote {
    ak: PublicArea,
    message: Vec<u8>,
    signature: Vec<u8>,
    nonce: Vec<u8>,
    pcrs: PcrBank,
}

impl Quote {
    fn check(&self) -> Result<AuthenticQuote, QuoteRejected> {
        self.check_with(&self.message, &self.signature, &self.pcrs)
    }

    fn check_with(&self, message: &[u8], signature: &[u8], pcrs: &PcrBank) -> Result<AuthenticQuote, QuoteRejected> {
        let ak = AttestationKey::from_public(self.ak.clone()).unwrap();
        let sha1 = Sha1Bank::Consented;
        let selection = self.pcrs.selection();
        QuoteCheck { ak: &ak, message, signature, qualifying_data: &self.nonce, selection: &selection, pcrs, sha1 }
            .verify()
    }

    fn check_offline(&self) -> Result<SignedQuote, QuoteRejected> {
        let key = VerifyingKey::from_public(&self.ak).unwrap();
        let (message, signature) = (&self.message, &self.signature);
        let quote = OfflineCheck { key: &key, message, signature, qualifying_data: Some(&self.nonce) }.verify()?;
        quote.check_pcrs(std::slice::from_ref(&self.pcrs)).map(|()| quote)
    }

    /// Every way to flip one bit of one PCR value.
    fn with_a_flipped_pcr_bit(&self) -> impl Iterator<Item = PcrBank> {
        self.pcrs.values.iter().flat_map(move |(pcr, value)| {
            (0..value.as_bytes().len() * 8).map(move |bit| {
                let mut pcrs = self.pcrs.clone();
                pcrs.values.insert(*pcr, PcrValue::new(flip(value.as_bytes(), bit)).unwrap());
                pcrs
            })
        })
    }
}

fn flip(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

#[derive(serde::Deserialize)]
struct CloudPcrs {
    hash: u16,
    pcrs: BTreeMap<u8, PcrValue>,
}

fn cloud_quotes() -> Vec<Quote> {
    let read = |name: &str| shared(&format!("gce-cos-85-nonce9009/{name}"));
    let Some(ak) = read("ak_pub.tpmt_public.bin") else { return Vec::new() };
    (0..3)
        .map(|number| {
            let part = |part: &str| read(&format!("quote{number}.{part}")).unwrap();
            let pcrs: CloudPcrs = serde_json::from_slice(&part("pcrs.json")).unwrap();
            let values: PcrValues =
                pcrs.pcrs.into_iter().map(|(pcr, value)| (PcrIndex::new(pcr).unwrap(), value)).collect();
            Quote {
                ak: PublicArea::parse_tpmt(&ak).unwrap(),
                message: part("tpms_attest.bin"),
                signature: part("tpmt_signature.bin"),
                nonce: vec![0x90, 0x09],
                pcrs: PcrBank { bank: HashAlgorithm::from_tpm_alg_id(pcrs.hash).unwrap(), values },
            }
        })
        .collect()
}

fn simulator_quote() -> Option<Quote> {
    let read = |name: &str| shared(&format!("keylime-simulator/{name}"));
    let ak = PublicArea::parse_tpm2b(&read("ak.pub")?).unwrap();
    let (message, signature) = (read("quote.out")?, read("quotesig.out")?);
    let pcrs = pcr_file::parse(&read("quotepcr.out")?, &[]).unwrap();
    let [pcrs] = pcrs.try_into().unwrap();
    let nonce = hex::decode("db1db298db6d60e6385b7231743e9c3056a18003").unwrap();
    Some(Quote { ak, message, signature, nonce, pcrs })
}

#[test]
fn every_quote_of_the_cloud_tpm_is_authentic() {
    for (quote, bank) in cloud_quotes().iter().zip([HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384])
    {
        let authentic = quote.check().unwrap();
        assert_eq!(authentic.pcrs().bank, bank);
        assert_eq!(authentic.pcrs().values.len(), 24);
        assert_eq!(authentic.clock().reset_count, 10);
        assert_eq!(authentic.firmware_version(), 0x2016_0511_0016_2800);
        assert_eq!(quote.check_offline().unwrap().qualifying_data(), [0x90, 0x09]);
    }
}

#[test]
fn the_simulators_quote_is_authentic_by_each_form_of_its_key() {
    let Some(quote) = simulator_quote() else { return };
    quote.check().unwrap();
    let pem = shared("keylime-simulator/akpub.pem").unwrap();
    let from_pem = VerifyingKey::from_pem(&pem).unwrap();
    let from_der = VerifyingKey::from_spki_der(&quote.ak.to_spki_der()).unwrap();
    assert_eq!(from_pem.public(), quote.ak.key(), "the public area and the PEM file hold one key");
    for key in [from_pem, from_der] {
        OfflineCheck { key: &key, message: &quote.message, signature: &quote.signature, qualifying_data: None }
            .verify()
            .unwrap();
    }
    assert_eq!(quote.ak.name().as_bytes(), shared("keylime-simulator/ak.name").unwrap());
}

#[test]
fn the_simulators_endorsement_key_is_read_and_is_no_attestation_key() {
    let Some(ek) = shared("keylime-simulator/ek.pub") else { return };
    let ek = PublicArea::parse_either(&ek).unwrap();
    assert_eq!(ek.symmetric().unwrap().key_bits(), 128);
    assert_eq!(ek.auth_policy().len(), 32);
    assert_eq!(AttestationKey::from_public(ek).unwrap_err().code(), "ak.not_signing");
}

#[test]
fn no_quote_survives_one_flipped_bit_of_message_or_signature() {
    for quote in cloud_quotes().iter().chain(&simulator_quote()) {
        for bit in 0..quote.message.len() * 8 {
            let message = flip(&quote.message, bit);
            assert!(quote.check_with(&message, &quote.signature, &quote.pcrs).is_err(), "message bit {bit}");
        }
        for bit in 0..quote.signature.len() * 8 {
            let signature = flip(&quote.signature, bit);
            assert!(quote.check_with(&quote.message, &signature, &quote.pcrs).is_err(), "signature bit {bit}");
        }
    }
}

#[test]
fn no_quote_survives_one_flipped_bit_of_a_pcr_value() {
    for quote in cloud_quotes().iter().chain(&simulator_quote()) {
        let ak = VerifyingKey::from_public(&quote.ak).unwrap();
        let (message, signature) = (&quote.message, &quote.signature);
        let signed = OfflineCheck { key: &ak, message, signature, qualifying_data: None }.verify().unwrap();
        for pcrs in quote.with_a_flipped_pcr_bit() {
            assert_eq!(signed.check_pcrs(&[pcrs]), Err(QuoteRejected::WrongDigest));
        }
        let one = quote.with_a_flipped_pcr_bit().next().unwrap();
        let rejected = quote.check_with(message, signature, &one).unwrap_err();
        assert_eq!(rejected, QuoteRejected::WrongDigest);
    }
}

#[test]
fn values_of_one_quote_do_not_pass_for_another() {
    let [sha1, sha256, _] = &cloud_quotes()[..] else { return };
    let mixed = sha256.check_with(&sha256.message, &sha256.signature, &sha1.pcrs).unwrap_err();
    assert_eq!(mixed, QuoteRejected::ExtraBank(HashAlgorithm::Sha1));
}
