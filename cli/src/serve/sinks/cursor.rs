//! How far a sink is, over restarts.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use vouchsafe_pki::files;

/// The longest file of a cursor: twenty digits and a line break.
const MAX_LEN: usize = 21;

/// The first entry that a sink has not delivered, in a file.
#[derive(Debug)]
pub(super) struct Cursor {
    path: PathBuf,
    next: u64,
}

impl Cursor {
    /// Reads a cursor. A sink that has none begins with what comes from now on: with `end`.
    pub(super) fn open(path: PathBuf, end: u64) -> anyhow::Result<Self> {
        if !path.exists() {
            let mut cursor = Self { path, next: end };
            cursor.advance(end)?;
            return Ok(cursor);
        }
        let text = files::read_private_file(&path, MAX_LEN)?;
        let number = str::from_utf8(&text).ok().and_then(|text| text.trim_ascii_end().parse().ok());
        let next = number.with_context(|| format!("{} holds no number of a decision", path.display()))?;
        // A log that was begun anew has fewer.
        ensure!(
            next <= end,
            "{} says that {next} decisions were delivered, and the log has {end}; remove it to deliver from now on",
            path.display()
        );
        Ok(Self { path, next })
    }

    /// The first entry that was not delivered.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// All before this one were delivered.
    pub(super) fn advance(&mut self, next: u64) -> anyhow::Result<()> {
        files::write_private_file(&self.path, format!("{next}\n").as_bytes())?;
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_goes_on_where_it_was_and_begins_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("http.cursor");
        let mut cursor = Cursor::open(path.clone(), 7).unwrap();
        assert_eq!(cursor.next(), 7);
        cursor.advance(u64::MAX).unwrap();
        assert_eq!(Cursor::open(path.clone(), u64::MAX).unwrap().next(), u64::MAX);
        let error = Cursor::open(path.clone(), 7).unwrap_err().to_string();
        assert!(error.contains("and the log has 7; remove it"), "{error}");
        files::write_private_file(&path, b"seven\n").unwrap();
        assert!(Cursor::open(path, 7).is_err());
    }
}
