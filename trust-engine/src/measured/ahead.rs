//! Parts of a long IMA list that come ahead of their quote.

use vouchsafe_attest::ima::{Advance, ImaContext, ImaError};
use vouchsafe_http::Peer;
use vouchsafe_model::{DeviceId, Timestamp};
use vouchsafe_store::{AheadOutcome, ImaAhead, ImaAheadPart, Standing};
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{ImaPart, ImaPosition, InflateError};

use super::{Progress, Resumed, kept};
use crate::attest::AttestRejected;
use crate::engine::{EngineError, MAX_ATTEMPTS, TrustEngine, compute};
use crate::enrol::complete::json;

/// Why a part is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AheadRejected {
    /// The device may not take part.
    #[error(transparent)]
    Device(#[from] AttestRejected),
    /// The part cannot be decompressed.
    #[error("the part cannot be read: {0}")]
    Compressed(#[from] InflateError),
    /// It is no IMA list.
    #[error("the part is no IMA list: {0}")]
    Malformed(#[from] ImaError),
    /// Something else went wrong.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl TrustEngine {
    /// Takes the next part of a device's IMA list, if it begins where the engine is, and says from where to go on.
    ///
    /// Nothing is concluded from it: the part counts when a quote reaches the value of PCR 10 behind it. One that never
    /// was measured is found by that quote.
    ///
    /// # Errors
    /// The device may not take part, or the part is no list.
    pub async fn take_ahead(&self, peer: &Peer, device: DeviceId, part: ImaPart) -> Result<ImaPosition, AheadRejected> {
        let bytes = part.log.inflate(limits::IMA_PART)?;
        let now = self.now();
        for _ in 0..MAX_ATTEMPTS {
            let standing = self.active_standing(device, peer).await?;
            if let Some(position) = self.try_ahead(&standing, &part.from, &bytes, now).await? {
                return Ok(position);
            }
        }
        Err(EngineError::Contended.into())
    }

    /// `None` when others changed the record meanwhile.
    async fn try_ahead(
        &self,
        standing: &Standing,
        from: &ImaPosition,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<ImaPosition>, AheadRejected> {
        let device = standing.device.id;
        let valid = self.valid_for(standing, now).await?;
        let (record, Resumed { state, is_ahead, judged_by, .. }) = self.resume(standing, &from.boot, &valid).await?;
        let position = |offset| ImaPosition { boot: from.boot.clone(), offset };
        if state.bytes() != from.offset {
            return Ok(Some(position(state.bytes())));
        }
        let (policy, bytes, begin) = (valid.runtime(), bytes.to_vec(), from.offset);
        let replay = move || {
            let context = ImaContext { policy: policy.as_ref(), boot_aggregate: None };
            let Advance { state, consumed_bytes, .. } = state.advance(&bytes, None, context)?;
            let part = kept::part(begin, bytes.get(..consumed_bytes).unwrap_or_default())?;
            Ok::<_, AheadRejected>((state, ImaAheadPart { begins: !is_ahead, part }))
        };
        let (state, part) = compute(replay).await??;
        let offset = state.bytes();
        let boot = from.boot.as_str().to_owned();
        let ahead = ImaAhead { boot, offset, state: json(&Progress::new(state, judged_by))?, at: now };
        let follows = record.map(|record| record.version);
        match self.store().put_ima_ahead(device, follows, &ahead, &part).await.map_err(EngineError::from)? {
            AheadOutcome::Stored(_) => Ok(Some(position(offset))),
            AheadOutcome::Superseded => Ok(None),
            AheadOutcome::DeviceUnknown => Err(AttestRejected::Unknown { device }.into()),
            AheadOutcome::DeviceRevoked => Err(AttestRejected::Revoked { device }.into()),
        }
    }
}
