//! How far a host's IMA list is replayed, and by which images it was judged.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vouchsafe_attest::ima::ImaState;
use vouchsafe_model::{EnrolmentId, HashAlgorithm, ImageId};
use vouchsafe_store::BootRecord;
use vouchsafe_wire::v1::logs::{BootId, ImaPosition, KnownLogs};

/// How far a list is replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// The images that said what may run.
    judged_by: BTreeSet<ImageId>,
    state: ImaState,
}

/// Where a list is to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// The state before the next part.
    pub(crate) state: ImaState,
    /// Whether that is behind parts that came ahead of their quote.
    pub(crate) is_ahead: bool,
    /// By whom the list will have been judged after it.
    pub(crate) judged_by: BTreeSet<ImageId>,
    /// The state that a quote vouched for, before any part that came ahead: where the list goes on when none of those were
    /// measured.
    pub(crate) vouched: ImaState,
}

impl Progress {
    /// What is to be stored.
    pub(crate) fn new(state: ImaState, judged_by: BTreeSet<ImageId>) -> Self {
        Self { judged_by, state }
    }

    /// What is stored; `None` when it is of another version of the format, and the list begins anew.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where the list is.
    pub(crate) fn into_state(self) -> ImaState {
        self.state
    }

    /// Goes on under these judges, if what was judged so far would be judged no otherwise by them: an entry that was found
    /// good stays good when more is allowed, and one that was found bad may be good now. In every other case the whole
    /// list has to come again.
    fn go_on(self, judges: &BTreeSet<ImageId>) -> Option<ImaState> {
        let as_before = self.judged_by == *judges;
        let only_more = judges.is_superset(&self.judged_by) && !self.judged_by.is_empty();
        let spotless = self.state.unresolved() == 0 && !self.state.has_unjudged();
        (as_before || (only_more && spotless)).then_some(self.state)
    }
}

impl Resumed {
    /// Where the list of this boot goes on, by what is stored.
    ///
    /// Anything that speaks against it, another boot, another key, another bank or other judges, begins it anew: nothing
    /// is lost by that but the time to send it again (threat 21).
    pub(crate) fn of(
        record: Option<&BootRecord>,
        boot: &BootId,
        enrolment: EnrolmentId,
        bank: HashAlgorithm,
        judges: &BTreeSet<ImageId>,
    ) -> Self {
        let ahead = record.and_then(|record| record.ahead.as_ref()).filter(|ahead| ahead.boot == boot.as_str());
        let accepted = record
            .filter(|record| record.enrolment == enrolment && record.boot.as_deref() == Some(boot.as_str()))
            .and_then(|record| record.ima.as_deref());
        let resume = |text: &str| {
            let progress = Progress::read(text).filter(|progress| progress.state.bank() == bank)?;
            progress.go_on(judges)
        };
        let vouched = accepted.and_then(resume).unwrap_or_else(|| ImaState::new(bank));
        let ahead = ahead.and_then(|ahead| resume(&ahead.state));
        let (is_ahead, state) = (ahead.is_some(), ahead.unwrap_or_else(|| vouched.clone()));
        Self { state, is_ahead, judged_by: judges.clone(), vouched }
    }
}

/// What a device need not send again.
pub(super) fn known(
    record: &BootRecord,
    enrolment: EnrolmentId,
    bank: HashAlgorithm,
    judges: &BTreeSet<ImageId>,
) -> KnownLogs {
    let name = record.ahead.as_ref().map(|ahead| ahead.boot.clone()).or_else(|| record.boot.clone());
    let boot = name.and_then(|name| BootId::try_from(name).ok());
    let ima = boot.map(|boot| {
        let offset = Resumed::of(Some(record), &boot, enrolment, bank, judges).state.bytes();
        ImaPosition { boot, offset }
    });
    KnownLogs { event_log: record.event_log, ima }
}
