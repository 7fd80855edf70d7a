//! Opening the engine's credential (TPM 2.0 Part 1, 24 "Credential Protection"; `TPM2_ActivateCredential`, Part 3, 12.5).
//!
//! The TPM opens it only with this endorsement key, and only while the AK that the credential names is loaded.

use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{EncryptedSecret, IdObject, Public};
use zeroize::Zeroizing;

use super::ek::{self, EkSource};
use super::key::{DeviceKeys, load};
use super::policy::endorsement_session;
use super::spki::PublicArea;
use super::{Tpm, TpmError};

const DOING: &str = "opening the engine's credential";

/// Opens a credential: `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET` as they travel.
///
/// # Errors
/// When the credential was made for another TPM or AK, when the endorsement hierarchy has a password that is not known,
/// or when the TPM cannot be asked.
pub fn activate_credential(
    tpm: &Tpm,
    keys: &DeviceKeys,
    ek: (EkSource, &PublicArea),
    credential: &[u8],
    encrypted_secret: &[u8],
) -> Result<Zeroizing<Vec<u8>>, TpmError> {
    let credential = IdObject::try_from(content(credential)?).map_err(|error| TpmError::of(DOING, error))?;
    let secret = EncryptedSecret::try_from(content(encrypted_secret)?).map_err(|error| TpmError::of(DOING, error))?;
    let ak = load(tpm, &keys.parent, &keys.ak)?;
    let (source, public) = ek;
    let ek = ek::open(tpm, source, public)?;
    let policy = policy_of(tpm, public.public())?;
    // A template that the profile does not have may still allow its use by the (empty) password.
    let ek_session = policy.as_ref().map_or(AuthSession::Password, super::Session::session);
    let sessions = (Some(AuthSession::Password), Some(ek_session), None);
    let opened = tpm.call(DOING, |context| {
        context.execute_with_sessions(sessions, |context| {
            context.activate_credential(ak.key(), ek.key(), credential.clone(), secret.clone())
        })
    });
    match opened {
        Ok(opened) => Ok(Zeroizing::new(opened.value().to_vec())),
        // The HMAC over the AK's name is wrong, or the seed was encrypted to another key (Part 3, 12.5.1).
        Err(TpmError::KeyOfAnotherTpm { code, .. } | TpmError::Refused { code, .. }) => {
            Err(TpmError::CredentialRefused { reason: code.to_string() })
        }
        Err(error) => Err(error),
    }
}

fn policy_of<'t>(tpm: &'t Tpm, ek: &Public) -> Result<Option<super::Session<'t>>, TpmError> {
    let (Public::Rsa { auth_policy, .. } | Public::Ecc { auth_policy, .. }) = ek else { return Ok(None) };
    endorsement_session(tpm, ek.name_hashing_algorithm(), auth_policy.value())
}

/// What a `TPM2B` holds.
fn content(sized: &[u8]) -> Result<&[u8], TpmError> {
    sized
        .split_at_checked(2)
        .filter(|(len, content)| (content.len() as u64).to_be_bytes().ends_with(len) && content.len() <= 0xFFFF)
        .map(|(_, content)| content)
        .ok_or_else(|| TpmError::CredentialRefused { reason: "it is malformed".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sized_buffers_hold_what_their_length_says() {
        assert_eq!(content(&[0, 2, 7, 8]).unwrap(), [7, 8]);
        for malformed in [&[][..], &[0], &[0, 2, 7], &[0, 2, 7, 8, 9], &[1, 0]] {
            assert!(content(malformed).is_err(), "{malformed:?}");
        }
    }
}
