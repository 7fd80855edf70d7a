//! The end of an enrolment, in one transaction.

use sqlx::{Sqlite, Transaction};
use vouchsafe_model::device::DeviceKeys;
use vouchsafe_model::token::TokenRefusal;
use vouchsafe_model::{Device, DeviceId, DeviceState, ImageId};

use super::devices::{self, Present};
use super::fields::Fields;
use super::operation::Operation;
use super::{SqliteStore, images, rows, tokens, trust};
use crate::devices::{IssuedCertificate, Standing};
use crate::enrolment::{EnrolmentOutcome, NewEnrolment};
use crate::error::{Entity, StoreError};
use crate::limits::{MAX_EK_CERTIFICATE_BYTES, MAX_FACTS_BYTES, MAX_KEY_BYTES};
use crate::trust::{TrustRow, TrustSequence};

const OPERATION: Operation = Operation::new("complete_enrolment", Entity::Device);

/// See [`Devices::complete_enrolment`](crate::Devices::complete_enrolment).
pub(super) async fn complete(store: &SqliteStore, new: &NewEnrolment) -> Result<EnrolmentOutcome, StoreError> {
    let facts = check(new)?;
    let device = &new.device;
    let mut tx = store.write(OPERATION).await?;

    let present = Present::find(&mut tx, OPERATION, device.id).await?;
    if present.as_ref().is_some_and(|present| present.state == DeviceState::Revoked) {
        return Ok(EnrolmentOutcome::Revoked);
    }
    let completed_before = completed_before(&mut tx, device).await?;
    let present_enrolment = present.as_ref().map(|present| present.enrolment);
    if present_enrolment == Some(device.keys.enrolment) {
        let standing = renew_certificate(&mut tx, new).await?;
        tx.commit().await.map_err(OPERATION.failed())?;
        return Ok(EnrolmentOutcome::Repeated(Box::new(standing)));
    }
    if completed_before || present_enrolment != new.replaces {
        return Ok(EnrolmentOutcome::Overtaken);
    }
    if let Some(refusal) = count_token(&mut tx, new).await? {
        return Ok(EnrolmentOutcome::Refused(refusal));
    }

    images::require(&mut tx, OPERATION, device.image.as_ref()).await?;
    match &present {
        None => insert_device(&mut tx, new, &facts).await?,
        Some(_) => update_device(&mut tx, device, &facts).await?,
    }
    insert_keys(&mut tx, new).await?;
    devices::insert_certificate(&mut tx, OPERATION, &certificate(new)).await?;
    let standing = Box::new(standing(&mut tx, device.id).await?);
    tx.commit().await.map_err(OPERATION.failed())?;
    Ok(if present.is_none() { EnrolmentOutcome::Enrolled(standing) } else { EnrolmentOutcome::Reenrolled(standing) })
}

/// Checks what needs no lock; returns the facts as JSON.
fn check(new: &NewEnrolment) -> Result<String, StoreError> {
    let NewEnrolment { device, trust, .. } = new;
    let DeviceKeys { ek_digest, ek_certificate, ak_public, ak_name, tls_spki, .. } = &device.keys;
    if device.id != DeviceId::from_ek_digest(ek_digest) {
        return Err(OPERATION.conflict(&device.id));
    }
    OPERATION.at_most(MAX_EK_CERTIFICATE_BYTES, "the EK certificate", ek_certificate.as_ref().map_or(0, Vec::len))?;
    OPERATION.at_most(MAX_KEY_BYTES, "the attestation key", ak_public.len())?;
    OPERATION.at_most(MAX_KEY_BYTES, "the attestation key's name", ak_name.len())?;
    OPERATION.at_most(MAX_KEY_BYTES, "the TLS key", tls_spki.len())?;
    trust::check(OPERATION, &trust.event, &trust.state)?;
    OPERATION.json(MAX_FACTS_BYTES, "the facts", &device.facts)
}

