//! Lines of a segment: fields with tabs between them, then whether the line begins a write, then a check.

use std::borrow::Cow;
use std::io::Write as _;

use vouchsafe_model::{Sha256Digest, Timestamp};

use crate::entry::{Entry, MAX_BODY_LEN, Record};
use crate::hash;

/// The longest line, in bytes: an entry with its number, id, instant and check. Others are far shorter.
pub(crate) const MAX_LINE_LEN: usize = MAX_BODY_LEN + 256;
/// The bytes of a digest that are the check of a line.
const CHECK_LEN: usize = 8;
/// The mark and the check in hexadecimal.
const TRAILER_LEN: usize = 1 + 2 * CHECK_LEN;
/// Marks a line that begins a write. The two marks differ in two bits, so that no single flip makes one of the other.
const BEGINS: u8 = b'+';
/// Marks a line that goes on with a write.
const GOES_ON: u8 = b'-';

/// What a line is that is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first line.
    Header,
    /// A signed note.
    Checkpoint,
    /// The last line.
    Sealed,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Checkpoint => "checkpoint",
            Self::Sealed => "sealed",
        }
    }
}

/// A line that was read and whose check is right.
#[derive(Debug)]
pub(crate) struct Framed<'a> {
    pub(crate) begins_write: bool,
    pub(crate) line: Line<'a>,
}

/// What a line says.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    Entry { record: Record<'a>, leaf: Sha256Digest },
    Other { kind: Kind, json: &'a str },
}

/// What is wrong with a line by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It is longer than any line that is written.
    #[error("it is longer than the {MAX_LINE_LEN} bytes of the longest line")]
    TooLong,
    /// The file ends in the midst of it.
    #[error("the file ends in the midst of it")]
    CutShort,
    /// It does not end in a check.
    #[error("it does not end in a check")]
    Unframed,
    /// The check is that of another line.
    #[error("its check does not match: it was changed or damaged")]
    Check,
    /// It is of no known kind.
    #[error("it is neither an entry nor any other line that is known")]
    Unknown,
    /// One of its fields is not what it has to be.
    #[error("its {field} cannot be read")]
    Field {
        /// Which field.
        field: &'static str,
    },
}

/// Writes lines of entries. Keeps a buffer, since their hashes are taken in one piece.
#[derive(Debug, Default)]
pub(crate) struct EntryWriter {
    prefixed: Vec<u8>,
}

impl EntryWriter {
    /// Adds the line of an entry, and returns its hash.
    pub(crate) fn write(&mut self, to: &mut Vec<u8>, number: u64, entry: &Entry, begins: bool) -> Sha256Digest {
        let text = &mut self.prefixed;
        text.clear();
        text.push(hash::LEAF);
        // A `Vec` takes whatever is written to it.
        let _ = write!(text, "{number}\t{}\t{}\t", entry.id, entry.at);
        text.extend_from_slice(&entry.body);
        let leaf = hash::leaf_with_prefix(text);
        to.extend_from_slice(text.get(1..).unwrap_or_default());
        end_line(to, &leaf, begins);
        leaf
    }
}

/// Adds a line that is no entry.
pub(crate) fn write_other(to: &mut Vec<u8>, kind: Kind, json: &str, begins: bool) {
    let start = to.len();
    to.extend_from_slice(kind.name().as_bytes());
    to.push(b'\t');
    to.extend_from_slice(json.as_bytes());
    let check = hash::check(to.get(start..).unwrap_or_default());
    end_line(to, &check, begins);
}

fn end_line(to: &mut Vec<u8>, digest: &Sha256Digest, begins: bool) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    to.extend_from_slice(&[b'\t', if begins { BEGINS } else { GOES_ON }]);
    let checked = digest.as_bytes().iter().take(CHECK_LEN);
    to.extend(checked.flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    to.push(b'\n');
}

/// Reads a line without its line break.
pub(crate) fn parse(line: &[u8]) -> Result<Framed<'_>, LineFault> {
    if line.len() > MAX_LINE_LEN {
        return Err(LineFault::TooLong);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineFault::Unframed)?;
    let (text, trailer) = text.rsplit_once('\t').ok_or(LineFault::Unframed)?;
    if trailer.len() != TRAILER_LEN {
        return Err(LineFault::Unframed);
    }
    let begins_write = match trailer.as_bytes().first() {
        Some(&BEGINS) => true,
        Some(&GOES_ON) => false,
        _ => return Err(LineFault::Unframed),
    };
    let is_entry = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let digest = if is_entry { hash::leaf(text.as_bytes()) } else { hash::check(text.as_bytes()) };
    if !is_check(&digest, trailer.as_bytes().get(1..).unwrap_or_default()) {
        return Err(LineFault::Check);
    }
    let line = if is_entry {
        Line::Entry { record: entry(text).map_err(|field| LineFault::Field { field })?, leaf: digest }
    } else {
        other(text).ok_or(LineFault::Unknown)?
    };
    Ok(Framed { begins_write, line })
}

