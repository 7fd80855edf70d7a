//! Signatures of files, and keys that are learned while a host runs.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair};
use vouchsafe_attest::forge::{ImaSigner, digest_ng};
use vouchsafe_attest::ima::{FileKey, ListReport};
use vouchsafe_model::FindingCode;

use crate::ima::{judged, line, list, policy, told};

fn trusting(pem: &str) -> String {
    format!("keys = [\"\"\"{pem}\"\"\"]\n")
}

/// A certificate, with the key that it is of.
struct Certified {
    signer: ImaSigner,
    pem: String,
    der: Vec<u8>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

fn certified(key: &KeyPair, certificate: &rcgen::Certificate) -> Certified {
    let der = certificate.der().to_vec();
    // The end of the subject key identifier, which is rcgen's own, not that of the bare key.
    let id = x509_parser_key_id(&der);
    Certified { signer: ImaSigner::from_pkcs8(&key.serialize_der(), Some(id)), pem: certificate.pem(), der }
}

/// The last four bytes of the subject key identifier, found by its OID (2.5.29.14).
fn x509_parser_key_id(der: &[u8]) -> [u8; 4] {
    let place = der.windows(5).position(|bytes| bytes == [6, 3, 0x55, 0x1D, 0x0E]).unwrap();
    // OCTET STRING in OCTET STRING.
    let len = usize::from(der[place + 8]);
    der[place + 9 + len - 4..place + 9 + len].try_into().unwrap()
}

fn self_signed(name: &str, is_ca: bool) -> Certified {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name);
    // Without being a CA it would have no identifier.
    params.is_ca = if is_ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    let certificate = params.self_signed(&key).unwrap();
    certified(&key, &certificate)
}

#[test]
fn a_valid_signature_of_a_listed_key_needs_no_digest() {
    let (good, other) = (ImaSigner::generate(), ImaSigner::generate());
    let policy = policy(&format!("{}[digests]\n{}", trusting(&good.public_pem()), line("/bin/d", &["d"])));
    let mut wrong_content = good.sign(b"other content");
    let mut list = list();
    list.signed("/bin/a", b"a", &good.sign(b"a")).signed("/bin/b", b"b", &wrong_content);
    list.signed("/bin/c", b"c", &other.sign(b"c")).signed("/bin/d", b"d", &other.sign(b"d"));
    list.signed("/bin/d", b"update", &good.sign(b"update")).signed("/bin/d", b"evil", &other.sign(b"evil"));
    wrong_content.truncate(20);
    list.signed("/bin/e", b"e", &wrong_content).signed("/bin/f", b"f", &[]);
    let advance = judged(&list, &policy);
    let expected = [
        (FindingCode::FileSignatureInvalid, 3),
        (FindingCode::FileSignatureUnknownKey, 4),
        (FindingCode::FileChanged, 7),
        (FindingCode::FileSignatureInvalid, 8),
        (FindingCode::FileUnlisted, 9),
    ];
    assert_eq!(told(&advance.findings), expected);
    assert_eq!((advance.state.counts().signed, advance.state.counts().listed), (2, 1));
}

#[test]
fn no_signature_survives_one_flipped_bit() {
    let signer = ImaSigner::generate();
    let keys = FileKey::read_all(signer.public_pem().as_bytes()).unwrap();
    let good = signer.sign(b"content");
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut list = list();
        list.signed("/bin/a", b"content", &bad);
        assert_eq!(ListReport::of(list.bytes(), &keys, None).unwrap().signatures.valid, 0, "bit {bit}");
    }
}

#[test]
fn a_verity_signature_is_over_the_root_of_the_tree() {
    let signer = ImaSigner::generate();
    let policy = policy(&format!("{}[digests]", trusting(&signer.public_pem())));
    let (root, path) = ([5; 32], b"/bin/a\0");
    let mut list = list();
    list.entry("ima-sigv2", &[&digest_ng("verity:sha256", &root), path, &signer.sign_verity(&root)]);
    list.entry("ima-sigv2", &[&digest_ng("verity:sha256", &[6; 32]), path, &signer.sign_verity(&root)]);
    list.entry("ima-sigv2", &[&digest_ng("ima:sha256", &root), path, &signer.sign_verity(&root)]);
    list.entry("ima-sigv2", &[&digest_ng("ima:sha512", &[5; 64]), path, &signer.sign_verity(&root)]);
    let expected = [3, 4, 5].map(|entry| (FindingCode::FileSignatureInvalid, entry));
    assert_eq!(told(&judged(&list, &policy).findings), expected);
}

#[test]
fn keys_are_found_by_the_identifier_of_their_certificate() {
    let key = self_signed("signer", false);
    let policy = policy(&format!("{}[digests]", trusting(&key.pem)));
    let mut list = list();
    list.signed("/bin/a", b"a", &key.signer.sign(b"a"));
    assert_eq!(judged(&list, &policy).findings, []);
}

