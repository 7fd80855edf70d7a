//! tar, in the forms that dpkg takes (deb(5), "data.tar"): v7, POSIX ustar, and GNU's long names and large numbers.
//!
//! dpkg refuses POSIX pax headers, and so does this: a second place for a name or a size is a second way to read it.

use std::io::{self, Read};

use super::{fill, skip, wide};
use crate::limits::MAX_PATH_LEN;

const BLOCK_LEN: usize = 512;

/// Why a tar archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// A header cannot be one.
    #[error("{what} of the tar header at byte {offset} is malformed")]
    Header {
        /// What is wrong with it.
        what: &'static str,
        /// Where the header begins.
        offset: u64,
    },
    /// An entry of a kind that dpkg does not take either.
    #[error("the tar header at byte {offset} has the type '{}', which dpkg does not unpack", kind.escape_ascii())]
    Kind {
        /// The type.
        kind: u8,
        /// Where the header begins.
        offset: u64,
    },
    /// It ends within an entry, or without the block of zeros that ends it.
    #[error("the tar archive ends at byte {0}, before its end")]
    Short(u64),
    /// There is something behind its end.
    #[error("there is something behind the end of the tar archive, at byte {0}")]
    Trailing(u64),
    /// It could not be read.
    #[error("cannot read the tar archive at byte {offset}")]
    Read {
        /// How far it was read.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink(Vec<u8>),
    Folder,
    /// A symbolic link, device or pipe.
    Other,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) size: u64,
}

/// Reads the entries of an archive one after the other.
pub(crate) struct Archive<R> {
    source: R,
    offset: u64,
    left: u64,
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, offset: 0, left: 0, padding: 0 }
    }

    /// Goes to the next entry, past what is left of this one. `None` at the end, behind which there are only zeros.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let (mut long_name, mut long_link) = (None, None);
        loop {
            self.finish_entry()?;
            let start = self.offset;
            let block = self.block()?;
            if block.iter().all(|byte| *byte == 0) {
                if long_name.is_some() || long_link.is_some() {
                    return Err(TarError::Header { what: "the entry behind a long name", offset: start });
                }
                return self.end().map(|()| None);
            }
            let header = Header { block: &block, offset: start };
            header.check_sum()?;
            let size = header.number("the size", 124, 12)?;
            self.left = size;
            self.padding = size.wrapping_neg() % wide(BLOCK_LEN);
            let place = match header.kind() {
                b'L' => &mut long_name,
                b'K' => &mut long_link,
                _ => return header.entry(long_name, long_link, size).map(Some),
            };
            if place.is_some() {
                return Err(header.malformed("the second long name"));
            }
            *place = Some(self.long(&header, size)?);
        }
    }

    /// The content of a GNU long name: the name, and a NUL.
    fn long(&mut self, header: &Header<'_>, size: u64) -> Result<Vec<u8>, TarError> {
        if size > wide(MAX_PATH_LEN.saturating_add(1)) {
            return Err(header.malformed("the length of the long name"));
        }
        let mut name = Vec::new();
        self.read_to_end(&mut name).map_err(|source| TarError::Read { offset: header.offset, source })?;
        while name.last() == Some(&0) {
            name.pop();
        }
        if name.is_empty() { Err(header.malformed("the long name")) } else { Ok(name) }
    }

    fn block(&mut self) -> Result<[u8; BLOCK_LEN], TarError> {
        let mut block = [0; BLOCK_LEN];
        let offset = self.offset;
        let len = fill(&mut self.source, &mut block).map_err(|source| TarError::Read { offset, source })?;
        self.offset = offset.saturating_add(wide(len));
        if len == BLOCK_LEN { Ok(block) } else { Err(TarError::Short(self.offset)) }
    }

    fn finish_entry(&mut self) -> Result<(), TarError> {
        let rest = self.left.saturating_add(self.padding);
        let offset = self.offset;
        let skipped = skip(&mut self.source, rest).map_err(|source| TarError::Read { offset, source })?;
        self.offset = offset.saturating_add(skipped);
        (self.left, self.padding) = (0, 0);
        if skipped < rest { Err(TarError::Short(self.offset)) } else { Ok(()) }
    }

    /// Reads the zeros behind the first block of zeros: archives are padded to whole records.
    fn end(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; BLOCK_LEN];
        loop {
            let offset = self.offset;
            let len = fill(&mut self.source, &mut buffer).map_err(|source| TarError::Read { offset, source })?;
            let read = buffer.get(..len).unwrap_or_default();
            if let Some(at) = read.iter().position(|byte| *byte != 0) {
                return Err(TarError::Trailing(offset.saturating_add(wide(at))));
            }
            if len == 0 {
                return Ok(());
            }
            self.offset = offset.saturating_add(wide(len));
        }
    }
}

