//! Decisions for other systems, read from the log once they are on the disk: what is answered never waits for a sink.

mod cursor;
mod http;
mod stdout;

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vouchsafe_http::Entropy;
use vouchsafe_journal::{Journal, ReadError, Record, Scan};

use super::config::{DecisionLogConfig, Layout};

/// How much of the log is read for one batch, in bytes.
const BATCH_SCAN_BYTES: u64 = 1024 * 1024;

/// Starts the sinks that the settings name. Each ends when the server stops.
pub(super) fn start(
    config: &DecisionLogConfig,
    layout: &Layout,
    journal: &Journal,
    entropy: Arc<dyn Entropy>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut sinks = Vec::new();
    if config.stdout {
        sinks.push(tokio::spawn(stdout::run(journal.clone(), shutdown.clone())));
    }
    if let Some(http) = &config.http {
        let sink = http::HttpSink::new(http, layout, journal.clone(), entropy)?;
        sinks.push(tokio::spawn(sink.run(shutdown.clone())));
    }
    Ok(sinks)
}

/// Entries from this one on, at most so many, and which is next. They may be fewer, or none.
async fn next_batch(journal: &Journal, from: u64, most: usize) -> Result<(Vec<Record<'static>>, u64), ReadError> {
    let view = journal.view();
    let read = move || {
        let mut records = Vec::new();
        let scan = Scan { cursor: Some(from), ..Scan::all(BATCH_SCAN_BYTES) };
        let next = view.oldest_first(&scan, |record| {
            records.push(record.into_owned());
            if records.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok((records, next))
    };
    // It has no panic to hand on: a task that is cancelled has read nothing.
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Ok((Vec::new(), from)))
}
