//! Every decoder against arbitrary, truncated, prolonged and damaged bytes: it answers, and never panics.

use std::sync::LazyLock;

use proptest::prelude::*;
use vouchsafe_attest::forge::{ForgedTpm, KeyKind, KeyTemplate, SoftwareKey};
use vouchsafe_attest::key::VerifyingKey;
use vouchsafe_attest::quote::pcr_file;
use vouchsafe_attest::tpm::{Attest, PublicArea, PublicKey, Signature};
use vouchsafe_model::PcrSelection;

type Decoder = (&'static str, fn(&[u8]) -> bool);

/// Each decoder, and whether it accepted.
const DECODERS: &[Decoder] = &[
    ("TPMT_PUBLIC", |bytes| PublicArea::parse_tpmt(bytes).is_ok()),
    ("TPM2B_PUBLIC", |bytes| PublicArea::parse_tpm2b(bytes).is_ok()),
    ("TPMT_PUBLIC or TPM2B_PUBLIC", |bytes| PublicArea::parse_either(bytes).is_ok()),
    ("TPMS_ATTEST", |bytes| Attest::parse(bytes).is_ok()),
    ("TPMT_SIGNATURE", |bytes| Signature::parse(bytes).is_ok()),
    ("SubjectPublicKeyInfo", |bytes| PublicKey::from_spki_der(bytes).is_ok()),
    ("PEM", |bytes| VerifyingKey::from_pem(bytes).is_ok()),
    ("PCR file", |bytes| pcr_file::parse(bytes, &[]).is_ok()),
];

/// Structures that are good, each with its decoder.
static GOOD: LazyLock<Vec<(Decoder, Vec<u8>)>> = LazyLock::new(|| {
    let tpm = ForgedTpm::new();
    let selection: PcrSelection = "sha256:0-23".parse().unwrap();
    let rsa = SoftwareKey::generate(KeyTemplate { kind: KeyKind::Rsa2048, ..KeyTemplate::DEVICE_KEY });
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let mut good = Vec::new();
    for public in [tpm.ak_public(), tpm.device_key_public(), tpm.ek_public(), rsa.public()] {
        good.push((DECODERS[0], public.as_tpmt().to_vec()));
        good.push((DECODERS[1], sized(public.as_tpmt())));
        good.push((DECODERS[2], public.as_tpmt().to_vec()));
        good.push((DECODERS[5], public.to_spki_der()));
    }
    good.push((DECODERS[3], tpm.quote(&selection, b"nonce").message));
    good.push((DECODERS[3], tpm.certify(b"data").attest));
    good.push((DECODERS[4], tpm.ak().sign(b"message")));
    good.push((DECODERS[4], rsa.sign(b"message")));
    good
});

#[test]
fn good_structures_are_accepted_and_every_truncation_and_a_trailing_byte_refused() {
    for ((name, accepts), good) in GOOD.iter() {
        assert!(accepts(good), "{name}");
        for len in 0..good.len() {
            assert!(!accepts(&good[..len]), "{name}: {len} of {} bytes", good.len());
        }
        for byte in [0x00, 0x01, 0xFF] {
            assert!(!accepts(&[&good[..], &[byte]].concat()), "{name} and {byte:#x}");
        }
    }
}

#[test]
fn a_public_area_is_kept_to_the_byte() {
    for ((name, _), good) in GOOD.iter().filter(|((name, _), _)| *name == "TPMT_PUBLIC") {
        assert_eq!(PublicArea::parse_tpmt(good).unwrap().as_tpmt(), good, "{name}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        for (_, accepts) in DECODERS {
            accepts(&bytes);
        }
    }

    #[test]
    fn good_structures_with_some_bytes_changed_are_answered(
        which in any::<proptest::sample::Index>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let ((_, accepts), good) = which.get(&GOOD);
        let mut bytes = good.clone();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        accepts(&bytes);
    }

    #[test]
    fn a_serialized_pcr_file_of_any_content_is_answered(
        lists in 0usize..4, header in proptest::collection::vec(any::<u8>(), 136), fill in any::<u8>(), count in 0u8..18
    ) {
        let mut file = header;
        file[0] = count;
        file[1..4].fill(0);
        file[132] = u8::try_from(lists).unwrap();
        file[133..136].fill(0);
        file.resize(136 + lists * 532, fill);
        let _ = pcr_file::parse(&file, &[]);
    }
}
