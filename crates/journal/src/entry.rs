//! Entries: as they are appended, and as they are read again.

use std::borrow::Cow;

use bytes::Bytes;
use vouchsafe_model::{DecisionId, Timestamp};

/// The longest JSON of an entry, in bytes.
pub const MAX_BODY_LEN: usize = 256 * 1024;

/// An entry to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(crate) id: DecisionId,
    pub(crate) at: Timestamp,
    /// Empty when the entry was dropped.
    pub(crate) body: Bytes,
}

/// A text that cannot be the JSON of an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryRejected {
    /// It is empty.
    #[error("the entry is empty")]
    Empty,
    /// It is longer than is kept.
    #[error("the entry has {found} bytes, and at most {MAX_BODY_LEN} are kept")]
    TooLong {
        /// How long it is, in bytes.
        found: usize,
    },
    /// It is no UTF-8.
    #[error("the entry is no UTF-8 text")]
    NotText,
    /// It has a control character, as compact JSON never has.
    #[error("the entry has a control character, which JSON without line breaks has not")]
    ControlCharacter,
}

impl Entry {
    /// An entry with this JSON in one line, named by its id.
    ///
    /// # Errors
    /// When the text cannot stand in a line. Whether it is JSON is for the caller to know.
    pub fn new(id: DecisionId, at: Timestamp, body: Bytes) -> Result<Self, EntryRejected> {
        if body.is_empty() {
            return Err(EntryRejected::Empty);
        }
        if body.len() > MAX_BODY_LEN {
            return Err(EntryRejected::TooLong { found: body.len() });
        }
        if body.iter().any(|byte| *byte < b' ') {
            return Err(EntryRejected::ControlCharacter);
        }
        if std::str::from_utf8(&body).is_err() {
            return Err(EntryRejected::NotText);
        }
        Ok(Self { id, at, body })
    }

    /// An entry of which nothing but id and instant is kept, so that nothing vanishes unseen.
    pub fn dropped(id: DecisionId, at: Timestamp) -> Self {
        Self { id, at, body: Bytes::new() }
    }

    /// Its name.
    pub fn id(&self) -> DecisionId {
        self.id
    }
}

/// An entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log; the first is 0.
    pub number: u64,
    /// Its name.
    pub id: DecisionId,
    /// Its instant, as the appender had it.
    pub at: Timestamp,
    pub(crate) body: Cow<'a, str>,
}

impl Record<'_> {
    /// Its JSON; `None` when it was dropped.
    pub fn body(&self) -> Option<&str> {
        Some(&*self.body).filter(|body| !body.is_empty())
    }

    /// The same, apart from the file that it was read from.
    pub fn into_owned(self) -> Record<'static> {
        Record { body: Cow::Owned(self.body.into_owned()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: &[u8]) -> Result<Entry, EntryRejected> {
        let at = Timestamp::UNIX_EPOCH;
        Entry::new(DecisionId::new(at, &[0; 10]), at, Bytes::copy_from_slice(body))
    }

    #[test]
    fn an_entry_is_taken_at_its_longest_and_refused_one_byte_later() {
        assert!(entry(&vec![b'x'; MAX_BODY_LEN]).is_ok());
        assert_eq!(entry(&vec![b'x'; MAX_BODY_LEN + 1]), Err(EntryRejected::TooLong { found: MAX_BODY_LEN + 1 }));
    }

    #[test]
    fn what_would_break_a_line_is_refused() {
        assert_eq!(entry(b""), Err(EntryRejected::Empty));
        for text in ["a\nb", "a\tb", "\0", "\u{1b}[2J", "a\r"] {
            assert_eq!(entry(text.as_bytes()), Err(EntryRejected::ControlCharacter), "{text:?}");
        }
        assert_eq!(entry(b"\xff"), Err(EntryRejected::NotText));
        assert!(entry("{\"a\":\"ü\u{2028}\"}".as_bytes()).is_ok());
    }
}
