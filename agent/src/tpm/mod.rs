//! The TPM: one thread owns it ([`TpmHandle`]), and what runs there sees a [`Tpm`].
//!
//! Nothing here outlives the operation it was made for: objects and sessions are flushed when their guards drop, on every
//! path, because a TPM without a resource manager has room for three objects (TPM 2.0 Part 1, 30 "Context Management").
//! Nothing here makes anything persistent in the TPM, and nothing changes an authorisation or a PCR.

mod activate;
mod ek;
mod ek_certificate;
mod ek_recipe;
mod ek_template;
mod error;
mod key;
mod nv;
mod patience;
mod policy;
mod quote;
mod response;
mod signing;
mod spki;
mod srk;
mod tcti;
mod template;
mod thread;

use std::cell::RefCell;
use std::fmt;

use tss_esapi::Context;
use tss_esapi::constants::{CapabilityType, PropertyTag};
use tss_esapi::handles::{KeyHandle, ObjectHandle, SessionHandle, TpmHandle as RawHandle};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CapabilityData};
use zeroize::Zeroizing;

pub use activate::activate_credential;
pub use ek::{EkPreference, EkSource, EndorsementKey, find_endorsement_key};
pub use error::TpmError;
pub use key::{AkAlgorithm, DeviceKeys, KeyBlob, ParentName, make_device_keys};
pub use quote::{RawQuote, pcr_banks, quote};
pub use response::ResponseCode;
pub use signing::{CertifiedTlsKey, certificate_request, certify_tls_key, sign_with_tls_key};
pub use spki::{InvalidPublicArea, PublicArea};
pub use tcti::{InvalidTcti, Tcti};
pub use thread::TpmHandle;

/// A hierarchy's password. Never shown.
#[derive(Clone, Default)]
pub struct HierarchyAuth(Zeroizing<Vec<u8>>);

impl HierarchyAuth {
    /// The longest password, in bytes: a SHA-512 digest (TPM 2.0 Part 2, 10.4.5 `TPM2B_AUTH`).
    pub const MAX_LEN: usize = 64;

    /// Takes bytes as a password; `None` when there are too many.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        (bytes.len() <= Self::MAX_LEN).then_some(Self(bytes))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for HierarchyAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HierarchyAuth(…)")
    }
}

/// How to reach the TPM, and what its owner asks for.
#[derive(Clone, Debug, Default)]
pub struct TpmConfig {
    /// The way to it.
    pub tcti: Tcti,
    /// The owner's password, for making the storage root key where none is persistent.
    pub owner_auth: HierarchyAuth,
    /// The endorsement hierarchy's password, for making and using the endorsement key.
    pub endorsement_auth: HierarchyAuth,
}

/// A connection to the TPM, for the operations of one burst.
///
/// The context sits in a cell so that guards of several loaded objects can flush through it when they drop; no borrow
/// outlives one command.
pub struct Tpm {
    context: RefCell<Context>,
}

/// An object in the TPM, let go when this drops.
pub(crate) struct Loaded<'t> {
    tpm: &'t Tpm,
    handle: ObjectHandle,
    release: Release,
}

/// How an object is let go.
#[derive(Clone, Copy)]
enum Release {
    /// It is transient, and flushed.
    Flush,
    /// It is persistent and stays; the stack forgets it.
    Forget,
}

/// A session in the TPM, flushed when this drops.
pub(crate) struct Session<'t> {
    tpm: &'t Tpm,
    session: AuthSession,
}

impl Tpm {
    pub(crate) fn connect(config: &TpmConfig) -> Result<Self, TpmError> {
        if let Some(error) = TpmError::of_device_file(&config.tcti) {
            return Err(error);
        }
        let context =
            Context::new(config.tcti.configuration()).map_err(|error| TpmError::unreachable(&config.tcti, error))?;
        let tpm = Self { context: RefCell::new(context) };
        for (hierarchy, auth) in
            [(ObjectHandle::Owner, &config.owner_auth), (ObjectHandle::Endorsement, &config.endorsement_auth)]
        {
            if !auth.is_empty() {
                let auth = Auth::try_from(auth.0.to_vec());
                tpm.call("setting a hierarchy's password", |context| context.tr_set_auth(hierarchy, auth.clone()?))?;
            }
        }
        Ok(tpm)
    }

