//! A reference enforcement point for long connections.
//!
//! It decides nothing. Whatever is not an allow of the engine's is a deny: an error, an end, a silence.

mod connection;
mod device;
mod settings;
mod watch;

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing_subscriber::EnvFilter;

use connection::Point;
use settings::Settings;

/// The most connections at once; the next one is closed at once.
const MAX_CONNECTIONS: usize = 1024;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .init();
    let settings = Settings::parse();
    let listener =
        TcpListener::bind(settings.listen).await.with_context(|| format!("listening at {}", settings.listen))?;
    tracing::info!(listen = %settings.listen, service = %settings.service, "listening");
    let point = Arc::new(Point::new(settings)?);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            tracing::warn!(client.address = %remote, "too many connections");
            continue;
        };
        let point = point.clone();
        tokio::spawn(async move {
            let ended = point.attend(stream, remote).await;
            let ended = ended.unwrap_or_else(|error| format!("refused: {error:#}"));
            tracing::info!(client.address = %remote, "{ended}");
            drop(slot);
        });
    }
}
