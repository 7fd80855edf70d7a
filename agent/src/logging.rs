//! The log: to standard error, as text or one JSON object a line.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::LogFormat;

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none.
    #[error("'{0}' is no log level, such as info or warn,vouchsafe_agent=debug")]
    Level(String),
    /// There is one already.
    #[error("the log is set up twice")]
    Twice(#[from] TryInitError),
}

/// Sets up the log of this process.
///
/// # Errors
/// When the level is none, or a log is set up already.
pub fn set_up(level: &str, format: LogFormat) -> Result<(), LogError> {
    let registry = tracing_subscriber::registry().with(targets(level)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?,
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// What is logged at this level. The TPM wrapper's own lines are left out: what it reports is reported by us, once.
fn targets(level: &str) -> Result<Targets, LogError> {
    let invalid = || LogError::Level(level.chars().take(80).collect());
    // Alone, a word that is no level would be taken for the name of a module, and nothing else be logged.
    if level.split(',').any(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err()) {
        return Err(invalid());
    }
    let targets: Targets = level.parse().map_err(|_| invalid())?;
    let named = targets.iter().any(|(target, _)| target.starts_with("tss_esapi"));
    Ok(if named { targets } else { targets.with_target("tss_esapi", LevelFilter::OFF) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_wrappers_lines_are_left_out_unless_they_are_asked_for() {
        assert!(!targets("debug").unwrap().would_enable("tss_esapi::context", &Level::ERROR));
        assert!(targets("debug").unwrap().would_enable("vouchsafe_agent::run", &Level::DEBUG));
        assert!(!targets("info").unwrap().would_enable("vouchsafe_agent::run", &Level::DEBUG));
        assert!(targets("info,tss_esapi=warn").unwrap().would_enable("tss_esapi::context", &Level::WARN));
        for level in ["loud", "info,loud", "vouchsafe_agent=loud"] {
            assert!(matches!(targets(level), Err(LogError::Level(_))), "{level}");
        }
    }
}
