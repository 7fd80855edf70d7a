//! Single cases: clocks that are wrong, evidence that comes late, states of another kind.

use std::time::Duration;

use vouchsafe_model::trust::FactorName;
use vouchsafe_model::verdict::VerdictStatus::{self, Affirming, Contraindicated, Warning};
use vouchsafe_model::{EndorsementGrade, Timestamp, TrustScore};

use super::event::{Attested, ComparedImage, Measured, TrustEvent};
use super::model_file::TrustModel;
use super::state::{TrustState, replay};
use super::testing::{FAR, MODEL, START, Story, attested, attested_with, days, denied, hours, minutes};

#[test]
fn a_curve_of_a_wrong_clock_is_not_fresh_until_that_time_comes() {
    let story = Story::of_days(14);
    let now = story.now();
    let ahead = now.plus(days(365));
    let wrong = story.clone().with(&[(ahead, attested(Affirming, ahead))]);
    assert_eq!(wrong.state().as_of(), ahead);
    let unknown = wrong.curve().score_at(now).points();
    assert!(unknown < 30.0, "{unknown}");
    let failed = story.with(&[(ahead, attested(Contraindicated, ahead))]);
    assert_eq!(failed.curve().score_at(now), TrustScore::ZERO, "what has happened holds at once");
}

#[test]
fn denials_by_a_clock_that_is_ahead_do_not_keep_evidence_from_counting() {
    let story = Story::of_days(1);
    let soon = story.now().plus(Duration::from_secs(2));
    let skewed = story.clone().after(minutes(30)).with(&[(soon.plus(minutes(30)), denied())]);
    let now = story.now().plus(minutes(30));
    let heard = skewed.with(&[(now, attested(Affirming, now))]);
    assert!(heard.points() > story.points() - 2.0, "{} after {}", heard.points(), story.points());
}

#[test]
fn evidence_of_long_ago_is_as_fresh_as_it_is() {
    let story = Story::of_days(14).after(hours(1));
    let at = story.now();
    let late = TrustEvent::Attested(Attested {
        status: Affirming,
        quoted_at: at.minus(minutes(50)),
        appraised_at: at,
        image: Some(ComparedImage { id: "web@1".parse().unwrap(), created_at: START }),
        certificate_expires_at: FAR,
        boot: Measured::AsWhole,
        runtime: Measured::AsWhole,
    });
    let fresh = story.clone().then(Affirming).points();
    assert!(story.event(&late).points() < fresh * 0.6);
}

/// Evidence of this status, with what boot and runtime came to.
fn measured(status: VerdictStatus, boot: Measured, runtime: Measured, at: Timestamp) -> TrustEvent {
    let TrustEvent::Attested(attested) = attested(status, at) else { unreachable!("it was attested") };
    TrustEvent::Attested(Attested { boot, runtime, ..attested })
}

fn worth(story: &Story, name: FactorName) -> f64 {
    let explanation = story.curve().explain_at(story.now());
    explanation.factors.iter().find(|part| part.name == name).unwrap().value
}

#[test]
fn what_was_not_measured_earns_a_share_of_what_was() {
    let told = |runtime| {
        let story = Story::enrolled(EndorsementGrade::Vendor);
        let at = story.now();
        story.event(&measured(Affirming, Measured::Compared(Affirming), runtime, at))
    };
    let (compared, not) = (told(Measured::Compared(Affirming)), told(Measured::Not));
    assert!(worth(&not, FactorName::Runtime) < worth(&compared, FactorName::Runtime));
    assert!((worth(&not, FactorName::Boot) - worth(&compared, FactorName::Boot)).abs() < 1e-12);
    assert!(not.points() < compared.points());
}

#[test]
fn a_fault_of_what_runs_does_not_cost_what_was_booted() {
    let story = Story::of_days(14);
    let at = story.now();
    let failed = measured(Contraindicated, Measured::Compared(Affirming), Measured::Compared(Contraindicated), at);
    let after = story.clone().event(&failed);
    assert!((worth(&after, FactorName::Boot) - worth(&story, FactorName::Boot)).abs() < 1e-12);
    assert!(worth(&after, FactorName::Runtime) < worth(&story, FactorName::Runtime) / 2.0);
    assert!(worth(&after, FactorName::Conduct) < worth(&story, FactorName::Conduct) / 2.0);
    assert!(after.points() < 1e-9, "whatever failed, the whole is held down");
}

