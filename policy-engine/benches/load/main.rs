//! What is promised of decisions over the network: how many, and how soon, against a constant answer of the same length from
//! the same kind of door, and against `opa run --server` where `opa` is on the PATH. One JSON line per figure.
//!
//! Whatever is asked here answers in this process or on this machine, over TLS 1.3 with certificates on both sides, and is
//! asked by the same clients with the same connections. What is compared is measured in turns. Every decision is on disk before
//! its answer leaves.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops when it cannot go on, and prints")]

#[path = "../fixtures/mod.rs"]
mod fixtures;

mod client;
mod opa;
mod questions;
mod server;

use std::time::Duration;

use client::{Clients, Target};
use server::{Server, World};

/// HTTP/1.1 connections, each with one request at a time. A decision is answered when it is on the disk, and decisions that
/// come at the same time share that wait: with few connections the figures would be of the disk, with this many they are of
/// the work.
const CONNECTIONS: usize = 128;
/// As Envoy has them: a connection for each of its threads, with many requests at a time.
const HTTP2_CONNECTIONS: usize = 4;
const STREAMS: usize = 32;
/// How long each load lasts.
const LOAD: Duration = Duration::from_millis(1500);
/// How often what is compared takes turns.
const ROUNDS: usize = 7;

/// What a target does at its most, and how long it takes at half of that.
#[derive(Clone, Copy)]
struct Measured {
    per_second: f64,
    p99_ms: f64,
}

fn main() {
    let world = World::new();
    let server = Server::open(&world);
    let clients = Clients::new(&world);

    let constant = Target::http1(server.doors, "/constant", questions::native());
    let decision = Target::http1(server.doors, "/v1/decision", questions::native());
    let live = Target::http1(server.doors, "/health/live", Vec::new());
    against(&clients, "http.decision", &decision, &constant);
    let bare = rounds(|()| clients.throughput(&live), |()| clients.throughput(&decision), || ());
    figure("http.decision_to_health.ratio", bare, None);

    let check = questions::envoy();
    let constant = Target::grpc(server.constant_envoy, check.clone());
    let decision = Target::grpc(server.doors, check);
    against(&clients, "ext_authz.decision", &decision, &constant);

    let Some(opa) = opa::Opa::start(&world) else {
        println!(r#"{{"skipped":"opa","reason":"there is no opa on the PATH"}}"#);
        return;
    };
    let ours = Target::http1(server.doors, "/v1/data/vouchsafe/decision", questions::data_api());
    let theirs = Target::http1(opa.address, "/v1/data/vouchsafe/decision", questions::with_record());
    let more = rounds(|()| clients.throughput(&theirs), |()| clients.throughput(&ours), || ());
    figure("opa.ours_to_opa.ratio", more, Some((more >= 3.0, ">= 3")));
    // Both as often as the slower one can bear.
    let half = || clients.throughput(&theirs) / 2.0;
    let later = rounds(|rate| clients.p99_ms(&theirs, rate), |rate| clients.p99_ms(&ours, rate), half);
    figure("opa.p99_to_opa.ratio", later, Some((later <= 1.0 / 3.0, "<= 0.333")));
}

/// A door that decides against one that does not.
fn against(clients: &Clients, name: &str, decision: &Target, constant: &Target) {
    let (mut decided, mut answered) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        answered.push(measured(clients, constant));
        decided.push(measured(clients, decision));
    }
    let of = |all: &[Measured], what: fn(&Measured) -> f64| median(all.iter().map(what).collect());
    let ratios = |what: fn(&Measured) -> f64| {
        median(decided.iter().zip(&answered).map(|(decided, answered)| what(decided) / what(answered)).collect())
    };
    figure(&format!("{name}.constant_per_second"), of(&answered, |one| one.per_second), None);
    figure(&format!("{name}.per_second"), of(&decided, |one| one.per_second), None);
    let ratio = ratios(|one| one.per_second);
    figure(&format!("{name}.to_constant.ratio"), ratio, Some((ratio >= 0.6, ">= 0.6")));
    figure(&format!("{name}.constant_p99_ms"), of(&answered, |one| one.p99_ms), None);
    figure(&format!("{name}.p99_ms"), of(&decided, |one| one.p99_ms), None);
    let ratio = ratios(|one| one.p99_ms);
    figure(&format!("{name}.p99_to_constant.ratio"), ratio, Some((ratio <= 2.0, "<= 2")));
}

fn measured(clients: &Clients, target: &Target) -> Measured {
    let per_second = clients.throughput(target);
    Measured { per_second, p99_ms: clients.p99_ms(target, per_second / 2.0) }
}

/// The second to the first, in turns, each turn under what is found out before.
fn rounds<T: Copy>(first: impl Fn(T) -> f64, second: impl Fn(T) -> f64, before: impl Fn() -> T) -> f64 {
    let turns = (0..ROUNDS).map(|_| before()).map(|found| (first(found), second(found)));
    median(turns.map(|(first, second)| second / first).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn figure(name: &str, value: f64, promise: Option<(bool, &str)>) {
    match promise {
        Some((met, target)) => println!(r#"{{"figure":"{name}","value":{value:.3},"target":"{target}","met":{met}}}"#),
        None => println!(r#"{{"figure":"{name}","value":{value:.3}}}"#),
    }
}
