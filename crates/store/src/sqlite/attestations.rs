//! Attestations, refusals and nonces.

use async_trait::async_trait;
use vouchsafe_model::{AttestationId, DeviceId};

use super::devices::Present;
use super::fields::Fields;
use super::operation::Operation;
use super::rows::{self, attestation_query};
use super::{SqliteStore, accept};
use crate::attestations::{
    Acceptance, AcceptedAttestation, AttestationRecord, Attestations, NonceSpending, NonceUse, RefusalNumber,
    RefusalRecord, RefusalRecording, RefusedEvidence, StoredEvidence,
};
use crate::error::{Entity, StoreError};
use crate::page::Page;

#[async_trait]
impl Attestations for SqliteStore {
    async fn accept_attestation(&self, accepted: &AcceptedAttestation) -> Result<Acceptance, StoreError> {
        accept::accept(self, accepted).await
    }

    async fn refuse_evidence(&self, refused: &RefusedEvidence) -> Result<RefusalRecording, StoreError> {
        accept::refuse(self, refused).await
    }

    async fn spend_nonce(&self, device: DeviceId, nonce: &NonceUse) -> Result<NonceSpending, StoreError> {
        let operation = Operation::new("spend_nonce", Entity::Nonce);
        let mut tx = self.write(operation).await?;
        if Present::find(&mut tx, operation, device).await?.is_none() {
            return Err(operation.about(Entity::Device).missing(&device));
        }
        let spending = accept::spend(&mut tx, operation, device, nonce).await?;
        tx.commit().await.map_err(operation.failed())?;
        Ok(spending)
    }

    async fn latest_attestation(&self, device: DeviceId) -> Result<Option<AttestationRecord>, StoreError> {
        let operation = Operation::new("latest_attestation", Entity::Attestation);
        let row = sqlx::query(attestation_query!("WHERE device = ? ORDER BY number DESC LIMIT 1"))
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| rows::attestation(&Fields::new(&row, operation))).transpose()
    }

    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRecord>, StoreError> {
        let operation = Operation::new("attestation", Entity::Attestation);
        let row = sqlx::query(attestation_query!("WHERE id = ?"))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| rows::attestation(&Fields::new(&row, operation))).transpose()
    }

    async fn evidence(&self, id: AttestationId) -> Result<Option<StoredEvidence>, StoreError> {
        let operation = Operation::new("evidence", Entity::Attestation);
        let row = sqlx::query(
            "SELECT message, signature, pcrs, clock_ms, reset_count, restart_count, clock_safe, firmware_version, \
             received_at_ms FROM attestations WHERE id = ?",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(operation.failed())?;
        let Some(row) = row else { return Ok(None) };
        let fields = Fields::new(&row, operation);
        Ok(Some(StoredEvidence {
            message: fields.get("message")?,
            signature: fields.get("signature")?,
            pcrs: fields.json("pcrs")?,
            tpm: rows::tpm_reading(&fields)?,
            received_at: fields.timestamp("received_at_ms")?,
        }))
    }

    async fn attestation_history(
        &self,
        device: DeviceId,
        page: Page<AttestationId>,
    ) -> Result<Vec<AttestationRecord>, StoreError> {
        let operation = Operation::new("attestation_history", Entity::Attestation);
        let query = match page.after {
            None => sqlx::query(attestation_query!("WHERE device = ? ORDER BY number DESC LIMIT ?"))
                .bind(device.to_string()),
            Some(after) => sqlx::query(attestation_query!(
                "WHERE device = ?1 AND number < (SELECT number FROM attestations WHERE id = ?2 AND device = ?1) \
                 ORDER BY number DESC LIMIT ?3"
            ))
            .bind(device.to_string())
            .bind(after.to_string()),
        };
        let rows = query.bind(page.limit.get()).fetch_all(&self.readers).await.map_err(operation.failed())?;
        rows.iter().map(|row| rows::attestation(&Fields::new(row, operation))).collect()
    }

    async fn refusal_history(
        &self,
        device: DeviceId,
        page: Page<RefusalNumber>,
    ) -> Result<Vec<RefusalRecord>, StoreError> {
        let operation = Operation::new("refusal_history", Entity::Refusal);
        let before = page.after.map_or(i64::MAX, |after| i64::try_from(after.get()).unwrap_or(i64::MAX));
        let rows = sqlx::query("SELECT * FROM refusals WHERE device = ? AND number < ? ORDER BY number DESC LIMIT ?")
            .bind(device.to_string())
            .bind(before)
            .bind(page.limit.get())
            .fetch_all(&self.readers)
            .await
            .map_err(operation.failed())?;
        let read = |row| {
            let fields = Fields::new(row, operation);
            Ok(RefusalRecord {
                number: RefusalNumber::new(fields.number("number")?),
                device: fields.parsed("device")?,
                code: fields.get("code")?,
                detail: fields.get("detail")?,
                at: fields.timestamp("at_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
