//! Reads segments line by line, forwards and backwards, never more of a line than any is long.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::line::MAX_LINE_LEN;

/// How much is read at once.
const BLOCK_LEN: usize = 256 * 1024;

/// A line as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawLine<'a> {
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
    /// Without its line break.
    pub(crate) bytes: &'a [u8],
    /// Whether there is a line break. Without one, the file ended, or the line is longer than any.
    pub(crate) is_whole: bool,
}

impl<'a> RawLine<'a> {
    fn new(offset: u64, with_break: &'a [u8]) -> Self {
        let whole = with_break.strip_suffix(b"\n");
        Self { offset, bytes: whole.unwrap_or(with_break), is_whole: whole.is_some() }
    }
}

/// Reads lines in their order.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    start: u64,
    end: u64,
}

impl<R: Read> Lines<R> {
    /// The lines of what is read, whose first byte is at this offset.
    pub(crate) fn new(from: R, offset: u64) -> Self {
        Self { reader: BufReader::with_capacity(BLOCK_LEN, from), line: Vec::new(), start: offset, end: offset }
    }

    /// Goes to the next line; false at the end.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let longest = u64::try_from(MAX_LINE_LEN).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.reader.by_ref().take(longest).read_until(b'\n', &mut self.line)?;
        self.start = self.end;
        self.end += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(read > 0)
    }

    /// The line that was gone to.
    pub(crate) fn current(&self) -> RawLine<'_> {
        RawLine::new(self.start, &self.line)
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        Ok(if self.advance()? { Some(self.current()) } else { None })
    }

    /// Where the next line begins.
    pub(crate) fn offset(&self) -> u64 {
        self.end
    }
}

/// The lines of a file from an offset on, up to an end.
pub(crate) fn lines_of(mut file: File, offset: u64, end: u64) -> io::Result<Lines<io::Take<File>>> {
    file.seek(SeekFrom::Start(offset))?;
    Ok(Lines::new(file.take(end.saturating_sub(offset)), offset))
}

/// Reads lines from the last to the first.
pub(crate) struct LinesBack {
    file: File,
    /// The bytes of the file from `start` on.
    block: Vec<u8>,
    start: u64,
    /// Where in the block the line is that was gone to.
    line: Range<usize>,
}

impl LinesBack {
    /// The lines that end at or before this offset.
    pub(crate) fn new(file: File, end: u64) -> Self {
        Self { file, block: Vec::new(), start: end, line: 0..0 }
    }

    /// Goes to the line before; false at the beginning.
    pub(crate) fn advance(&mut self) -> io::Result<bool> {
        loop {
            let left = self.block.get(..self.line.start).unwrap_or_default();
            // A line break at the very end is that of the line which is looked for.
            let inner = left.strip_suffix(b"\n").unwrap_or(left);
            let before = inner.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
            if before.is_some() || self.start == 0 || inner.len() > MAX_LINE_LEN {
                self.line = before.unwrap_or(0)..self.line.start;
                return Ok(!self.line.is_empty());
            }
            self.read_more()?;
        }
    }

    /// The line that was gone to.
    pub(crate) fn current(&self) -> RawLine<'_> {
        let line = self.block.get(self.line.clone()).unwrap_or_default();
        RawLine::new(self.start + u64::try_from(self.line.start).unwrap_or(u64::MAX), line)
    }

    /// The line before the one that was given last; `None` at the beginning.
    pub(crate) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        Ok(if self.advance()? { Some(self.current()) } else { None })
    }

    fn read_more(&mut self) -> io::Result<()> {
        let room = u64::try_from(BLOCK_LEN).unwrap_or(u64::MAX).min(self.start);
        self.start -= room;
        self.file.seek(SeekFrom::Start(self.start))?;
        let left = self.block.get(..self.line.start).unwrap_or_default();
        let mut block = Vec::with_capacity(BLOCK_LEN + left.len());
        let read = (&mut self.file).take(room).read_to_end(&mut block)?;
        if u64::try_from(read).ok() != Some(room) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        block.extend_from_slice(left);
        self.line = block.len()..block.len();
        self.block = block;
        Ok(())
    }
}

