//! The endorsement key: found by its certificate, recreated from its template (TCG EK Credential Profile 2.5).
//!
//! A key is the one of a certificate when its public key is the certificate's, whatever template was tried to get there.
//! Of several, the most widely used comes first: RSA-2048 and P-256 of the low range, then the high range. Without any
//! certificate the key is made from the low-range template: then an operator has to pin it, or accept that nobody
//! vouches for it.

use serde::{Deserialize, Serialize};
use tss_esapi::handles::{KeyHandle, TpmHandle as RawHandle};
use vouchsafe_wire::v1::limits;

use super::ek_certificate::{certified_key, leading_certificates};
pub use super::ek_recipe::EkSource;
use super::ek_recipe::{Recipe, make};
use super::ek_template::EkTemplate;
use super::spki::{PublicArea, PublicKey};
use super::{Loaded, Tpm, TpmError, nv};

/// Which endorsement key to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EkPreference {
    /// The first that has a certificate, RSA before ECC; without any, RSA-2048.
    #[default]
    Auto,
    /// An RSA key.
    Rsa,
    /// An ECC key.
    Ecc,
}

/// An endorsement key with what vouches for it.
#[derive(Clone, Debug)]
pub struct EndorsementKey {
    /// How it was made.
    pub source: EkSource,
    /// Its public area.
    pub public: PublicArea,
    /// Its certificate as NV memory holds it, padding included.
    pub certificate: Option<Vec<u8>>,
    /// Certificates above it that the TPM carries (DER).
    pub intermediates: Vec<Vec<u8>>,
}

/// NV indices of keys, and of the certificate chain (2.2.1.4, 2.2.1.5).
const FIRST_INDEX: u32 = 0x01C0_0002;
const LAST_INDEX: u32 = 0x01C0_00FF;
const FIRST_CHAIN_INDEX: u32 = 0x01C0_0100;
const LAST_CHAIN_INDEX: u32 = 0x01C0_01FF;
/// The most that is read of the chain, in bytes.
const MAX_CHAIN_LEN: usize = 64 * 1024;
/// Where endorsement keys are made persistent (Registry of Reserved TPM 2.0 Handles, 2.3.1), and how many are looked at.
const FIRST_PERSISTENT: u32 = 0x8101_0000;
const LAST_PERSISTENT: u32 = 0x8101_00FF;
const MAX_PERSISTENT: usize = 16;

impl EkPreference {
    const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rsa => "rsa",
            Self::Ecc => "ecc",
        }
    }

    const fn admits(self, template: EkTemplate) -> bool {
        match self {
            Self::Auto => true,
            Self::Rsa => template.is_rsa(),
            Self::Ecc => !template.is_rsa(),
        }
    }
}

/// Finds the endorsement key to show.
///
/// # Errors
/// When the TPM has none of the kind that is preferred, or cannot be asked.
pub fn find_endorsement_key(tpm: &Tpm, preference: EkPreference) -> Result<EndorsementKey, TpmError> {
    let stored = nv::indices(tpm, FIRST_INDEX, LAST_INDEX)?;
    let admitted = EkTemplate::ALL.into_iter().filter(|template| preference.admits(*template));
    for template in admitted.filter(|template| stored.contains(&template.profile().certificate)) {
        let Some((certificate, key)) = certificate(tpm, template.profile().certificate)? else { continue };
        let Some((source, public)) = key_of_certificate(tpm, template, &stored, &key)? else {
            tracing::warn!(
                ek.template = ?template,
                "the endorsement key certificate is about a key that this TPM does not make; trying the next"
            );
            continue;
        };
        let intermediates = chain(tpm)?;
        return Ok(EndorsementKey { source, public, certificate: Some(certificate), intermediates });
    }
    without_certificate(tpm, preference, &stored)
}

/// Loads the endorsement key that was found before.
pub(super) fn open<'t>(tpm: &'t Tpm, source: EkSource, expected: &PublicArea) -> Result<Loaded<'t>, TpmError> {
    if let Some((loaded, _)) = persistent(tpm, |public| public == expected)? {
        return Ok(loaded);
    }
    let (loaded, public) = make(tpm, source)?;
    if public == *expected { Ok(loaded) } else { Err(TpmError::EndorsementKeyChanged) }
}

