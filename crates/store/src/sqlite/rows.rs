//! What several operations read alike: devices, trust rows and attestations, alone or joined.

use vouchsafe_model::device::DeviceKeys;
use vouchsafe_model::{Device, DeviceState, EndorsementGrade};

use super::fields::Fields;
use crate::attestations::{AttestationRecord, TpmReading};
use crate::devices::Standing;
use crate::error::{Entity, StoreError};
use crate::trust::{TrustRow, TrustSequence};

/// A query for devices with their present keys and certificate. To be completed by a `WHERE`.
macro_rules! device_query {
    ($rest:literal) => {
        device_query!(columns "", joins "", $rest)
    };
    (columns $columns:literal, joins $joins:literal, $rest:literal) => {
        concat!(
            "SELECT d.id AS device, d.state, d.revocation_reason, d.endorsement, d.sha1_consent, d.enrolled_at_ms, ",
            "d.image, d.facts, d.enrolment, d.certificate_digest, c.expires_at_ms AS certificate_expires_at_ms, ",
            "e.ek_digest, e.ek_certificate, e.ak_public, e.ak_name, e.tls_spki",
            $columns,
            " FROM devices d JOIN enrolments e ON e.id = d.enrolment ",
            "JOIN certificates c ON c.digest = d.certificate_digest ",
            $joins,
            $rest
        )
    };
}

/// A query for devices with their present keys, certificate, trust and attestation. To be completed by a `WHERE`.
macro_rules! standing_query {
    ($rest:literal) => {
        device_query!(
            columns ", t.sequence, t.at_ms, t.event, t.state AS trust_state, \
                a.enrolment AS attestation_enrolment, a.verdict, a.clock_ms, a.reset_count, a.restart_count, \
                a.clock_safe, a.firmware_version, a.received_at_ms",
            joins "JOIN trust_history t ON t.device = d.id AND t.sequence = d.trust_sequence \
                LEFT JOIN attestations a ON a.device = d.id AND a.number = d.attestation_number ",
            $rest
        )
    };
}

/// A query for rows of trust histories.
macro_rules! trust_query {
    ($rest:literal) => {
        concat!("SELECT sequence, at_ms, event, state AS trust_state FROM trust_history ", $rest)
    };
}

/// A query for attestations without the quote's bytes.
macro_rules! attestation_query {
    ($rest:literal) => {
        concat!(
            "SELECT device, enrolment AS attestation_enrolment, verdict, clock_ms, reset_count, restart_count, ",
            "clock_safe, firmware_version, received_at_ms FROM attestations ",
            $rest
        )
    };
}

pub(super) use {attestation_query, device_query, standing_query, trust_query};

pub(super) fn device(fields: &Fields<'_>) -> Result<Device, StoreError> {
    let fields = fields.about(Entity::Device);
    Ok(Device {
        id: fields.parsed("device")?,
        state: fields.named("state", &[DeviceState::Active, DeviceState::Revoked], DeviceState::name)?,
        revocation_reason: fields.get("revocation_reason")?,
        endorsement: fields.named(
            "endorsement",
            &[EndorsementGrade::None, EndorsementGrade::Pinned, EndorsementGrade::Vendor],
            EndorsementGrade::name,
        )?,
        sha1_consent: fields.flag("sha1_consent")?,
        enrolled_at: fields.timestamp("enrolled_at_ms")?,
        image: fields.optional("image", Fields::parsed)?,
        certificate_expires_at: fields.timestamp("certificate_expires_at_ms")?,
        certificate_digest: fields.digest("certificate_digest")?,
        keys: keys(&fields, "enrolment")?,
        facts: fields.json("facts")?,
    })
}

/// The keys of an enrolment; its id is in the column of this name.
pub(super) fn keys(fields: &Fields<'_>, id: &str) -> Result<DeviceKeys, StoreError> {
    let fields = fields.about(Entity::Enrolment);
    Ok(DeviceKeys {
        enrolment: fields.parsed(id)?,
        ek_digest: fields.digest("ek_digest")?,
        ek_certificate: fields.get("ek_certificate")?,
        ak_public: fields.get("ak_public")?,
        ak_name: fields.get("ak_name")?,
        tls_spki: fields.get("tls_spki")?,
    })
}

pub(super) fn trust(fields: &Fields<'_>) -> Result<TrustRow, StoreError> {
    let fields = fields.about(Entity::Trust);
    Ok(TrustRow {
        sequence: TrustSequence::new(fields.number("sequence")?),
        at: fields.timestamp("at_ms")?,
        event: fields.get("event")?,
        state: fields.get("trust_state")?,
    })
}

pub(super) fn attestation(fields: &Fields<'_>) -> Result<AttestationRecord, StoreError> {
    let fields = fields.about(Entity::Attestation);
    Ok(AttestationRecord {
        device: fields.parsed("device")?,
        enrolment: fields.parsed("attestation_enrolment")?,
        verdict: fields.json("verdict")?,
        tpm: tpm_reading(&fields)?,
        received_at: fields.timestamp("received_at_ms")?,
    })
}

pub(super) fn tpm_reading(fields: &Fields<'_>) -> Result<TpmReading, StoreError> {
    Ok(TpmReading {
        clock_ms: fields.bits("clock_ms")?,
        reset_count: fields.number("reset_count")?,
        restart_count: fields.number("restart_count")?,
        safe: fields.flag("clock_safe")?,
        firmware_version: fields.bits("firmware_version")?,
    })
}

pub(super) fn standing(fields: &Fields<'_>) -> Result<Standing, StoreError> {
    Ok(Standing {
        device: device(fields)?,
        trust: trust(fields)?,
        attestation: if fields.has("verdict")? { Some(attestation(fields)?) } else { None },
    })
}
