//! Evidence → verdict: what an authentic quote says when it is held against what is known of the device.

use std::time::Duration;

use vouchsafe_attest::clock::{self, ClockReading};
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_attest::reference;
use vouchsafe_model::{AttestationId, Coverage, EndorsementGrade, Finding, FindingCode, Image, Timestamp, Verdict};

/// What is known when a quote is appraised.
#[derive(Debug)]
pub struct Context<'a> {
    /// The attestation's name.
    pub attestation: AttestationId,
    /// The present instant, at which the evidence was received.
    pub now: Timestamp,
    /// When the nonce of the quote was issued: the quote is no older.
    pub nonce_issued_at: Timestamp,
    /// What the TPM said of itself in the last attestation by the same AK, and when that was received. Readings under
    /// different keys do not compare (TPM 2.0 Part 1, 36.7: they may be obfuscated).
    pub previous: Option<(ClockReading, Timestamp)>,
    /// How well the device's TPM is vouched for.
    pub endorsement: EndorsementGrade,
    /// The golden image of the device.
    pub image: Option<&'a Image>,
    /// How much older than its round trip a quote may be.
    pub delay_tolerance: Duration,
}

/// Concludes from an authentic quote.
pub fn appraise(quote: &AuthenticQuote, context: &Context<'_>) -> Verdict {
    let mut findings = Vec::new();
    let previous = context.previous.as_ref();
    if let Some((reading, _)) = previous {
        findings.extend(clock::compare(reading, quote.clock()).findings);
    }
    let age = clock::quote_age(
        previous.map(|(reading, received_at)| (reading, *received_at)),
        quote.clock(),
        context.nonce_issued_at,
        context.now,
        context.delay_tolerance,
    );
    findings.extend(age.finding);
    if let Some(image) = context.image {
        findings.extend(reference::compare(quote, image));
        if image.retired_at.is_some_and(|retired_at| retired_at <= context.now) {
            findings.push(Finding::new(FindingCode::ImageRetired));
        }
    } else {
        findings.extend(reference::weak_bank(quote));
        findings.push(Finding::new(FindingCode::ImageUnassigned));
    }
    let image = context.image.map(|image| image.id.clone());
    let coverage = Coverage { boot: image.is_some(), ..Coverage::quote_only(context.endorsement) };
    Verdict::new(context.attestation, context.now, age.quoted_at, image, coverage, findings)
}
