//! From text to document.

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::Inconsistency;
use super::{FORMAT, GoldenImage, MAX_TEXT_LEN};

/// Why a text is no golden image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is too long to be worth reading.
    #[error("{len} bytes; an image of at most {MAX_TEXT_LEN} is read")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It is no text.
    #[error("no UTF-8 text from byte {offset} on")]
    NotText {
        /// The first byte that is none.
        offset: usize,
    },
    /// It does not say that it is one, or is one of another version of the format.
    #[error("line {line}, column {column}: the text does not say format = \"{FORMAT}\"")]
    OtherFormat {
        /// The line on which the format is named; the first is 1.
        line: usize,
        /// The column, in characters; the first is 1.
        column: usize,
    },
    /// It is no TOML, or a field is missing, unknown, or not of its form.
    #[error("line {line}, column {column}: {problem}")]
    Malformed {
        /// The line; the first is 1.
        line: usize,
        /// The column, in characters; the first is 1.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// Two parts of it contradict each other.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistency),
}

/// The longest problem that is told, in characters: it may repeat what the text says.
const MAX_PROBLEM_CHARS: usize = 300;

impl GoldenImage {
    /// Reads an image.
    ///
    /// # Errors
    /// When it is too long, no TOML, of another format, has a field that is unknown, missing or not of its form, or is
    /// inconsistent.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        if text.len() > MAX_TEXT_LEN {
            return Err(DocumentError::TooLong { len: text.len() });
        }
        let mut table = DeTable::parse(text).map_err(|error| malformed(text, &error))?;
        take_format(text, &mut table)?;
        let image = Self::deserialize(toml::Deserializer::from(table)).map_err(|error| malformed(text, &error))?;
        image.check()?;
        Ok(image)
    }

    /// Reads an image from a file's content.
    ///
    /// # Errors
    /// When it is no UTF-8 text, or as [`Self::parse`].
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_TEXT_LEN {
            return Err(DocumentError::TooLong { len: bytes.len() });
        }
        let text = str::from_utf8(bytes).map_err(|error| DocumentError::NotText { offset: error.valid_up_to() })?;
        Self::parse(text)
    }
}

/// The format comes first: an image of another version has fields that this one does not know.
fn take_format(text: &str, table: &mut Spanned<DeTable<'_>>) -> Result<(), DocumentError> {
    let format = table.get_mut().remove("format");
    let is_ours = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str() == Some(FORMAT);
    if format.as_ref().is_some_and(is_ours) {
        return Ok(());
    }
    let (line, column) = place(text, format.map_or(0, |value| value.span().start));
    Err(DocumentError::OtherFormat { line, column })
}

fn malformed(text: &str, error: &toml::de::Error) -> DocumentError {
    let (line, column) = place(text, error.span().map_or(0, |span| span.start));
    let clean = error.message().chars().map(|character| if character.is_control() { ' ' } else { character });
    DocumentError::Malformed { line, column, problem: clean.take(MAX_PROBLEM_CHARS).collect() }
}

/// Line and column of a byte.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline.saturating_add(1));
    let line = before.split(|byte| *byte == b'\n').count();
    let column = String::from_utf8_lossy(before.get(line_start..).unwrap_or_default()).chars().count();
    (line, column.saturating_add(1))
}
