//! What holds for every history of every device.

use std::time::Duration;

use proptest::prelude::*;
use vouchsafe_model::trust::TrustCurve;
use vouchsafe_model::verdict::VerdictStatus::{Affirming, Contraindicated, Warning};
use vouchsafe_model::{EndorsementGrade, Timestamp, TrustScore};

use super::event::{Attested, ComparedImage, Measured, TrustEvent};
use super::state::{TrustState, replay};
use super::testing::{
    FAR, MODEL, START, Story, any_event, any_gap, any_status, attested, days, denied, enrolled, events, hours, minutes,
};

/// What is lost in rounding, in points.
const ROUNDING: f64 = 1e-7;

/// Instants from `from` on at which two curves are compared: seconds, minutes, hours, weeks and years later.
fn instants(from: Timestamp) -> impl Iterator<Item = Timestamp> {
    [0, 1, 60, 900, 3600, 40_000, 86_400, 900_000, 100_000_000]
        .map(|secs| from.plus(Duration::from_secs(secs)))
        .into_iter()
}

/// The curve that is nowhere above the other from `from` on, or where it is.
fn check_nowhere_above(lower: &TrustCurve, upper: &TrustCurve, from: Timestamp) -> Result<(), TestCaseError> {
    for at in instants(from) {
        let (low, high) = (lower.score_at(at).points(), upper.score_at(at).points());
        prop_assert!(low <= high + ROUNDING, "{low} > {high} at {at}");
    }
    Ok(())
}

/// A history with one more event somewhere in it, at an instant between those of its neighbours.
fn inserted(
    history: &[(Timestamp, TrustEvent)],
    place: prop::sample::Index,
    between: f64,
    event: impl FnOnce(Timestamp) -> TrustEvent,
) -> Vec<(Timestamp, TrustEvent)> {
    let place = place.index(history.len() + 1);
    let before = place.checked_sub(1).map_or(START, |before| history[before].0);
    let after = history.get(place).map_or(before, |(at, _)| *at);
    let at = before.plus(after.since(before).mul_f64(between));
    let mut more = history.to_vec();
    more.insert(place, (at, event(at)));
    more
}

fn any_measured() -> impl Strategy<Value = Measured> {
    prop_oneof![Just(Measured::AsWhole), Just(Measured::Not), any_status().prop_map(Measured::Compared)]
}

/// An event with everything in it that can be told in more than one way.
fn any_varied_event(at: Timestamp) -> impl Strategy<Value = TrustEvent> {
    let measured = (any_measured(), any_measured());
    let varied = (any_status(), 0u64..100_000, prop::option::of(0u64..10_000_000), 0u64..1_000_000, measured).prop_map(
        move |(status, delay_ms, image_age_secs, certificate_secs, (boot, runtime))| {
            TrustEvent::Attested(Attested {
                status,
                quoted_at: at.minus(Duration::from_millis(delay_ms)),
                appraised_at: at,
                image: image_age_secs.map(|secs| ComparedImage {
                    id: "web@1".parse().unwrap(),
                    created_at: at.minus(Duration::from_secs(secs)),
                }),
                certificate_expires_at: at.plus(Duration::from_secs(certificate_secs)),
                boot,
                runtime,
            })
        },
    );
    prop_oneof![any_event(at), varied]
}

/// An event of any kind at any instant, in no order at all.
fn any_wild_event() -> impl Strategy<Value = (Timestamp, TrustEvent)> {
    let wild = || {
        prop_oneof![any::<i64>(), -1000i64..1000, Just(i64::MIN), Just(i64::MAX)].prop_map(Timestamp::from_unix_millis)
    };
    (wild(), wild()).prop_flat_map(|(at, told)| (Just(at), any_varied_event(told)))
}

