//! One decision in process: join the record, score it at the instant, evaluate the default policy, read the ruling.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

mod fixtures;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vouchsafe_model::Outcome;
use vouchsafe_policy_engine::evaluate::Document;
use vouchsafe_policy_engine::input::assemble;
use vouchsafe_policy_engine::wanted::Wanted;

use fixtures::{NOW, engine, question, record};

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for devices in [1_000, 100_000] {
        let engine = engine((0..devices).map(record));
        for (name, encrypted, outcome) in [("allow", true, Outcome::Allow), ("deny", false, Outcome::Deny)] {
            let questions: Vec<_> = (0..997).map(|number| question(number * 7 % devices, encrypted)).collect();
            let mut next = questions.iter().cycle();
            assert_eq!(engine.decide(&question(0, encrypted), NOW, &[0; 10]).outcome(), outcome);
            group.bench_function(BenchmarkId::new(name, devices), |bencher| {
                bencher.iter(|| engine.decide(black_box(next.next().unwrap()), NOW, &[0; 10]));
            });
        }
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let (record, question) = (record(1), question(1, true));
    let mut group = criterion.benchmark_group("part");
    for (name, wanted) in [("all", Wanted::All), ("none", Wanted::NOTHING)] {
        let input = assemble(&question, Some(&record), NOW, &wanted).input;
        group.bench_function(BenchmarkId::new("assemble", name), |bencher| {
            bencher.iter(|| assemble(&question, Some(black_box(&record)), NOW, &wanted));
        });
        group.bench_function(BenchmarkId::new("document", name), |bencher| {
            bencher.iter(|| Document::of_wanted(black_box(&input), &wanted));
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, parts);
criterion_main!(benches);
