//! How answers look: pure functions from the types of the wire to text.
//!
//! What a server or a host says is cleaned of control characters first, so that nothing in it can drive the terminal.

pub(crate) mod activation;
pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod chart;
pub(crate) mod coverage;
pub(crate) mod credential;
pub(crate) mod decision;
pub(crate) mod device;
pub(crate) mod dry_run;
pub(crate) mod eventlog;
pub(crate) mod explained;
pub(crate) mod gate;
pub(crate) mod golden;
pub(crate) mod ima;
pub(crate) mod image;
pub(crate) mod instant;
pub(crate) mod log;
pub(crate) mod packed;
pub(crate) mod policy;
pub(crate) mod policy_status;
pub(crate) mod quote;
pub(crate) mod replay;
pub(crate) mod result;
pub(crate) mod score;
pub(crate) mod secureboot;
pub(crate) mod table;
pub(crate) mod token;
pub(crate) mod trial;
pub(crate) mod trust;

use std::fmt::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use crate::args::Format;
use crate::host;

/// Prints a value for programs, or its text for people.
pub(crate) fn show<T: Serialize>(format: Format, value: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    match format {
        Format::Text => host::print(&text()),
        Format::Json => host::print(&json(value)?),
    }
}

/// A value for programs, over several lines, as people read these, too.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("cannot write the answer as JSON")?;
    text.push('\n');
    Ok(text)
}

/// A text without the characters that drive a terminal or turn the direction of writing.
pub(crate) fn clean(text: &str) -> String {
    let drives = |character: &char| {
        character.is_control()
            || matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(|character| !drives(character)).collect()
}

/// Adds a line to a text.
pub(crate) fn line(text: &mut String, line: fmt::Arguments<'_>) {
    // A `String` takes whatever is written to it.
    text.write_fmt(line).unwrap_or_default();
    text.push('\n');
}

/// `-` where there is nothing.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn nothing_drives_the_terminal() {
        assert_eq!(clean("a\x1b[2J\r\nb\u{9b}c\u{202E}d\u{2066}é"), "a[2Jbcdé");
    }
}
