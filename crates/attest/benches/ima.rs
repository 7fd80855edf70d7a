//! What it costs to take in an IMA list: the replay in the SHA-256 bank and a policy of 100,000 paths.
//!
//! `bare` is the hashing that no check of a list can do without, by the same library: the SHA-1 template hash that each entry
//! tells, the SHA-256 one that the bank was extended with, and PCR 10 with it. The ratio is measured in turns, so that whatever else the machine does falls on both. The list of a
//! million entries lies in memory as a whole, as a file of it would; the peak is that of the whole process.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops when it cannot go on, and prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use vouchsafe_attest::ima::{Entries, ImaContext, ImaState, RuntimePolicy, RuntimeSection};
use vouchsafe_model::HashAlgorithm;

const PATHS: u32 = 100_000;
const ENTRIES: u32 = 1_000_000;
const ROUNDS: usize = 15;
const TARGET_RATIO: f64 = 0.5;
const TARGET_ENTRIES_PER_SECOND: f64 = 300_000.0;
const TARGET_PEAK_MB: f64 = 400.0;

fn path(number: u32) -> String {
    format!("/usr/lib/x86_64-linux-gnu/package-{:04}/libsomething-{number:06}.so.1", number % 1000)
}

fn content(number: u32) -> [u8; 32] {
    digest(&SHA256, &number.to_le_bytes()).as_ref().try_into().unwrap()
}

fn section() -> RuntimeSection {
    let line = |number| (path(number), vec![format!("sha256:{}", vouchsafe_model::hash::to_hex(&content(number)))]);
    RuntimeSection { digests: (0..PATHS).map(line).collect(), ..RuntimeSection::default() }
}

/// `ima-ng`, as a kernel writes it.
fn push(list: &mut Vec<u8>, digest_of_file: &[u8], name: &[u8]) {
    let len = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let data = [&len(8 + 32)[..], b"sha256:\0", digest_of_file, &len(name.len() + 1), name, &[0]].concat();
    list.extend(10u32.to_le_bytes());
    list.extend(digest(&SHA1_FOR_LEGACY_USE_ONLY, &data).as_ref());
    list.extend(len(6));
    list.extend(b"ima-ng");
    list.extend(len(data.len()));
    list.extend(data);
}

fn list(entries: u32) -> Vec<u8> {
    let mut list = Vec::with_capacity(usize::try_from(entries).unwrap() * 170);
    push(&mut list, &[0; 32], b"boot_aggregate");
    (1..entries).for_each(|number| push(&mut list, &content(number % PATHS), path(number % PATHS).as_bytes()));
    list
}

/// The template data of each entry, found beforehand.
fn templates(list: &[u8]) -> Vec<&[u8]> {
    let mut templates = Vec::new();
    let mut entries = Entries::new(list);
    let mut start = 0;
    while entries.by_ref().next().is_some() {
        templates.push(list.get(start + 38..entries.consumed()).unwrap());
        start = entries.consumed();
    }
    templates
}

fn bare(templates: &[&[u8]]) -> [u8; 32] {
    let mut pcr = [0; 64];
    for template in templates {
        black_box(digest(&SHA1_FOR_LEGACY_USE_ONLY, template));
        pcr.split_at_mut(32).1.copy_from_slice(digest(&SHA256, template).as_ref());
        let extended = digest(&SHA256, &pcr);
        pcr.split_at_mut(32).0.copy_from_slice(extended.as_ref());
    }
    pcr.split_at(32).0.try_into().unwrap()
}

fn full(list: &[u8], policy: &RuntimePolicy) -> ImaState {
    let context = ImaContext { policy: Some(policy), boot_aggregate: None };
    let advance = ImaState::new(HashAlgorithm::Sha256).advance(list, None, context).unwrap();
    assert!(advance.findings.is_empty(), "{:?}", advance.findings.first());
    advance.state
}

fn time<T>(mut run: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    black_box(run());
    start.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// What an entry costs, beside the hashing that it needs.
fn measure_entries(policy: &RuntimePolicy) {
    let some = list(PATHS);
    let templates = templates(&some);
    assert_eq!(bare(&templates).as_slice(), full(&some, policy).pcr10().as_bytes());
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let bare = time(|| bare(black_box(&templates))).as_secs_f64();
        let full = time(|| full(black_box(&some), policy)).as_secs_f64();
        rounds.push((bare, full));
    }
    let ratio = median(rounds.iter().map(|(bare, full)| bare / full).collect());
    let bare_ns = median(rounds.iter().map(|(bare, _)| bare * 1e9 / f64::from(PATHS)).collect());
    let full_ns = median(rounds.iter().map(|(_, full)| full * 1e9 / f64::from(PATHS)).collect());
    let rate = 1e9 / full_ns;
    let met = ratio >= TARGET_RATIO;
    let per_entry = format!(r#""bare_ns":{bare_ns:.0},"full_ns":{full_ns:.0}"#);
    println!(
        r#"{{"bench":"ima_replay_and_policy",{per_entry},"ratio":{ratio:.3},"target":{TARGET_RATIO},"met":{met}}}"#
    );
    let met = rate >= TARGET_ENTRIES_PER_SECOND;
    println!(
        r#"{{"bench":"ima_entries_per_second","paths":{PATHS},"value":{rate:.0},"target":{TARGET_ENTRIES_PER_SECOND},"met":{met}}}"#
    );
}

fn main() {
    let policy = RuntimePolicy::compile(&section()).unwrap();
    let policy_mb = f64::from(u32::try_from(policy.memory_bytes() / 1024).unwrap()) / 1024.0;
    measure_entries(&policy);
    let all = list(ENTRIES);
    let took = time(|| full(black_box(&all), &policy)).as_secs_f64();
    let peak = peak_mb();
    let met = peak <= TARGET_PEAK_MB;
    println!(
        r#"{{"bench":"ima_million_entries_peak_mb","value":{peak:.0},"policy_mb":{policy_mb:.1},"seconds":{took:.2},"target":{TARGET_PEAK_MB},"met":{met}}}"#
    );
}
