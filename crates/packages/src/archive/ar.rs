//! ar(5), as deb(5) uses it: short names, decimal sizes, no symbol table.

use std::io::{self, Read};

use super::{fill, skip, wide};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_LEN: usize = 60;
const HEADER_END: &[u8] = b"`\n";

/// Why an ar archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// It is another kind of file.
    #[error("it does not begin like an ar archive")]
    Magic,
    /// A member's header cannot be one.
    #[error("{what} of the ar member at byte {offset} is malformed")]
    Header {
        /// What is wrong with it.
        what: &'static str,
        /// Where the member begins.
        offset: u64,
    },
    /// It ends within a member.
    #[error("the ar archive ends at byte {0}, within a member")]
    Short(u64),
    /// It could not be read.
    #[error("cannot read the ar archive")]
    Read(#[source] io::Error),
}

/// A member's name and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// Reads the members of an archive one after the other.
pub(crate) struct Archive<R> {
    source: R,
    offset: u64,
    /// How much of the member is left to be read.
    left: u64,
    /// Members begin at even offsets.
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn open(mut source: R) -> Result<Self, ArError> {
        let mut magic = [0; MAGIC.len()];
        fill(&mut source, &mut magic).map_err(ArError::Read)?;
        if magic != *MAGIC {
            return Err(ArError::Magic);
        }
        Ok(Self { source, offset: wide(MAGIC.len()), left: 0, padding: 0 })
    }

    /// Goes to the next member, past what is left of this one.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ArError> {
        self.finish_member()?;
        let start = self.offset;
        let mut header = [0; HEADER_LEN];
        let len = fill(&mut self.source, &mut header).map_err(ArError::Read)?;
        self.offset = self.offset.saturating_add(wide(len));
        match len {
            0 => return Ok(None),
            HEADER_LEN => {}
            _ => return Err(ArError::Short(self.offset)),
        }
        let member = parse(&header).map_err(|what| ArError::Header { what, offset: start })?;
        self.left = member.size;
        self.padding = member.size % 2;
        Ok(Some(member))
    }

    fn finish_member(&mut self) -> Result<(), ArError> {
        let rest = self.left;
        let skipped = skip(&mut self.source, rest).map_err(ArError::Read)?;
        self.offset = self.offset.saturating_add(skipped);
        self.left = 0;
        if skipped < rest {
            return Err(ArError::Short(self.offset));
        }
        // The last member's padding may be missing: the archive ends there.
        let padded = skip(&mut self.source, self.padding).map_err(ArError::Read)?;
        self.offset = self.offset.saturating_add(padded);
        self.padding = 0;
        Ok(())
    }
}

impl<R: Read> Read for Archive<R> {
    /// Reads the content of the present member.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (&mut self.source).take(self.left).read(buffer)?;
        if len == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, ArError::Short(self.offset)));
        }
        self.left = self.left.saturating_sub(wide(len));
        self.offset = self.offset.saturating_add(wide(len));
        Ok(len)
    }
}

fn parse(header: &[u8; HEADER_LEN]) -> Result<Member, &'static str> {
    let (name, rest) = header.split_at(16);
    let (_, rest) = rest.split_at(32);
    let (size, end) = rest.split_at(10);
    if end != HEADER_END {
        return Err("the end of the header");
    }
    let name = trim(name).strip_suffix("/").unwrap_or(trim(name));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte)) {
        return Err("the name");
    }
    let size = trim(size);
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the size");
    }
    let size = size.parse().map_err(|_| "the size")?;
    Ok(Member { name: name.to_owned(), size })
}

/// A field without the spaces behind it; nothing when it is no ASCII.
fn trim(field: &[u8]) -> &str {
    str::from_utf8(field).unwrap_or_default().trim_end_matches(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).into_bytes();
        bytes.extend(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
        bytes
    }

    fn archive() -> Vec<u8> {
        [MAGIC.to_vec(), member("one", b"1"), member("two/", b"22"), member("three", b"333")].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArError> {
        let mut archive = Archive::open(bytes)?;
        let mut members = Vec::new();
        while let Some(member) = archive.next()? {
            let mut content = Vec::new();
            archive.read_to_end(&mut content).map_err(ArError::Read)?;
            members.push((member.name, content));
        }
        Ok(members)
    }

    #[test]
    fn members_are_read_in_their_order() {
        let members = read(&archive()).unwrap();
        let expected = [("one", b"1".as_slice()), ("two", b"22"), ("three", b"333")];
        assert_eq!(members, expected.map(|(name, content)| (name.to_owned(), content.to_vec())));
    }

    #[test]
    fn an_archive_that_ends_within_a_member_is_refused_at_every_length() {
        let whole = archive();
        let ends: Vec<_> = [8, 8 + 61, 8 + 62, 8 + 62 + 62, whole.len() - 1, whole.len()].into();
        for len in 0..=whole.len() {
            assert_eq!(read(&whole[..len]).is_ok(), ends.contains(&len), "{len}");
        }
    }

    #[test]
    fn headers_that_are_none_are_named_with_their_place() {
        for (at, byte, what) in [
            (0, b'/', "the name"),
            (3, b'\n', "the name"),
            (48, b'-', "the size"),
            (48, b' ', "the size"),
            (58, b'x', "the end of the header"),
        ] {
            let mut bytes = archive();
            bytes[8 + at] = byte;
            let error = read(&bytes).unwrap_err();
            assert!(matches!(error, ArError::Header { what: found, offset: 8 } if found == what), "{at} {error}");
        }
    }
}
