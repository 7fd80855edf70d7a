//! What evidence does to the store when it comes: accepted or refused, in one transaction.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{DeviceId, DeviceState, ImageId};

use super::devices::{self, Present};
use super::group::{Step, Work};
use super::operation::Operation;
use super::{SqliteStore, boots, ima_lists, trust};
use crate::attestations::{
    Acceptance, AcceptedAttestation, NonceSpending, NonceUse, RefusalNumber, RefusalRecording, RefusedEvidence,
};
use crate::error::{Entity, StoreError};
use crate::limits::{MAX_CODE_BYTES, MAX_DETAIL_BYTES, MAX_FACTS_BYTES, MAX_QUOTE_BYTES, MAX_VERDICT_BYTES};

/// See [`Attestations::accept_attestation`](crate::Attestations::accept_attestation).
pub(super) async fn accept(store: &SqliteStore, accepted: &AcceptedAttestation) -> Result<Acceptance, StoreError> {
    let AcceptedAttestation { verdict, evidence, facts, trust, boot, moves, .. } = accepted;
    ACCEPT.at_most(MAX_QUOTE_BYTES, "the quote's message", evidence.message.len())?;
    ACCEPT.at_most(MAX_QUOTE_BYTES, "the quote's signature", evidence.signature.len())?;
    trust::check(ACCEPT, &trust.event, &trust.state)?;
    if let Some(moves) = moves.as_ref().filter(|moves| verdict.image() != Some(&moves.to)) {
        return Err(ACCEPT.about(Entity::Image).conflict(&moves.to));
    }
    if let Some(boot) = boot {
        boots::check(ACCEPT, boot.boot.as_deref(), boot.ima.as_deref())?;
        ima_lists::check_change(ACCEPT, &boot.list, accepted.device)?;
        if boot.enrolment != accepted.enrolment {
            return Err(ACCEPT.about(Entity::Boot).conflict(&accepted.device));
        }
    }
    let work = Accept {
        verdict: ACCEPT.json(MAX_VERDICT_BYTES, "the verdict", verdict)?,
        pcrs: ACCEPT.json(MAX_VERDICT_BYTES, "the PCR values", &evidence.pcrs)?,
        facts: facts.as_ref().map(|facts| ACCEPT.json(MAX_FACTS_BYTES, "the facts", facts)).transpose()?,
        accepted: accepted.clone(),
        room: store.ima_lists_bytes,
    };
    store.group.perform(ACCEPT, work).await
}

const ACCEPT: Operation = Operation::new("accept_attestation", Entity::Attestation);

/// Accepted evidence, with its parts as they are stored.
struct Accept {
    accepted: AcceptedAttestation,
    verdict: String,
    pcrs: String,
    facts: Option<String>,
    /// The most bytes that the IMA lists of all devices take.
    room: u64,
}

#[async_trait]
impl Work for Accept {
    type Outcome = Acceptance;

    async fn perform(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<Step<Acceptance>, StoreError> {
        let AcceptedAttestation { device, enrolment, nonce, moves, trust, boot, .. } = &self.accepted;
        let Some(present) = Present::find(tx, ACCEPT, *device).await? else {
            return Ok(Step::Undo(Acceptance::DeviceUnknown));
        };
        if present.state == DeviceState::Revoked {
            return Ok(Step::Undo(Acceptance::DeviceRevoked));
        }
        if spend(tx, ACCEPT, *device, nonce).await? == NonceSpending::AlreadySpent {
            return Ok(Step::Undo(Acceptance::NonceSpent));
        }
        if present.enrolment != *enrolment || present.image.as_ref() != self.judged_from() {
            return Ok(Step::Undo(Acceptance::Superseded));
        }
        let Some(row) = trust::append(tx, ACCEPT, *device, present.trust, trust).await? else {
            return Ok(Step::Undo(Acceptance::Superseded));
        };
        if let Some(boot) = boot
            && boots::update(tx, ACCEPT, *device, boot, self.room).await?.is_none()
        {
            return Ok(Step::Undo(Acceptance::Superseded));
        }
        let number = present.attestation.saturating_add(1);
        self.insert(tx, number).await?;
        if let Some(moves) = moves {
            devices::assign(tx, ACCEPT, *device, Some(&moves.to)).await?;
        }
        sqlx::query(
            "UPDATE devices SET attestation_number = ?, trust_sequence = ?, facts = coalesce(?, facts) WHERE id = ?",
        )
        .bind(number)
        .bind(trust::column(row))
        .bind(&self.facts)
        .bind(device.to_string())
        .execute(&mut **tx)
        .await
        .map_err(ACCEPT.failed())?;
        Ok(Step::Keep(Acceptance::Accepted(row)))
    }
}

impl Accept {
    /// The image that the device has to be assigned for this to be true of it.
    fn judged_from(&self) -> Option<&ImageId> {
        match &self.accepted.moves {
            Some(moves) => moves.from.as_ref(),
            None => self.accepted.verdict.image(),
        }
    }

