//! What the device's keys sign besides quotes: the certification of the TLS key, TLS handshakes, certificate requests.

use std::cell::RefCell;

use aws_lc_rs::digest::{SHA256, digest};
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Data, Digest, HashcheckTicket, Signature, SignatureScheme};
use tss_esapi::traits::Marshall;
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;

use super::key::{DeviceKeys, load, load_both};
use super::spki::{PublicKey, tlv, unsigned_integer};
use super::{Tpm, TpmError};

/// The AK's word that the TLS key is in the same TPM, and of what kind it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedTlsKey {
    /// `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
}

/// Certifies the TLS key by the AK (`TPM2_Certify`, TPM 2.0 Part 3, 18.2).
///
/// # Errors
/// When the TPM refuses, or cannot be asked.
pub fn certify_tls_key(tpm: &Tpm, keys: &DeviceKeys, qualifying: &[u8; 32]) -> Result<CertifiedTlsKey, TpmError> {
    const DOING: &str = "certifying the TLS key";
    let (ak, tls) = load_both(tpm, keys)?;
    let qualifying = Data::try_from(qualifying.to_vec()).map_err(|error| TpmError::of(DOING, error))?;
    let sessions = (Some(AuthSession::Password), Some(AuthSession::Password), None);
    let (message, signature) = tpm.call(DOING, |context| {
        context.execute_with_sessions(sessions, |context| {
            context.certify(tls.object(), ak.key(), qualifying.clone(), SignatureScheme::Null)
        })
    })?;
    Ok(CertifiedTlsKey {
        message: message.marshall().map_err(|error| TpmError::of(DOING, error))?,
        signature: signature.marshall().map_err(|error| TpmError::of(DOING, error))?,
    })
}

/// Signs a SHA-256 digest with the TLS key: `ECDSA-Sig-Value` (RFC 3279, 2.2.3), as TLS and X.509 carry it.
///
/// # Errors
/// When the TPM refuses, or cannot be asked.
pub fn sign_with_tls_key(tpm: &Tpm, keys: &DeviceKeys, digest: &[u8; 32]) -> Result<Vec<u8>, TpmError> {
    const DOING: &str = "signing with the TLS key";
    let key = load(tpm, &keys.parent, &keys.tls)?;
    let digest = Digest::try_from(digest.to_vec()).map_err(|error| TpmError::of(DOING, error))?;
    let signature = tpm.call_authorised(DOING, |context| {
        context.sign(key.key(), digest.clone(), SignatureScheme::Null, null_ticket()?)
    })?;
    let Signature::EcDsa(signature) = signature else {
        return Err(TpmError::unexpected(DOING, "the TPM signed by another algorithm"));
    };
    let (r, s) = (signature.signature_r().value(), signature.signature_s().value());
    Ok(tlv(0x30, &[unsigned_integer(r), unsigned_integer(s)].concat()))
}

/// A PKCS #10 request for the TLS key (DER). It asks for no name: the engine names the device.
///
/// # Errors
/// When the TPM refuses, or cannot be asked.
pub fn certificate_request(tpm: &Tpm, keys: &DeviceKeys) -> Result<Vec<u8>, TpmError> {
    const DOING: &str = "requesting a certificate";
    let PublicKey::Ec { point } =
        keys.tls.public_area()?.key().map_err(|error| TpmError::unexpected(DOING, error.to_string()))?
    else {
        return Err(TpmError::unexpected(DOING, "the TLS key is no ECC key"));
    };
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let signer = TpmSigner { tpm, keys, point, failure: RefCell::new(None) };
    match parameters.serialize_request(&signer) {
        Ok(request) => Ok(request.der().to_vec()),
        Err(error) => {
            Err(signer.failure.into_inner().unwrap_or_else(|| TpmError::unexpected(DOING, error.to_string())))
        }
    }
}

/// The ticket that says nothing was hashed by the TPM, which only restricted keys ask for (TPM 2.0 Part 2, 10.6.5).
fn null_ticket() -> tss_esapi::Result<HashcheckTicket> {
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: tss_esapi::tss2_esys::TPM2B_DIGEST::default(),
    })
}

/// The TLS key as the request's builder sees it. The TPM's own error is kept for the caller.
struct TpmSigner<'a> {
    tpm: &'a Tpm,
    keys: &'a DeviceKeys,
    point: Vec<u8>,
    failure: RefCell<Option<TpmError>>,
}

impl rcgen::PublicKeyData for TpmSigner<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for TpmSigner<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let hashed = digest(&SHA256, message);
        let hashed: &[u8; 32] = hashed.as_ref().try_into().map_err(|_| rcgen::Error::RemoteKeyError)?;
        sign_with_tls_key(self.tpm, self.keys, hashed).map_err(|error| {
            *self.failure.borrow_mut() = Some(error);
            rcgen::Error::RemoteKeyError
        })
    }
}