#[test]
fn a_key_counts_from_its_loading_on_the_keyring_that_files_are_checked_with() {
    let (listed, unlisted) = (self_signed("listed", false), self_signed("unlisted", false));
    let section = format!("keyring_keys = [\"\"\"{}\"\"\"]\n[digests]", listed.pem);
    let policy = policy(&section);
    let signed = |key: &Certified, content: &[u8]| key.signer.sign(content);
    let mut list = list();
    list.signed("/bin/early", b"a", &signed(&listed, b"a"));
    list.buffer(".platform", &listed.der).signed("/bin/b", b"b", &signed(&listed, b"b"));
    list.buffer(".ima", &listed.der).signed("/bin/c", b"c", &signed(&listed, b"c"));
    list.buffer(".ima", &unlisted.der).signed("/bin/d", b"d", &signed(&unlisted, b"d"));
    list.buffer(".ima", b"no certificate");
    let advance = judged(&list, &policy);
    let expected = [
        (FindingCode::FileSignatureUnknownKey, 2),
        (FindingCode::FileSignatureUnknownKey, 4),
        (FindingCode::KeyringKeyUnknown, 7),
        (FindingCode::FileSignatureUnknownKey, 8),
        (FindingCode::KeyringKeyUnknown, 9),
    ];
    assert_eq!(told(&advance.findings), expected);
    assert!(advance.findings[2].found.as_ref().unwrap().contains("CN=unlisted"), "{:?}", advance.findings[2]);

    // It is kept with the state, and only as long as the policy has it.
    let stored: vouchsafe_attest::ima::ImaState =
        serde_json::from_str(&serde_json::to_string(&advance.state).unwrap()).unwrap();
    let from = list.bytes().len();
    list.signed("/bin/later", b"e", &signed(&listed, b"e"));
    let later = |policy| {
        let context = vouchsafe_attest::ima::ImaContext { policy: Some(policy), boot_aggregate: None };
        stored.advance(&list.bytes()[from..], None, context).unwrap().findings.len()
    };
    assert_eq!(later(&policy), expected.len());
    assert_eq!(later(&crate::ima::policy("[digests]")), expected.len() + 1);
}

#[test]
fn a_key_that_a_listed_ca_signed_may_be_loaded() {
    let mut ca_params = params("CA");
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca_params, KeyPair::generate().unwrap()).unwrap();
    let leaf = |issuer: &CertifiedIssuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let mut leaf = params("leaf");
        leaf.is_ca = IsCa::ExplicitNoCa;
        let certificate = leaf.signed_by(&key, issuer).unwrap();
        certified(&key, &certificate)
    };
    let mut imposter = params("CA");
    imposter.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let imposter = CertifiedIssuer::self_signed(imposter, KeyPair::generate().unwrap()).unwrap();
    let (good, bad) = (leaf(&ca), leaf(&imposter));
    let policy = policy(&format!("keyring_keys = [\"\"\"{}\"\"\"]\n[digests]", ca.pem()));
    let mut list = list();
    list.buffer(".ima", &good.der).buffer(".ima", &bad.der).signed("/bin/a", b"a", &good.signer.sign(b"a"));
    assert_eq!(told(&judged(&list, &policy).findings), [(FindingCode::KeyringKeyUnknown, 3)]);
}

#[test]
fn a_buffer_that_is_not_what_its_digest_says_teaches_nothing() {
    let key = self_signed("listed", false);
    let policy = policy(&format!("keyring_keys = [\"\"\"{}\"\"\"]\n[digests]", key.pem));
    let mut list = list();
    list.entry("ima-buf", &[&digest_ng("sha256", &[1; 32]), b".ima\0", &key.der]);
    list.signed("/bin/a", b"a", &key.signer.sign(b"a"));
    let expected = [(FindingCode::ImaTemplateMismatch, 2), (FindingCode::FileSignatureUnknownKey, 3)];
    assert_eq!(told(&judged(&list, &policy).findings), expected);
}

#[test]
fn a_portable_signature_says_nothing_of_the_content() {
    let signer = ImaSigner::generate();
    let mut portable = signer.sign(b"a");
    portable[0] = 5;
    let mut list = list();
    list.signed("/bin/a", b"a", &portable);
    let keys = FileKey::read_all(signer.public_pem().as_bytes()).unwrap();
    let report = ListReport::of(list.bytes(), &keys, None).unwrap();
    assert_eq!((report.signatures.unsigned, report.signatures.valid), (2, 0));
}

#[test]
fn what_is_no_key_is_refused() {
    let secret = KeyPair::generate().unwrap().serialize_pem();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().public_key_pem();
    for bytes in [&b""[..], b"key", &[0x30, 0], secret.as_bytes(), ed25519.as_bytes(), &vec![0x30; 70_000]] {
        assert!(FileKey::read_all(bytes).is_err());
    }
    let two = format!("{}{}", ImaSigner::generate().public_pem(), self_signed("x", false).pem);
    assert_eq!(FileKey::read_all(two.as_bytes()).unwrap().len(), 2);
    assert_eq!(FileKey::read_all(&self_signed("der", false).der).unwrap()[0].name(), "CN=der");
}
