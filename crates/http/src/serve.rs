//! Keeping a door open: accepting connections within bounds, and closing without cutting anybody off.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, Ends};
use crate::tls::ServerTls;

/// How many connections were turned away because there were too many.
pub const CONNECTIONS_REFUSED_TOTAL: &str = "http_connections_refused_total";
/// How many handshakes failed or took too long.
pub const HANDSHAKES_FAILED_TOTAL: &str = "tls_handshakes_failed_total";

/// The pause after the first failure to accept a connection; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The bounds of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The most connections at once; the next one is closed at once.
    pub max_connections: usize,
    /// The longest time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// The longest time for the header of an HTTP/1 request, from the moment when one may begin.
    pub header_read_timeout: Duration,
    /// The longest header of a request, in bytes; over HTTP/1 it is never less than 8 KiB.
    pub max_header_len: u32,
    /// How long a connection may stay without a request in flight.
    pub idle_timeout: Duration,
    /// How long a connection may stay at all. The client then connects anew, and proves anew who it is.
    pub max_connection_age: Duration,
    /// The most requests in flight on one HTTP/2 connection.
    pub max_http2_streams: u32,
    /// How long requests in flight have to finish when the door closes.
    pub drain_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(10),
            max_header_len: 32 * 1024,
            idle_timeout: Duration::from_secs(120),
            max_connection_age: Duration::from_secs(3600),
            max_http2_streams: 128,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// Why a door was not closed in good order.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ServeError {
    /// Requests were still in flight at the end of the time that they had.
    #[error("{connections} connections were cut off, because they had not finished {} s after the door was closed", drain_timeout.as_secs_f32())]
    CutOff {
        /// How many connections.
        connections: usize,
        /// The time that they had.
        drain_timeout: Duration,
    },
}

/// Serves a router on a listener until `shutdown` is cancelled, then lets the requests in flight finish.
///
/// Each request carries the extension [`crate::RemoteAddress`], and [`crate::Peer`] on a mutual door; there it is
/// refused from the moment when the client's certificate expires. Without TLS, HTTP/1 alone is spoken: this is for
/// doors that nobody but this machine can reach.
///
/// # Errors
/// When requests had to be cut off at the end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerTls>,
    router: Router,
    limits: &ConnectionLimits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let cut_off = CancellationToken::new();
    let connections = TaskTracker::new();
    let door = Arc::new(Door {
        tls,
        router,
        limits: limits.clone(),
        slots: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
        ends: Ends { shutdown: shutdown.clone(), cut_off: cut_off.clone() },
    });

    let mut pause = FIRST_PAUSE;
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, remote)) => {
                pause = FIRST_PAUSE;
                if let Ok(slot) = door.slots.clone().try_acquire_owned() {
                    connections.spawn(door.clone().attend(stream, remote, slot));
                } else {
                    metrics::counter!(CONNECTIONS_REFUSED_TOTAL).increment(1);
                    tracing::warn!(client.address = %remote, "connection refused: too many are open");
                }
            }
            Err(error) if is_the_clients_fault(&error) => {
                tracing::debug!(%error, "connection lost before it was accepted");
            }
            Err(error) => {
                // Most often the limit of open files (EMFILE). The connection stays in the queue, and accepting again
                // at once would only burn time.
                tracing::error!(%error, pause_ms = pause.as_millis(), "cannot accept connections");
                shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }

    drop(listener);
    connections.close();
    if timeout(limits.drain_timeout, connections.wait()).await.is_ok() {
        return Ok(());
    }
    let cut = connections.len();
    cut_off.cancel();
    connections.wait().await;
    Err(ServeError::CutOff { connections: cut, drain_timeout: limits.drain_timeout })
}

/// What all connections of a door share.
struct Door {
    tls: Option<ServerTls>,
    router: Router,
    limits: ConnectionLimits,
    slots: Arc<Semaphore>,
    ends: Ends,
}

impl Door {
    /// One connection from its first byte to its last. The slot is free again when this is over.
    async fn attend(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, _slot: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, client.address = %remote, "connection lost");
            return;
        }
        let connection = Connection { router: self.router.clone(), remote, limits: &self.limits, ends: &self.ends };
        let Some(tls) = &self.tls else { return connection.run_plain(stream).await };
        let handshake = timeout(self.limits.handshake_timeout, tls.acceptor().accept(stream));
        match self.ends.shutdown.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => connection.run_tls(stream, tls.mutual_clock()).await,
            Some(Ok(Err(error))) => handshake_failed(remote, &error.to_string()),
            Some(Err(_)) => handshake_failed(remote, "it took too long"),
            None => (),
        }
    }
}

fn handshake_failed(remote: SocketAddr, reason: &str) {
    metrics::counter!(HANDSHAKES_FAILED_TOTAL).increment(1);
    tracing::info!(client.address = %remote, reason, "TLS handshake failed");
}

/// Whether an error of `accept` is about the one connection that would have been next (accept(2)).
fn is_the_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_lost_connection_from_a_lack_of_files() {
        // ECONNABORTED, ECONNRESET, EINTR; then EMFILE, ENFILE, ENOBUFS, ENOMEM.
        for number in [103, 104, 4] {
            assert!(is_the_clients_fault(&io::Error::from_raw_os_error(number)), "{number}");
        }
        for number in [24, 23, 105, 12] {
            assert!(!is_the_clients_fault(&io::Error::from_raw_os_error(number)), "{number}");
        }
    }
}
