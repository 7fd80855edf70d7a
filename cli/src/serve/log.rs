//! The server's log: one line or one JSON object an event, to standard error.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::config::{LogConfig, LogFormat};

/// Begins to log.
///
/// # Errors
/// The level is no filter.
pub(super) fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.level)
        .with_context(|| format!("log.level: '{}' is no log filter such as info or debug", config.level))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