    async fn insert(&self, tx: &mut Transaction<'_, Sqlite>, number: i64) -> Result<(), StoreError> {
        let accepted = &self.accepted;
        let evidence = &accepted.evidence;
        let id = accepted.verdict.attestation();
        sqlx::query(
            "INSERT INTO attestations (device, number, id, enrolment, nonce_digest, received_at_ms, verdict, message, \
         signature, pcrs, clock_ms, reset_count, restart_count, clock_safe, firmware_version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(accepted.device.to_string())
        .bind(number)
        .bind(id.to_string())
        .bind(accepted.enrolment.to_string())
        .bind(accepted.nonce.digest.as_bytes().as_slice())
        .bind(evidence.received_at.unix_millis())
        .bind(&self.verdict)
        .bind(&evidence.message)
        .bind(&evidence.signature)
        .bind(&self.pcrs)
        .bind(evidence.tpm.clock_ms.cast_signed())
        .bind(i64::from(evidence.tpm.reset_count))
        .bind(i64::from(evidence.tpm.restart_count))
        .bind(evidence.tpm.safe)
        .bind(evidence.tpm.firmware_version.cast_signed())
        .execute(&mut **tx)
        .await
        .map_err(ACCEPT.inserting(id))?;
        Ok(())
    }
}

/// See [`Attestations::refuse_evidence`](crate::Attestations::refuse_evidence).
pub(super) async fn refuse(store: &SqliteStore, refused: &RefusedEvidence) -> Result<RefusalRecording, StoreError> {
    REFUSE.at_most(MAX_CODE_BYTES, "the code", refused.code.len())?;
    REFUSE.at_most(MAX_DETAIL_BYTES, "the detail", refused.detail.len())?;
    if let Some(update) = &refused.trust {
        trust::check(REFUSE, &update.event, &update.state)?;
    }
    store.group.perform(REFUSE, Refuse(refused.clone())).await
}

const REFUSE: Operation = Operation::new("refuse_evidence", Entity::Refusal);

/// Refused evidence.
struct Refuse(RefusedEvidence);

#[async_trait]
impl Work for Refuse {
    type Outcome = RefusalRecording;

    async fn perform(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<Step<RefusalRecording>, StoreError> {
        let RefusedEvidence { device, nonce, code, detail, at, trust } = &self.0;
        let present = Present::find(tx, REFUSE, *device).await?;
        let present = present.ok_or_else(|| REFUSE.about(Entity::Device).missing(device))?;
        if let Some(nonce) = nonce {
            spend(tx, REFUSE, *device, nonce).await?;
        }
        if let Some(update) = trust {
            let Some(row) = trust::append(tx, REFUSE, *device, present.trust, update).await? else {
                return Ok(Step::Undo(RefusalRecording::Superseded));
            };
            sqlx::query("UPDATE devices SET trust_sequence = ? WHERE id = ?")
                .bind(trust::column(row))
                .bind(device.to_string())
                .execute(&mut **tx)
                .await
                .map_err(REFUSE.failed())?;
        }
        let recorded = sqlx::query("INSERT INTO refusals (device, at_ms, code, detail) VALUES (?, ?, ?, ?)")
            .bind(device.to_string())
            .bind(at.unix_millis())
            .bind(code)
            .bind(detail)
            .execute(&mut **tx)
            .await
            .map_err(REFUSE.failed())?;
        let number = RefusalNumber::new(recorded.last_insert_rowid().cast_unsigned());
        Ok(Step::Keep(RefusalRecording::Recorded(number)))
    }
}

/// Spends a nonce in the transaction of what it is used for. One that expires no later than the last that was forgotten
/// may have been forgotten itself, and counts as spent.
pub(super) async fn spend(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    device: DeviceId,
    nonce: &NonceUse,
) -> Result<NonceSpending, StoreError> {
    let spent = sqlx::query(
        "INSERT INTO spent_nonces (digest, device, expires_at_ms) \
         SELECT ?1, ?2, ?3 FROM retention WHERE id = 1 AND nonces_through_ms < ?3 \
         ON CONFLICT (digest) DO NOTHING",
    )
    .bind(nonce.digest.as_bytes().as_slice())
    .bind(device.to_string())
    .bind(nonce.expires_at.unix_millis())
    .execute(&mut **tx)
    .await
    .map_err(operation.about(Entity::Nonce).failed())?;
    Ok(if spent.rows_affected() == 1 { NonceSpending::Spent } else { NonceSpending::AlreadySpent })
}