/// The beginning of a line, at most some [`BLOCK_LEN`] before the entry of this number, in a segment whose lines lie in
/// this range. What stands there is not checked: whoever reads on from there does that.
pub(crate) fn shortly_before(file: &File, lines: Range<u64>, number: u64) -> io::Result<u64> {
    let block = u64::try_from(BLOCK_LEN).unwrap_or(u64::MAX);
    let Range { start: mut low, end: mut high } = lines;
    while high - low > block {
        let middle = low + (high - low) / 2;
        let mut behind = lines_of(file.try_clone()?, middle, high)?;
        // Most likely the rest of a line.
        behind.next()?;
        let mut found = None;
        while let Some(line) = behind.next()? {
            if let Some(at_middle) = leading_number(line.bytes) {
                found = Some((line.offset, at_middle));
                break;
            }
        }
        match found {
            Some((offset, at_middle)) if at_middle <= number => low = offset,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The number that a line begins with, if it is an entry's.
pub(crate) fn leading_number(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b'\t').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file_of(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    type Owned = Vec<(u64, Vec<u8>, bool)>;

    fn forwards(file: &File, offset: u64, end: u64) -> Owned {
        let mut lines = lines_of(file.try_clone().unwrap(), offset, end).unwrap();
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.offset, line.bytes.to_vec(), line.is_whole));
        }
        all
    }

    fn backwards(file: &File, end: u64) -> Owned {
        let mut lines = LinesBack::new(file.try_clone().unwrap(), end);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.offset, line.bytes.to_vec(), line.is_whole));
        }
        all
    }

    #[test]
    fn both_ways_give_the_same_lines() {
        let long = "x".repeat(BLOCK_LEN / 3);
        for text in ["", "a\n", "a", "\n", "\n\n", "a\n\nb\n", "a\nb", &format!("{long}\n{long}\n\n{long}y\nz{long}\n")]
        {
            let file = file_of(text.as_bytes());
            let end = u64::try_from(text.len()).unwrap();
            let mut back = backwards(&file, end);
            back.reverse();
            assert_eq!(back, forwards(&file, 0, end), "{} bytes", text.len());
        }
    }

    #[test]
    fn no_more_of_a_line_is_read_than_any_line_has() {
        let text = format!("{}\nshort\n", "x".repeat(MAX_LINE_LEN + 1));
        let file = file_of(text.as_bytes());
        let end = u64::try_from(text.len()).unwrap();
        let all = forwards(&file, 0, end);
        assert_eq!((all[0].1.len(), all[0].2), (MAX_LINE_LEN + 1, false));
        let longest = format!("{}\n", "x".repeat(MAX_LINE_LEN));
        let all = forwards(&file_of(longest.as_bytes()), 0, u64::MAX);
        assert_eq!((all[0].1.len(), all[0].2), (MAX_LINE_LEN, true));
    }

    #[test]
    fn an_entry_is_found_without_reading_all() {
        let mut text = b"header\t{}\n".to_vec();
        let mut starts = Vec::new();
        for number in 100..2_000_u64 {
            starts.push(text.len() as u64);
            // Lines of other lengths, and now and then one that is no entry.
            text.extend(format!("{number}\t{}\n", "y".repeat(usize::try_from(number % 900).unwrap() * 2)).bytes());
            if number % 50 == 0 {
                text.extend(b"checkpoint\tx\n");
            }
        }
        let (file, end) = (file_of(&text), text.len() as u64);
        for number in (100..2_000).chain([0, 5_000]) {
            let near = shortly_before(&file, 0..end, number).unwrap();
            let start = starts.get(usize::try_from(number.saturating_sub(100)).unwrap()).copied().unwrap_or(end);
            assert!(near <= start, "{number}");
            assert!(start - near <= BLOCK_LEN as u64 + 2_000 || number == 5_000, "{number}: {near} and {start}");
            assert!(near == 0 || text[usize::try_from(near).unwrap() - 1] == b'\n');
        }
    }
}
