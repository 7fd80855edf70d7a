//! Devices.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteExecutor, Transaction};
use vouchsafe_model::device::HostFacts;
use vouchsafe_model::{Device, DeviceId, DeviceState, EnrolmentId, ImageId, Sha256Digest};

use super::fields::Fields;
use super::operation::Operation;
use super::rows::{self, device_query, standing_query};
use super::{SqliteStore, enrolment, images, trust};
use crate::devices::{CertificateRecording, DeviceFilter, Devices, IssuedCertificate, Standing, StateChange};
use crate::enrolment::{EnrolmentOutcome, NewEnrolment};
use crate::error::{Entity, StoreError};
use crate::limits::{MAX_FACTS_BYTES, MAX_REASON_BYTES};
use crate::page::{Page, PageLimit};
use crate::trust::{TrustSequence, TrustUpdate};

#[async_trait]
impl Devices for SqliteStore {
    async fn complete_enrolment(&self, enrolment: &NewEnrolment) -> Result<EnrolmentOutcome, StoreError> {
        enrolment::complete(self, enrolment).await
    }

    async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError> {
        let operation = Operation::new("device", Entity::Device);
        let row = sqlx::query(device_query!("WHERE d.id = ?"))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| rows::device(&Fields::new(&row, operation))).transpose()
    }

    async fn standing(&self, id: DeviceId) -> Result<Option<Standing>, StoreError> {
        find(&self.readers, Operation::new("standing", Entity::Device), id).await
    }

    async fn devices_by_prefix(&self, prefix: &str, limit: PageLimit) -> Result<Vec<Device>, StoreError> {
        let operation = Operation::new("devices_by_prefix", Entity::Device);
        // Ids have no character that sorts after 'z', so whatever starts with the prefix sorts before prefix and '{'.
        let rows = sqlx::query(device_query!("WHERE d.id >= ?1 AND d.id < ?1 || '{' ORDER BY d.id LIMIT ?2"))
            .bind(prefix)
            .bind(limit.get())
            .fetch_all(&self.readers)
            .await
            .map_err(operation.failed())?;
        rows.iter().map(|row| rows::device(&Fields::new(row, operation))).collect()
    }

    async fn list_standings(&self, filter: &DeviceFilter, page: Page<DeviceId>) -> Result<Vec<Standing>, StoreError> {
        let operation = Operation::new("list_standings", Entity::Device);
        let mut query = QueryBuilder::<Sqlite>::new(standing_query!("WHERE true"));
        if let Some(state) = filter.state {
            query.push(" AND d.state = ").push_bind(state.name());
        }
        if let Some(image) = &filter.image {
            query.push(" AND d.image = ").push_bind(image.to_string());
        }
        if let Some(after) = page.after {
            query.push(" AND d.id > ").push_bind(after.to_string());
        }
        query.push(" ORDER BY d.id LIMIT ").push_bind(page.limit.get());
        let rows = query.build().fetch_all(&self.readers).await.map_err(operation.failed())?;
        rows.iter().map(|row| rows::standing(&Fields::new(row, operation))).collect()
    }

    async fn set_device_image(&self, id: DeviceId, image: Option<&ImageId>) -> Result<(), StoreError> {
        let operation = Operation::new("set_device_image", Entity::Device);
        let mut tx = self.write(operation).await?;
        assign(&mut tx, operation, id, image).await?;
        tx.commit().await.map_err(operation.failed())
    }

    async fn revoke_device(&self, id: DeviceId, reason: &str, trust: &TrustUpdate) -> Result<StateChange, StoreError> {
        let operation = Operation::new("revoke_device", Entity::Device);
        operation.at_most(MAX_REASON_BYTES, "the reason", reason.len())?;
        change_state(self, operation, id, DeviceState::Revoked, Some(reason), trust).await
    }

    async fn restore_device(&self, id: DeviceId, trust: &TrustUpdate) -> Result<StateChange, StoreError> {
        let operation = Operation::new("restore_device", Entity::Device);
        change_state(self, operation, id, DeviceState::Active, None, trust).await
    }

    async fn record_certificate(&self, certificate: &IssuedCertificate) -> Result<CertificateRecording, StoreError> {
        let operation = Operation::new("record_certificate", Entity::Device);
        let mut tx = self.write(operation).await?;
        let present = Present::find(&mut tx, operation, certificate.device).await?;
        let present = present.ok_or_else(|| operation.missing(&certificate.device))?;
        if present.state == DeviceState::Revoked {
            return Ok(CertificateRecording::Revoked);
        }
        if present.enrolment != certificate.enrolment {
            return Ok(CertificateRecording::Superseded);
        }
        insert_certificate(&mut tx, operation, certificate).await?;
        sqlx::query("UPDATE devices SET certificate_digest = ? WHERE id = ?")
            .bind(certificate.digest.as_bytes().as_slice())
            .bind(certificate.device.to_string())
            .execute(&mut *tx)
            .await
            .map_err(operation.failed())?;
        tx.commit().await.map_err(operation.failed())?;
        Ok(CertificateRecording::Recorded)
    }

    async fn certificate(&self, digest: &Sha256Digest) -> Result<Option<IssuedCertificate>, StoreError> {
        find_certificate(&self.readers, Operation::new("certificate", Entity::Certificate), digest).await
    }

    async fn update_facts(&self, id: DeviceId, facts: &HostFacts) -> Result<(), StoreError> {
        let operation = Operation::new("update_facts", Entity::Device);
        let facts = operation.json(MAX_FACTS_BYTES, "the facts", facts)?;
        let mut tx = self.write(operation).await?;
        let changed = sqlx::query("UPDATE devices SET facts = ? WHERE id = ?")
            .bind(facts)
            .bind(id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(operation.failed())?;
        if changed.rows_affected() == 0 {
            return Err(operation.missing(&id));
        }
        tx.commit().await.map_err(operation.failed())
    }
}

