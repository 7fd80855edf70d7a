//! Entries that wait to be written. There is room for so many bytes of them: whoever comes later waits for room.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::entry::Entry;
use crate::journal::AppendError;

/// The bytes of one unit of room.
const UNIT_LEN: usize = 1024;
/// The units that there are: 16 MiB.
const UNITS: usize = 16 * 1024;
/// What a line has besides the JSON of its entry, at most.
const AROUND_LEN: usize = 256;

/// Entries that wait to be written.
#[derive(Debug)]
pub(crate) struct Queue {
    room: Semaphore,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    is_closed: bool,
}

/// An entry, and whoever waits for it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) entry: Entry,
    pub(crate) kept: oneshot::Sender<Result<(), AppendError>>,
    /// The room that it takes.
    pub(crate) units: usize,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { room: Semaphore::new(UNITS), state: Mutex::default(), arrived: Condvar::new() }
    }

    /// Waits for room, puts an entry there, and waits until it is written or not.
    pub(crate) async fn append(&self, entry: Entry) -> Result<(), AppendError> {
        let units = (entry.body.len() + AROUND_LEN).div_ceil(UNIT_LEN);
        let room = self.room.acquire_many(u32::try_from(units).unwrap_or(u32::MAX)).await;
        let room = room.map_err(|_| AppendError::Closed)?;
        let (kept, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.is_closed {
                return Err(AppendError::Closed);
            }
            // Given back by `release`, when the entry is written.
            room.forget();
            state.waiting.push(Waiting { entry, kept, units });
            if state.waiting.len() == 1 {
                self.arrived.notify_one();
            }
        }
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Moves all that waits to `batch`, which is empty; waits for something, but not longer than so. False when nothing will
    /// come any more.
    pub(crate) fn take(&self, batch: &mut Vec<Waiting>, wait: Duration) -> bool {
        let state = self.lock();
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
        let waited = self.arrived.wait_timeout_while(state, wait, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.waiting, batch);
        !(state.is_closed && batch.is_empty())
    }

    /// Makes room again.
    pub(crate) fn release(&self, batch: &[Waiting]) {
        self.room.add_permits(batch.iter().map(|one| one.units).sum());
    }

    /// Drops those for which nobody waits any more: who gave up was told that it is not in the log.
    pub(crate) fn forget_abandoned(&self, batch: &mut Vec<Waiting>) {
        let mut units = 0;
        batch.retain(|one| {
            let is_awaited = !one.kept.is_closed();
            units += if is_awaited { 0 } else { one.units };
            is_awaited
        });
        self.room.add_permits(units);
    }

    /// Takes nothing more. What waits is still to be taken.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.room.close();
        self.arrived.notify_one();
    }

    /// Drops what waits: nobody will take it.
    pub(crate) fn abandon(&self) {
        self.close();
        let abandoned = std::mem::take(&mut self.lock().waiting);
        drop(abandoned);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entry::MAX_BODY_LEN;
    use crate::torn::MAX_WRITE_LEN;
    use vouchsafe_model::{DecisionId, Timestamp};

    fn entry(len: usize) -> Entry {
        let at = Timestamp::UNIX_EPOCH;
        Entry::new(DecisionId::new(at, &[0; 10]), at, vec![b'x'; len].into()).unwrap()
    }

    #[tokio::test]
    async fn whoever_finds_no_room_waits_until_there_is() {
        let queue = Arc::new(Queue::new());
        let longest = entry(MAX_BODY_LEN);
        let append = |_| {
            let (queue, entry) = (queue.clone(), longest.clone());
            tokio::spawn(async move { queue.append(entry).await })
        };
        let fitting = UNITS * UNIT_LEN / (MAX_BODY_LEN + UNIT_LEN);
        let all: Vec<_> = (0..fitting + 3).map(append).collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, Duration::ZERO));
        assert_eq!(batch.len(), fitting);
        let bytes: usize = batch.iter().map(|one| one.entry.body.len() + AROUND_LEN).sum();
        assert!(bytes < MAX_WRITE_LEN);
        queue.release(&batch);
        for one in batch.drain(..) {
            one.kept.send(Ok(())).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(queue.take(&mut batch, Duration::ZERO));
        assert_eq!(batch.len(), 3);
        queue.close();
        drop(batch);
        let outcomes = futures(all).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), fitting);
    }

    #[tokio::test]
    async fn who_gave_up_is_forgotten_and_leaves_room() {
        let queue = Arc::new(Queue::new());
        let append = |len| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.append(entry(len)).await })
        };
        let (patient, hasty) = (append(1), append(MAX_BODY_LEN));
        tokio::task::yield_now().await;
        hasty.abort();
        assert!(hasty.await.unwrap_err().is_cancelled());
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, Duration::ZERO));
        queue.forget_abandoned(&mut batch);
        assert_eq!((batch.len(), queue.room.available_permits()), (1, UNITS - 1));
        queue.release(&batch);
        batch.pop().unwrap().kept.send(Ok(())).unwrap();
        patient.await.unwrap().unwrap();
        assert_eq!(queue.room.available_permits(), UNITS);
    }

    async fn futures<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_what_waits_and_takes_no_more() {
        let queue = Arc::new(Queue::new());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.append(entry(1)).await }
        });
        tokio::task::yield_now().await;
        queue.close();
        assert!(matches!(queue.append(entry(1)).await, Err(AppendError::Closed)));
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch, Duration::from_secs(60)));
        assert_eq!(batch.len(), 1);
        batch.clear();
        assert!(!queue.take(&mut batch, Duration::from_secs(60)));
        assert!(matches!(waiting.await.unwrap(), Err(AppendError::Closed)));
    }
}