proptest! {
    #[test]
    fn a_score_is_between_0_and_100_whatever_happens_and_whenever(
        history in prop::collection::vec(any_wild_event(), 0..20),
        asked in any::<i64>(),
    ) {
        let curve = Story::begin().with(&history).curve();
        for at in instants(Timestamp::from_unix_millis(asked)) {
            let explanation = curve.explain_at(at);
            let points = curve.score_at(at).points();
            prop_assert!((0.0..=100.0).contains(&points));
            prop_assert!((explanation.score.points() - points).abs() < ROUNDING);
            let lost: f64 = explanation.factors.iter().map(|part| part.points_lost).sum::<f64>()
                + explanation.ceilings.iter().map(|part| part.points_lost).sum::<f64>();
            prop_assert!((lost + points - 100.0).abs() < 1e-6, "the parts and the score add up to 100");
        }
    }

    #[test]
    fn a_score_never_rises_without_evidence(history in events(20), later in any_gap(), more in any_gap()) {
        let story = Story::begin().with(&history);
        let (curve, early) = (story.curve(), story.now().plus(later));
        prop_assert!(curve.score_at(early.plus(more)).points() <= curve.score_at(early).points() + ROUNDING);
    }

    #[test]
    fn one_more_good_attestation_never_lowers_a_score(
        history in events(20), place: prop::sample::Index, between in 0.0..=1.0f64,
    ) {
        let more = inserted(&history, place, between, |at| attested(Affirming, at));
        let story = Story::begin().with(&history);
        check_nowhere_above(&story.curve(), &Story::begin().with(&more).curve(), story.now())?;
    }

    #[test]
    fn better_evidence_is_worth_no_less(history in events(20), gap in any_gap()) {
        let story = Story::begin().with(&history).after(gap);
        let curve = |status| story.clone().then(status).curve();
        check_nowhere_above(&curve(Contraindicated), &curve(Warning), story.now())?;
        check_nowhere_above(&curve(Warning), &curve(Affirming), story.now())?;
    }

    #[test]
    fn bad_evidence_never_raises_a_score(history in events(20), gap in any_gap(), which in 0usize..6) {
        let story = Story::begin().with(&history).after(gap);
        let bad = [
            attested(Contraindicated, story.now()),
            TrustEvent::evidence_refused("quote.nonce"),
            denied(),
            TrustEvent::revoked(),
            TrustEvent::image_cleared(),
            enrolled(EndorsementGrade::None),
        ];
        let worse = story.clone().event(&bad[which]);
        check_nowhere_above(&worse.curve(), &story.curve(), story.now())?;
    }

    #[test]
    fn the_order_of_two_events_of_one_instant_does_not_matter(
        (history, one, other) in (events(10), any_gap()).prop_flat_map(|(history, gap)| {
            let at = history.last().map_or(START, |(at, _)| *at).plus(gap);
            let event = || any_varied_event(at).prop_map(move |event| (at, event));
            (Just(history), event(), event())
        }),
        then in events(5),
        gap in any_gap(),
    ) {
        let story = Story::begin().with(&history);
        let (first, second) = (
            story.clone().with(&[one.clone(), other.clone()]),
            story.with(&[other, one]),
        );
        let shift = first.now().since(START).saturating_add(gap);
        let then: Vec<_> = then.into_iter().map(|(at, event)| (at.plus(shift), event)).collect();
        let (first, second) = (first.with(&then), second.with(&then));
        check_nowhere_above(&first.curve(), &second.curve(), first.now())?;
        check_nowhere_above(&second.curve(), &first.curve(), first.now())?;
    }

    #[test]
    fn the_stored_state_is_what_the_history_comes_to(
        mut history in prop::collection::vec(any_wild_event(), 0..10),
        orderly in events(10),
    ) {
        history.extend(orderly);
        let model = &*MODEL;
        let mut stored: Option<String> = None;
        for (at, event) in &history {
            let before = match &stored {
                Some(json) => serde_json::from_str(json).unwrap(),
                None => TrustState::begin(model, *at),
            };
            let event: TrustEvent = serde_json::from_str(&serde_json::to_string(event).unwrap()).unwrap();
            stored = Some(serde_json::to_string(&before.absorb(model, &event, *at)).unwrap());
        }
        let replayed = replay(model, history.iter().map(|(at, event)| (*at, event)));
        prop_assert_eq!(replayed, stored.map(|json| serde_json::from_str(&json).unwrap()));
    }

    #[test]
    fn a_veto_dominates(history in events(20), gap in any_gap(), which in 0usize..6, later in any_gap()) {
        let story = Story::begin().with(&history).after(gap);
        let now = story.now();
        let (event, most) = [
            (attested(Contraindicated, now), 0.0),
            (TrustEvent::evidence_refused("quote.nonce"), 0.0),
            (TrustEvent::revoked(), 0.0),
            (TrustEvent::certificate_renewed(now), 0.0),
            (TrustEvent::image_cleared(), 40.0),
            (enrolled(EndorsementGrade::Vendor), 0.0),
        ][which].clone();
        // Its first evidence since may be of the very instant of the enrolment.
        let now = if which == 5 { now.plus(Duration::from_millis(1)) } else { now };
        let vetoed = story.with(&[(now, event)]);
        prop_assert!(vetoed.curve().score_at(now.plus(later)).points() <= most);
    }

    #[test]
    fn a_revoked_device_is_worth_nothing_until_it_is_restored(history in events(20), then in events(20), asked in any_gap()) {
        let shift = Story::begin().with(&history).now().since(START);
        let then: Vec<_> = then
            .into_iter()
            .filter(|(_, event)| *event != TrustEvent::restored())
            .map(|(at, event)| (at.plus(shift), event))
            .collect();
        let revoked = Story::begin().with(&history).event(&TrustEvent::revoked()).with(&then);
        prop_assert_eq!(revoked.curve().score_at(revoked.now().plus(asked)), TrustScore::ZERO);
        let restored = revoked.after(minutes(1)).event(&TrustEvent::restored()).after(minutes(1)).then(Affirming);
        prop_assert!(restored.points() > 0.0);
    }

    #[test]
    fn enrolling_again_washes_nothing_off(
        history in events(20), place: prop::sample::Index, between in 0.0..=1.0f64,
    ) {
        let more = inserted(&history, place, between, |_| enrolled(EndorsementGrade::None));
        let story = Story::begin().with(&history);
        check_nowhere_above(&Story::begin().with(&more).curve(), &story.curve(), story.now())?;
    }

    #[test]
    fn a_clock_that_goes_back_never_raises_a_score(
        history in events(20),
        status in any_status(),
        revoked: bool,
        back_ms in 1u64..10_000_000_000,
        which in 0usize..8,
    ) {
        let mut story = Story::begin().with(&history).event(&enrolled(EndorsementGrade::Pinned)).then(status);
        // A restoration improves on the revocation, and is late only where it is told to be before that.
        if revoked || which == 6 {
            story = story.event(&TrustEvent::revoked());
        }
        let (curve, now) = (story.curve(), story.now());
        let before = now.minus(Duration::from_millis(back_ms));
        let event = [
            attested(Affirming, before),
            attested(Affirming, now.plus(days(1))),
            attested(Warning, before),
            attested(Contraindicated, before),
            enrolled(EndorsementGrade::Vendor),
            TrustEvent::certificate_renewed(FAR.plus(days(1))),
            TrustEvent::restored(),
            denied(),
        ][which].clone();
        let after = story.with(&[(before, event)]);
        check_nowhere_above(&after.curve(), &curve, now)?;
        check_nowhere_above(&after.curve(), &curve, before)?;
    }

    #[test]
    fn twice_as_many_attestations_in_the_same_time_earn_no_more(
        (often, pieces) in (30u64..1800).prop_flat_map(|secs| (Just(secs), 2..=(3600 / secs).max(2))),
        count in 1u64..40,
    ) {
        let span = Duration::from_secs(often * pieces * count);
        let attesting = |secs| Story::begin().attesting_for(span, Duration::from_secs(secs), Affirming);
        let (often, seldom) = (attesting(often), attesting(often * pieces));
        prop_assert_eq!(often.now(), seldom.now());
        prop_assert!((often.points() - seldom.points()).abs() < ROUNDING, "{} and {}", often.points(), seldom.points());
    }

    #[test]
    fn no_mixture_of_evidence_earns_more_than_the_best_kind_every_hour(
        pieces in prop::collection::vec((1u64..7200, any_status()), 1..60),
    ) {
        let mixed = pieces.iter().fold(Story::begin(), |story, (secs, status)| {
            story.after(Duration::from_secs(*secs)).then(*status)
        });
        let mixed = mixed.after(minutes(1)).then(Affirming);
        let best = Story::begin().attesting_for(mixed.now().since(START).saturating_sub(hours(1)), hours(1), Affirming);
        let rest = mixed.now().since(best.now());
        let best = best.after(rest).then(Affirming);
        prop_assert!(mixed.points() <= best.points() + ROUNDING, "{} > {}", mixed.points(), best.points());
    }
}