/// Whether this enrolment was completed, now or before another. It then has to have the same keys.
async fn completed_before(tx: &mut Transaction<'_, Sqlite>, device: &Device) -> Result<bool, StoreError> {
    let operation = OPERATION.about(Entity::Enrolment);
    let row = sqlx::query("SELECT * FROM enrolments WHERE id = ?")
        .bind(device.keys.enrolment.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(operation.failed())?;
    let Some(row) = row else { return Ok(false) };
    let fields = Fields::new(&row, operation);
    if fields.parsed::<DeviceId>("device")? != device.id || rows::keys(&fields, "id")? != device.keys {
        return Err(operation.conflict(&device.keys.enrolment));
    }
    Ok(true)
}

/// Counts one use of the token, unless it lets nobody in.
async fn count_token(tx: &mut Transaction<'_, Sqlite>, new: &NewEnrolment) -> Result<Option<TokenRefusal>, StoreError> {
    let Some(token) = tokens::find(tx, OPERATION, new.token).await? else {
        return Ok(Some(TokenRefusal::Unknown));
    };
    if let Some(refusal) = token.refusal(new.now) {
        return Ok(Some(refusal));
    }
    sqlx::query("UPDATE join_tokens SET uses = uses + 1 WHERE id = ?")
        .bind(new.token.to_string())
        .execute(&mut **tx)
        .await
        .map_err(OPERATION.about(Entity::Token).failed())?;
    Ok(None)
}

async fn insert_device(tx: &mut Transaction<'_, Sqlite>, new: &NewEnrolment, facts: &str) -> Result<(), StoreError> {
    let device = &new.device;
    sqlx::query(
        "INSERT INTO devices (id, state, endorsement, sha1_consent, enrolled_at_ms, image, facts, enrolment, \
         certificate_digest, trust_sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(device.id.to_string())
    .bind(DeviceState::Active.name())
    .bind(device.endorsement.name())
    .bind(device.sha1_consent)
    .bind(device.enrolled_at.unix_millis())
    .bind(device.image.as_ref().map(ImageId::to_string))
    .bind(facts)
    .bind(device.keys.enrolment.to_string())
    .bind(device.certificate_digest.as_bytes().as_slice())
    .bind(trust::column(TrustSequence::FIRST))
    .execute(&mut **tx)
    .await
    .map_err(OPERATION.failed())?;
    let first = TrustRow {
        sequence: TrustSequence::FIRST,
        at: new.now,
        event: new.trust.event.clone(),
        state: new.trust.state.clone(),
    };
    trust::insert(tx, OPERATION, device.id, &first).await
}

/// Gives a known device its new keys. An image that it has outlives its enrolments, since an operator chose it.
async fn update_device(tx: &mut Transaction<'_, Sqlite>, device: &Device, facts: &str) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE devices SET endorsement = ?, sha1_consent = ?, image = coalesce(image, ?), facts = ?, enrolment = ?, \
         certificate_digest = ? WHERE id = ?",
    )
    .bind(device.endorsement.name())
    .bind(device.sha1_consent)
    .bind(device.image.as_ref().map(ImageId::to_string))
    .bind(facts)
    .bind(device.keys.enrolment.to_string())
    .bind(device.certificate_digest.as_bytes().as_slice())
    .bind(device.id.to_string())
    .execute(&mut **tx)
    .await
    .map_err(OPERATION.failed())?;
    Ok(())
}

async fn insert_keys(tx: &mut Transaction<'_, Sqlite>, new: &NewEnrolment) -> Result<(), StoreError> {
    let keys = &new.device.keys;
    sqlx::query(
        "INSERT INTO enrolments (id, device, token, completed_at_ms, ek_digest, ek_certificate, ak_public, ak_name, \
         tls_spki) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(keys.enrolment.to_string())
    .bind(new.device.id.to_string())
    .bind(new.token.to_string())
    .bind(new.now.unix_millis())
    .bind(keys.ek_digest.as_bytes().as_slice())
    .bind(keys.ek_certificate.as_deref())
    .bind(&keys.ak_public)
    .bind(&keys.ak_name)
    .bind(&keys.tls_spki)
    .execute(&mut **tx)
    .await
    .map_err(OPERATION.about(Entity::Enrolment).failed())?;
    Ok(())
}

/// Records the certificate that a repeated enrolment was given.
async fn renew_certificate(tx: &mut Transaction<'_, Sqlite>, new: &NewEnrolment) -> Result<Standing, StoreError> {
    devices::insert_certificate(tx, OPERATION, &certificate(new)).await?;
    sqlx::query("UPDATE devices SET certificate_digest = ? WHERE id = ?")
        .bind(new.device.certificate_digest.as_bytes().as_slice())
        .bind(new.device.id.to_string())
        .execute(&mut **tx)
        .await
        .map_err(OPERATION.failed())?;
    standing(tx, new.device.id).await
}

async fn standing(tx: &mut Transaction<'_, Sqlite>, id: DeviceId) -> Result<Standing, StoreError> {
    devices::find(&mut **tx, OPERATION, id).await?.ok_or_else(|| OPERATION.corrupt("it is gone in its own transaction"))
}

fn certificate(new: &NewEnrolment) -> IssuedCertificate {
    IssuedCertificate {
        digest: new.device.certificate_digest,
        device: new.device.id,
        enrolment: new.device.keys.enrolment,
        issued_at: new.now,
        expires_at: new.device.certificate_expires_at,
    }
}
