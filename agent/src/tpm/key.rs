//! The device's keys: made under the storage root key, kept as blobs that only this TPM can load.
//!
//! The attestation key (AK) is restricted: it signs what the TPM itself made and nothing else, which is what makes its
//! quotes worth anything. The TLS key is not, and is therefore a key of its own.

use serde::{Deserialize, Serialize};
use tss_esapi::structures::{Private, Public};
use tss_esapi::traits::{Marshall, UnMarshall};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::limits;

use super::spki::PublicArea;
pub use super::srk::ParentName;
use super::srk::{persistent_parent, reopen, supports, transient_parent};
use super::template::{
    ALG_ECDSA, ALG_RSASSA, ALG_SHA256, ATTESTATION_KEY, CURVE_P256, Cipher, Kind, SIGNING_KEY, Scheme, Template,
    empty_unique,
};
use super::{Loaded, Tpm, TpmError};

/// The algorithm of the attestation key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AkAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    Ecc,
    /// RSA-2048, RSASSA (PKCS #1 v1.5) with SHA-256.
    Rsa,
}

/// The largest private blob, in bytes: that of an RSA key with its integrity and padding.
const MAX_PRIVATE_LEN: usize = 1536;

/// A key outside of its TPM: of no use anywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBlob {
    /// `TPMT_PUBLIC`.
    public: Bytes<{ limits::PUBLIC_AREA }>,
    /// The content of `TPM2B_PRIVATE`: encrypted under the parent.
    private: Bytes<MAX_PRIVATE_LEN>,
}

/// The keys of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceKeys {
    /// What they were made under.
    pub parent: ParentName,
    /// The attestation key.
    pub ak: KeyBlob,
    /// The key for TLS.
    pub tls: KeyBlob,
}

impl KeyBlob {
    /// The public area.
    ///
    /// # Errors
    /// When the blob was damaged.
    pub fn public_area(&self) -> Result<PublicArea, TpmError> {
        PublicArea::from_tpmt(self.public.as_slice())
            .map_err(|error| TpmError::unexpected("reading a stored key", error.to_string()))
    }
}

/// Makes the device's keys.
///
/// # Errors
/// When the TPM lacks P-256, refuses, or cannot be asked.
pub fn make_device_keys(tpm: &Tpm, algorithm: AkAlgorithm) -> Result<DeviceKeys, TpmError> {
    let tls = template(Kind::Ecc(CURVE_P256), ALG_ECDSA, SIGNING_KEY).public()?;
    if !supports(tpm, &tls)? {
        return Err(TpmError::Unsupported { algorithm: "ECDSA on P-256", purpose: "the TLS key" });
    }
    let ak = ak_template(tpm, algorithm)?;
    // A persistent parent with a password of its own is passed over: nobody told us the password.
    if let Some((parent, name)) = persistent_parent(tpm)? {
        match create_both(tpm, &parent, name, &ak, &tls) {
            Err(TpmError::WrongAuthorisation { code, .. }) => {
                tracing::warn!(%code, "the key at 0x81000001 has a password; making a storage root key");
            }
            outcome => return outcome,
        }
    }
    let (parent, name) = transient_parent(tpm)?;
    create_both(tpm, &parent, name, &ak, &tls)
}

/// Loads one key. Its parent is flushed before this returns.
pub(super) fn load<'t>(tpm: &'t Tpm, parent: &ParentName, blob: &KeyBlob) -> Result<Loaded<'t>, TpmError> {
    let parent = reopen(tpm, parent)?;
    load_under(tpm, &parent, blob)
}

/// Loads both keys: with a transient parent that is three objects, all that a small TPM has room for.
pub(super) fn load_both<'t>(tpm: &'t Tpm, keys: &DeviceKeys) -> Result<(Loaded<'t>, Loaded<'t>), TpmError> {
    let parent = reopen(tpm, &keys.parent)?;
    let ak = load_under(tpm, &parent, &keys.ak)?;
    let tls = load_under(tpm, &parent, &keys.tls)?;
    Ok((ak, tls))
}

fn load_under<'t>(tpm: &'t Tpm, parent: &Loaded<'_>, blob: &KeyBlob) -> Result<Loaded<'t>, TpmError> {
    const DOING: &str = "loading a key";
    let public = Public::unmarshall(blob.public.as_slice()).map_err(|error| TpmError::of(DOING, error))?;
    let private = Private::try_from(blob.private.as_slice()).map_err(|error| TpmError::of(DOING, error))?;
    let handle = tpm.call_authorised(DOING, |context| context.load(parent.key(), private.clone(), public.clone()))?;
    Ok(tpm.guard(handle))
}

fn ak_template(tpm: &Tpm, algorithm: AkAlgorithm) -> Result<Public, TpmError> {
    let ecc = template(Kind::Ecc(CURVE_P256), ALG_ECDSA, ATTESTATION_KEY).public()?;
    if algorithm == AkAlgorithm::Ecc && supports(tpm, &ecc)? {
        return Ok(ecc);
    }
    if algorithm == AkAlgorithm::Ecc {
        tracing::warn!("the TPM has no ECDSA on P-256; its attestation key is RSA-2048");
    }
    template(Kind::Rsa(2048), ALG_RSASSA, ATTESTATION_KEY).public()
}

fn template(kind: Kind, scheme: u16, attributes: u32) -> Template<'static> {
    Template {
        name_alg: ALG_SHA256,
        attributes,
        policy: &[],
        cipher: Cipher::None,
        scheme: Scheme::WithSha256(scheme),
        kind,
        unique: empty_unique(kind),
    }
}

fn create_both(
    tpm: &Tpm,
    parent: &Loaded<'_>,
    name: ParentName,
    ak: &Public,
    tls: &Public,
) -> Result<DeviceKeys, TpmError> {
    let ak = create(tpm, parent, "making the attestation key", ak)?;
    let tls = create(tpm, parent, "making the TLS key", tls)?;
    Ok(DeviceKeys { parent: name, ak, tls })
}

fn create(tpm: &Tpm, parent: &Loaded<'_>, doing: &'static str, template: &Public) -> Result<KeyBlob, TpmError> {
    let made =
        tpm.call_authorised(doing, |context| context.create(parent.key(), template.clone(), None, None, None, None))?;
    let public = made.out_public.marshall().map_err(|error| TpmError::of(doing, error))?;
    let too_long = |error: vouchsafe_wire::InvalidBase64| TpmError::unexpected(doing, error.to_string());
    Ok(KeyBlob {
        public: Bytes::new(public).map_err(too_long)?,
        private: Bytes::new(made.out_private.value()).map_err(too_long)?,
    })
}