#[test]
fn an_image_that_is_assigned_counts_when_evidence_agrees_with_it() {
    let cleared = Story::of_days(14).event(&TrustEvent::image_cleared());
    assert!((cleared.points() - 40.0).abs() < 1e-9);
    let assigned = cleared
        .after(minutes(1))
        .event(&TrustEvent::ImageAssigned { image: "web@2".parse().unwrap(), created_at: START });
    assert!(assigned.points() <= 40.0);
    assert!(assigned.after(minutes(1)).then(Affirming).points() > 70.0);
}

#[test]
fn denials_that_would_not_count_need_not_be_recorded() {
    let model = &*MODEL;
    let mut story = Story::of_days(1);
    let mut recorded = 0;
    while story.state().counts_denial_at(model, story.now()) {
        story = story.event(&denied());
        recorded += 1;
    }
    assert_eq!(recorded, 5);
    let (now, curve) = (story.now(), story.curve());
    assert_eq!(story.clone().event(&denied()).curve(), curve);
    assert!(story.state().counts_denial_at(model, now.plus(hours(5))));
}

#[test]
fn a_state_of_another_form_or_with_more_in_it_is_refused() {
    let json = serde_json::to_value(Story::begin().state()).unwrap();
    assert_eq!(json["format"], 1);
    for (field, value) in [("format", 2.into()), ("score", 100.into())] {
        let mut other = json.clone();
        other[field] = serde_json::Value::clone(&value);
        assert!(serde_json::from_value::<TrustState>(other).is_err(), "{field}");
    }
}

#[test]
fn a_state_names_the_model_that_began_it() {
    let text = include_str!("../../models/default.toml").replace("version = \"1\"", "version = \"2\"");
    let other = TrustModel::parse(&text).unwrap();
    let story = Story::of_days(1);
    let state = story.state().clone().absorb(&other, &denied(), story.now());
    assert_eq!(state.model(), MODEL.hash());
    assert_eq!(state.curve(&other).model(), other.hash());
}

#[test]
fn no_events_come_to_nothing() {
    assert_eq!(replay(&MODEL, []), None);
}

#[test]
fn time_earns_up_to_the_longest_gap() {
    let factor = |interval| {
        let story = Story::begin().attesting_for(days(30), interval, Affirming);
        let parts = story.curve().explain_at(story.now()).factors;
        (parts[1].value, parts[5].value)
    };
    let (tenure, conduct) = factor(hours(1));
    let (seldom_tenure, seldom_conduct) = factor(hours(12));
    assert!(tenure > 0.5 && seldom_tenure < 0.25, "{tenure} and {seldom_tenure}");
    assert!(seldom_conduct < conduct);
}

#[test]
fn a_failure_that_is_recorded_late_holds_until_good_evidence_comes() {
    let story = Story::of_days(14);
    let before = story.now().minus(hours(1));
    let failed = story.with(&[(before, attested(Contraindicated, before))]);
    assert_eq!(failed.curve().score_at(failed.now()), TrustScore::ZERO);
    assert!(failed.after(minutes(1)).then(Affirming).points() > 0.0);
}

#[test]
fn a_revocation_that_is_recorded_late_holds_until_the_device_is_restored() {
    let story = Story::of_days(14).event(&TrustEvent::revoked()).after(minutes(2)).event(&TrustEvent::restored());
    assert!(story.points() > 0.0);
    let before = story.now().minus(minutes(1));
    let revoked = story.with(&[(before, TrustEvent::revoked())]);
    assert_eq!(revoked.curve().score_at(revoked.now()), TrustScore::ZERO);
    assert!(revoked.after(minutes(1)).event(&TrustEvent::restored()).points() > 0.0);
}

#[test]
fn good_evidence_from_before_the_last_counts_for_nothing() {
    let story = Story::of_days(14).after(days(7)).then(Warning);
    let before = story.now().minus(hours(1));
    let late = story.clone().with(&[(before, attested(Affirming, before))]);
    assert_eq!(late.state(), story.state());
}

#[test]
fn an_image_from_a_clock_that_is_ahead_is_new_and_no_newer() {
    let story = Story::of_days(1).after(minutes(15));
    let now = story.now();
    let made = |at: Timestamp| story.clone().event(&attested_with(Affirming, now, at)).curve();
    assert_eq!(made(now.plus(days(365))), made(now));
    assert!(made(now.minus(days(365))).score_at(now) < made(now).score_at(now));
}
