//! Decisions posted to another system, in the form of OPA's decision logs: a gzip-compressed JSON array of events.
//!
//! At least once: how far it is is written down after an answer, so that what was under way when the server stopped is sent
//! again; `req_id` tells which events came twice. What cannot be delivered is tried again and again, with growing pauses,
//! while the log keeps it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use vouchsafe_http::Entropy;
use vouchsafe_journal::{Journal, ReadError};
use vouchsafe_policy_engine::log::event;

use super::cursor::Cursor;
use super::next_batch;
use crate::serve::config::{HttpSinkConfig, Layout};
use crate::serve::outward;

/// The most events of one request.
const MAX_BATCH: usize = 1000;
/// How long decisions are gathered before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// The pause after the first failure, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Where it is written down how far it is.
const CURSOR: &str = "decisions.http.cursor";

/// Decisions that could not be delivered yet.
const FAILURES_TOTAL: &str = "decision_sink_failures_total";
/// Decisions that were delivered.
const DELIVERED_TOTAL: &str = "decision_sink_delivered_total";
/// Decisions that were never delivered: retention removed them before, or the other side takes none so large.
const MISSED_TOTAL: &str = "decision_sink_missed_total";

/// Posts decisions.
pub(super) struct HttpSink {
    client: Client,
    url: Url,
    token_file: Option<PathBuf>,
    labels: Map<String, Value>,
    journal: Journal,
    cursor: Cursor,
    entropy: Arc<dyn Entropy>,
    /// How many events are sent at once; fewer where the other side takes no more.
    batch: usize,
    failures: u32,
}

/// A batch that was not taken.
#[derive(Debug, thiserror::Error)]
enum NotDelivered {
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    #[error("the token cannot be used: {0:#}")]
    Token(anyhow::Error),
    #[error("the request failed")]
    Request(#[from] reqwest::Error),
    #[error("the other side answered with status {0}")]
    Refused(StatusCode),
    #[error("how far it is could not be written down: {0:#}")]
    Cursor(anyhow::Error),
}

impl HttpSink {
    /// A sink as it is set up.
    pub(super) fn new(
        config: &HttpSinkConfig,
        layout: &Layout,
        journal: Journal,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let url = outward::read_url("decision_log.http.url", &config.url)?;
        let cursor = Cursor::open(layout.dir().join(CURSOR), journal.view().entries().end)?;
        let ca_file = config.ca_file.as_ref().map(|file| layout.resolve(file));
        let client = outward::client(ca_file.as_deref(), None)?.timeout(TIMEOUT);
        let labels = config.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        Ok(Self {
            client: client.build().context("cannot prepare to post decisions")?,
            url,
            token_file: config.token_file.as_ref().map(|file| layout.resolve(file)),
            labels,
            journal,
            cursor,
            entropy,
            batch: MAX_BATCH,
            failures: 0,
        })
    }

    /// Posts decisions until the server stops.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut size = self.journal.watch();
        loop {
            // What is under way when the server stops is sent again by the next.
            let Some(delivered) = shutdown.run_until_cancelled(self.deliver()).await else { return };
            let pause = match delivered {
                Ok(()) => {
                    self.failures = 0;
                    GATHER
                }
                Err(error) => {
                    metrics::counter!(FAILURES_TOTAL).increment(1);
                    self.failures = self.failures.saturating_add(1);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        decision_log.next = self.cursor.next(),
                        failures = self.failures,
                        "decisions were not delivered; they are sent again"
                    );
                    self.pause()
                }
            };
            let waited = async {
                tokio::time::sleep(pause).await;
                // The sender is in the journal, which this holds.
                let _ = size.wait_for(|size| *size > self.cursor.next()).await;
            };
            if shutdown.run_until_cancelled(waited).await.is_none() {
                return;
            }
        }
    }

    /// Delivers all that there is.
    async fn deliver(&mut self) -> Result<(), NotDelivered> {
        self.note_missing()?;
        while self.cursor.next() < self.journal.view().entries().end {
            let (records, next) = next_batch(&self.journal, self.cursor.next(), self.batch).await?;
            let events: Vec<Value> = records.iter().filter_map(|record| event::of(record, &self.labels)).collect();
            let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
            if count > 0 {
                match self.post(Value::Array(events)).await? {
                    status if status.is_success() => metrics::counter!(DELIVERED_TOTAL).increment(count),
                    StatusCode::PAYLOAD_TOO_LARGE if records.len() > 1 => {
                        self.batch = (records.len() / 2).max(1);
                        continue;
                    }
                    StatusCode::PAYLOAD_TOO_LARGE => {
                        tracing::error!(decision.id = ?records.first().map(|one| one.id), "too large to be delivered");
                        metrics::counter!(MISSED_TOTAL).increment(count);
                    }
                    status => return Err(NotDelivered::Refused(status)),
                }
            }
            self.cursor.advance(next).map_err(NotDelivered::Cursor)?;
            self.batch = (self.batch * 2).min(MAX_BATCH);
        }
        Ok(())
    }

    /// What retention removed before it was delivered is gone.
    fn note_missing(&mut self) -> Result<(), NotDelivered> {
        let first = self.journal.view().entries().start;
        let missing = first.saturating_sub(self.cursor.next());
        if missing > 0 {
            metrics::counter!(MISSED_TOTAL).increment(missing);
            tracing::error!(decisions = missing, "retention removed decisions that were not delivered");
            self.cursor.advance(first).map_err(NotDelivered::Cursor)?;
        }
        Ok(())
    }

    async fn post(&self, events: Value) -> Result<StatusCode, NotDelivered> {
        let compress = move || {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            serde_json::to_writer(&mut gzip, &events).map_err(std::io::Error::from).and_then(|()| gzip.finish())
        };
        // Values have a JSON form, and a `Vec` takes whatever is written to it.
        let body = tokio::task::spawn_blocking(compress).await.ok().and_then(Result::ok).unwrap_or_default();
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .body(body);
        if let Some(token) = outward::token(self.token_file.as_deref()).map_err(NotDelivered::Token)? {
            request = request.bearer_auth(token);
        }
        Ok(request.send().await?.status())
    }

    /// Between half of what the failures come to and all of it, so that servers that failed together do not return together.
    fn pause(&self) -> Duration {
        let longest = FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        let mut random = [0; 2];
        // Without entropy it is half.
        let _ = self.entropy.fill(&mut random);
        let part = u32::from(u16::from_be_bytes(random));
        longest / 2 + (longest / 2) * part / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests;