fn is_check(digest: &Sha256Digest, hexadecimal: &[u8]) -> bool {
    let mut expected = Vec::with_capacity(TRAILER_LEN + 2);
    end_line(&mut expected, digest, true);
    expected.get(2..expected.len() - 1) == Some(hexadecimal)
}

fn entry(text: &str) -> Result<Record<'_>, &'static str> {
    let mut fields = text.splitn(4, '\t');
    let mut field = |name| fields.next().ok_or(name);
    let number = field("number")?.parse().map_err(|_| "number")?;
    let id = field("id")?.parse().map_err(|_| "id")?;
    let at: Timestamp = field("instant")?.parse().map_err(|_| "instant")?;
    let body = Cow::Borrowed(field("JSON")?);
    Ok(Record { number, id, at, body })
}

fn other(text: &str) -> Option<Line<'_>> {
    let (name, json) = text.split_once('\t')?;
    let kind = [Kind::Header, Kind::Checkpoint, Kind::Sealed].into_iter().find(|kind| kind.name() == name)?;
    Some(Line::Other { kind, json })
}

/// The text of an entry's line, which its hash is over.
pub(crate) fn entry_text(record: &Record<'_>) -> String {
    format!("{}\t{}\t{}\t{}", record.number, record.id, record.at, record.body)
}

/// The entry of a text, if it is the text of one.
pub(crate) fn parse_entry_text(text: &str) -> Option<Record<'_>> {
    // Written in one way alone, so that the number that is read is the one that is hashed.
    entry(text).ok().filter(|record| entry_text(record) == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use vouchsafe_model::DecisionId;

    fn line_of(body: &'static str, begins: bool) -> (Vec<u8>, Sha256Digest) {
        let at = Timestamp::from_unix_secs(1_769_860_800);
        let entry = Entry::new(DecisionId::new(at, &[7; 10]), at, Bytes::from_static(body.as_bytes())).unwrap();
        let mut line = Vec::new();
        let leaf = EntryWriter::default().write(&mut line, 7, &entry, begins);
        (line, leaf)
    }

    #[test]
    fn an_entry_is_a_line_that_people_can_cut() {
        let (line, _) = line_of(r#"{"a":"b\tc"}"#, true);
        let text = String::from_utf8(line).unwrap();
        assert_eq!(
            text,
            "7\t019c13ec-9e00-7707-8707-070707070707\t2026-01-31T12:00:00.000Z\t{\"a\":\"b\\tc\"}\t+fe81304193225780\n"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for begins in [true, false] {
            let (line, leaf) = line_of("{}", begins);
            let framed = parse(line.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!(framed.begins_write, begins);
            let Line::Entry { record, leaf: read } = framed.line else { panic!("{framed:?}") };
            assert_eq!((record.number, record.body(), read), (7, Some("{}"), leaf));
            assert_eq!(hash::leaf(entry_text(&record).as_bytes()), leaf);
            assert_eq!(parse_entry_text(&entry_text(&record)), Some(record));
        }
        let mut line = Vec::new();
        write_other(&mut line, Kind::Sealed, "{}", false);
        let framed = parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        assert!(matches!(framed.line, Line::Other { kind: Kind::Sealed, json: "{}" }));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut other = Vec::new();
        write_other(&mut other, Kind::Checkpoint, "\"note\"", true);
        for line in [line_of("{\"a\":1}", true).0, other] {
            let line = line.strip_suffix(b"\n").unwrap();
            for bit in 0..line.len() * 8 {
                let mut changed = line.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(parse(&changed).is_err(), "{:?}", String::from_utf8_lossy(&changed));
            }
        }
    }

    #[test]
    fn what_is_no_line_is_refused_and_says_why() {
        let fault = |line: &str| parse(line.as_bytes()).unwrap_err();
        assert_eq!(fault(""), LineFault::Unframed);
        assert_eq!(fault("7\tx\t+00"), LineFault::Unframed);
        assert_eq!(fault("7\tx\t+0000000000000000"), LineFault::Check);
        assert_eq!(fault("7\tx\t*0000000000000000"), LineFault::Unframed);
        assert_eq!(parse(&[0xFF; 40]).unwrap_err(), LineFault::Unframed);
        assert_eq!(parse(&vec![b'x'; MAX_LINE_LEN + 1]).unwrap_err(), LineFault::TooLong);
        let mut unknown = b"later\t{}".to_vec();
        let check = hash::check(&unknown);
        end_line(&mut unknown, &check, true);
        assert_eq!(parse(unknown.strip_suffix(b"\n").unwrap()).unwrap_err(), LineFault::Unknown);
    }

    #[test]
    fn the_longest_entry_fits_the_longest_line() {
        let at = Timestamp::from_unix_millis(i64::MAX);
        let body = Bytes::from(vec![b'x'; MAX_BODY_LEN]);
        let entry = Entry::new(DecisionId::new(at, &[7; 10]), at, body).unwrap();
        let mut line = Vec::new();
        EntryWriter::default().write(&mut line, u64::MAX, &entry, true);
        assert!(line.len() <= MAX_LINE_LEN);
        parse(line.strip_suffix(b"\n").unwrap()).unwrap();
    }
}
