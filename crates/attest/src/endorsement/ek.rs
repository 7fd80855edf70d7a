//! EK certificates (TCG EK Credential Profile for TPM 2.0, versions 2.5 and 3.2).

use vouchsafe_model::Timestamp;
use vouchsafe_model::hash::to_hex;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::x509::X509Name;

use super::certificate::{Certificate, CertificateError, ExtendedUsage, parse_x509, strip_padding};
use super::name::{decode_text, printable};
use crate::tpm::public::PublicKey;

/// tcg-at-tpmManufacturer.
const TPM_MANUFACTURER: &str = "2.23.133.2.1";
/// tcg-at-tpmModel.
const TPM_MODEL: &str = "2.23.133.2.2";
/// tcg-at-tpmVersion.
const TPM_VERSION: &str = "2.23.133.2.3";
/// The longest attribute, in characters, that is kept.
const MAX_ATTRIBUTE_CHARS: usize = 64;

/// An EK certificate, parsed; nothing says yet that anyone should believe it.
#[derive(Clone)]
pub struct EkCertificate {
    pub(super) certificate: Certificate,
    identity: TpmIdentity,
}

/// Which TPM a certificate says that it is of (TCG EK Credential Profile, 3.2.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TpmIdentity {
    /// Its maker by the name in the TCG vendor registry: `STM`, `INTC`.
    pub manufacturer: Option<String>,
    /// Its model, as the maker calls it.
    pub model: Option<String>,
    /// Its firmware version when the certificate was made: `id:00490004`.
    pub version: Option<String>,
}

impl EkCertificate {
    /// Reads a DER certificate, with or without the padding of an NV index behind it.
    ///
    /// # Errors
    /// When it is no certificate, or certifies a key of a kind that no EK has.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let x509 = parse_x509(strip_padding(bytes)?)?;
        Ok(Self { identity: TpmIdentity::read(&x509), certificate: Certificate::from_x509(&x509)? })
    }

    /// The certificate without padding.
    pub fn der(&self) -> &[u8] {
        &self.certificate.der
    }

    /// The `SubjectPublicKeyInfo` that it certifies, as the certificate encodes it.
    pub fn spki_der(&self) -> &[u8] {
        &self.certificate.spki
    }

    /// Whether it certifies this very key, however it encodes it.
    pub fn certifies(&self, key: &PublicKey) -> bool {
        self.certificate.key.is(key)
    }

    /// Which TPM it says that it is of.
    pub fn identity(&self) -> &TpmIdentity {
        &self.identity
    }

    /// Whether it says that it is an EK certificate (tcg-kp-EKCertificate among its extended key usages).
    pub fn has_ek_usage(&self) -> bool {
        self.certificate.extensions.usage == ExtendedUsage::Endorsement
    }

    /// Whether it says what it is for, and that is something else.
    pub fn is_for_other_uses(&self) -> bool {
        self.certificate.extensions.usage == ExtendedUsage::Other
    }

    /// When it begins.
    pub fn not_before(&self) -> Timestamp {
        self.certificate.not_before
    }

    /// When it ends.
    pub fn not_after(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// Its subject, to be shown; often empty.
    pub fn subject(&self) -> String {
        self.certificate.subject.to_string()
    }

    /// Its issuer, to be shown.
    pub fn issuer(&self) -> String {
        self.certificate.issuer.to_string()
    }

    /// Its serial number in hexadecimal, as it is encoded.
    pub fn serial(&self) -> String {
        to_hex(&self.certificate.serial)
    }
}

impl std::fmt::Debug for EkCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EkCertificate")
            .field("issuer", &self.issuer())
            .field("serial", &self.serial())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl TpmIdentity {
    /// Reads the directory name among the subject's alternative names, then, for what is not there, the subject: some
    /// vendors of early TPMs put it there.
    fn read(x509: &X509Certificate<'_>) -> Self {
        let mut identity = Self::default();
        for extension in x509.extensions() {
            let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else { continue };
            for name in &names.general_names {
                if let GeneralName::DirectoryName(name) = name {
                    identity.fill_from(name);
                }
            }
        }
        identity.fill_from(x509.subject());
        identity
    }

    fn fill_from(&mut self, name: &X509Name<'_>) {
        for attribute in name.iter_attributes() {
            let Some(text) = decode_text(attribute.attr_value()) else { continue };
            let text = printable(text.trim(), MAX_ATTRIBUTE_CHARS);
            match attribute.attr_type().to_id_string().as_str() {
                TPM_MANUFACTURER => self.manufacturer.get_or_insert(vendor_name(&text)),
                TPM_MODEL => self.model.get_or_insert(text),
                TPM_VERSION => self.version.get_or_insert(text),
                _ => continue,
            };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `id:53544D20` is `STM `: four characters in hexadecimal, the vendor ID of the TCG registry. Other texts stay.
fn vendor_name(text: &str) -> String {
    let id = text.strip_prefix("id:").and_then(vouchsafe_model::hash::from_hex).filter(|id| id.len() == 4);
    let name = id.and_then(|id| String::from_utf8(id).ok());
    let name = name.map(|name| name.trim_end_matches(['\0', ' ']).to_owned());
    match name {
        Some(name) if !name.is_empty() && name.chars().all(|character| character.is_ascii_graphic()) => name,
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::vendor_name;

    #[test]
    fn vendor_ids_become_names_where_they_spell_one() {
        assert_eq!(vendor_name("id:53544D20"), "STM");
        assert_eq!(vendor_name("id:494E5443"), "INTC");
        assert_eq!(vendor_name("id:49465800"), "IFX");
        assert_eq!(vendor_name("id:00001014"), "id:00001014", "swtpm's, which is a number");
        assert_eq!(vendor_name("id:20202020"), "id:20202020");
        assert_eq!(vendor_name("id:5354"), "id:5354");
        assert_eq!(vendor_name("Acme"), "Acme");
    }
}
