//! What was found of a quote.

use serde::Serialize;
use vouchsafe_attest::clock::ClockReading;
use vouchsafe_attest::quote::SignedQuote;
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::{HashAlgorithm, PcrSelection};

use super::line;
use super::table::Facts;

/// Whether a quote is authentic, and what it says.
#[derive(Debug, Serialize)]
pub(crate) struct QuoteReport {
    pub(crate) authentic: bool,
    /// Why it is not.
    reason: Option<Reason>,
    /// What the key signed; `null` when it did not sign this.
    signed: Option<Signed>,
    /// What is known of the key.
    ak: KeyAttributes,
    /// What became of the nonce; `null` when the quote is not authentic.
    nonce: Option<Checked>,
    /// What became of the PCR values; `null` when the quote is not authentic.
    pcrs: Option<Checked>,
}

/// Why a quote is not authentic.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// What is known of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyAttributes {
    /// By its attributes it signs nothing but what its TPM itself says.
    Checked,
    /// Its file says nothing about attributes (PEM): that it is an attestation key is for the caller to know.
    Unknown,
    /// By its attributes quotes can be forged with it.
    Unfit,
}

/// What became of a value that may be given or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Checked {
    /// It is the one that was signed.
    Matched,
    /// It was not given, so that nothing was compared.
    NotGiven,
}

/// What a key signed.
#[derive(Debug, Serialize)]
struct Signed {
    nonce: String,
    selection: Vec<PcrSelection>,
    digest: String,
    hash: HashAlgorithm,
    clock: Clock,
    qualified_signer: String,
}

/// The TPM's clock and counters, as the key is told them.
#[derive(Debug, Serialize)]
struct Clock {
    #[serde(rename = "clock_ms")]
    ms: u64,
    reset_count: u32,
    restart_count: u32,
    safe: bool,
    /// In hexadecimal: programs that read JSON numbers as doubles would change it.
    firmware_version: String,
}

impl From<&ClockReading> for Clock {
    fn from(reading: &ClockReading) -> Self {
        Self {
            ms: reading.clock_ms,
            reset_count: reading.reset_count,
            restart_count: reading.restart_count,
            safe: reading.safe,
            firmware_version: format!("{:#018x}", reading.firmware_version),
        }
    }
}

impl Signed {
    fn of(quote: &SignedQuote) -> Self {
        Self {
            nonce: to_hex(quote.qualifying_data()),
            selection: quote.selections().to_vec(),
            digest: to_hex(quote.digest()),
            hash: quote.hash(),
            clock: quote.clock().into(),
            qualified_signer: to_hex(quote.qualified_signer()),
        }
    }
}

impl QuoteReport {
    /// A quote that is what the key signed, and agrees with what was given.
    pub(crate) fn authentic(quote: &SignedQuote, ak: KeyAttributes, nonce: Checked, pcrs: Checked) -> Self {
        Self {
            authentic: true,
            reason: None,
            signed: Some(Signed::of(quote)),
            ak,
            nonce: Some(nonce),
            pcrs: Some(pcrs),
        }
    }

    /// A quote that is not; with what was signed nevertheless, if anything was.
    pub(crate) fn refused(reason: Reason, ak: KeyAttributes, signed: Option<&SignedQuote>) -> Self {
        Self { authentic: false, reason: Some(reason), signed: signed.map(Signed::of), ak, nonce: None, pcrs: None }
    }
}

/// The report as text.
pub(crate) fn view(report: &QuoteReport) -> String {
    let mut text = String::new();
    match &report.reason {
        None => text.push_str("authentic: yes\n"),
        Some(reason) => line(&mut text, format_args!("authentic: no\nreason: {} ({})", reason.message, reason.code)),
    }
    match report.ak {
        KeyAttributes::Checked | KeyAttributes::Unfit => {}
        KeyAttributes::Unknown => text.push_str(
            "note: a PEM file says nothing about the key's attributes; make sure in another way that it is a restricted key of a TPM\n",
        ),
    }
    if let Some(signed) = &report.signed {
        text.push('\n');
        text.push_str(&view_signed(report, signed));
    }
    text
}

fn view_signed(report: &QuoteReport, signed: &Signed) -> String {
    let clock = &signed.clock;
    let selection: Vec<String> = signed.selection.iter().map(ToString::to_string).collect();
    let unsafe_clock = if clock.safe { "" } else { ", may be behind" };
    Facts::default()
        .with("nonce", format!("{}{}", or_none(&signed.nonce), checked(report.nonce, "--nonce")))
        .with("PCRs", format!("{}{}", or_none(&selection.join(" ")), checked(report.pcrs, "--pcrs")))
        .with("PCR digest", format!("{} ({})", signed.digest, signed.hash))
        .with("clock", format!("{} ms{unsafe_clock}", clock.ms))
        .with("resets", format!("{}, restarts {}", clock.reset_count, clock.restart_count))
        .with("firmware", &clock.firmware_version)
        .with("signer", &signed.qualified_signer)
        .text()
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn checked(checked: Option<Checked>, option: &str) -> String {
    match checked {
        Some(Checked::Matched) => " (matches)".to_owned(),
        Some(Checked::NotGiven) => format!(" (not checked: {option} was not given)"),
        None => String::new(),
    }
}
