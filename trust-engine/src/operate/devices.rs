//! Devices, as operators see and change them.

use vouchsafe_model::hash::to_hex;
use vouchsafe_model::{DeviceId, DeviceState, ImageId};
use vouchsafe_store::{DeviceFilter, Page, PageLimit, Standing, StateChange, TrustUpdate};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::operate::{self, DeviceSummary, DeviceView, RevokeDevice};

use super::tokens::next_cursor;
use super::{OperateRejected, field};
use crate::engine::{EngineError, MAX_ATTEMPTS, TrustEngine};
use crate::score::event::TrustEvent;

impl TrustEngine {
    /// The devices, each with its score at this instant.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_devices(
        &self,
        filter: &DeviceFilter,
        page: Page<DeviceId>,
    ) -> Result<operate::Page<DeviceSummary>, OperateRejected> {
        let mut items = Vec::new();
        for standing in self.store().list_standings(filter, page).await? {
            items.push(self.summary(&standing).await?);
        }
        let next = next_cursor(&items, page.limit, |device| device.id.to_string());
        Ok(operate::Page { items, next })
    }

    /// The one device whose id begins so.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn resolve_device(&self, prefix: &str) -> Result<DeviceId, OperateRejected> {
        if let Ok(id) = prefix.parse() {
            return Ok(id);
        }
        let not_found = || OperateRejected::NotFound { what: "device", id: prefix.chars().take(64).collect() };
        if prefix.len() < MIN_PREFIX_LEN {
            return Err(field("device", format!("name at least {MIN_PREFIX_LEN} characters of its id")));
        }
        let devices = self.store().devices_by_prefix(prefix, PageLimit::new(2)).await?;
        match devices.as_slice() {
            [] => Err(not_found()),
            [device] => Ok(device.id),
            _ => Err(field("device", format!("'{prefix}' begins the ids of several devices; name more of it"))),
        }
    }

    /// A device with all that is known of it.
    ///
    /// # Errors
    /// There is none of this id.
    pub async fn device(&self, id: DeviceId) -> Result<DeviceView, OperateRejected> {
        let standing = self.standing(id).await?;
        let summary = self.summary(&standing).await?;
        let device = standing.device;
        Ok(DeviceView {
            summary,
            enrolled_at: device.enrolled_at,
            revocation_reason: device.revocation_reason,
            certificate_expires_at: device.certificate_expires_at,
            ek_digest: device.keys.ek_digest,
            ak_public: Bytes::new(device.keys.ak_public).map_err(|_| EngineError::TooLarge { what: "an AK" })?,
            facts: device.facts,
        })
    }

    pub(super) async fn standing(&self, id: DeviceId) -> Result<Standing, OperateRejected> {
        let standing = self.store().standing(id).await?;
        standing.ok_or_else(|| OperateRejected::NotFound { what: "device", id: id.to_string() })
    }

    async fn summary(&self, standing: &Standing) -> Result<DeviceSummary, OperateRejected> {
        let score = self.curve(standing).await?.score_at(self.now());
        let device = &standing.device;
        Ok(DeviceSummary {
            id: device.id,
            hostname: device.facts.hostname.clone(),
            state: device.state,
            endorsement: device.endorsement,
            image: device.image.clone(),
            score,
            verdict: standing.attestation.as_ref().map(|attestation| attestation.verdict.clone()),
        })
    }

    /// Revokes a device: from the next decision on its score is zero, and its evidence is no longer taken.
    ///
    /// # Errors
    /// There is none of this id, or the reason is too long.
    pub async fn revoke_device(&self, id: DeviceId, asked: &RevokeDevice) -> Result<DeviceView, OperateRejected> {
        let reason = asked.reason.trim();
        if reason.is_empty() || reason.len() > RevokeDevice::MAX_REASON_LEN {
            return Err(field("reason", format!("must be 1 to {} bytes", RevokeDevice::MAX_REASON_LEN)));
        }
        self.change_state(id, DeviceState::Revoked, Some(reason)).await
    }

    /// Lets a revoked device take part again.
    ///
    /// # Errors
    /// There is none of this id.
    pub async fn restore_device(&self, id: DeviceId) -> Result<DeviceView, OperateRejected> {
        self.change_state(id, DeviceState::Active, None).await
    }

    async fn change_state(
        &self,
        id: DeviceId,
        state: DeviceState,
        reason: Option<&str>,
    ) -> Result<DeviceView, OperateRejected> {
        let event = match state {
            DeviceState::Revoked => TrustEvent::revoked(),
            DeviceState::Active => TrustEvent::restored(),
        };
        for _ in 0..MAX_ATTEMPTS {
            let standing = self.standing(id).await?;
            let update = self.trust_update(&standing, &event, self.now()).await?;
            let change = self.store_state(id, reason, &update).await?;
            if change != StateChange::Superseded {
                self.publish(id).await?;
                tracing::info!(device.id = %id, device.state = %state, "device state set");
                return self.device(id).await;
            }
        }
        Err(EngineError::Contended.into())
    }

    async fn store_state(
        &self,
        id: DeviceId,
        reason: Option<&str>,
        update: &TrustUpdate,
    ) -> Result<StateChange, OperateRejected> {
        Ok(match reason {
            Some(reason) => self.store().revoke_device(id, reason, update).await?,
            None => self.store().restore_device(id, update).await?,
        })
    }

    /// Compares a device with this image from now on. Its score follows at its next attestation; without an image it is
    /// held down at once.
    ///
    /// # Errors
    /// There is no such device or image, or the image is retired.
    pub async fn assign_image(&self, id: DeviceId, image: Option<ImageId>) -> Result<DeviceView, OperateRejected> {
        let event = match &image {
            Some(image) => TrustEvent::image_assigned(&self.usable_image(image).await?),
            None => TrustEvent::image_cleared(),
        };
        self.store().set_device_image(id, image.as_ref()).await?;
        self.append_trust(id, &event).await?;
        tracing::info!(device.id = %id, image.id = image.map(|image| image.to_string()), "image assigned");
        self.device(id).await
    }

    /// What a device last quoted: its PCRs, as they were signed.
    ///
    /// # Errors
    /// There is no such device, or no accepted evidence of it.
    pub async fn quoted_pcrs(&self, id: DeviceId) -> Result<vouchsafe_model::PcrBank, OperateRejected> {
        let standing = self.standing(id).await?;
        let last = standing.attestation.ok_or(OperateRejected::NothingQuoted)?;
        let evidence = self.store().evidence(last.id()).await?.ok_or(OperateRejected::NothingQuoted)?;
        tracing::debug!(device.id = %id, quote.message = to_hex(&evidence.message), "last quote read");
        Ok(evidence.pcrs)
    }
}

/// The least of an id that names a device.
const MIN_PREFIX_LEN: usize = 4;
