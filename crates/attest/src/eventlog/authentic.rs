//! Logs that a TPM's signature stands behind.

use vouchsafe_model::pcr::{PcrSet, PcrValues};
use vouchsafe_model::{Finding, PcrBank};

use super::facts::BootFacts;
use super::{EventLog, Replay, gather};
use crate::quote::AuthenticQuote;

/// A log that replays to the PCRs of an authentic quote.
///
/// For the PCRs of [`Self::covered`], these are the events, all of them and no others, whose digests were extended, in
/// this order. [`EventLog::authenticate`] is the only way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedLog<'a> {
    log: &'a EventLog<'a>,
    replay: Replay,
    covered: PcrSet,
}

impl<'a> EventLog<'a> {
    /// Replays the log and compares it with what a TPM signed.
    ///
    /// Every PCR that the log extends and the quote covers must be equal, and a quoted PCR from 0 to 7 that the log never
    /// extends must have the value that it starts from. PCR 10 belongs to IMA. Others that the running system goes on
    /// extending (8, 9 and 11 to 15, as systemd does) may differ if `ignored` names them; nothing is then said about their
    /// events, unless they are equal nevertheless.
    ///
    /// # Errors
    /// With a finding for each PCR that is not equal, and for an event that lacks the digest of the quoted bank.
    pub fn authenticate(&'a self, quote: &AuthenticQuote, ignored: PcrSet) -> Result<ReplayedLog<'a>, Vec<Finding>> {
        self.replayed_to(quote.pcrs(), ignored)
    }

    /// The same for values of which it is not known who vouches for them. A [`ReplayedLog`] of such values never leaves
    /// this crate.
    pub(crate) fn replayed_to(&'a self, pcrs: &PcrBank, ignored: PcrSet) -> Result<ReplayedLog<'a>, Vec<Finding>> {
        let PcrBank { bank, values: quoted } = pcrs;
        let replay = self.replay();
        let findings = replay.differences_but(pcrs, ignored);
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut covered = replay.bank(*bank).map(|replayed| equal(&replayed.values, quoted)).unwrap_or_default();
        covered = covered.without(replay.lacking(*bank).into_iter().flatten().map(|(pcr, _)| *pcr).collect());
        Ok(ReplayedLog { log: self, replay, covered })
    }
}

fn equal(replayed: &PcrValues, quoted: &PcrValues) -> PcrSet {
    replayed.iter().filter(|(pcr, value)| quoted.get(pcr) == Some(value)).map(|(pcr, _)| *pcr).collect()
}

impl<'a> ReplayedLog<'a> {
    /// The log.
    pub fn log(&self) -> &'a EventLog<'a> {
        self.log
    }

    /// What it replays to.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// The PCRs whose events the quote vouches for.
    pub fn covered(&self) -> PcrSet {
        self.covered
    }

    /// What the events of the covered PCRs say. What other events say is left out: anyone could have written it.
    ///
    /// It is true as far as [`Self::deviations`] finds nothing: the quote vouches for digests alone.
    pub fn facts(&self) -> BootFacts {
        let vouched = |event: &&super::Event<'_>| event.extends().is_some_and(|pcr| self.covered.contains(pcr));
        gather::gather(self.log.events.iter().filter(vouched))
    }

    /// What is wrong or out of place with the log, in any PCR.
    pub fn deviations(&self) -> Vec<Finding> {
        self.log.deviations()
    }
}
