//! The one thread that owns the TPM.
//!
//! Operations wait in a short queue and run one after the other. The connection is made when an operation needs it and
//! closed soon after the last one: between attestations nothing is held, the TPM is free for others, and neither a reset
//! nor a lost device concerns anybody until the next operation, which connects anew.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::Recovery;
use super::{Tpm, TpmConfig, TpmError};

/// Operations that may wait. The agent itself never has more than two: a signature for TLS, and what else it does.
const QUEUE: usize = 8;
/// How long an idle connection is kept, so that the operations of one exchange share it.
const LINGER: Duration = Duration::from_millis(200);
/// How long one operation may take. Making an RSA key takes some TPMs half a minute.
const LIMIT: Duration = Duration::from_secs(120);
/// How often an operation is done once more after a lost connection or a full TPM.
const MAX_RECOVERIES: u32 = 2;

type Job = Box<dyn FnOnce(&mut Owner) + Send>;

/// A channel to the thread that owns the TPM. The thread ends when the last clone is dropped.
#[derive(Clone)]
pub struct TpmHandle {
    jobs: SyncSender<Job>,
    tcti: Arc<str>,
}

/// What the thread owns.
struct Owner {
    config: TpmConfig,
    connection: Option<Tpm>,
}

impl TpmHandle {
    /// Starts the thread. The TPM is not touched before the first operation.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(config: TpmConfig) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let tcti = config.tcti.to_string().into();
        let owner = Owner { config, connection: None };
        std::thread::Builder::new().name("tpm".to_owned()).spawn(move || owner.work(&queue))?;
        Ok(Self { jobs, tcti })
    }

    /// Does an operation on the thread. It may be done again after a lost connection, so it must be able to begin anew.
    ///
    /// # Errors
    /// Those of the operation; and when the TPM cannot be reached, the queue is full, or it takes too long.
    pub async fn run<T: Send + 'static>(
        &self,
        operation: impl Fn(&Tpm) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, TpmError> {
        let (answer, outcome) = oneshot::channel();
        self.submit(move |result| drop(answer.send(result)), operation)?;
        match tokio::time::timeout(LIMIT, outcome).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(TpmError::Closed),
            Err(_) => Err(TpmError::Timeout { limit_secs: LIMIT.as_secs() }),
        }
    }

    /// As [`TpmHandle::run`], for callers that cannot await; they wait for at most `limit`.
    ///
    /// # Errors
    /// As [`TpmHandle::run`].
    pub fn run_blocking<T: Send + 'static>(
        &self,
        limit: Duration,
        operation: impl Fn(&Tpm) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, TpmError> {
        let (answer, outcome) = sync_channel(1);
        self.submit(move |result| drop(answer.send(result)), operation)?;
        match outcome.recv_timeout(limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(TpmError::Closed),
            Err(RecvTimeoutError::Timeout) => Err(TpmError::Timeout { limit_secs: limit.as_secs() }),
        }
    }

    /// Waits until what is under way is done and the connection is closed, so that nothing is left in the TPM; for at
    /// most `limit`.
    ///
    /// # Errors
    /// When that takes longer, or the thread has ended.
    pub fn close(&self, limit: Duration) -> Result<(), TpmError> {
        let (answer, closed) = sync_channel(1);
        let job: Job = Box::new(move |owner| {
            owner.connection = None;
            // Nobody waits any more: nothing is lost.
            let _ = answer.send(());
        });
        self.jobs.try_send(job).map_err(refusal)?;
        closed.recv_timeout(limit).map_err(|_| TpmError::Timeout { limit_secs: limit.as_secs() })
    }

    fn submit<T: 'static>(
        &self,
        answer: impl FnOnce(Result<T, TpmError>) + Send + 'static,
        operation: impl Fn(&Tpm) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<(), TpmError> {
        let job: Job = Box::new(move |owner| answer(owner.perform(&operation)));
        self.jobs.try_send(job).map_err(refusal)
    }
}

fn refusal(refused: TrySendError<Job>) -> TpmError {
    match refused {
        TrySendError::Full(_) => TpmError::QueueFull,
        TrySendError::Disconnected(_) => TpmError::Closed,
    }
}

impl fmt::Debug for TpmHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TpmHandle({})", self.tcti)
    }
}

impl Owner {
    fn work(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = self.next(queue) {
            job(&mut self);
        }
    }

    fn next(&mut self, queue: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        if self.connection.is_some() {
            match queue.recv_timeout(LINGER) {
                Err(RecvTimeoutError::Timeout) => self.connection = None,
                next => return next,
            }
        }
        queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }

    fn perform<T>(&mut self, operation: &impl Fn(&Tpm) -> Result<T, TpmError>) -> Result<T, TpmError> {
        let mut recoveries = 0;
        loop {
            let error = match self.connected().and_then(operation) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let recovery = error.recovery();
            if recovery != Recovery::None {
                // A connection that failed is not used again, whether or not the operation is.
                let flushed = self.recover(recovery);
                if recoveries < MAX_RECOVERIES && flushed.is_ok() {
                    recoveries += 1;
                    tracing::warn!(error = %error, "the TPM lost its state; doing the operation once more");
                    continue;
                }
            }
            return Err(error);
        }
    }

    fn connected(&mut self) -> Result<&Tpm, TpmError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Tpm::connect(&self.config)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn recover(&mut self, recovery: Recovery) -> Result<(), TpmError> {
        let flushed = match (recovery, &self.connection) {
            (Recovery::Flush, Some(connection)) => connection.flush_everything(),
            _ => Ok(()),
        };
        self.connection = None;
        flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> TpmHandle {
        let tcti = "device:/nonexistent/tpm".parse().unwrap();
        TpmHandle::start(TpmConfig { tcti, ..TpmConfig::default() }).unwrap()
    }

    #[test]
    fn a_missing_device_is_reported_with_what_to_do() {
        let error = nowhere().run_blocking(Duration::from_secs(10), |_| Ok(())).unwrap_err();
        assert!(matches!(error, TpmError::Unreachable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot reach the TPM at device:/nonexistent/tpm"), "{text}");
        assert!(text.contains("there is no such device"), "{text}");
        assert!(!error.is_permanent(), "a device may appear");
    }

    #[tokio::test]
    async fn callers_that_await_get_the_same_answer() {
        let error = nowhere().run(|_| Ok(())).await.unwrap_err();
        assert!(matches!(error, TpmError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn more_than_the_queue_holds_is_refused_rather_than_kept() {
        let tpm = nowhere();
        let (started, wait_for_start) = sync_channel::<()>(1);
        let (release, blocked) = sync_channel::<()>(1);
        let blocking: Job = Box::new(move |_| {
            started.send(()).unwrap();
            blocked.recv().unwrap();
        });
        tpm.jobs.try_send(blocking).unwrap();
        wait_for_start.recv().unwrap();
        for _ in 0..QUEUE {
            tpm.submit(|_: Result<(), _>| (), |_| Ok(())).unwrap();
        }
        assert!(matches!(tpm.submit(|_: Result<(), _>| (), |_| Ok(())), Err(TpmError::QueueFull)));
        release.send(()).unwrap();
    }
}