    /// Runs one command, with patience while the TPM says that it is busy.
    pub(crate) fn call<T>(
        &self,
        doing: &'static str,
        mut command: impl FnMut(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, TpmError> {
        patience::patiently(std::thread::sleep, || {
            command(&mut self.context.borrow_mut()).map_err(|error| TpmError::of(doing, error))
        })
    }

    /// Runs one command that is authorised by an empty password or by that of its hierarchy.
    pub(crate) fn call_authorised<T>(
        &self,
        doing: &'static str,
        mut command: impl FnMut(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, TpmError> {
        self.call(doing, |context| context.execute_with_session(Some(AuthSession::Password), &mut command))
    }

    /// Takes a transient object into care.
    pub(crate) fn guard(&self, handle: impl Into<ObjectHandle>) -> Loaded<'_> {
        Loaded { tpm: self, handle: handle.into(), release: Release::Flush }
    }

    /// Opens a persistent object or an NV index.
    pub(crate) fn open(&self, doing: &'static str, handle: RawHandle) -> Result<Loaded<'_>, TpmError> {
        let handle = self.call(doing, |context| context.tr_from_tpm_public(handle))?;
        Ok(Loaded { tpm: self, handle, release: Release::Forget })
    }

    pub(crate) fn guard_session(&self, session: AuthSession) -> Session<'_> {
        Session { tpm: self, session }
    }

    /// Flushes what a guard held. A failure is no reason to fail what succeeded: the object is gone already (a reset), or
    /// goes with the connection.
    fn flush(&self, handle: ObjectHandle) {
        if let Err(error) = self.call("flushing a handle", |context| context.flush_context(handle)) {
            tracing::debug!(error = %error, "a handle could not be flushed");
        }
    }

    /// Flushes every object and session that can be seen: through a resource manager, those of this connection; without
    /// one, whatever a program left behind that can no longer be using them, since the connection is exclusive.
    pub(crate) fn flush_everything(&self) -> Result<(), TpmError> {
        // First handles of TPM_HT_TRANSIENT, TPM_HT_LOADED_SESSION (TPM 2.0 Part 2, 7.2).
        for first in [0x8000_0000, 0x0200_0000] {
            for handle in self.handles(first)? {
                let flushed = self.call("flushing a left-over handle", |context| {
                    let object = context.tr_from_tpm_public(handle)?;
                    context.flush_context(object)
                });
                if let Err(error) = flushed {
                    tracing::debug!(error = %error, "a left-over handle could not be flushed");
                }
            }
        }
        Ok(())
    }

    /// The handles of one type, from `first` on; at most 254 of them.
    pub(crate) fn handles(&self, first: u32) -> Result<Vec<RawHandle>, TpmError> {
        const DOING: &str = "listing handles";
        const MAX_HANDLES: u32 = 254;
        let answer = self.call(DOING, |context| context.get_capability(CapabilityType::Handles, first, MAX_HANDLES))?;
        let CapabilityData::Handles(handles) = answer.0 else {
            return Err(TpmError::unexpected(DOING, "the TPM answered another capability"));
        };
        Ok(handles.into())
    }

    pub(crate) fn property(&self, tag: PropertyTag) -> Result<Option<u32>, TpmError> {
        self.call("reading a property", |context| context.get_tpm_property(tag))
    }
}

/// The TPM's maker, as it spells itself: `IBM`, `STM`, `INTC` (TCG TPM Vendor ID Registry).
///
/// # Errors
/// When the TPM cannot be asked.
pub fn manufacturer(tpm: &Tpm) -> Result<String, TpmError> {
    let id = tpm.property(PropertyTag::Manufacturer)?.unwrap_or_default().to_be_bytes();
    Ok(id.iter().filter(|byte| byte.is_ascii_graphic()).map(|byte| char::from(*byte)).collect())
}

impl Loaded<'_> {
    pub(crate) fn key(&self) -> KeyHandle {
        self.handle.into()
    }

    pub(crate) fn object(&self) -> ObjectHandle {
        self.handle
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        match self.release {
            Release::Flush => self.tpm.flush(self.handle),
            Release::Forget => {
                if let Err(error) = self.tpm.context.borrow_mut().tr_close(&mut self.handle) {
                    tracing::debug!(error = %error, "a handle could not be closed");
                }
            }
        }
    }
}

impl Session<'_> {
    pub(crate) fn session(&self) -> AuthSession {
        self.session
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.tpm.flush(SessionHandle::from(self.session).into());
    }
}
