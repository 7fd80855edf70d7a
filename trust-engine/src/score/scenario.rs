//! The default model's story in figures, so that what a change to it does is seen.

use std::fmt::Write as _;
use std::time::Duration;

use vouchsafe_model::EndorsementGrade;
use vouchsafe_model::trust::FactorName;
use vouchsafe_model::verdict::VerdictStatus::{Affirming, Contraindicated, Warning};

use super::event::TrustEvent;
use super::testing::{MODEL, Story, attested_with, days, denied, hours, minutes};

/// A line: what, the score, and what each factor is worth.
fn line(what: &str, story: &Story) -> String {
    let explanation = story.curve().explain_at(story.now());
    let mut text = format!("{what:<32} {:>5}", explanation.score.to_string());
    for part in &explanation.factors {
        let _ = write!(text, "  {} {:.2}", part.name, part.value);
    }
    text
}

fn lines(rows: &[(&str, Story)]) -> String {
    rows.iter().map(|(what, story)| line(what, story)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_device_starts_low_and_gains_slowly() {
    let day = |count| Story::of_days(count);
    let rows = [
        ("enrolled, not attested", Story::enrolled(EndorsementGrade::Vendor)),
        ("first attestation", Story::begin()),
        ("an hour", Story::begin().affirming_for(hours(1))),
        ("3 hours", Story::begin().affirming_for(hours(3))),
        ("6 hours", Story::begin().affirming_for(hours(6))),
        ("12 hours", Story::begin().affirming_for(hours(12))),
        ("a day", day(1)),
        ("3 days", day(3)),
        ("a week", day(7)),
        ("two weeks", day(14)),
        ("a month", day(30)),
        ("three months, the same image", day(90)),
        ("a year, the same image", day(365)),
    ];
    insta::assert_snapshot!(lines(&rows), @r"
    enrolled, not attested             0.0  freshness 0.01  tenure 0.15  boot 0.10  runtime 0.10  image_age 0.10  conduct 0.12
    first attestation                 40.2  freshness 0.98  tenure 0.15  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.12
    an hour                           51.7  freshness 0.98  tenure 0.15  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.44
    3 hours                           56.3  freshness 0.98  tenure 0.15  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.68
    6 hours                           58.5  freshness 0.98  tenure 0.16  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.80
    12 hours                          60.4  freshness 0.98  tenure 0.17  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.89
    a day                             62.6  freshness 0.98  tenure 0.18  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.94
    3 days                            67.6  freshness 0.98  tenure 0.24  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.97
    a week                            73.6  freshness 0.98  tenure 0.33  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.97
    two weeks                         79.4  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    a month                           85.4  freshness 0.98  tenure 0.60  boot 0.97  runtime 0.97  image_age 0.95  conduct 0.97
    three months, the same image      90.9  freshness 0.98  tenure 0.78  boot 0.97  runtime 0.97  image_age 0.88  conduct 0.97
    a year, the same image            79.2  freshness 0.98  tenure 0.88  boot 0.97  runtime 0.97  image_age 0.16  conduct 0.97
    ");
    assert!((35.0..=45.0).contains(&rows[1].1.points()));
    assert!((57.0..=63.0).contains(&rows[4].1.points()));
    assert!((77.0..=83.0).contains(&rows[9].1.points()));
}

#[test]
fn no_device_is_ever_trusted_wholly() {
    let story = Story::of_days(3 * 365).after(minutes(15));
    let newest_image = attested_with(Affirming, story.now(), story.now());
    let story = story.event(&newest_image);
    insta::assert_snapshot!(line("three years, a new image", &story), @"three years, a new image          95.1  freshness 0.98  tenure 0.89  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.97");
    assert!(story.points() < 97.0);
}

#[test]
fn a_silent_device_falls_in_minutes() {
    let silent = |days: u32, span: Duration| Story::of_days(days).after(span);
    let rows = [
        ("10 minutes", silent(14, minutes(10))),
        ("20 minutes", silent(14, minutes(20))),
        ("30 minutes", silent(14, minutes(30))),
        ("40 minutes", silent(14, minutes(40))),
        ("an hour", silent(14, hours(1))),
        ("6 hours", silent(14, hours(6))),
        ("a day", silent(14, days(1))),
        ("a week", silent(14, days(7))),
        ("a month", silent(14, days(30))),
        ("after 90 days: 30 minutes", silent(90, minutes(30))),
        ("after 90 days: 45 minutes", silent(90, minutes(45))),
        ("after 90 days: a day", silent(90, days(1))),
    ];
    insta::assert_snapshot!(lines(&rows), @r"
    10 minutes                        78.3  freshness 0.91  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    20 minutes                        74.7  freshness 0.72  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    30 minutes                        66.1  freshness 0.39  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    40 minutes                        54.1  freshness 0.14  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    an hour                           36.3  freshness 0.02  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    6 hours                           31.7  freshness 0.01  tenure 0.45  boot 0.96  runtime 0.96  image_age 0.96  conduct 0.97
    a day                             31.1  freshness 0.01  tenure 0.45  boot 0.89  runtime 0.89  image_age 0.96  conduct 0.97
    a week                            17.9  freshness 0.01  tenure 0.44  boot 0.10  runtime 0.10  image_age 0.96  conduct 0.96
    a month                           17.3  freshness 0.01  tenure 0.41  boot 0.10  runtime 0.10  image_age 0.94  conduct 0.89
    after 90 days: 30 minutes         75.7  freshness 0.39  tenure 0.78  boot 0.97  runtime 0.97  image_age 0.88  conduct 0.97
    after 90 days: 45 minutes         55.3  freshness 0.08  tenure 0.78  boot 0.97  runtime 0.97  image_age 0.88  conduct 0.97
    after 90 days: a day              35.6  freshness 0.01  tenure 0.78  boot 0.89  runtime 0.89  image_age 0.88  conduct 0.97
    ");
    assert!(rows[3].1.points() < 60.0, "tens of minutes");
    assert!((20.0..=35.0).contains(&rows[6].1.points()));
    let back = silent(14, hours(6)).then(Affirming);
    assert!(back.points() > Story::of_days(14).points() - 1.0, "silence alone costs nothing for good");
}

#[test]
fn one_failure_is_zero_at_once_and_days_to_forgive() {
    let before = Story::of_days(14);
    let failed = before.clone().after(minutes(15)).then(Contraindicated);
    let good = failed.clone().after(minutes(15)).then(Affirming);
    let rows = [
        ("two weeks", before.clone()),
        ("failed", failed.clone()),
        ("good again", good.clone()),
        ("a day later", good.clone().affirming_for(days(1))),
        ("3 days later", good.clone().affirming_for(days(3))),
        ("a week later", good.clone().affirming_for(days(7))),
        ("two weeks later", good.clone().affirming_for(days(14))),
        ("three weeks later", good.clone().affirming_for(days(21))),
        ("a month later", good.clone().affirming_for(days(30))),
    ];
    insta::assert_snapshot!(lines(&rows), @r"
    two weeks                         79.4  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    failed                             0.0  freshness 0.83  tenure 0.27  boot 0.42  runtime 0.42  image_age 0.96  conduct 0.42
    good again                        48.4  freshness 0.98  tenure 0.27  boot 0.42  runtime 0.42  image_age 0.96  conduct 0.42
    a day later                       50.4  freshness 0.98  tenure 0.28  boot 0.47  runtime 0.47  image_age 0.96  conduct 0.44
    3 days later                      54.0  freshness 0.98  tenure 0.30  boot 0.55  runtime 0.55  image_age 0.96  conduct 0.46
    a week later                      60.4  freshness 0.98  tenure 0.34  boot 0.70  runtime 0.70  image_age 0.96  conduct 0.51
    two weeks later                   68.3  freshness 0.98  tenure 0.40  boot 0.87  runtime 0.87  image_age 0.95  conduct 0.59
    three weeks later                 73.3  freshness 0.98  tenure 0.45  boot 0.94  runtime 0.94  image_age 0.95  conduct 0.67
    a month later                     77.6  freshness 0.98  tenure 0.50  boot 0.96  runtime 0.96  image_age 0.94  conduct 0.75
    ");
    assert!(failed.points().abs() < 1e-9);
    assert!(rows[4].1.points() < before.points() - 10.0, "days to be where it was");
    assert!(rows[8].1.points() > before.points() - 5.0, "and not for ever");
}

#[test]
fn smaller_faults_cost_less() {
    let base = Story::of_days(14);
    let refused = base.clone().event(&TrustEvent::evidence_refused("quote.signature"));
    let noisy = (0..10_000).fold(base.clone(), |story, _| story.event(&denied()));
    let rows = [
        ("two weeks", base.clone()),
        ("one denial", base.clone().event(&denied())),
        ("ten thousand denials", noisy),
        ("one warning", base.clone().after(minutes(15)).then(Warning)),
        ("a week of warnings", base.clone().attesting_for(days(7), minutes(15), Warning)),
        ("refused", refused.clone()),
        ("refused, then good", refused.after(minutes(15)).then(Affirming)),
        (
            "failing for a day, then good",
            base.attesting_for(days(1), minutes(15), Contraindicated).after(minutes(15)).then(Affirming),
        ),
    ];
    insta::assert_snapshot!(lines(&rows), @r"
    two weeks                         79.4  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    one denial                        79.3  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.96
    ten thousand denials              78.7  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.93
    one warning                       79.0  freshness 0.98  tenure 0.45  boot 0.95  runtime 0.97  image_age 0.96  conduct 0.96
    a week of warnings                70.8  freshness 0.98  tenure 0.49  boot 0.54  runtime 0.87  image_age 0.96  conduct 0.80
    refused                            0.0  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.59
    refused, then good                72.2  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.59
    failing for a day, then good      37.4  freshness 0.98  tenure 0.20  boot 0.30  runtime 0.30  image_age 0.96  conduct 0.27
    ");
}

#[test]
fn who_vouches_for_the_tpm_matters() {
    let of = |grade, span| Story::enrolled(grade).then(Affirming).affirming_for(span);
    let rows: Vec<_> = [EndorsementGrade::Vendor, EndorsementGrade::Pinned, EndorsementGrade::None]
        .into_iter()
        .flat_map(|grade| [(grade, Duration::ZERO), (grade, days(14))])
        .map(|(grade, span)| line(&format!("{grade}, after {} days", span.as_secs() / 86_400), &of(grade, span)))
        .collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    vendor, after 0 days              40.2  freshness 0.98  tenure 0.15  boot 0.97  runtime 0.97  image_age 0.97  conduct 0.12
    vendor, after 14 days             79.4  freshness 0.98  tenure 0.45  boot 0.97  runtime 0.97  image_age 0.96  conduct 0.97
    pinned, after 0 days              39.6  freshness 0.98  tenure 0.15  boot 0.91  runtime 0.91  image_age 0.97  conduct 0.12
    pinned, after 14 days             78.1  freshness 0.98  tenure 0.45  boot 0.91  runtime 0.91  image_age 0.96  conduct 0.97
    none, after 0 days                36.2  freshness 0.98  tenure 0.15  boot 0.64  runtime 0.64  image_age 0.97  conduct 0.12
    none, after 14 days               71.5  freshness 0.98  tenure 0.45  boot 0.64  runtime 0.64  image_age 0.96  conduct 0.97
    ");
}

#[test]
fn the_documentation_tells_the_model_as_it_is() {
    let documentation = include_str!("../../../docs/trust-model.md");
    let model = &*MODEL;
    for name in FactorName::DEVICE {
        let params = model.factor(name);
        let row = format!(
            "| {name} | {} | {} | {} | {} | {} | {} |",
            params.weight(),
            params.base_rate(),
            params.prior_weight(),
            span(params.half_life_secs()),
            span(params.forgiveness_half_life_secs()),
            params.cap(),
        );
        assert!(documentation.contains(&row), "docs/trust-model.md lacks the row\n{row}");
    }
    assert!(
        documentation.contains(&model.hash().to_string()),
        "docs/trust-model.md names another hash than {}",
        model.hash()
    );
}

/// So many seconds in the largest unit that divides them.
fn span(secs: f64) -> String {
    [(86_400.0, "d"), (3600.0, "h"), (60.0, "min")]
        .into_iter()
        .map(|(unit, name)| (secs / unit, name))
        .find(|(count, _)| count.fract() == 0.0)
        .map_or_else(|| format!("{secs} s"), |(count, name)| format!("{count} {name}"))
}
