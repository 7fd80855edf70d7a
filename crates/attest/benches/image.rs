//! What it takes to read, write and compile a golden image of 100,000 paths.
//!
//! `parse` goes from the text to the document, `compile` from there to what devices are held against. The target of the
//! first is half a second; `floor` is what reading the same TOML into plain tables takes, without looking at anything.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops when it cannot go on, and prints")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use vouchsafe_attest::ima::RuntimeSection;
use vouchsafe_attest::image::{Compiled, GoldenImage};
use vouchsafe_model::Timestamp;

const PATHS: u32 = 100_000;
const ROUNDS: usize = 9;
const TARGET_MS: f64 = 500.0;

fn text() -> String {
    let digests: BTreeMap<String, Vec<String>> = (0..PATHS)
        .map(|number| {
            let path = format!("/usr/lib/python3/dist-packages/package{}/module_{number}.py", number / 40);
            (path, vec![format!("sha256:{:064x}", u64::from(number) * 0x9E37_79B9)])
        })
        .collect();
    let mut image = GoldenImage::new("web@2026.1".parse().unwrap(), Timestamp::UNIX_EPOCH);
    image.runtime = Some(RuntimeSection { digests, ..RuntimeSection::default() });
    image.to_text()
}

/// The median of some rounds, in milliseconds.
fn median_ms(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(ROUNDS / 2).copied().unwrap()
}

fn main() {
    let text = text();
    let image = GoldenImage::parse(&text).unwrap();
    let parse = median_ms(|| drop(black_box(GoldenImage::parse(black_box(&text)).unwrap())));
    let floor = median_ms(|| drop(black_box(toml::de::DeTable::parse(black_box(&text)).unwrap())));
    let write = median_ms(|| drop(black_box(black_box(&image).to_text())));
    let compile = median_ms(|| drop(black_box(Compiled::new(image.clone()).unwrap())));
    let (bytes, met) = (text.len(), parse <= TARGET_MS);
    let timings =
        format!(r#""parse_ms":{parse:.1},"floor_ms":{floor:.1},"write_ms":{write:.1},"compile_ms":{compile:.1}"#);
    println!(
        r#"{{"bench":"image","paths":{PATHS},"bytes":{bytes},{timings},"target":"parse <= {TARGET_MS} ms","met":{met}}}"#
    );

    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    criterion.bench_function("image/parse", |bencher| bencher.iter(|| GoldenImage::parse(&text).unwrap()));
    criterion.final_summary();
}
