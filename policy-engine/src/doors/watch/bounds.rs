//! How many watches are open.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::sync::watch;
use vouchsafe_http::HttpProblem;
use vouchsafe_model::spiffe::SpiffeId;

use super::WatchSettings;

/// The watches that are open. Clones share them.
#[derive(Clone, Debug)]
pub struct Watches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: WatchSettings,
    open: Mutex<Open>,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    of: HashMap<SpiffeId, usize>,
}

/// Why a watch is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyWatches {
    /// The caller has as many as it may.
    #[error("the caller has {max} watches open, and may have no more")]
    OfCaller {
        /// How many it may have.
        max: usize,
    },
    /// There are as many as there may be.
    #[error("{max} watches are open, and there may be no more")]
    Altogether {
        /// How many there may be.
        max: usize,
    },
    /// The engine stops.
    #[error("the engine stops")]
    Closed,
}

/// One watch among those that are open, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    watches: Watches,
    caller: SpiffeId,
    closed: watch::Receiver<bool>,
}

impl Watches {
    /// Watches by these settings, none of them open.
    pub fn new(settings: WatchSettings) -> Self {
        Self(Arc::new(Shared { settings, open: Mutex::default(), closed: watch::Sender::new(false) }))
    }

    /// Ends all watches, and lets none begin: requests that never end would keep their door from closing.
    pub fn close(&self) {
        self.0.closed.send_replace(true);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open().total
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they are set up.
    pub(super) fn settings(&self) -> &WatchSettings {
        &self.0.settings
    }

    /// Takes the place of one more.
    pub(super) fn enter(&self, caller: &SpiffeId) -> Result<Place, TooManyWatches> {
        let WatchSettings { max_open, max_per_caller, .. } = self.0.settings;
        let closed = self.0.closed.subscribe();
        let mut open = self.open();
        let own = open.of.get(caller).copied().unwrap_or(0);
        if *closed.borrow() {
            return Err(TooManyWatches::Closed);
        }
        if own >= max_per_caller {
            return Err(TooManyWatches::OfCaller { max: max_per_caller });
        }
        if open.total >= max_open {
            return Err(TooManyWatches::Altogether { max: max_open });
        }
        open.total += 1;
        open.of.insert(caller.clone(), own + 1);
        metrics::gauge!(crate::metrics::WATCHES_OPEN).increment(1.0);
        Ok(Place { watches: self.clone(), caller: caller.clone(), closed })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        // Two numbers: a panic leaves nothing half done.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Watches {
    fn default() -> Self {
        Self::new(WatchSettings::default())
    }
}

impl Place {
    pub(super) fn settings(&self) -> &WatchSettings {
        self.watches.settings()
    }

    /// Waits until all watches are ended.
    pub(super) async fn closed(&mut self) {
        // The sender is there as long as `watches`.
        drop(self.closed.wait_for(|closed| *closed).await);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.watches.open();
        open.total = open.total.saturating_sub(1);
        if let Entry::Occupied(mut own) = open.of.entry(self.caller.clone()) {
            match own.get().saturating_sub(1) {
                0 => drop(own.remove()),
                fewer => drop(own.insert(fewer)),
            }
        }
        metrics::gauge!(crate::metrics::WATCHES_OPEN).decrement(1.0);
    }
}

impl From<TooManyWatches> for HttpProblem {
    fn from(error: TooManyWatches) -> Self {
        match error {
            TooManyWatches::OfCaller { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "watch.too_many", "Too many watches")
                    .with_detail(format!("{error}. Close one first."))
            }
            TooManyWatches::Altogether { .. } | TooManyWatches::Closed => {
                Self::unavailable("watch.too_many", format!("{error}."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> SpiffeId {
        format!("spiffe://example.org/enforcement/{name}").parse().unwrap()
    }

    #[test]
    fn there_are_as_many_watches_as_there_may_be_and_not_one_more() {
        let watches = Watches::new(WatchSettings { max_open: 3, max_per_caller: 2, ..WatchSettings::default() });
        let enter = |name: &str| watches.enter(&caller(name)).map_err(|error| error.to_string());
        let first = enter("a").unwrap();
        let _second = enter("a").unwrap();
        assert_eq!(enter("a").unwrap_err(), "the caller has 2 watches open, and may have no more");
        let _third = enter("b").unwrap();
        assert_eq!(enter("b").unwrap_err(), "3 watches are open, and there may be no more");
        drop(first);
        let _again = enter("b").unwrap();
        assert_eq!(watches.len(), 3);
    }

    #[test]
    fn callers_without_a_watch_take_no_memory() {
        let watches = Watches::default();
        drop(watches.enter(&caller("a")).unwrap());
        assert!(watches.open().of.is_empty() && watches.is_empty());
    }

    #[tokio::test]
    async fn closing_ends_all_and_lets_none_begin() {
        let watches = Watches::default();
        let mut open = watches.enter(&caller("a")).unwrap();
        watches.close();
        open.closed().await;
        assert_eq!(watches.enter(&caller("a")).unwrap_err(), TooManyWatches::Closed);
    }
}
