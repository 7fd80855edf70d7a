//! Certification requests: those of OpenSSL (tests/data, `openssl req -new -outform DER`), ours, and broken ones.

use proptest::prelude::*;
use vouchsafe_pki::csr::{KeyRejected, MAX_CSR_LEN, Malformed};
use vouchsafe_pki::key::KeyAlgorithm;
use vouchsafe_pki::{Csr, CsrRejected, LocalKey};

macro_rules! openssl {
    ($name:literal) => {
        include_bytes!(concat!("../data/", $name, ".csr.der")).as_slice()
    };
}

fn ours() -> Vec<u8> {
    LocalKey::generate().unwrap().certification_request().unwrap()
}

#[test]
fn accepts_requests_of_our_own_and_of_openssl() {
    for request in
        [openssl!("p256-sha256"), openssl!("p384-sha384"), openssl!("rsa2048-sha256"), openssl!("rsa2048-pss-sha256")]
    {
        assert!(Csr::verify(request).is_ok(), "{:?}", Csr::verify(request));
    }
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384] {
        let key = LocalKey::generate_for(algorithm).unwrap();
        let verified = Csr::verify(&key.certification_request().unwrap()).unwrap();
        assert_eq!(verified.spki_der(), key.spki_der().unwrap());
    }
}

#[test]
fn refuses_weak_and_unsupported_keys_by_name() {
    let algorithm = |name: &str| CsrRejected::Key(KeyRejected::Algorithm { algorithm: name.to_owned() });
    for (request, expected) in [
        (openssl!("rsa1024-sha256"), CsrRejected::Key(KeyRejected::RsaSize { bits: 1024 })),
        (openssl!("p521-sha512"), algorithm("1.2.840.10045.2.1 1.3.132.0.35")),
        (openssl!("ed25519"), algorithm("1.3.101.112")),
        (openssl!("p256-compressed"), CsrRejected::Key(KeyRejected::PointForm)),
    ] {
        assert_eq!(Csr::verify(request), Err(expected));
    }
}

#[test]
fn refuses_a_signature_with_sha_1() {
    let algorithm = "1.2.840.113549.1.1.5".to_owned();
    assert_eq!(Csr::verify(openssl!("rsa2048-sha1")), Err(CsrRejected::SignatureAlgorithm { algorithm }));
}

#[test]
fn refuses_a_broken_signature_and_one_of_another_key() {
    let mut broken = ours();
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(Csr::verify(&broken), Err(CsrRejected::Signature));

    // The content of one request under the signature of another; both have the same lengths but for the signature.
    let other = openssl!("p256-sha256");
    let key_at = other.windows(2).position(|window| window == [0x42, 0x00]).unwrap() + 3;
    let mut spliced = other.to_vec();
    spliced[key_at] ^= 1;
    assert_eq!(Csr::verify(&spliced), Err(CsrRejected::Signature));
}

#[test]
fn refuses_what_follows_the_request_or_hides_inside_it() {
    let mut trailing = ours();
    trailing.push(0);
    assert!(matches!(Csr::verify(&trailing), Err(CsrRejected::Malformed(Malformed { .. }))));

    // The outermost length, one more, with one byte that belongs to no element.
    let mut inside = openssl!("p256-sha256").to_vec();
    assert_eq!(inside[..2], [0x30, 0x82]);
    let length = u16::from_be_bytes([inside[2], inside[3]]) + 1;
    inside[2..4].copy_from_slice(&length.to_be_bytes());
    inside.push(0);
    assert!(matches!(Csr::verify(&inside), Err(CsrRejected::Malformed(_))));
}

#[test]
fn refuses_one_byte_more_than_the_maximum() {
    // At the maximum the bytes are read and found to be nonsense; one more, and they are not even read.
    assert!(matches!(Csr::verify(&vec![0; MAX_CSR_LEN]), Err(CsrRejected::Malformed(_))));
    let length = MAX_CSR_LEN + 1;
    assert_eq!(Csr::verify(&vec![0; length]), Err(CsrRejected::TooLarge { length }));
}

#[test]
fn refuses_every_truncation() {
    let whole = ours();
    for length in 0..whole.len() {
        assert!(matches!(Csr::verify(&whole[..length]), Err(CsrRejected::Malformed(_))), "{length}");
    }
}

#[test]
fn refuses_another_version() {
    let mut request = openssl!("p256-sha256").to_vec();
    let version_at = request.windows(3).position(|window| window == [2, 1, 0]).unwrap() + 2;
    request[version_at] = 1;
    assert_eq!(Csr::verify(&request), Err(CsrRejected::Version));
}

#[test]
fn refuses_every_single_flipped_bit() {
    let whole = openssl!("p256-sha256");
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Csr::verify(&flipped).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Csr::verify(&bytes).is_err());
    }
}
