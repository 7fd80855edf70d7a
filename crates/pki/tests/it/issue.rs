//! Leaves: what is in them, that others accept their chain, and the bounds of what may be asked for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};
use vouchsafe_model::Timestamp;
use vouchsafe_pki::issue::{MAX_LEAF_LIFETIME, MAX_LEAF_NAMES, MIN_LEAF_LIFETIME};
use vouchsafe_pki::{Authority, IssueError, IssuedCertificate, LeafRequest, LeafUsage, PeerCertificate, Serial};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{DAY, DEVICE, NOW, SERIALS, new_authority, new_csr, request};

const SERVER: &str = "spiffe://example.org/server/engine";
const SERIAL: Serial = Serial::from_entropy([0xFF; 20]);

fn issue_server(authority: &Authority) -> IssuedCertificate {
    let csr = new_csr();
    let request = LeafRequest {
        dns_names: vec!["engine.example.org".to_owned()],
        ip_addresses: vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        usage: LeafUsage::Server,
        ..request(&csr, SERVER)
    };
    authority.issue(&request, NOW, SERIAL).unwrap()
}

fn chain(issued: &IssuedCertificate) -> (CertificateDer<'_>, Vec<CertificateDer<'_>>) {
    let mut certificates = issued.chain_der.iter().map(|der| CertificateDer::from(der.as_slice()));
    (certificates.next().unwrap(), certificates.collect())
}

fn at(instant: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(instant.unix_secs()).unwrap()))
}

fn roots(authority: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.root_der())).unwrap();
    Arc::new(roots)
}

fn verify_client(authority: &Authority, issued: &IssuedCertificate, now: Timestamp) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority), provider).build().unwrap();
    let (leaf, intermediates) = chain(issued);
    verifier.verify_client_cert(&leaf, &intermediates, at(now)).map(drop)
}

fn verify_server(authority: &Authority, issued: &IssuedCertificate, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority), provider).build().unwrap();
    let (leaf, intermediates) = chain(issued);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&leaf, &intermediates, &name, &[], at(NOW)).map(drop)
}

#[test]
fn a_leaf_is_an_x509_svid() {
    let (_dir, authority) = new_authority();
    let issued = issue_server(&authority);
    let (rest, leaf) = X509Certificate::from_der(&issued.chain_der[0]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(leaf.raw_serial(), SERIAL.as_bytes());
    assert_eq!(leaf.raw_serial().len(), 20);
    assert_eq!(leaf.subject().to_string(), "CN=engine");

    let constraints = leaf.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && !constraints.value.ca);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature and nothing else");
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && !extended.client_auth && !extended.any && extended.other.is_empty());

    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names.iter().filter(|name| matches!(name, GeneralName::URI(_))).count(), 1);
    assert_eq!(names[0], GeneralName::URI(SERVER));
    assert_eq!(names[1], GeneralName::DNSName("engine.example.org"));
    assert_eq!(names[2], GeneralName::IPAddress(&[192, 0, 2, 7]));
    assert_eq!(names.len(), 4);
    let has = |wanted: fn(&ParsedExtension<'_>) -> bool| leaf.extensions().iter().any(|e| wanted(e.parsed_extension()));
    assert!(has(|e| matches!(e, ParsedExtension::AuthorityKeyIdentifier(_))));
    assert!(has(|e| matches!(e, ParsedExtension::SubjectKeyIdentifier(_))));
}

#[test]
fn a_leaf_says_the_same_as_what_is_reported_of_it() {
    let (_dir, authority) = new_authority();
    let csr = new_csr();
    let late = NOW.plus(Duration::from_millis(999));
    let issued = authority.issue(&request(&csr, DEVICE), late, SERIAL).unwrap();
    let read = PeerCertificate::identify(&issued.chain_der[0]).unwrap();
    assert_eq!(read.identity.to_string(), DEVICE);
    assert_eq!(read.digest, issued.digest);
    assert_eq!((read.not_before, read.not_after), (issued.not_before, issued.not_after));
    assert_eq!(read.spki_der, csr.spki_der());
    assert_eq!(issued.not_before, NOW.minus(Duration::from_secs(300)));
    assert_eq!(issued.not_after, NOW.plus(DAY));
    assert!(!issued.cut_short);
    let pem = vouchsafe_pki::pem::decode_certificates(issued.chain_pem.as_bytes()).unwrap();
    assert_eq!(pem, issued.chain_der);
}

