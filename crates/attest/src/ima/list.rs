//! A list, or a part of one, entry by entry.

use super::entry::Entry;
use super::error::ImaError;
use super::{ascii, binary};

/// In which of the kernel's two forms a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// `ascii_runtime_measurements`.
    Ascii,
    /// `binary_runtime_measurements`.
    Binary,
}

impl ListFormat {
    /// The form that the bytes begin in. There is no confusing the two: a binary entry begins with a PCR below 24 in four
    /// bytes, and no line with a control character or a zero byte.
    pub fn detect(bytes: &[u8]) -> Self {
        let begin = bytes.get(..4).unwrap_or(bytes);
        if begin.first().is_some_and(|first| *first < b' ') || begin.contains(&0) { Self::Binary } else { Self::Ascii }
    }
}

/// The entries of a list, in order, read as they are asked for.
///
/// Ends at the end of the bytes, before an entry that they do not hold whole, or behind the first error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    format: ListFormat,
    is_whole: bool,
    consumed: usize,
    earlier: u64,
    earlier_bytes: u64,
    has_failed: bool,
}

impl<'a> Entries<'a> {
    /// The entries of a list from boot on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::resume(bytes, 0, 0)
    }

    /// The entries of a part of a list, behind so many entries and bytes.
    pub fn resume(bytes: &'a [u8], earlier: u64, earlier_bytes: u64) -> Self {
        let format = ListFormat::detect(bytes);
        Self { bytes, format, is_whole: false, consumed: 0, earlier, earlier_bytes, has_failed: false }
    }

    /// The same entries of a list that goes on no further: the last line of an ASCII list needs no line break.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// The form of the list.
    pub fn format(&self) -> ListFormat {
        self.format
    }

    /// How many bytes the entries so far take.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// How many bytes are left. When there are no more entries, and no error was met, these are the begin of an entry that
    /// is not there whole.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.consumed)
    }
}

impl<'a> Entries<'a> {
    /// Reads the next entry into `entry`; `None` when there is none.
    pub(super) fn read_into(&mut self, entry: &mut Entry<'a>) -> Option<Result<(), ImaError>> {
        if self.has_failed {
            return None;
        }
        let rest = self.bytes.get(self.consumed..)?;
        let read = match self.format {
            ListFormat::Ascii => ascii::read(rest, self.is_whole, entry),
            ListFormat::Binary => binary::read(rest, entry),
        };
        match read {
            Ok(None) => None,
            Ok(Some(len)) => {
                self.earlier = self.earlier.saturating_add(1);
                entry.number = self.earlier;
                self.consumed = self.consumed.saturating_add(len);
                Some(Ok(()))
            }
            Err((at, problem)) => {
                self.has_failed = true;
                let at = u64::try_from(self.consumed.saturating_add(at)).unwrap_or(u64::MAX);
                let offset = self.earlier_bytes.saturating_add(at);
                Some(Err(ImaError { entry: self.earlier.saturating_add(1), offset, problem }))
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ImaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut entry = Entry::blank();
        self.read_into(&mut entry).map(|read| read.map(|()| entry))
    }
}
