//! What the full check of a quote costs beside the signature that no check can do without.
//!
//! `full` goes from the bytes of a P-256 quote with 24 SHA-256 PCRs to an authentic quote; `bare` is the library's own
//! ECDSA verification of the same signature with a key that is parsed already. The ratio of the two is measured in
//! turns, so that whatever else the machine does falls on both, and printed as a line of JSON.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops when it cannot go on, and prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use criterion::Criterion;
use vouchsafe_attest::forge::{ForgedQuote, ForgedTpm};
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, Sha1Bank};
use vouchsafe_attest::tpm::PublicKey;
use vouchsafe_model::PcrSelection;

const NONCE: &[u8; 32] = b"thirty-two bytes of a good nonce";
const TARGET_RATIO: f64 = 0.85;
const ROUNDS: usize = 400;
const CHECKS_PER_ROUND: u32 = 25;

struct Subject {
    ak: AttestationKey,
    selection: PcrSelection,
    quote: ForgedQuote,
    bare_key: ParsedPublicKey,
    bare_signature: Vec<u8>,
}

impl Subject {
    fn new() -> Self {
        let tpm = ForgedTpm::new();
        let selection: PcrSelection = "sha256:0-23".parse().unwrap();
        let quote = tpm.quote(&selection, NONCE);
        let PublicKey::Ecc(ecc) = tpm.ak_public().key() else { unreachable!("the AK is on P-256") };
        let bare_key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, ecc.uncompressed_point()).unwrap();
        let bare_signature = tpm.ak().sign_raw(&quote.message);
        Self {
            ak: AttestationKey::from_public(tpm.ak_public().clone()).unwrap(),
            selection,
            quote,
            bare_key,
            bare_signature,
        }
    }

    fn bare(&self) {
        self.bare_key.verify_sig(black_box(&self.quote.message), black_box(&self.bare_signature)).unwrap();
    }

    fn full(&self) -> AuthenticQuote {
        let check = QuoteCheck {
            ak: &self.ak,
            message: &self.quote.message,
            signature: &self.quote.signature,
            qualifying_data: NONCE,
            selection: &self.selection,
            pcrs: &self.quote.pcrs,
            sha1: Sha1Bank::Refused,
        };
        black_box(check).verify().unwrap()
    }
}

fn time(mut check: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..CHECKS_PER_ROUND {
        check();
    }
    start.elapsed() / CHECKS_PER_ROUND
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn main() {
    let subject = Subject::new();
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let bare = time(|| subject.bare()).as_secs_f64() * 1e6;
        let full = time(|| drop(black_box(subject.full()))).as_secs_f64() * 1e6;
        rounds.push((bare, full));
    }
    let bare = median(rounds.iter().map(|(bare, _)| *bare).collect());
    let full = median(rounds.iter().map(|(_, full)| *full).collect());
    let ratio = median(rounds.iter().map(|(bare, full)| bare / full).collect());
    let met = ratio >= TARGET_RATIO;
    let timings = format!(r#""bare_us":{bare:.2},"full_us":{full:.2}"#);
    println!(r#"{{"bench":"quote_check",{timings},"ratio":{ratio:.3},"target":{TARGET_RATIO},"met":{met}}}"#);

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("quote/bare", |bencher| bencher.iter(|| subject.bare()));
    criterion.bench_function("quote/full", |bencher| bencher.iter(|| subject.full()));
    criterion.final_summary();
}
