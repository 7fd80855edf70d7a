//! What was booted: the quote and the event log against the images that are valid.

use vouchsafe_attest::eventlog::facts::BootFacts;
use vouchsafe_attest::eventlog::{EventLog, ReplayedLog};
use vouchsafe_attest::image::boot::Proof;
use vouchsafe_attest::image::{self, Compiled};
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_attest::secure_boot::{Dbx, revoked};
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, ImageId, PcrIndex, Severity};

use super::at_no_cost;
use crate::golden::ValidImages;

/// What a boot comes to.
#[derive(Debug, Default)]
pub(super) struct Booted {
    /// The image that it meets, or comes closest to.
    pub(super) image: Option<ImageId>,
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// Whether an image said what to expect.
    pub(super) is_covered: bool,
    /// Whether the boot meets the image: nothing of it fails.
    pub(super) is_met: bool,
}

/// What there is to see of a boot.
struct Seen {
    /// What the log says, as far as the quote vouches for it, and the PCRs of which it does.
    facts: Option<(BootFacts, Proof)>,
    /// What is wrong with the log as a log, or that there is none.
    faults: Vec<Finding>,
    /// What is out of place in it.
    deviations: Vec<Finding>,
    /// What was booted and is revoked.
    revoked: Vec<Finding>,
}

/// Compares what was booted with the valid images.
pub(super) fn compare(quote: &AuthenticQuote, event_log: Option<&[u8]>, valid: &ValidImages, dbx: &Dbx) -> Booted {
    let seen = Seen::of(quote, event_log, dbx);
    let compared = image::choose(&valid.compiled(), |image| seen.against(quote, image));
    let Some(choice) = compared else {
        return Booted { findings: at_no_cost(seen.told()), ..Booted::default() };
    };
    let document = choice.image.document();
    Booted {
        image: Some(document.id.clone()),
        is_covered: document.boot.is_some() || !document.pcrs.is_empty(),
        is_met: choice.findings.iter().all(|finding| finding.severity < Severity::Failure),
        findings: choice.findings,
    }
}

impl Seen {
    fn of(quote: &AuthenticQuote, event_log: Option<&[u8]>, dbx: &Dbx) -> Self {
        let nothing = |faults| Self { facts: None, faults, deviations: Vec::new(), revoked: Vec::new() };
        let Some(bytes) = event_log else { return nothing(vec![Finding::new(FindingCode::EventLogMissing)]) };
        let log = match EventLog::parse(bytes) {
            Ok(log) => log,
            Err(error) => {
                let finding = Finding::new(FindingCode::EventLogMalformed);
                return nothing(vec![finding.with("a TCG event log", error)]);
            }
        };
        match log.authenticate(quote, extended_later()) {
            Err(mismatches) => nothing(mismatches),
            Ok(replayed) => Self::vouched_for(&replayed, quote, dbx),
        }
    }

    fn vouched_for(replayed: &ReplayedLog<'_>, quote: &AuthenticQuote, dbx: &Dbx) -> Self {
        let facts = replayed.facts();
        let revoked = revoked(&facts, dbx);
        let proof = Proof::of(replayed, quote.pcrs());
        Self { facts: Some((facts, proof)), faults: Vec::new(), deviations: replayed.deviations(), revoked }
    }

    /// What an image has to say of it.
    fn against(&self, quote: &AuthenticQuote, image: &Compiled) -> Vec<Finding> {
        let mut findings = image::pcrs::compare(quote, image);
        // A revoked loader is one whatever an image says: it may have lied about all that came after it.
        findings.extend(self.revoked.iter().cloned());
        if image.document().boot.is_none() {
            findings.extend(at_no_cost(self.told_but_absence()));
            return findings;
        }
        findings.extend(self.faults.iter().cloned());
        findings.extend(image::accept(self.deviations.clone(), image));
        if let Some((facts, proof)) = &self.facts {
            findings.extend(image::boot::compare(facts, image, proof));
        }
        findings
    }

    fn told(&self) -> Vec<Finding> {
        self.told_but_absence().into_iter().chain(self.revoked.iter().cloned()).collect()
    }

    /// All that is wrong with the log, but not that there is none: nobody asked for it.
    fn told_but_absence(&self) -> Vec<Finding> {
        let is_present = |finding: &&Finding| finding.code != FindingCode::EventLogMissing;
        self.faults.iter().chain(&self.deviations).filter(is_present).cloned().collect()
    }
}

/// The PCRs that the running system goes on extending (UAPI Linux TPM PCR registry: 11 to 15), so that the log of the boot
/// need not replay to them. What it says of them counts only where it does.
fn extended_later() -> PcrSet {
    (11..=15).filter_map(PcrIndex::new).collect()
}