#[test]
fn webpki_accepts_the_chain_while_it_is_valid_and_for_its_purpose_alone() {
    let (_dir, authority) = new_authority();
    let csr = new_csr();
    let client = authority.issue(&request(&csr, DEVICE), NOW, SERIAL).unwrap();
    assert_eq!(verify_client(&authority, &client, NOW), Ok(()));
    assert_eq!(verify_client(&authority, &client, client.not_before), Ok(()));
    assert_eq!(verify_client(&authority, &client, client.not_after), Ok(()));
    let second = Duration::from_secs(1);
    let expired = verify_client(&authority, &client, client.not_after.plus(second)).unwrap_err();
    assert!(matches!(expired, rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{expired}");
    assert!(verify_client(&authority, &client, client.not_before.minus(second)).is_err());

    let server = issue_server(&authority);
    for name in ["engine.example.org", "192.0.2.7", "2001:db8::7"] {
        assert_eq!(verify_server(&authority, &server, name), Ok(()), "{name}");
    }
    assert!(verify_server(&authority, &server, "other.example.org").is_err());
    assert!(verify_client(&authority, &server, NOW).is_err(), "a server is no client");
    assert!(verify_server(&authority, &client, "engine.example.org").is_err(), "a client is no server");
    let both = LeafRequest { usage: LeafUsage::ClientAndServer, ..request(&csr, DEVICE) };
    assert_eq!(verify_client(&authority, &authority.issue(&both, NOW, SERIAL).unwrap(), NOW), Ok(()));
}

#[test]
fn webpki_refuses_the_chain_of_another_authority_of_the_same_name() {
    let (_ours, authority) = new_authority();
    let (_theirs, other) = new_authority();
    let csr = new_csr();
    let theirs = other.issue(&request(&csr, DEVICE), NOW, SERIAL).unwrap();
    assert!(verify_client(&authority, &theirs, NOW).is_err());
    let mut mixed = authority.issue(&request(&csr, DEVICE), NOW, SERIAL).unwrap();
    mixed.chain_der[0] = theirs.chain_der[0].clone();
    assert!(verify_client(&authority, &mixed, NOW).is_err(), "their leaf under our intermediate");
}

#[test]
fn a_leaf_cannot_sign_another() {
    let (_dir, authority) = new_authority();
    let csr = new_csr();
    let leaf = authority.issue(&request(&csr, DEVICE), NOW, SERIAL).unwrap();
    let mut forged = leaf.clone();
    forged.chain_der.insert(0, leaf.chain_der[0].clone());
    forged.chain_der.truncate(2);
    assert!(verify_client(&authority, &forged, NOW).is_err(), "a leaf in the place of the intermediate");
}

#[test]
fn refuses_the_names_of_another_trust_domain() {
    let (_dir, authority) = new_authority();
    let error = authority.issue(&request(&new_csr(), "spiffe://example.net/operator/ops"), NOW, SERIAL).unwrap_err();
    assert_eq!(error.to_string(), "spiffe://example.net/operator/ops is not of the trust domain example.org");
}

#[test]
fn refuses_lifetimes_and_names_beyond_their_bounds() {
    let (_dir, authority) = new_authority();
    let csr = new_csr();
    let with = |change: &dyn Fn(&mut LeafRequest<'_>)| {
        let mut asked = request(&csr, SERVER);
        change(&mut asked);
        authority.issue(&asked, NOW, SERIAL)
    };
    let second = Duration::from_secs(1);
    assert!(with(&|asked| asked.lifetime = MAX_LEAF_LIFETIME).is_ok());
    assert!(with(&|asked| asked.lifetime = MIN_LEAF_LIFETIME).is_ok());
    for lifetime in
        [MAX_LEAF_LIFETIME + second, MIN_LEAF_LIFETIME.saturating_sub(second), Duration::ZERO, Duration::MAX]
    {
        let refused = with(&|asked| asked.lifetime = lifetime);
        assert!(matches!(refused, Err(IssueError::Lifetime { asked }) if asked == lifetime), "{refused:?}");
    }

    let address = IpAddr::from([192, 0, 2, 1]);
    let names = |count: usize| {
        move |asked: &mut LeafRequest<'_>| {
            asked.dns_names = vec!["a.example".to_owned(); count - 1];
            asked.ip_addresses = vec![address];
        }
    };
    assert!(with(&names(MAX_LEAF_NAMES)).is_ok());
    let count = MAX_LEAF_NAMES + 1;
    assert!(matches!(with(&names(count)), Err(IssueError::TooManyNames { count: found }) if found == count));

    for name in ["", "*.example.org", "a b", "exa\u{301}mple.org", "a..b", "spiffe://x", &"a".repeat(300)] {
        let refused = with(&|asked| asked.dns_names = vec![name.to_owned()]);
        assert!(matches!(refused, Err(IssueError::DnsName { .. })), "{name}: {refused:?}");
    }
}

#[test]
fn the_authority_is_as_long_and_as_strong_as_promised() {
    let (_dir, authority) = new_authority();
    let (_, root) = X509Certificate::from_der(authority.root_der()).unwrap();
    let (_, intermediate) = X509Certificate::from_der(authority.intermediate_der()).unwrap();
    for (certificate, path_len, days, key_bits, serial) in
        [(&root, 1, 3650, 384, SERIALS[0]), (&intermediate, 0, 730, 256, SERIALS[1])]
    {
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(path_len));
        let end = certificate.validity().not_after.timestamp();
        assert_eq!(end, NOW.plus(days * DAY).unix_secs());
        assert_eq!(certificate.public_key().parsed().unwrap().key_size(), key_bits);
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && !usage.digital_signature());
        assert_eq!(certificate.raw_serial(), serial.as_bytes());
    }
    assert!(root.verify_signature(None).is_ok());
    assert!(intermediate.verify_signature(Some(root.public_key())).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_leaf_lives_within_its_intermediate_and_no_longer_than_asked(
        offset in 0..730u32 * 24 * 3600,
        lifetime in 60..90u64 * 24 * 3600,
        entropy: [u8; 20],
    ) {
        let (_dir, authority) = new_authority();
        let csr = new_csr();
        let now = NOW.plus(Duration::from_secs(offset.into()));
        let asked = LeafRequest { lifetime: Duration::from_secs(lifetime), ..request(&csr, DEVICE) };
        let issued = authority.issue(&asked, now, Serial::from_entropy(entropy)).unwrap();
        prop_assert!(issued.not_after <= authority.intermediate_not_after());
        prop_assert!(issued.not_after <= now.plus(asked.lifetime));
        prop_assert_eq!(issued.cut_short, issued.not_after < now.plus(asked.lifetime));
        prop_assert!(!issued.cut_short || authority.renewal_due(now));
        prop_assert!(issued.not_before <= now && now <= issued.not_after);
        prop_assert_eq!(verify_client(&authority, &issued, now), Ok(()));
    }
}
