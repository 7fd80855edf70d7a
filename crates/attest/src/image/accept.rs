//! Deviations of firmware that an image accepts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, PcrIndex};

use super::Compiled;

/// A deviation of the boot event log that the firmware is known for: `event_log.separator_missing`, or for one PCR alone
/// `event_log.separator_missing@5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcceptedDeviation {
    code: FindingCode,
    pcr: Option<PcrIndex>,
}

/// Why a deviation cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviationRefused {
    /// Nothing is called so.
    #[error("'{0}' is no finding's code")]
    Unknown(String),
    /// It is no deviation that firmware is known for, but evidence of a lie.
    #[error("{0} is never accepted")]
    NeverAccepted(FindingCode),
    /// It lets events hide, so that it is accepted for one PCR at a time.
    #[error("{0} is accepted for one PCR alone, whose value the image holds: write {0}@ and its number")]
    NeedsPcr(FindingCode),
    /// What follows the `@` is no PCR.
    #[error("'{0}' is no PCR from 0 to 23")]
    NotAPcr(String),
}

/// Firmware that does this still tells all that it measured.
const ANYWHERE: [FindingCode; 4] = [
    FindingCode::SeparatorMissing,
    FindingCode::EventAfterSeparator,
    FindingCode::ExitBootServicesMissing,
    FindingCode::ExitBootServicesFailed,
];
/// These let an event go unexplained (threat 13), which does no harm where the whole PCR is known.
const WHERE_THE_VALUE_IS_HELD: [FindingCode; 5] = [
    FindingCode::EventDigestMismatch,
    FindingCode::EventMisplaced,
    FindingCode::EventTypeUnknown,
    FindingCode::EventDataMalformed,
    FindingCode::SeparatorRepeated,
];

/// The findings, those that the image accepts turned into [`FindingCode::DeviationAccepted`], which names what it was.
///
/// Nothing disappears: what is accepted is still told, at no cost.
pub fn accept(findings: Vec<Finding>, image: &Compiled) -> Vec<Finding> {
    let Some(boot) = &image.document().boot else { return findings };
    let accepted = |finding: &Finding| boot.accept.iter().any(|accepted| accepted.covers(finding));
    let held = image.document().held_pcrs();
    findings.into_iter().map(|finding| if accepted(&finding) { as_accepted(finding, held) } else { finding }).collect()
}

fn as_accepted(finding: Finding, held: PcrSet) -> Finding {
    // The document was checked for this; a section that was put together in code may not have been.
    let is_safe = ANYWHERE.contains(&finding.code) || finding.pcr.is_some_and(|pcr| held.contains(pcr));
    if !is_safe {
        return finding;
    }
    let code = FindingCode::DeviationAccepted;
    let found = match &finding.found {
        Some(found) => format!("{}: {found}", finding.code),
        None => finding.code.to_string(),
    };
    let expected = finding.expected.clone().unwrap_or_else(|| "no deviation".to_owned());
    let accepted = Finding { code, severity: code.severity(), advice: code.advice().to_owned(), ..finding };
    accepted.with(expected, found)
}

impl AcceptedDeviation {
    /// Accepts this deviation, in all PCRs or in one.
    ///
    /// # Errors
    /// When it is none that may be accepted, or only for one PCR.
    pub fn new(code: FindingCode, pcr: Option<PcrIndex>) -> Result<Self, DeviationRefused> {
        if ANYWHERE.contains(&code) || (WHERE_THE_VALUE_IS_HELD.contains(&code) && pcr.is_some()) {
            Ok(Self { code, pcr })
        } else if WHERE_THE_VALUE_IS_HELD.contains(&code) {
            Err(DeviationRefused::NeedsPcr(code))
        } else {
            Err(DeviationRefused::NeverAccepted(code))
        }
    }

    /// Which deviation.
    pub fn code(self) -> FindingCode {
        self.code
    }

    /// In which PCR; in all when it is absent.
    pub fn pcr(self) -> Option<PcrIndex> {
        self.pcr
    }

    /// The PCR whose value the image must hold for this to do no harm.
    pub fn needs_value(self) -> Option<PcrIndex> {
        self.pcr.filter(|_| WHERE_THE_VALUE_IS_HELD.contains(&self.code))
    }

    fn covers(self, finding: &Finding) -> bool {
        self.code == finding.code && self.pcr.is_none_or(|pcr| finding.pcr == Some(pcr))
    }
}

impl fmt::Display for AcceptedDeviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pcr {
            Some(pcr) => write!(f, "{}@{pcr}", self.code),
            None => write!(f, "{}", self.code),
        }
    }
}

impl FromStr for AcceptedDeviation {
    type Err = DeviationRefused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = |text: &str| text.chars().take(64).collect::<String>();
        let (name, pcr) = match text.split_once('@') {
            Some((name, pcr)) => (name, Some(pcr)),
            None => (text, None),
        };
        let is_named = |code: &&FindingCode| code.name() == name;
        let code = FindingCode::ALL.iter().find(is_named).ok_or_else(|| DeviationRefused::Unknown(shown(name)))?;
        let read = |text: &str| text.parse::<PcrIndex>().ok().filter(|pcr| pcr.to_string() == text);
        let pcr = pcr.map(|text| read(text).ok_or_else(|| DeviationRefused::NotAPcr(shown(text)))).transpose()?;
        Self::new(*code, pcr)
    }
}

impl<'de> Deserialize<'de> for AcceptedDeviation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::read::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_spelled_by_their_code_and_pcr() {
        for text in
            ["event_log.exit_boot_services_missing", "event_log.separator_missing@5", "event_log.digest_mismatch@0"]
        {
            assert_eq!(text.parse::<AcceptedDeviation>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_what_firmware_is_known_for_can_be_accepted() {
        for code in FindingCode::ALL {
            let anywhere = AcceptedDeviation::new(*code, None);
            let somewhere = AcceptedDeviation::new(*code, PcrIndex::new(5));
            assert_eq!(anywhere.is_ok(), ANYWHERE.contains(code), "{code}");
            let is_known = ANYWHERE.contains(code) || WHERE_THE_VALUE_IS_HELD.contains(code);
            assert_eq!(somewhere.is_ok(), is_known, "{code}");
        }
        for (text, refused) in [
            ("event_log.mismatch", DeviationRefused::NeverAccepted(FindingCode::EventLogMismatch)),
            ("event_log.mismatch@4", DeviationRefused::NeverAccepted(FindingCode::EventLogMismatch)),
            ("event_log.digest_mismatch", DeviationRefused::NeedsPcr(FindingCode::EventDigestMismatch)),
            ("event_log.separator_missing@24", DeviationRefused::NotAPcr("24".to_owned())),
            ("event_log.separator_missing@05", DeviationRefused::NotAPcr("05".to_owned())),
            ("event_log", DeviationRefused::Unknown("event_log".to_owned())),
        ] {
            assert_eq!(text.parse::<AcceptedDeviation>(), Err(refused), "{text}");
        }
    }
}