/// What every change of a device depends on, read under the lock.
pub(super) struct Present {
    pub(super) state: DeviceState,
    pub(super) enrolment: EnrolmentId,
    pub(super) image: Option<ImageId>,
    pub(super) trust: TrustSequence,
    /// The number of its last attestation; 0 when there was none.
    pub(super) attestation: i64,
}

impl Present {
    pub(super) async fn find(
        tx: &mut Transaction<'_, Sqlite>,
        operation: Operation,
        id: DeviceId,
    ) -> Result<Option<Self>, StoreError> {
        let row = sqlx::query(
            "SELECT state, enrolment, image, trust_sequence, coalesce(attestation_number, 0) AS attestation_number \
             FROM devices WHERE id = ?",
        )
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(operation.failed())?;
        row.map(|row| Self::read(&row, operation)).transpose()
    }

    fn read(row: &SqliteRow, operation: Operation) -> Result<Self, StoreError> {
        let fields = Fields::new(row, operation).about(Entity::Device);
        Ok(Self {
            state: fields.named("state", &[DeviceState::Active, DeviceState::Revoked], DeviceState::name)?,
            enrolment: fields.parsed("enrolment")?,
            image: fields.optional("image", Fields::parsed)?,
            trust: trust::sequence(fields.get("trust_sequence")?),
            attestation: fields.get("attestation_number")?,
        })
    }
}

/// The standing of a device, in a transaction or by itself.
pub(super) async fn find(
    executor: impl SqliteExecutor<'_>,
    operation: Operation,
    id: DeviceId,
) -> Result<Option<Standing>, StoreError> {
    let row = sqlx::query(standing_query!("WHERE d.id = ?"))
        .bind(id.to_string())
        .fetch_optional(executor)
        .await
        .map_err(operation.failed())?;
    row.map(|row| rows::standing(&Fields::new(&row, operation))).transpose()
}

/// Makes this the image that the device is compared with.
pub(super) async fn assign(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    id: DeviceId,
    image: Option<&ImageId>,
) -> Result<(), StoreError> {
    let operation = operation.about(Entity::Device);
    images::require(tx, operation, image).await?;
    let changed = sqlx::query("UPDATE devices SET image = ? WHERE id = ?")
        .bind(image.map(ImageId::to_string))
        .bind(id.to_string())
        .execute(&mut **tx)
        .await
        .map_err(operation.failed())?;
    if changed.rows_affected() == 0 { Err(operation.missing(&id)) } else { Ok(()) }
}

async fn change_state(
    store: &SqliteStore,
    operation: Operation,
    id: DeviceId,
    to: DeviceState,
    reason: Option<&str>,
    update: &TrustUpdate,
) -> Result<StateChange, StoreError> {
    trust::check(operation, &update.event, &update.state)?;
    let mut tx = store.write(operation).await?;
    let present = Present::find(&mut tx, operation, id).await?.ok_or_else(|| operation.missing(&id))?;
    if present.state == to {
        return Ok(StateChange::Unchanged);
    }
    let Some(row) = trust::append(&mut tx, operation, id, present.trust, update).await? else {
        return Ok(StateChange::Superseded);
    };
    sqlx::query("UPDATE devices SET state = ?, revocation_reason = ?, trust_sequence = ? WHERE id = ?")
        .bind(to.name())
        .bind(reason)
        .bind(trust::column(row))
        .bind(id.to_string())
        .execute(&mut *tx)
        .await
        .map_err(operation.failed())?;
    tx.commit().await.map_err(operation.failed())?;
    Ok(StateChange::Changed(row))
}

/// Adds a certificate; the caller makes the device point to it.
pub(super) async fn insert_certificate(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    certificate: &IssuedCertificate,
) -> Result<(), StoreError> {
    let operation = operation.about(Entity::Certificate);
    let inserted = sqlx::query(
        "INSERT INTO certificates (digest, device, enrolment, issued_at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (digest) DO NOTHING",
    )
    .bind(certificate.digest.as_bytes().as_slice())
    .bind(certificate.device.to_string())
    .bind(certificate.enrolment.to_string())
    .bind(certificate.issued_at.unix_millis())
    .bind(certificate.expires_at.unix_millis())
    .execute(&mut **tx)
    .await
    .map_err(operation.failed())?;
    if inserted.rows_affected() == 1 {
        return Ok(());
    }
    let stored = find_certificate(&mut **tx, operation, &certificate.digest).await?;
    // It is the same certificate; when it was issued is what it was when it was recorded first.
    let same =
        stored.is_some_and(|stored| IssuedCertificate { issued_at: certificate.issued_at, ..stored } == *certificate);
    if same { Ok(()) } else { Err(operation.conflict(&certificate.digest)) }
}

async fn find_certificate(
    executor: impl SqliteExecutor<'_>,
    operation: Operation,
    digest: &Sha256Digest,
) -> Result<Option<IssuedCertificate>, StoreError> {
    let row = sqlx::query("SELECT * FROM certificates WHERE digest = ?")
        .bind(digest.as_bytes().as_slice())
        .fetch_optional(executor)
        .await
        .map_err(operation.failed())?;
    let read = |row: SqliteRow| {
        let fields = Fields::new(&row, operation);
        Ok(IssuedCertificate {
            digest: fields.digest("digest")?,
            device: fields.parsed("device")?,
            enrolment: fields.parsed("enrolment")?,
            issued_at: fields.timestamp("issued_at_ms")?,
            expires_at: fields.timestamp("expires_at_ms")?,
        })
    };
    row.map(read).transpose()
}
