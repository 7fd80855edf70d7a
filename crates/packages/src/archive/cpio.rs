//! cpio as rpm writes it: `newc` (070701, 070702), and rpm's own stripped form (07070X), which leaves all but the
//! number of the file to the header of the package.

use std::io::{self, Read};

use super::{fill, skip, wide};
use crate::limits::MAX_PATH_LEN;

const TRAILER: &[u8] = b"TRAILER!!!";

/// Why a cpio archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// A header cannot be one.
    #[error("{what} of the cpio header at byte {offset} is malformed")]
    Header {
        /// What is wrong with it.
        what: &'static str,
        /// Where the header begins.
        offset: u64,
    },
    /// It ends within an entry, or without its trailer.
    #[error("the cpio archive ends at byte {0}, before its end")]
    Short(u64),
    /// There is something behind its end.
    #[error("there is something behind the end of the cpio archive, at byte {0}")]
    Trailing(u64),
    /// It could not be read.
    #[error("cannot read the cpio archive at byte {offset}")]
    Read {
        /// How far it was read.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An entry, by one of the two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// All is in the archive.
    Newc {
        path: Vec<u8>,
        mode: u32,
        /// Names of one file have one number here.
        inode: u32,
        links: u32,
        size: u64,
    },
    /// The number of the file in the header of the package. [`Archive::set_size`] must say how long it is.
    Stripped(u32),
}

/// Reads the entries of an archive one after the other.
pub(crate) struct Archive<R> {
    source: R,
    offset: u64,
    left: u64,
    /// Headers and contents begin at multiples of four.
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, offset: 0, left: 0, padding: 0 }
    }

    /// Goes to the next entry, past what is left of this one. `None` at the trailer.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, CpioError> {
        let rest = self.left.saturating_add(self.padding);
        self.skip(rest)?;
        (self.left, self.padding) = (0, 0);
        let start = self.offset;
        let magic: [u8; 6] = self.array()?;
        match &magic {
            b"070701" | b"070702" => self.newc(start),
            b"07070X" => {
                let index = self.number("the number of the file", start)?;
                // The header is 14 bytes long; the content begins at a multiple of four.
                self.skip(2)?;
                Ok(Some(Entry::Stripped(index)))
            }
            _ => Err(CpioError::Header { what: "the magic", offset: start }),
        }
    }

    /// Says how long the content of a stripped entry is.
    pub(crate) fn set_size(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % 4;
    }

    fn newc(&mut self, start: u64) -> Result<Option<Entry>, CpioError> {
        let inode = self.number("the inode", start)?;
        let mode = self.number("the mode", start)?;
        let _uid = self.number("the owner", start)?;
        let _gid = self.number("the group", start)?;
        let links = self.number("the number of links", start)?;
        let _mtime = self.number("the time", start)?;
        let size = u64::from(self.number("the size", start)?);
        for what in ["the device", "the device", "the device", "the device"] {
            self.number(what, start)?;
        }
        let name_len = self.number("the length of the name", start)?;
        let _checksum = self.number("the checksum", start)?;
        let malformed = || CpioError::Header { what: "the name", offset: start };
        let len = usize::try_from(name_len).unwrap_or(usize::MAX);
        if len < 2 || len > MAX_PATH_LEN.saturating_add(1) {
            return Err(malformed());
        }
        let mut path = vec![0; len];
        self.read_exactly(&mut path)?;
        if path.pop() != Some(0) {
            return Err(malformed());
        }
        let header_len = self.offset.saturating_sub(start);
        self.skip(header_len.wrapping_neg() % 4)?;
        if path == TRAILER {
            return self.end().map(|()| None);
        }
        self.set_size(size);
        Ok(Some(Entry::Newc { path, mode, inode, links, size }))
    }

    /// Behind the trailer there is only padding.
    fn end(&mut self) -> Result<(), CpioError> {
        let mut buffer = [0; 512];
        loop {
            let len = self.fill(&mut buffer)?;
            let read = buffer.get(..len).unwrap_or_default();
            if let Some(at) = read.iter().position(|byte| *byte != 0) {
                return Err(CpioError::Trailing(self.offset.saturating_sub(wide(len)).saturating_add(wide(at))));
            }
            if len == 0 {
                return Ok(());
            }
        }
    }

    /// Eight hexadecimal digits.
    fn number(&mut self, what: &'static str, start: u64) -> Result<u32, CpioError> {
        let digits: [u8; 8] = self.array()?;
        let text = str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or(CpioError::Header { what, offset: start })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CpioError> {
        let mut bytes = [0; N];
        self.read_exactly(&mut bytes)?;
        Ok(bytes)
    }

    fn read_exactly(&mut self, buffer: &mut [u8]) -> Result<(), CpioError> {
        if self.fill(buffer)? == buffer.len() { Ok(()) } else { Err(CpioError::Short(self.offset)) }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, CpioError> {
        let offset = self.offset;
        let len = fill(&mut self.source, buffer).map_err(|source| CpioError::Read { offset, source })?;
        self.offset = offset.saturating_add(wide(len));
        Ok(len)
    }

    fn skip(&mut self, len: u64) -> Result<(), CpioError> {
        let offset = self.offset;
        let skipped = skip(&mut self.source, len).map_err(|source| CpioError::Read { offset, source })?;
        self.offset = offset.saturating_add(skipped);
        if skipped < len { Err(CpioError::Short(self.offset)) } else { Ok(()) }
    }
}

impl<R: Read> Read for Archive<R> {
    /// Reads the content of the present entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (&mut self.source).take(self.left).read(buffer)?;
        if len == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CpioError::Short(self.offset)));
        }
        self.left = self.left.saturating_sub(wide(len));
        self.offset = self.offset.saturating_add(wide(len));
        Ok(len)
    }
}
