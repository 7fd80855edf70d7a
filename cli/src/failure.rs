//! What is said when something fails: an error, and a hint that says what to do.

use std::fmt;
use std::process::ExitCode;

use crate::host;
use crate::output::line;

/// It could not be done, or was asked for in the wrong way.
pub(crate) const FAILED: u8 = 1;

/// An error with what can be done about it. It reads as the error alone; [`report`] adds the hint.
pub(crate) struct Hinted {
    error: anyhow::Error,
    hint: String,
}

/// Adds hints to results.
pub(crate) trait Hint<T> {
    /// Says what can be done about the error.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| with_hint(error.into(), hint))
    }
}

/// An error with what can be done about it.
pub(crate) fn with_hint(error: anyhow::Error, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { error, hint: hint.into() })
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// The error with its causes in one line, and the hints, the outermost first.
pub(crate) fn report(error: &anyhow::Error) -> String {
    let mut lines = format!("error: {error:#}\n");
    for hinted in error.chain().filter_map(|cause| cause.downcast_ref::<Hinted>()) {
        line(&mut lines, format_args!("hint: {}", hinted.hint));
    }
    lines
}

/// Says on standard error what failed.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    host::complain(&report(error));
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn causes_are_in_one_line_and_the_hint_below() {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let failed: anyhow::Result<()> = Err(cause).context("cannot read a.toml").hint("make one");
        let outer = failed.context("cannot start").unwrap_err();
        assert_eq!(report(&outer), "error: cannot start: cannot read a.toml: no such file\nhint: make one\n");
    }
}
