//! Certificate authorities of a TPM vendor that does not exist.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use time::OffsetDateTime;
use time::macros::datetime;
use vouchsafe_attest::endorsement::{AnchorRole, AnchorSource, TrustAnchors};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::Timestamp;

use crate::der_tree::{Node, oid, sequence, utf8};
use crate::ek_templates::{LOW_RANGE, area_of_spki};

/// When all of this happens.
pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-31 12:00:00 UTC);

pub(crate) fn now() -> Timestamp {
    Timestamp::from(NOW)
}

/// Where the parts of a certificate are in its [`Node`].
pub(crate) mod part {
    pub(crate) const SERIAL: [usize; 2] = [0, 1];
    pub(crate) const TBS_ALGORITHM: [usize; 2] = [0, 2];
    pub(crate) const ISSUER: [usize; 2] = [0, 3];
    pub(crate) const VALIDITY: [usize; 2] = [0, 4];
    pub(crate) const SUBJECT: [usize; 2] = [0, 5];
    pub(crate) const SPKI: [usize; 2] = [0, 6];
    pub(crate) const EXTENSIONS: [usize; 3] = [0, 7, 0];
    pub(crate) const ALGORITHM: [usize; 1] = [1];
    pub(crate) const SIGNATURE: [usize; 1] = [2];
}

/// A certificate authority: its certificate and its key.
pub(crate) struct Ca {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) der: Vec<u8>,
}

pub(crate) fn p256() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme TPM");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(0x1000_0000_0001));
    (params.not_before, params.not_after) = (datetime!(2015-01-01 00:00:00 UTC), datetime!(2045-01-01 00:00:00 UTC));
    params
}

impl Ca {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_of(name, p256())
    }

    pub(crate) fn root_of(name: &str, key: KeyPair) -> Self {
        let params = ca_params(name);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    /// A CA under this one.
    pub(crate) fn issue(&self, name: &str) -> Self {
        self.issue_with(name, p256(), |_| {})
    }

    /// A CA under this one, with this key and whatever `edit` makes of its certificate.
    pub(crate) fn issue_with(&self, name: &str, key: KeyPair, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        edit(&mut params);
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Self { params, key, der }
    }

    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// An EK certificate.
    pub(crate) fn certify(&self, ek: &Ek) -> Vec<u8> {
        self.certify_with(ek, |_| {})
    }

    /// An EK certificate, or what `edit` makes of it.
    pub(crate) fn certify_with(&self, ek: &Ek, edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = ek_params();
        edit(&mut params);
        params.signed_by(&ek.key, &self.issuer()).unwrap().der().to_vec()
    }

    /// The certificate after `edit`, signed by this CA again.
    pub(crate) fn resign(&self, der: &[u8], edit: impl FnOnce(&mut Node)) -> Vec<u8> {
        resign_by(der, edit, |message| self.key.sign(message).unwrap())
    }
}

/// The certificate after `edit`, with a signature by `sign`.
pub(crate) fn resign_by(der: &[u8], edit: impl FnOnce(&mut Node), sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut certificate = Node::parse(der);
    edit(&mut certificate);
    let signature = sign(&certificate.at(&[0]).encode());
    *certificate.at(&part::SIGNATURE).content() = [&[0], signature.as_slice()].concat();
    certificate.encode()
}

fn ek_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(0x2000_0000_0002));
    params.custom_extensions = vec![tpm_identity("id:41434D45", "Model 1", "id:00010002")];
    (params.not_before, params.not_after) = (datetime!(2020-01-01 00:00:00 UTC), datetime!(2040-01-01 00:00:00 UTC));
    params
}

/// A critical subjectAltName whose directory name says which TPM it is (TCG EK Credential Profile, 3.2.9).
pub(crate) fn tpm_identity(manufacturer: &str, model: &str, version: &str) -> CustomExtension {
    let attribute = |last: u8, value: &str| sequence(vec![oid(&[0x67, 0x81, 0x05, 0x02, last]), utf8(value)]);
    let set = Node::Constructed(0x31, vec![attribute(1, manufacturer), attribute(2, model), attribute(3, version)]);
    let names = sequence(vec![Node::Constructed(0xA4, vec![sequence(vec![set])])]);
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], names.encode());
    extension.set_criticality(true);
    extension
}

/// An EK whose private half is a key of the test.
pub(crate) struct Ek {
    pub(crate) key: KeyPair,
    pub(crate) area: PublicArea,
}

impl Ek {
    pub(crate) fn generate() -> Self {
        Self::generate_for(&PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn generate_for(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let area = area_of_spki(&key.subject_public_key_info(), LOW_RANGE);
        Self { key, area }
    }
}

/// Anchors from certificates that must all load.
pub(crate) fn anchors(roots: &[&[u8]], intermediates: &[&[u8]]) -> TrustAnchors {
    let (roots, intermediates) = (roots.concat(), intermediates.concat());
    let sources = [(AnchorRole::Root, &roots), (AnchorRole::Intermediate, &intermediates)]
        .into_iter()
        .filter(|(_, bytes)| !bytes.is_empty())
        .map(|(role, bytes)| AnchorSource { name: "test", role, bytes })
        .collect::<Vec<_>>();
    let (anchors, refusals) = TrustAnchors::load(&sources);
    assert_eq!(refusals, []);
    anchors
}
