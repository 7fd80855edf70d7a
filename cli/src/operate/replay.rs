//! `vouchsafe policy replay`: yesterday's decisions against tomorrow's policy.

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::evaluate::EvaluationLimits;
use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_policy_engine::replay::{Candidate, Replayed};
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::operate::Page;

use crate::args::Format;
use crate::args::policy::{CandidateArgs, ReplayArgs};
use crate::client::{Client, Endpoint};
use crate::output::replay::ReplayReport;
use crate::policy::candidate::CandidateFiles;
use crate::{confined, host, output, policy};

/// How the bar looks.
const TEMPLATE: &str = "{bar:30} {pos}/{len} decisions {per_sec} {eta}";

/// A row of the log, of which the entry is read where it is decided over.
#[derive(Deserialize)]
struct Row {
    number: u64,
    #[serde(default)]
    entry: Option<Box<RawValue>>,
}

/// What was found of a candidate.
pub(super) enum Compared {
    /// It does not pass the gate.
    Refused(Box<GateReport>),
    /// What it would change.
    Replayed(Box<ReplayReport>),
}

pub(super) async fn run(client: &Client, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let candidate = CandidateFiles::read(&args.candidate.candidate)?;
    match compare(client, &args.candidate, candidate.bundle()).await? {
        Compared::Refused(report) => refused(&report, args.format.format),
        Compared::Replayed(report) => {
            output::show(args.format.format, &report, || output::replay::report(&report))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Says why a candidate does not pass the gate.
pub(super) fn refused(report: &GateReport, format: Format) -> anyhow::Result<ExitCode> {
    output::show(format, report, || output::gate::report(report))?;
    Ok(ExitCode::from(policy::REFUSED))
}

/// Has a candidate pass the gate, and replays what the log has. The next page is fetched while those before it are decided over.
pub(super) async fn compare(client: &Client, args: &CandidateArgs, bundle: &Bundle) -> anyhow::Result<Compared> {
    let limits = EvaluationLimits::default();
    let report = confined::child().examine(bundle, limits).context("cannot check the candidate")?;
    if !report.passed {
        return Ok(Compared::Refused(Box::new(report)));
    }
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let candidate = Candidate::compile(bundle, report.choose(), limits, threads);
    let candidate = Arc::new(candidate.context("the candidate cannot be used")?);
    let found = replay(client, args, &candidate, threads).await?;
    Ok(Compared::Replayed(Box::new(ReplayReport::of(&candidate, found))))
}

async fn replay(
    client: &Client,
    args: &CandidateArgs,
    candidate: &Arc<Candidate>,
    threads: usize,
) -> anyhow::Result<Replayed> {
    let now = host::now();
    // What is decided meanwhile is not part of it.
    let until = args.until.map_or(now, |until| until.resolve(now));
    let decisions = Endpoint::v1(["decisions"]).with("since", args.since.resolve(now)).with("until", until);
    let newest: Page<Row> = client.read(&decisions.clone().with("limit", 1)).await?;
    let Some(newest) = newest.items.first().map(|row| row.number) else { return Ok(Replayed::default()) };

    let bar = bar();
    let (mut deciding, mut found) = (JoinSet::new(), Replayed::default());
    let (mut after, mut oldest): (Option<String>, Option<u64>) = (None, None);
    loop {
        let endpoint = decisions.clone().with("oldest_first", true).with("limit", limits::PAGE);
        let page: Page<Row> = client.read(&endpoint.with_some("after", after.as_ref())).await?;
        if let (Some(first), Some(last)) = (page.items.first(), page.items.last()) {
            let oldest = *oldest.get_or_insert(first.number);
            bar.set_length(newest.saturating_sub(oldest) + 1);
            bar.set_position(last.number.saturating_sub(oldest) + 1);
        }
        let (candidate, rows) = (candidate.clone(), page.items);
        deciding.spawn_blocking(move || decide_again(&candidate, &rows));
        while deciding.len() >= threads {
            merge(&mut found, deciding.join_next().await)?;
        }
        match page.next {
            // A page that points to itself would never end.
            Some(next) if after.as_ref() != Some(&next) => after = Some(next),
            _ => break,
        }
    }
    while !deciding.is_empty() {
        merge(&mut found, deciding.join_next().await)?;
    }
    bar.finish_and_clear();
    Ok(found)
}

fn decide_again(candidate: &Candidate, rows: &[Row]) -> Replayed {
    let mut found = Replayed::default();
    rows.iter().for_each(|row| candidate.try_on(row.entry.as_ref().map(|entry| entry.get()), &mut found));
    found
}

fn merge(found: &mut Replayed, decided: Option<Result<Replayed, tokio::task::JoinError>>) -> anyhow::Result<()> {
    if let Some(decided) = decided {
        found.merge(decided.context("a decision could not be made again")?);
    }
    Ok(())
}

/// A bar on standard error. Where that is no terminal, nothing is drawn.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    // The template is a constant; if it were wrong, the bar of the library's choice would do.
    match ProgressStyle::with_template(TEMPLATE) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
