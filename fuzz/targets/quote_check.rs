//! Quotes that a real key signed, bent in every way: what is accepted is what was agreed upon, signed and digested.

#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::digest::{Context, SHA256};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{QuoteCheck, Sha1Bank};
use vouchsafe_attest::tpm::Attest;
use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{HashAlgorithm, PcrIndex, PcrSelection};

/// How an honest quote and its check are bent.
#[derive(Arbitrary, Debug)]
struct Bent {
    quoted: u32,
    agreed: Option<u32>,
    nonce: Vec<u8>,
    expected_nonce: Option<Vec<u8>>,
    message: Vec<(u16, u8)>,
    message_len: Option<u16>,
    message_tail: Vec<u8>,
    signed_again: bool,
    signature: Vec<(u16, u8)>,
    bank: Option<u8>,
    values: Vec<(u8, u8, u8)>,
    without: u32,
}

static TPM: LazyLock<(ForgedTpm, AttestationKey)> = LazyLock::new(|| {
    let tpm = ForgedTpm::new();
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).expect("a good key");
    (tpm, ak)
});

fn set(bits: u32) -> PcrSet {
    PcrSet::from_bits(bits & 0x00FF_FFFF).expect("24 bits")
}

fn edit(bytes: &mut [u8], edits: &[(u16, u8)]) {
    for (index, mask) in edits {
        let len = bytes.len();
        if let Some(byte) = bytes.get_mut(usize::from(*index) % len.max(1)) {
            *byte ^= mask;
        }
    }
}

fuzz_target!(|bent: Bent| {
    let (tpm, ak) = &*TPM;
    let quoted = PcrSelection { bank: HashAlgorithm::Sha256, pcrs: set(bent.quoted) };
    let nonce = &bent.nonce[..bent.nonce.len().min(66)];
    let honest = tpm.quote(&quoted, nonce);

    let mut message = honest.message.clone();
    edit(&mut message, &bent.message);
    message.truncate(bent.message_len.map_or(usize::MAX, usize::from));
    message.extend_from_slice(&bent.message_tail);
    let mut signature = if bent.signed_again { tpm.ak().sign(&message) } else { honest.signature.clone() };
    edit(&mut signature, &bent.signature);

    let mut pcrs = honest.pcrs.clone();
    for (pcr, fill, len) in &bent.values {
        let pcr = PcrIndex::new(pcr % 24).expect("below 24");
        pcrs.values.insert(pcr, PcrValue::new(vec![*fill; usize::from(len % 65)]).expect("up to 64"));
    }
    let without = set(bent.without);
    pcrs.values.retain(|pcr, _| !without.contains(*pcr));
    if let Some(bank) = bent.bank {
        pcrs.bank = HashAlgorithm::ALL[usize::from(bank) % HashAlgorithm::ALL.len()];
    }
    let selection = PcrSelection { pcrs: bent.agreed.map_or(quoted.pcrs, set), ..quoted };
    let expected = bent.expected_nonce.as_deref().unwrap_or(nonce);

    let check = QuoteCheck {
        ak,
        message: &message,
        signature: &signature,
        qualifying_data: expected,
        selection: &selection,
        pcrs: &pcrs,
        sha1: Sha1Bank::Refused,
    };
    let Ok(quote) = check.verify() else { return };
    assert!(bent.signed_again || message == honest.message);
    assert_eq!(Attest::parse(&message).expect("an authentic quote is one").extra_data, expected);
    assert!(!expected.is_empty());
    assert_eq!(quote.pcrs().selection(), selection);
    let mut digest = Context::new(&SHA256);
    for value in quote.pcrs().values.values() {
        assert_eq!(value.as_bytes().len(), 32);
        digest.update(value.as_bytes());
    }
    assert_eq!(quote.digest(), digest.finish().as_ref());
});
