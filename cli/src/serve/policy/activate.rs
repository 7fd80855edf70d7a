//! An operator puts a policy in charge: held against the one that they saw, through the gate, and kept for the next start.
//!
//! It takes the place of what the settings name until an operator activates just what the settings name, or the settings name
//! something else. Nothing decides that a restart would forget: it is kept first, and only what passed the gate is.

use std::error::Error;
use std::sync::Arc;

use axum::body::Bytes;
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::{Sha256Digest, Timestamp};
use vouchsafe_policies::{PackedBundle, PackedError, Trust};
use vouchsafe_policy_engine::ReplaceError;
use vouchsafe_wire::v1::policy::{Activation, PolicySource};

use super::in_charge::{InCharge, Provenance, Replaceable};

/// What an operator sends.
pub(super) struct Candidate {
    /// A packed bundle. The operator's certificate vouches for it, whoever signed it or not.
    pub(super) bytes: Bytes,
    /// The policy that it was held against.
    pub(super) over: Sha256Digest,
    /// Who sends it.
    pub(super) by: SpiffeId,
}

/// Why a policy was not activated. The one before decides.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotActivated {
    /// The policy comes as a bundle whose signature and revision count.
    #[error("the policy comes from {source_of_bundles}")]
    Followed {
        /// Where from.
        source_of_bundles: PolicySource,
    },
    /// It is no bundle.
    #[error("the body is no policy")]
    NoBundle(#[from] PackedError),
    /// It says that it counts no longer than to an instant, which nobody would see to.
    #[error("the policy ends at {at}")]
    Ends {
        /// When.
        at: Timestamp,
    },
    /// It did not take the place of the other.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// The thread that does it failed.
    #[error("the activation failed")]
    Failed(#[from] tokio::task::JoinError),
}

impl InCharge {
    /// Puts a policy in charge. What is begun is brought to its end, also when nobody waits for it any more.
    pub(super) async fn activate(self: Arc<Self>, candidate: Candidate) -> Result<(), NotActivated> {
        let Some(replaceable) = self.replaceable.clone() else {
            return Err(NotActivated::Followed { source_of_bundles: self.provenance().source });
        };
        let turn = self.turn().await;
        let activating = tokio::task::spawn_blocking(move || {
            let activated = self.exchange(&replaceable, &candidate);
            if let Err(error) = &activated {
                let (policy, error) = (self.engine.policy(), error as &dyn Error);
                tracing::warn!(error, %policy, peer.identity = %candidate.by, "policy not activated");
            }
            drop(turn);
            activated
        });
        activating.await?
    }

    fn exchange(&self, replaceable: &Replaceable, candidate: &Candidate) -> Result<(), NotActivated> {
        let (Replaceable { source, kept }, Candidate { bytes, over, by }) = (replaceable, candidate);
        let packed = PackedBundle::read(bytes, Trust::DangerUnsigned)?;
        if let Some(at) = packed.expires_at() {
            return Err(NotActivated::Ends { at });
        }
        let at = self.clock.now();
        // What the settings name is read again and followed when it is just that.
        let is_configured = source.read().is_ok_and(|bundle| bundle.hash() == packed.bundle().hash());
        let told = if is_configured {
            source.told()
        } else {
            PolicySource::Activated(Activation {
                by: by.to_string(),
                at,
                before: *over,
                in_place_of: source.setting().to_owned(),
            })
        };
        let keep = || match &told {
            PolicySource::Activated(activation) => kept.write(activation, bytes),
            _ => kept.forget(),
        };
        let policy = self.engine.replace(*over, packed.bundle(), || keep().map_err(Into::into))?;
        tracing::info!(
            %policy, policy.before = %over, policy.source = %told, peer.identity = %by, "policy activated"
        );
        self.came_from(Provenance::packed(told, &packed, at));
        Ok(())
    }
}
