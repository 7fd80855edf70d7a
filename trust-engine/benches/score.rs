//! What a score costs: at most 2 µs with its explanation.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{EndorsementGrade, Timestamp, TrustScore};
use vouchsafe_trust_engine::score::event::{Attested, ComparedImage, Measured, TrustEvent};
use vouchsafe_trust_engine::score::model_file::TrustModel;
use vouchsafe_trust_engine::score::state::TrustState;

/// A device that attested every quarter of an hour for two weeks, and once failed.
fn device(model: &TrustModel) -> (TrustState, Timestamp) {
    let mut now = Timestamp::from_unix_secs(1_770_000_000);
    let expires_at = now.plus(Duration::from_secs(30 * 86_400));
    let enrolled = TrustEvent::enrolled(EndorsementGrade::Vendor, expires_at);
    let mut state = TrustState::begin(model, now).absorb(model, &enrolled, now);
    for round in 0..14 * 96 {
        now = now.plus(Duration::from_secs(900));
        let event = TrustEvent::Attested(Attested {
            status: if round == 500 { VerdictStatus::Contraindicated } else { VerdictStatus::Affirming },
            quoted_at: now,
            appraised_at: now,
            image: Some(ComparedImage { id: "web@1".parse().unwrap(), created_at: now }),
            certificate_expires_at: expires_at,
            boot: Measured::AsWhole,
            runtime: Measured::AsWhole,
        });
        state = state.absorb(model, &event, now);
    }
    (state, now)
}

fn score(criterion: &mut Criterion) {
    let model = TrustModel::builtin().unwrap();
    let (state, now) = device(&model);
    let curve = state.curve(&model);
    let at = now.plus(Duration::from_secs(300));
    criterion.bench_function("score", |bench| bench.iter(|| black_box(&curve).score_at(black_box(at))));
    criterion.bench_function("score_with_explanation", |bench| {
        bench.iter(|| black_box(&curve).explain_at(black_box(at)));
    });
    criterion.bench_function("score_with_explanation_from_state", |bench| {
        bench.iter(|| black_box(&state).curve(&model).explain_at(black_box(at)));
    });
    criterion.bench_function("score_crossing", |bench| {
        bench.iter(|| black_box(&curve).first_below(TrustScore::new(60.0), black_box(at)));
    });
    let denied = TrustEvent::evidence_refused("quote.signature");
    criterion.bench_function("score_absorb", |bench| {
        bench.iter(|| black_box(state.clone()).absorb(&model, black_box(&denied), at));
    });
}

criterion_group!(benches, score);
criterion_main!(benches);