impl<R: Read> Read for Archive<R> {
    /// Reads the content of the present entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (&mut self.source).take(self.left).read(buffer)?;
        if len == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, TarError::Short(self.offset)));
        }
        self.left = self.left.saturating_sub(wide(len));
        self.offset = self.offset.saturating_add(wide(len));
        Ok(len)
    }
}

struct Header<'a> {
    block: &'a [u8; BLOCK_LEN],
    offset: u64,
}

impl Header<'_> {
    fn field(&self, at: usize, len: usize) -> &[u8] {
        self.block.get(at..at.saturating_add(len)).unwrap_or_default()
    }

    /// A text that a NUL ends, unless it fills its field.
    fn text(&self, at: usize, len: usize) -> &[u8] {
        self.field(at, len).split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or(0)
    }

    fn malformed(&self, what: &'static str) -> TarError {
        TarError::Header { what, offset: self.offset }
    }

    /// The sum of all bytes, those of the sum itself taken for spaces.
    fn check_sum(&self) -> Result<(), TarError> {
        let all: u64 = self.block.iter().map(|byte| u64::from(*byte)).sum();
        let own: u64 = self.field(148, 8).iter().map(|byte| u64::from(*byte)).sum();
        let sum = all.saturating_sub(own).saturating_add(8 * u64::from(b' '));
        if self.number("the checksum", 148, 8)? == sum { Ok(()) } else { Err(self.malformed("the checksum")) }
    }

    /// Octal digits between spaces, ended by a space or NUL; or, with the first bit set, binary (GNU).
    fn number(&self, what: &'static str, at: usize, len: usize) -> Result<u64, TarError> {
        let field = self.field(at, len);
        if let Some((0x80, digits)) = field.split_first() {
            let (high, low) = digits.split_at(digits.len().saturating_sub(8));
            let low = low.try_into().map_err(|_| self.malformed(what))?;
            let number = u64::from_be_bytes(low);
            let fits = high.iter().all(|byte| *byte == 0) && number <= u64::MAX >> 1;
            return if fits { Ok(number) } else { Err(self.malformed(what)) };
        }
        let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
        let text = field.get(start..).unwrap_or_default();
        let end = text.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        if !rest.iter().all(|byte| matches!(byte, b' ' | 0)) || !digits.iter().all(|byte| matches!(byte, b'0'..=b'7')) {
            return Err(self.malformed(what));
        }
        // No field is longer than 12 octal digits: 36 bits.
        Ok(digits.iter().fold(0, |number, digit| (number << 3) | u64::from(digit & 7)))
    }

    fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        // Only POSIX has a prefix; GNU's magic is "ustar  \0", and it keeps other things there.
        let prefix = if self.field(257, 6) == b"ustar\0" { self.text(345, 155) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    fn entry(&self, name: Option<Vec<u8>>, link: Option<Vec<u8>>, size: u64) -> Result<Entry, TarError> {
        if !matches!(self.field(257, 6), b"ustar\0" | b"ustar " | [0, ..]) {
            return Err(self.malformed("the magic"));
        }
        let path = name.unwrap_or_else(|| self.path());
        if path.is_empty() {
            return Err(self.malformed("the name"));
        }
        let mode = u32::try_from(self.number("the mode", 100, 8)?).map_err(|_| self.malformed("the mode"))?;
        let kind = match self.kind() {
            // v7 has no folders: their names end so.
            b'0' | 0 if path.ends_with(b"/") => Kind::Folder,
            b'0' | b'7' | 0 => Kind::File,
            b'1' => Kind::HardLink(link.unwrap_or_else(|| self.text(157, 100).to_vec())),
            b'5' => Kind::Folder,
            b'2' | b'3' | b'4' | b'6' => Kind::Other,
            kind => return Err(TarError::Kind { kind, offset: self.offset }),
        };
        if size > 0 && kind != Kind::File {
            return Err(self.malformed("the size of what has no content"));
        }
        Ok(Entry { path, kind, mode, size })
    }
}
