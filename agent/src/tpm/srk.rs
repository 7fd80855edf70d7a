//! The storage root key, under which the device's keys are kept (TPM v2.0 Provisioning Guidance, 7.5.1).
//!
//! The one at 0x81000001 is used where an installer left a suitable one; it is made anew, for as long as it takes to load
//! a key under it, everywhere else. The same TPM makes the same key of the same template until it is cleared.

use serde::{Deserialize, Serialize};
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, TpmHandle as RawHandle};
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::structures::{Public, PublicParameters};
use vouchsafe_model::hash::to_hex;

use super::spki::PublicArea;
use super::template::{ALG_SHA256, CURVE_P256, Cipher, Kind, STORAGE_KEY, Scheme, Template, zeroed_unique};
use super::{Loaded, Tpm, TpmError};

/// Which storage root key is above a key, so that it can be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentName {
    /// How it is made where it is not persistent.
    kind: ParentKind,
    /// Its TPM name, in hexadecimal.
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ParentKind {
    Ecc,
    Rsa,
}

const PERSISTENT_SRK: u32 = 0x8100_0001;
const DOING: &str = "making the storage root key";

impl ParentKind {
    fn template(self) -> Template<'static> {
        let kind = match self {
            Self::Ecc => Kind::Ecc(CURVE_P256),
            Self::Rsa => Kind::Rsa(2048),
        };
        Template {
            name_alg: ALG_SHA256,
            attributes: STORAGE_KEY,
            policy: &[],
            cipher: Cipher::Aes(128),
            scheme: Scheme::None,
            kind,
            unique: zeroed_unique(kind),
        }
    }
}

/// A parent that was there before, if it is fit to keep keys under.
pub(super) fn persistent_parent(tpm: &Tpm) -> Result<Option<(Loaded<'_>, ParentName)>, TpmError> {
    let Some((loaded, public)) = persistent(tpm)? else { return Ok(None) };
    let kind = match public.public() {
        Public::Rsa { .. } => ParentKind::Rsa,
        _ => ParentKind::Ecc,
    };
    if !is_suitable(public.public()) {
        tracing::debug!("the key at 0x81000001 is no storage root key that everybody may use; making one");
        return Ok(None);
    }
    let name = to_hex(&public.name());
    Ok(Some((loaded, ParentName { kind, name })))
}

/// A parent made for the occasion: ECC where the TPM has P-256, RSA elsewhere.
pub(super) fn transient_parent(tpm: &Tpm) -> Result<(Loaded<'_>, ParentName), TpmError> {
    let kind = if supports(tpm, &ParentKind::Ecc.template().public()?)? { ParentKind::Ecc } else { ParentKind::Rsa };
    let (loaded, public) = create(tpm, kind)?;
    let name = to_hex(&public.name());
    Ok((loaded, ParentName { kind, name }))
}

/// The parent of keys that were made before.
pub(super) fn reopen<'t>(tpm: &'t Tpm, parent: &ParentName) -> Result<Loaded<'t>, TpmError> {
    if let Some((loaded, public)) = persistent(tpm)?
        && to_hex(&public.name()) == parent.name
    {
        return Ok(loaded);
    }
    let (loaded, public) = create(tpm, parent.kind)?;
    if to_hex(&public.name()) == parent.name { Ok(loaded) } else { Err(TpmError::ParentChanged) }
}

/// Whether the TPM can make keys of these parameters.
pub(super) fn supports(tpm: &Tpm, public: &Public) -> Result<bool, TpmError> {
    let parameters = match public {
        Public::Rsa { parameters, .. } => PublicParameters::Rsa(*parameters),
        Public::Ecc { parameters, .. } => PublicParameters::Ecc(*parameters),
        _ => return Ok(false),
    };
    match tpm.call("testing for an algorithm", |context| context.test_parms(parameters)) {
        Ok(()) => Ok(true),
        Err(TpmError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn create(tpm: &Tpm, kind: ParentKind) -> Result<(Loaded<'_>, PublicArea), TpmError> {
    let template = kind.template().public()?;
    let made = tpm.call_authorised(DOING, |context| {
        context.create_primary(Hierarchy::Owner, template.clone(), None, None, None, None)
    })?;
    let loaded = tpm.guard(made.key_handle);
    let public =
        PublicArea::from_public(made.out_public).map_err(|error| TpmError::unexpected(DOING, error.to_string()))?;
    Ok((loaded, public))
}

fn persistent(tpm: &Tpm) -> Result<Option<(Loaded<'_>, PublicArea)>, TpmError> {
    const DOING: &str = "reading the key at 0x81000001";
    if !tpm.handles(PERSISTENT_SRK)?.iter().any(|handle| u32::from(*handle) == PERSISTENT_SRK) {
        return Ok(None);
    }
    let handle = PersistentTpmHandle::new(PERSISTENT_SRK).map_err(|error| TpmError::of(DOING, error))?;
    let loaded = tpm.open(DOING, RawHandle::Persistent(handle))?;
    match tpm.call(DOING, |context| context.read_public(KeyHandle::from(loaded.object()))) {
        Ok((public, ..)) => Ok(PublicArea::from_public(public).ok().map(|public| (loaded, public))),
        Err(TpmError::Refused { .. } | TpmError::Unexpected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A storage key of this TPM that needs no policy and is not subject to lockout.
fn is_suitable(public: &Public) -> bool {
    let attributes = u32::from(public.object_attributes());
    attributes & STORAGE_KEY == STORAGE_KEY
}
