//! A boot as it was told, to be held against one image after another.
//!
//! The same comparison serves the engine, where a TPM vouches for the PCR values, and the tools that look at files, where
//! nobody does. The two have their own types, so that the one never passes for the other.

use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, PcrBank};

use super::boot::{self, Proof};
use super::{Compiled, accept, pcrs};
use crate::eventlog::facts::BootFacts;
use crate::eventlog::{EventLog, ReplayedLog, extended_later};
use crate::quote::AuthenticQuote;
use crate::secure_boot::{Dbx, revoked};

/// A boot that a TPM vouches for: its quote, and the log that explains it.
#[derive(Debug)]
pub struct SeenBoot<'a>(Seen<'a>);

/// A boot that is told by files: PCR values and a log for which nobody vouches.
#[derive(Debug)]
pub struct ClaimedBoot<'a>(Seen<'a>);

/// What there is to see of a boot.
#[derive(Debug)]
struct Seen<'a> {
    pcrs: &'a PcrBank,
    /// What the log says, as far as the values bear it out, and of which PCRs they do.
    facts: Option<(BootFacts, Proof)>,
    /// What is wrong with the log as a log, or that there is none.
    faults: Vec<Finding>,
    /// What is out of place in it.
    deviations: Vec<Finding>,
    /// What was booted and is revoked.
    revoked: Vec<Finding>,
}

impl<'a> SeenBoot<'a> {
    /// Holds a log against the quote that came with it. A log that does not replay to it says nothing but that.
    pub fn of(quote: &'a AuthenticQuote, event_log: Option<&[u8]>, dbx: &Dbx) -> Self {
        let pcrs = quote.pcrs();
        let Some(bytes) = event_log else {
            return Self(Seen::faulty(pcrs, vec![Finding::new(FindingCode::EventLogMissing)]));
        };
        let log = match EventLog::parse(bytes) {
            Ok(log) => log,
            Err(error) => {
                let finding = Finding::new(FindingCode::EventLogMalformed);
                return Self(Seen::faulty(pcrs, vec![finding.with("a TCG event log", error)]));
            }
        };
        Self(match log.authenticate(quote, extended_later()) {
            Err(mismatches) => Seen::faulty(pcrs, mismatches),
            Ok(replayed) => Seen::replayed(pcrs, &replayed, dbx),
        })
    }

    /// What an image has to say of it. Of an image without a boot section that is nothing about the log, which is told at no
    /// cost.
    pub fn against(&self, image: &Compiled) -> Vec<Finding> {
        let mut findings = self.0.values_against(image);
        if image.document().boot.is_some() {
            findings.extend(self.0.log_against(image));
        } else {
            findings.extend(self.0.told_but_absence().map(Finding::at_no_cost));
        }
        findings
    }

    /// What there is to say of it without an image: all that is wrong with the log, but not that there is none, for which
    /// nobody asked.
    pub fn told(&self) -> Vec<Finding> {
        self.0.told_but_absence().chain(self.0.revoked.iter().cloned()).collect()
    }
}

impl<'a> ClaimedBoot<'a> {
    /// Holds a log against PCR values. What is out of place in it is told whether it replays to them or not.
    pub fn of(pcrs: &'a PcrBank, log: &EventLog<'_>, dbx: &Dbx) -> Self {
        let mut seen = match log.replayed_to(pcrs, extended_later()) {
            Ok(replayed) => Seen::replayed(pcrs, &replayed, dbx),
            Err(mismatches) => Seen {
                deviations: log.deviations(),
                revoked: revoked(&log.facts(), dbx),
                ..Seen::faulty(pcrs, mismatches)
            },
        };
        let replay = log.replay();
        if replay.bank(pcrs.bank).is_some() {
            // The running system may have extended these; nothing is wrong with a log for it.
            let later = replay.differences_but(pcrs, PcrSet::all().without(extended_later()));
            seen.faults.extend(later.into_iter().map(Finding::at_no_cost));
        }
        Self(seen)
    }

    /// What the log says, as far as the values bear it out.
    ///
    /// # Errors
    /// With what is wrong with it, when it does not replay to them.
    pub fn facts(&self) -> Result<&BootFacts, &[Finding]> {
        self.0.facts.as_ref().map(|(facts, _)| facts).ok_or(&self.0.faults)
    }

    /// What an image has to say of it. The log is looked at even when the image does not ask for one: somebody gave it.
    pub fn against(&self, image: &Compiled) -> Vec<Finding> {
        let mut findings = self.0.values_against(image);
        findings.extend(self.0.log_against(image));
        findings
    }
}

impl<'a> Seen<'a> {
    fn faulty(pcrs: &'a PcrBank, faults: Vec<Finding>) -> Self {
        Self { pcrs, facts: None, faults, deviations: Vec::new(), revoked: Vec::new() }
    }

    fn replayed(pcrs: &'a PcrBank, replayed: &ReplayedLog<'_>, dbx: &Dbx) -> Self {
        let facts = replayed.facts();
        let revoked = revoked(&facts, dbx);
        let proof = Proof::of(replayed, pcrs);
        Self { pcrs, facts: Some((facts, proof)), faults: Vec::new(), deviations: replayed.deviations(), revoked }
    }

    /// The PCR values. A revoked loader is one whatever an image says: it may have lied about all that came after it.
    fn values_against(&self, image: &Compiled) -> Vec<Finding> {
        let mut findings = pcrs::compare_values(self.pcrs, image);
        findings.extend(self.revoked.iter().cloned());
        findings
    }

    fn log_against(&self, image: &Compiled) -> Vec<Finding> {
        let mut findings = self.faults.clone();
        findings.extend(accept(self.deviations.clone(), image));
        if let Some((facts, proof)) = &self.facts {
            findings.extend(boot::compare(facts, image, proof));
        }
        findings
    }

    fn told_but_absence(&self) -> impl Iterator<Item = Finding> {
        let is_present = |finding: &&Finding| finding.code != FindingCode::EventLogMissing;
        self.faults.iter().chain(&self.deviations).filter(is_present).cloned()
    }
}
