//! Stories of devices, for tests.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use vouchsafe_model::trust::TrustCurve;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DecisionId, EndorsementGrade, Timestamp};

use super::event::{Attested, ComparedImage, Measured, TrustEvent};
use super::model_file::TrustModel;
use super::state::TrustState;

pub(super) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

pub(super) const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

pub(super) const fn days(count: u64) -> Duration {
    hours(count * 24)
}

/// The model by which every story is told.
pub(super) static MODEL: LazyLock<TrustModel> = LazyLock::new(|| TrustModel::builtin().unwrap());

/// When every story begins.
pub(super) const START: Timestamp = Timestamp::from_unix_secs(1_770_000_000);

/// When no story's certificate has ended yet.
pub(super) const FAR: Timestamp = Timestamp::from_unix_secs(4_000_000_000);

/// Evidence of this status at `at`, quoted just then, against the image of [`START`].
pub(super) fn attested(status: VerdictStatus, at: Timestamp) -> TrustEvent {
    attested_with(status, at, START)
}

/// The same against an image that was made then.
pub(super) fn attested_with(status: VerdictStatus, at: Timestamp, image_created_at: Timestamp) -> TrustEvent {
    TrustEvent::Attested(Attested {
        status,
        quoted_at: at,
        appraised_at: at,
        image: Some(ComparedImage { id: "web@1".parse().unwrap(), created_at: image_created_at }),
        certificate_expires_at: FAR,
        boot: Measured::AsWhole,
        runtime: Measured::AsWhole,
    })
}

pub(super) fn enrolled(endorsement: EndorsementGrade) -> TrustEvent {
    TrustEvent::enrolled(endorsement, FAR)
}

pub(super) fn denied() -> TrustEvent {
    TrustEvent::denied(DecisionId::new(START, &[0; 10]))
}

/// A device, what happened to it, and what time it is there.
#[derive(Clone)]
pub(super) struct Story {
    state: TrustState,
    now: Timestamp,
}

impl Story {
    /// A device that the maker of its TPM vouches for, and whose first evidence just affirmed.
    pub(super) fn begin() -> Self {
        Self::enrolled(EndorsementGrade::Vendor).then(VerdictStatus::Affirming)
    }

    /// A device that just enrolled.
    pub(super) fn enrolled(endorsement: EndorsementGrade) -> Self {
        Self { state: TrustState::begin(&MODEL, START), now: START }.event(&enrolled(endorsement))
    }

    /// The same, after so many days of good evidence every fifteen minutes.
    pub(super) fn of_days(count: u32) -> Self {
        Self::begin().affirming_for(days(count.into()))
    }

    pub(super) fn affirming_for(self, span: Duration) -> Self {
        self.attesting_for(span, minutes(15), VerdictStatus::Affirming)
    }

    /// Evidence of this status at every interval.
    pub(super) fn attesting_for(mut self, span: Duration, interval: Duration, status: VerdictStatus) -> Self {
        let end = self.now.plus(span);
        while self.now < end {
            self = self.after(interval).then(status);
        }
        self
    }

    /// Silence for so long.
    pub(super) fn after(mut self, span: Duration) -> Self {
        self.now = self.now.plus(span);
        self
    }

    /// Evidence of this status now.
    pub(super) fn then(self, status: VerdictStatus) -> Self {
        let event = attested(status, self.now);
        self.event(&event)
    }

    /// This happens now.
    pub(super) fn event(mut self, event: &TrustEvent) -> Self {
        self.state = self.state.absorb(&MODEL, event, self.now);
        self
    }

    /// All of this happens, at its own instants; now is the latest of them.
    pub(super) fn with(mut self, events: &[(Timestamp, TrustEvent)]) -> Self {
        for (at, event) in events {
            self.state = self.state.absorb(&MODEL, event, *at);
            self.now = self.now.max(*at);
        }
        self
    }

    pub(super) fn state(&self) -> &TrustState {
        &self.state
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn curve(&self) -> TrustCurve {
        self.state.curve(&MODEL)
    }

    pub(super) fn points(&self) -> f64 {
        self.curve().score_at(self.now).points()
    }
}

/// Any status.
pub(super) fn any_status() -> impl Strategy<Value = VerdictStatus> {
    select(vec![VerdictStatus::Affirming, VerdictStatus::Warning, VerdictStatus::Contraindicated])
}

/// Any event at this instant, against one image and with one certificate, so that good evidence is good in everything.
pub(super) fn any_event(at: Timestamp) -> impl Strategy<Value = TrustEvent> {
    prop_oneof![
        8 => Just(attested(VerdictStatus::Affirming, at)),
        3 => Just(attested(VerdictStatus::Warning, at)),
        2 => Just(attested(VerdictStatus::Contraindicated, at)),
        1 => Just(TrustEvent::evidence_refused("quote.signature")),
        1 => Just(TrustEvent::image_cleared()),
        1 => Just(TrustEvent::certificate_renewed(FAR)),
        1 => Just(TrustEvent::revoked()),
        1 => Just(TrustEvent::restored()),
        2 => Just(denied()),
        1 => select(vec![EndorsementGrade::None, EndorsementGrade::Pinned, EndorsementGrade::Vendor])
            .prop_map(enrolled),
    ]
}

/// The gaps between events: some of them none, some seconds, some weeks.
pub(super) fn any_gap() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        4 => (1u64..7_200_000).prop_map(Duration::from_millis),
        1 => (1u64..30 * 86_400).prop_map(Duration::from_secs),
    ]
}

/// Up to `most` events, in the order of their instants, from [`START`] on.
pub(super) fn events(most: usize) -> impl Strategy<Value = Vec<(Timestamp, TrustEvent)>> {
    prop::collection::vec(any_gap(), 0..=most).prop_flat_map(|gaps| {
        let mut at = START;
        gaps.into_iter()
            .map(|gap| {
                at = at.plus(gap);
                (Just(at), any_event(at))
            })
            .collect::<Vec<_>>()
    })
}
