//! How an endorsement key is made: from the default template or one in NV memory, with a nonce or without (TCG EK
//! Credential Profile 2.5, B.2).

use serde::{Deserialize, Serialize};
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::structures::{EccParameter, EccPoint, Public, PublicKeyRsa};
use tss_esapi::traits::UnMarshall;

use super::ek_template::{EkTemplate, Profile};
use super::spki::PublicArea;
use super::{Loaded, Tpm, TpmError, nv};

/// How an endorsement key was made, so that it can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EkSource {
    pub(super) template: EkTemplate,
    pub(super) recipe: Recipe,
}

/// Where template and nonce come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Recipe {
    /// The template from NV memory, as it is there.
    NvTemplate,
    /// The template from NV memory, with the nonce from there put into its unique field.
    NvTemplateAndNonce,
    /// The default template with the nonce from NV memory.
    Nonce,
    /// The default template.
    Default,
}

impl Recipe {
    /// The recipes that NV memory has the ingredients for, the most particular first.
    pub(super) fn available(profile: &Profile, stored: &[u32]) -> impl Iterator<Item = Self> {
        let has_template = stored.contains(&profile.template);
        let has_nonce = profile.nonce.is_some_and(|nonce| stored.contains(&nonce));
        [
            (has_template, Self::NvTemplate),
            (has_template && has_nonce, Self::NvTemplateAndNonce),
            (has_nonce, Self::Nonce),
            (true, Self::Default),
        ]
        .into_iter()
        .filter_map(|(available, recipe)| available.then_some(recipe))
    }
}

/// Makes the key. The same TPM makes the same key of the same source, for as long as its endorsement seed is the same.
pub(super) fn make(tpm: &Tpm, source: EkSource) -> Result<(Loaded<'_>, PublicArea), TpmError> {
    const DOING: &str = "making the endorsement key";
    let template = template(tpm, source)?;
    let made = tpm.call_authorised(DOING, |context| {
        context.create_primary(Hierarchy::Endorsement, template.clone(), None, None, None, None)
    })?;
    let loaded = tpm.guard(made.key_handle);
    let public =
        PublicArea::from_public(made.out_public).map_err(|error| TpmError::unexpected(DOING, error.to_string()))?;
    Ok((loaded, public))
}

fn template(tpm: &Tpm, source: EkSource) -> Result<Public, TpmError> {
    const DOING: &str = "reading the endorsement key's template";
    let profile = source.template.profile();
    let nonce = match (source.recipe, profile.nonce) {
        (Recipe::Nonce | Recipe::NvTemplateAndNonce, Some(index)) => nv::read(tpm, index)?,
        _ => Vec::new(),
    };
    let bytes = match source.recipe {
        Recipe::NvTemplate | Recipe::NvTemplateAndNonce => nv::read(tpm, profile.template)?,
        Recipe::Nonce | Recipe::Default => profile.public_area(&nonce),
    };
    let public = Public::unmarshall(&bytes).map_err(|error| TpmError::of(DOING, error))?;
    match source.recipe {
        Recipe::NvTemplateAndNonce => with_nonce(public, &nonce).map_err(|error| TpmError::of(DOING, error)),
        _ => Ok(public),
    }
}

/// The template with the nonce at the start of the RSA buffer, or of the x coordinate, the rest zeros.
fn with_nonce(public: Public, nonce: &[u8]) -> tss_esapi::Result<Public> {
    let padded = |len: usize| -> Vec<u8> { nonce.iter().copied().chain(std::iter::repeat(0)).take(len).collect() };
    Ok(match public {
        Public::Rsa { object_attributes, name_hashing_algorithm, auth_policy, parameters, .. } => {
            let len = match parameters.key_bits() {
                RsaKeyBits::Rsa1024 => 128,
                RsaKeyBits::Rsa2048 => 256,
                RsaKeyBits::Rsa3072 => 384,
                RsaKeyBits::Rsa4096 => 512,
            };
            let unique = PublicKeyRsa::try_from(padded(len))?;
            Public::Rsa { object_attributes, name_hashing_algorithm, auth_policy, parameters, unique }
        }
        Public::Ecc { object_attributes, name_hashing_algorithm, auth_policy, parameters, .. } => {
            // Only the low range has nonces, and its curve is P-256.
            let (x, y) = (EccParameter::try_from(padded(32))?, EccParameter::try_from(vec![0; 32])?);
            let unique = EccPoint::new(x, y);
            Public::Ecc { object_attributes, name_hashing_algorithm, auth_policy, parameters, unique }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tss_esapi::traits::Marshall;

    #[test]
    fn a_nonce_put_into_a_stored_template_is_where_the_default_template_has_it() {
        for template in [EkTemplate::L1, EkTemplate::L2] {
            let profile = template.profile();
            let stored = Public::unmarshall(&profile.public_area(&[])).unwrap();
            let merged = with_nonce(stored, &[0xAB; 20]).unwrap();
            assert_eq!(merged.marshall().unwrap(), profile.public_area(&[0xAB; 20]), "{template:?}");
        }
    }

    #[test]
    fn what_nv_memory_holds_is_tried_before_the_defaults() {
        let profile = EkTemplate::L1.profile();
        let all: Vec<_> = Recipe::available(&profile, &[0x01C0_0002, 0x01C0_0003, 0x01C0_0004]).collect();
        assert_eq!(all, [Recipe::NvTemplate, Recipe::NvTemplateAndNonce, Recipe::Nonce, Recipe::Default]);
        let none: Vec<_> = Recipe::available(&profile, &[0x01C0_0002]).collect();
        assert_eq!(none, [Recipe::Default]);
    }
}
