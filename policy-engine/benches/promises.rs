//! What is promised of decisions in process, one JSON line per figure: what many devices cost, what the join costs, what a
//! second thread brings, and how soon a change is decided by.
//!
//! What is compared is measured in turns, so that whatever else the machine does falls on both.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops when it cannot go on, and prints")]

mod fixtures;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use vouchsafe_model::{DeviceState, Outcome};
use vouchsafe_policy_engine::input::assemble;
use vouchsafe_policy_engine::wanted::Wanted;
use vouchsafe_policy_engine::{PolicyEngine, Question};
use vouchsafe_wire::v1::record::RecordChange;

use fixtures::{NOW, device, engine, question, record};

const ROUNDS: usize = 15;
/// How long each load of a round lasts.
const LOAD: Duration = Duration::from_millis(300);
/// How many changes are followed to the deny that they bring.
const CHANGES: u32 = 2_000;

fn main() {
    let (few, many) = (engine((0..1_000).map(record)), engine((0..100_000).map(record)));
    devices(&few, &many);
    join();
    threads(&many);
    change(&many);
}

fn figure(name: &str, value: f64, target: &str, met: bool) {
    println!(r#"{{"figure":"{name}","value":{value:.3},"target":"{target}","met":{met}}}"#);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn questions(devices: u32) -> Vec<Question> {
    (0..997).map(|number| question(number * 7_919 % devices, true)).collect()
}

/// Microseconds of one decision, the median of single ones.
fn one(engine: &PolicyEngine, questions: &[Question]) -> f64 {
    let times = questions.iter().map(|question| {
        let started = Instant::now();
        black_box(engine.decide(black_box(question), NOW, &[0; 10]));
        started.elapsed().as_secs_f64() * 1e6
    });
    median(times.collect())
}

fn devices(few: &PolicyEngine, many: &PolicyEngine) {
    let (of_few, of_many) = (questions(1_000), questions(100_000));
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (one(few, &of_few), one(many, &of_many))).collect();
    let us = median(rounds.iter().map(|(_, many)| *many).collect());
    let ratio = median(rounds.iter().map(|(few, many)| many / few).collect());
    figure("decision.100000_devices.us", us, "<= 20", us <= 20.0);
    figure("decision.100000_to_1000_devices.ratio", ratio, "<= 1.2", ratio <= 1.2);
}

/// The record's part in the input of a decision of the default policy.
fn join() {
    let (record, question) = (record(1), question(1, true));
    let times = (0..ROUNDS * 100).map(|_| {
        let started = Instant::now();
        for _ in 0..100 {
            black_box(assemble(black_box(&question), Some(black_box(&record)), NOW, &Wanted::All));
        }
        started.elapsed().as_secs_f64() * 1e4
    });
    let us = median(times.collect());
    figure("decision.join.us", us, "<= 2", us <= 2.0);
}

/// How often so many threads do something each second.
fn rate<Work: FnMut()>(begin: &(impl Fn() -> Work + Sync), threads: u32) -> f64 {
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut work, mut times) = (begin(), 0);
                while !stop.load(Ordering::Relaxed) {
                    work();
                    times += 1;
                }
                done.fetch_add(times, Ordering::Relaxed);
            });
        }
        thread::sleep(LOAD);
        stop.store(true, Ordering::Relaxed);
    });
    #[expect(clippy::cast_precision_loss, reason = "no load comes near 2^52")]
    let done = done.load(Ordering::Relaxed) as f64;
    done / started.elapsed().as_secs_f64()
}

/// What a second thread brings, and what it brings to work that shares nothing: processors that are two halves of one core
/// give less than twice to anybody.
fn threads(engine: &PolicyEngine) {
    let rounds = (0..ROUNDS).map(|_| (rate(&|| deciding(engine), 2), rate(&|| deciding(engine), 1), machine()));
    let rounds: Vec<_> = rounds.map(|(two, one, machine)| (two / one, machine)).collect();
    let ratio = median(rounds.iter().map(|(ratio, _)| *ratio).collect());
    let machine = median(rounds.iter().map(|(_, machine)| *machine).collect());
    figure("decision.two_threads_to_one.ratio", ratio, ">= 1.8", ratio >= 1.8);
    println!(r#"{{"figure":"machine.two_threads_to_one.ratio","value":{machine:.3}}}"#);
    let share = median(rounds.iter().map(|(ratio, machine)| ratio / machine).collect());
    println!(r#"{{"figure":"decision.two_threads_to_machine.ratio","value":{share:.3}}}"#);
}

/// What a second thread brings to the sorting of texts of its own.
fn machine() -> f64 {
    let sorting = || {
        let texts: Vec<String> = (0_u32..64).map(|number| number.reverse_bits().to_string()).collect();
        move || {
            let mut sorted = texts.clone();
            sorted.sort();
            black_box(sorted);
        }
    };
    rate(&sorting, 2) / rate(&sorting, 1)
}

/// One decision after the other, about one device after the other.
fn deciding(engine: &PolicyEngine) -> impl FnMut() {
    let questions = questions(100_000);
    let mut next = 0;
    move || {
        black_box(engine.decide(questions.get(next).unwrap(), NOW, &[0; 10]));
        next = (next + 1) % questions.len();
    }
}

/// From a revocation to the first deny, while another thread asks without a pause.
fn change(engine: &PolicyEngine) {
    let denied = Arc::new(AtomicU64::new(0));
    let (start, stop) = (Barrier::new(2), AtomicBool::new(false));
    let began = Instant::now();
    let nanos = || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut times = thread::scope(|scope| {
        scope.spawn(|| {
            let question = question(5, true);
            start.wait();
            while !stop.load(Ordering::Relaxed) {
                let outcome = engine.decide(&question, NOW, &[0; 10]).outcome();
                denied.store(if outcome == Outcome::Deny { nanos() } else { 0 }, Ordering::Release);
            }
        });
        start.wait();
        let mut times = Vec::new();
        for _ in 0..CHANGES {
            engine.records().apply(RecordChange::Put(Box::new(record(5))));
            while denied.load(Ordering::Acquire) != 0 {
                std::hint::spin_loop();
            }
            let mut revoked = record(5);
            revoked.state = DeviceState::Revoked;
            let changed = nanos();
            engine.records().apply(RecordChange::Put(Box::new(revoked)));
            while denied.load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
            let at = denied.load(Ordering::Acquire);
            times.push(Duration::from_nanos(at.saturating_sub(changed)).as_secs_f64() * 1e3);
        }
        stop.store(true, Ordering::Relaxed);
        times
    });
    engine.records().apply(RecordChange::Remove(device(5)));
    times.sort_by(f64::total_cmp);
    let ms = times.get(times.len() * 99 / 100).copied().unwrap();
    figure("decision.change_to_first_deny.p99_ms", ms, "<= 10", ms <= 10.0);
}
