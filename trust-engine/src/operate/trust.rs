//! A device's score at any instant, past or future, and why.

use std::time::Duration;

use vouchsafe_model::trust::TrustCurve;
use vouchsafe_model::{DeviceId, Timestamp, TrustScore};
use vouchsafe_store::TrustRow;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::operate::TrustView;

use super::{OperateRejected, field};
use crate::engine::TrustEngine;

/// What is asked about a score.
#[derive(Clone, Copy, Debug)]
pub struct TrustQuestion {
    /// The instant; now if none is named.
    pub at: Option<Timestamp>,
    /// The threshold whose crossing is asked for; the one that the schedule keeps if none is named.
    pub threshold: Option<TrustScore>,
    /// How far the curve goes on from there.
    pub span: Duration,
    /// How many points the curve has.
    pub points: u32,
}

impl TrustEngine {
    /// The score at an instant. A past one is computed from the history that was known then; a future one supposes that
    /// nothing more is heard of the device.
    ///
    /// # Errors
    /// There is no such device, or it had not enrolled at that instant.
    pub async fn trust(&self, id: DeviceId, asked: TrustQuestion) -> Result<TrustView, OperateRejected> {
        if !(2..=limits::CURVE_POINTS).contains(&asked.points) {
            return Err(field("points", format!("must be 2 to {}", limits::CURVE_POINTS)));
        }
        let standing = self.standing(id).await?;
        let at = asked.at.unwrap_or_else(|| self.now());
        let threshold = asked.threshold.unwrap_or(self.parts.config.attest.keep_above);
        let Some(row) = self.store().trust_at(id, at).await? else {
            let since = standing.device.enrolled_at;
            return Err(field("at", format!("nothing is known of the device then; it enrolled at {since}")));
        };
        let curve = self.curve_of(id, &row).await?;
        Ok(TrustView {
            device: id,
            explanation: curve.explain_at(at),
            curve: curve.sample(at, at.plus(asked.span), asked.points),
            below_at: curve.first_below(threshold, at),
            threshold,
        })
    }

    async fn curve_of(&self, id: DeviceId, row: &TrustRow) -> Result<TrustCurve, OperateRejected> {
        Ok(self.trust_state(id, row).await?.curve(&self.parts.model))
    }
}
