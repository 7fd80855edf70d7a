//! How far a host's IMA list is replayed, and by which images it was judged.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vouchsafe_attest::ima::ImaState;
use vouchsafe_model::{EnrolmentId, HashAlgorithm, ImageId};
use vouchsafe_store::BootRecord;
use vouchsafe_wire::v1::logs::BootId;

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
    /// list is judged anew: as it is kept, or as it comes again.
    fn go_on(self, judges: &BTreeSet<ImageId>) -> Option<ImaState> {
        let as_before = self.judged_by == *judges;
        let only_more = judges.is_superset(&self.judged_by) && !self.judged_by.is_empty();
        let spotless = self.state.unresolved() == 0 && !self.state.has_unjudged();
        (as_before || (only_more && spotless)).then_some(self.state)
    }
}

/// Whose list it is, and of which boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) boot: &'a BootId,
    pub(crate) enrolment: EnrolmentId,
    pub(crate) bank: HashAlgorithm,
}

impl Resumed {
    /// Where the list of this boot goes on, by what is stored.
    ///
    /// Anything that speaks against it, another boot, another key, another bank or other judges, begins it anew: nothing
    /// is lost by that but the time to send it again (threat 21). Where the judges alone are others, see
    /// [`Self::set_aside`].
    pub(crate) fn of(record: Option<&BootRecord>, whose: Whose<'_>, judges: &BTreeSet<ImageId>) -> Self {
        let ahead = record.and_then(|record| record.ahead.as_ref());
        let ahead = ahead.filter(|ahead| ahead.boot == whose.boot.as_str());
        let resume = |progress: Progress| progress.go_on(judges);
        let vouched = whose.vouched(record).and_then(resume).unwrap_or_else(|| ImaState::new(whose.bank));
        let ahead = ahead.and_then(|ahead| whose.progress(&ahead.state)).and_then(resume);
        let (is_ahead, state) = (ahead.is_some(), ahead.unwrap_or_else(|| vouched.clone()));
        Self { state, is_ahead, judged_by: judges.clone(), vouched }
    }

    /// Where a quote vouched for the list, if that counts no more for the sole reason that others judged it: what is kept of
    /// the list is then judged anew, instead of sent again.
    pub(crate) fn set_aside(&self, record: Option<&BootRecord>, whose: Whose<'_>) -> Option<ImaState> {
        let before = whose.vouched(record)?.state;
        (self.state.bytes() == 0 && before.bytes() > 0).then_some(before)
    }

    /// Where the list goes on when it was judged anew up to where a quote vouched for it.
    pub(crate) fn judged_anew(state: ImaState, judges: &BTreeSet<ImageId>) -> Self {
        Self { vouched: state.clone(), state, is_ahead: false, judged_by: judges.clone() }
    }
}

impl Whose<'_> {
    /// How far a quote vouched for the list, whoever judged it.
    fn vouched(self, record: Option<&BootRecord>) -> Option<Progress> {
        let is_it = |record: &&BootRecord| {
            record.enrolment == self.enrolment && record.boot.as_deref() == Some(self.boot.as_str())
        };
        record.filter(is_it)?.ima.as_deref().and_then(|text| self.progress(text))
    }

    fn progress(self, text: &str) -> Option<Progress> {
        Progress::read(text).filter(|progress| progress.state.bank() == self.bank)
    }
}

/// Which boot a device is likely to go on with.
pub(super) fn present_boot(record: &BootRecord) -> Option<BootId> {
    let name = record.ahead.as_ref().map(|ahead| ahead.boot.clone()).or_else(|| record.boot.clone());
    name.and_then(|name| BootId::try_from(name).ok())
}