/// The certificate at an index with the key that it is about; `None` when it is of no use.
fn certificate(tpm: &Tpm, index: u32) -> Result<Option<(Vec<u8>, PublicKey)>, TpmError> {
    let stored = match nv::read(tpm, index) {
        Ok(stored) => stored,
        Err(error @ (TpmError::Refused { .. } | TpmError::Unexpected { .. })) => {
            tracing::warn!(nv.index = format!("{index:#x}"), error = %error, "an endorsement key certificate cannot be read");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let Some((der, key)) = leading_certificates(&stored, 1).first().and_then(|der| Some((*der, certified_key(der)?)))
    else {
        tracing::warn!(nv.index = format!("{index:#x}"), "there is no certificate where one should be");
        return Ok(None);
    };
    // As it was found, but for padding beyond what may travel.
    let travels = if stored.len() <= limits::CERTIFICATE { &stored } else { der };
    Ok((travels.len() <= limits::CERTIFICATE).then(|| (travels.to_vec(), key)))
}

/// The key that a certificate is about; `None` when this TPM does not have it.
fn key_of_certificate(
    tpm: &Tpm,
    template: EkTemplate,
    stored: &[u32],
    key: &PublicKey,
) -> Result<Option<(EkSource, PublicArea)>, TpmError> {
    let profile = template.profile();
    let certified = |public: &PublicArea| public.key().as_ref() == Ok(key);
    let mut recipes = Recipe::available(&profile, stored).peekable();
    let likely = EkSource { template, recipe: recipes.peek().copied().unwrap_or(Recipe::Default) };
    // Making an RSA key takes some TPMs seconds; reading one that was left there takes none.
    if let Some((_, public)) = persistent(tpm, certified)? {
        return Ok(Some((likely, public)));
    }
    for recipe in recipes {
        let source = EkSource { template, recipe };
        match make(tpm, source) {
            Ok((_, public)) if certified(&public) => return Ok(Some((source, public))),
            Ok(_) => {}
            Err(error @ (TpmError::Refused { .. } | TpmError::Unexpected { .. })) => {
                tracing::warn!(ek.template = ?template, error = %error, "an endorsement key cannot be made");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn without_certificate(tpm: &Tpm, preference: EkPreference, stored: &[u32]) -> Result<EndorsementKey, TpmError> {
    let mut reason = String::new();
    for template in [EkTemplate::L1, EkTemplate::L2].into_iter().filter(|template| preference.admits(*template)) {
        let recipe = Recipe::available(&template.profile(), stored).next().unwrap_or(Recipe::Default);
        let source = EkSource { template, recipe };
        match make(tpm, source) {
            Ok((_, public)) => {
                return Ok(EndorsementKey { source, public, certificate: None, intermediates: Vec::new() });
            }
            // The TPM does not have the algorithm: perhaps the other. Anything else concerns every key alike.
            Err(error @ TpmError::Refused { .. }) => reason = error.to_string(),
            Err(error) => return Err(error),
        }
    }
    Err(TpmError::NoEndorsementKey { preference: preference.name(), reason })
}

/// The first persistent key in the range of endorsement keys that is wanted.
fn persistent(tpm: &Tpm, wanted: impl Fn(&PublicArea) -> bool) -> Result<Option<(Loaded<'_>, PublicArea)>, TpmError> {
    const DOING: &str = "reading a persistent endorsement key";
    let handles = tpm.handles(FIRST_PERSISTENT)?;
    let in_range = |handle: &RawHandle| (FIRST_PERSISTENT..=LAST_PERSISTENT).contains(&u32::from(*handle));
    for handle in handles.into_iter().filter(in_range).take(MAX_PERSISTENT) {
        let loaded = tpm.open(DOING, handle)?;
        let read = tpm.call(DOING, |context| context.read_public(KeyHandle::from(loaded.object())));
        let public = match read {
            Ok((public, ..)) => PublicArea::from_public(public),
            // Not a key that the stack can put into words: not the one that is wanted.
            Err(TpmError::Refused { .. } | TpmError::Unexpected { .. }) => continue,
            Err(error) => return Err(error),
        };
        if let Ok(public) = public
            && wanted(&public)
        {
            return Ok(Some((loaded, public)));
        }
    }
    Ok(None)
}

/// The certificates that the TPM carries besides that of the key: one after the other, over consecutive indices.
fn chain(tpm: &Tpm) -> Result<Vec<Vec<u8>>, TpmError> {
    let mut stored = Vec::new();
    for index in nv::indices(tpm, FIRST_CHAIN_INDEX, LAST_CHAIN_INDEX)? {
        match nv::read(tpm, index) {
            Ok(part) if stored.len() + part.len() <= MAX_CHAIN_LEN => stored.extend(part),
            Ok(_) => break,
            Err(error @ (TpmError::Refused { .. } | TpmError::Unexpected { .. })) => {
                tracing::warn!(error = %error, "a part of the certificate chain cannot be read");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(leading_certificates(&stored, limits::EK_INTERMEDIATES)
        .into_iter()
        .filter(|der| der.len() <= limits::CERTIFICATE)
        .map(<[u8]>::to_vec)
        .collect())
}
