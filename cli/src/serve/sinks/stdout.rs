//! Decisions on standard output: one JSON object a line, from the first that this process makes.

use std::io::{self, Write as _};

use tokio_util::sync::CancellationToken;
use vouchsafe_journal::{Journal, Record};
use vouchsafe_policy_engine::log::query::row;

use super::next_batch;

/// The most decisions that are printed at once.
const BATCH: usize = 1000;

/// Prints decisions until the server stops, and then those that were not printed yet.
pub(super) async fn run(journal: Journal, shutdown: CancellationToken) {
    let mut size = journal.watch();
    let mut next = *size.borrow_and_update();
    loop {
        let is_last = shutdown.is_cancelled();
        while next < *size.borrow_and_update() {
            let Ok((records, after)) = next_batch(&journal, next, BATCH).await.inspect_err(|error| {
                tracing::error!(error = error as &dyn std::error::Error, "decisions are no longer printed");
            }) else {
                return;
            };
            next = after;
            if !print(records).await {
                return;
            }
        }
        if is_last {
            return;
        }
        // Woken by the end of the server, too.
        let _ = shutdown.run_until_cancelled(size.changed()).await;
    }
}

/// Prints some decisions; false when nobody reads them any more.
async fn print(records: Vec<Record<'static>>) -> bool {
    let write = move || {
        let text: String = records.iter().flat_map(|record| [row(record), "\n".to_owned()]).collect();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "decisions are no longer printed");
            false
        }
        Err(_) => false,
    }
}
