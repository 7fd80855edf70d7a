//! What our certificates look like (RFC 5280, X509-SVID 1.0).
//!
//! The intermediate carries no name constraints. Those that would fit, on URIs, are not implemented by webpki, which
//! therefore refuses every certificate with a URI below them. That a name is of our trust domain is checked when it is
//! issued and again by everyone who reads it ([`crate::PeerCertificate`]).

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType, SerialNumber,
};
use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::TrustDomain;

/// How long a root is valid.
pub(crate) const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long an intermediate is valid.
pub(crate) const INTERMEDIATE_LIFETIME: Duration = Duration::from_secs(2 * 365 * 24 * 3600);
/// How long before it was made a certificate is already valid: the clocks of its readers may be behind by as much.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// A certificate's serial number: 158 unforeseeable bits, positive and exactly 20 octets long (RFC 5280, 4.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial([u8; 20]);

impl Serial {
    /// Makes a number from twenty bytes of entropy. Their first two bits are fixed, so that the number is positive and
    /// never zero or shorter.
    pub const fn from_entropy(entropy: [u8; 20]) -> Self {
        let mut octets = entropy;
        octets[0] = octets[0] & 0x3F | 0x40;
        Self(octets)
    }

    /// Its octets.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<Serial> for SerialNumber {
    fn from(serial: Serial) -> Self {
        Self::from_slice(&serial.0)
    }
}

/// The time in which a certificate is valid, in whole seconds as X.509 writes it; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Validity {
    /// From a little before `now` until `lifetime` after it.
    pub(crate) fn starting(now: Timestamp, lifetime: Duration) -> Self {
        Self { not_before: whole_seconds(now.minus(CLOCK_SKEW)), not_after: whole_seconds(now.plus(lifetime)) }
    }

    /// This time as far as `outer` contains it.
    pub(crate) fn within(self, outer: Self) -> Self {
        Self { not_before: self.not_before.max(outer.not_before), not_after: self.not_after.min(outer.not_after) }
    }
}

fn whole_seconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_unix_secs(instant.unix_secs())
}

/// The self-signed root, which signs intermediates.
pub(crate) fn root(domain: &TrustDomain, now: Timestamp, serial: Serial) -> Result<CertificateParams, rcgen::Error> {
    authority("Vouchsafe root", domain, Validity::starting(now, ROOT_LIFETIME), 1, serial)
}

/// The intermediate, which signs leaves and nothing else.
pub(crate) fn intermediate(
    domain: &TrustDomain,
    validity: Validity,
    serial: Serial,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = authority("Vouchsafe intermediate", domain, validity, 0, serial)?;
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// What every certificate starts from.
pub(crate) fn certificate(common_name: String, validity: Validity, serial: Serial) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = validity.not_before.to_offset_date_time();
    params.not_after = validity.not_after.to_offset_date_time();
    params.serial_number = Some(serial.into());
    params
}

fn authority(
    common_name: &str,
    domain: &TrustDomain,
    validity: Validity,
    path_len: u8,
    serial: Serial,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = certificate(common_name.to_owned(), validity, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // A signing certificate names its trust domain, without a path (X509-SVID 1.0, 3.1).
    params.subject_alt_names = vec![SanType::URI(format!("spiffe://{domain}").try_into()?)];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_positive_and_twenty_octets_long_whatever_the_entropy() {
        for entropy in [[0; 20], [0xFF; 20], [0x80; 20]] {
            let first = Serial::from_entropy(entropy).as_bytes()[0];
            assert!((0x40..0x80).contains(&first), "{first:#x}");
        }
    }
}
