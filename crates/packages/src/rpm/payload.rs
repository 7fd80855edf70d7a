//! The payload of an RPM: a cpio archive, held against the list of files in the header.

use std::collections::BTreeMap;
use std::io::Read;

use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::to_hex;

use super::header::{Header, HeaderError, tag};
use super::{Hashing, compression};
use crate::archive::CpioError;
use crate::archive::cpio::{Archive, Entry};
use crate::contents::{Collector, Contents, ContentsRejected};
use crate::digest::Algorithms;
use crate::limits::Limits;
use crate::path::normalise;

/// `PGPHASHALGO_SHA256` (RFC 9580, 9.5).
const SHA256: u64 = 8;
const FORMAT_MASK: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// `RPMFILE_GHOST`: listed, but not shipped.
const GHOST: u64 = 1 << 6;

/// Why a payload is refused.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The header says nothing sensible about it.
    #[error("its header is refused")]
    Header(#[source] HeaderError),
    /// The lists of the header have different lengths.
    #[error("the lists of files in its header have different lengths")]
    Lists,
    /// Its format is none that is known.
    #[error("its payload is no cpio archive")]
    Format,
    /// Its compression is none that is known.
    #[error("its payload is compressed with '{0}', which is not supported")]
    Compressor(String),
    /// It is no cpio archive.
    #[error("its payload is refused")]
    Cpio(#[from] CpioError),
    /// The payload is not the one that the header names.
    #[error("the SHA-256 of its payload is {found}, and its header says {expected}")]
    Digest {
        /// What it is.
        found: String,
        /// What the header says.
        expected: String,
    },
    /// The payload has a file that the header does not list.
    #[error("its payload has a file that its header does not list: {0}")]
    Unlisted(String),
    /// A file is not the one that the header names.
    #[error("{0} is another file than its header says")]
    File(String),
    /// What it ships is refused.
    #[error(transparent)]
    Contents(#[from] ContentsRejected),
    /// The rest of the payload could not be read.
    #[error("cannot read its payload")]
    Read(#[source] std::io::Error),
}

/// Whether the header names the payload by SHA-256: as a whole, or each regular file in it.
pub(super) fn binding(header: &Header) -> Result<bool, HeaderError> {
    if payload_digest(header)?.is_some() {
        return Ok(true);
    }
    let modes = header.numbers(tag::FILE_MODES)?;
    let flags = header.numbers(tag::FILE_FLAGS)?;
    let digests = header.strings(tag::FILE_DIGESTS)?;
    let named = modes.iter().enumerate().all(|(index, mode)| {
        let ghost = flags.get(index).is_some_and(|flags| flags & GHOST != 0);
        let regular = u32::try_from(*mode).is_ok_and(|mode| mode & FORMAT_MASK == REGULAR);
        !regular || ghost || digests.get(index).is_some_and(|digest| !digest.is_empty())
    });
    Ok(named && header.numbers(tag::FILE_DIGEST_ALGORITHM)?.first() == Some(&SHA256))
}

fn payload_digest(header: &Header) -> Result<Option<&str>, HeaderError> {
    let algorithm = header.numbers(tag::PAYLOAD_DIGEST_ALGORITHM)?.first().copied();
    let digest = header.string(tag::PAYLOAD_DIGEST)?;
    Ok(digest.filter(|_| algorithm == Some(SHA256)))
}

pub(super) fn read(
    header: &Header,
    source: impl Read,
    algorithms: &Algorithms,
    limits: Limits,
) -> Result<Contents, PayloadError> {
    let format = header.string(tag::PAYLOAD_FORMAT).map_err(PayloadError::Header)?;
    if format.is_some_and(|format| format != "cpio") {
        return Err(PayloadError::Format);
    }
    let compression = compression(header)?;
    let expected = payload_digest(header).map_err(PayloadError::Header)?;
    let listed = Listed::read(header)?;
    let mut source = Hashing::new(source);
    // Headers and padding come on top of the content, which the collector counts.
    let headers = crate::archive::wide(limits.files).saturating_add(16).saturating_mul(1024);
    let archive = Archive::new(compression.decode(&mut source, limits.unpacked_len.saturating_add(headers)));
    let contents = Reader { listed, collector: Collector::new(algorithms, limits), names: BTreeMap::new() };
    let contents = contents.run(archive, limits)?;
    let found = source.finish().map_err(PayloadError::Read)?;
    match expected {
        Some(expected) if expected != found => {
            Err(PayloadError::Digest { found, expected: expected.chars().take(64).collect() })
        }
        _ => Ok(contents),
    }
}

/// A file in the header's list.
struct Line {
    path: Vec<u8>,
    mode: u32,
    size: u64,
    inode: u64,
    /// Its SHA-256 in hexadecimal, when the header has that.
    sha256: Option<String>,
}

struct Listed {
    lines: Vec<Line>,
    by_path: BTreeMap<String, usize>,
    /// For the inode of each regular file: its last name, which bears the content, and how many names it has.
    inodes: BTreeMap<u64, (usize, u32)>,
}

impl Listed {
    fn read(header: &Header) -> Result<Self, PayloadError> {
        let numbers = |tag| header.numbers(tag).map_err(PayloadError::Header);
        let strings = |tag| header.raw_strings(tag).map_err(PayloadError::Header);
        let names = strings(tag::BASE_NAMES)?;
        let (folders, folder_of) = (strings(tag::DIR_NAMES)?, numbers(tag::DIR_INDEXES)?);
        let modes = numbers(tag::FILE_MODES)?;
        let mut sizes = numbers(tag::LONG_FILE_SIZES)?;
        if sizes.is_empty() {
            sizes = numbers(tag::FILE_SIZES)?;
        }
        let inodes = numbers(tag::FILE_INODES)?;
        let digests = strings(tag::FILE_DIGESTS)?;
        let is_sha256 = numbers(tag::FILE_DIGEST_ALGORITHM)?.first() == Some(&SHA256);
        let mut lines = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let folder = folder_of.get(index).and_then(|folder| folders.get(usize::try_from(*folder).ok()?));
            let (Some(folder), Some(mode), Some(size)) = (folder, modes.get(index), sizes.get(index)) else {
                return Err(PayloadError::Lists);
            };
            let sha256 = digests.get(index).filter(|digest| is_sha256 && !digest.is_empty());
            lines.push(Line {
                path: [*folder, *name].concat(),
                mode: u32::try_from(*mode).unwrap_or(0),
                size: *size,
                inode: inodes.get(index).copied().unwrap_or(0),
                sha256: sha256.map(|digest| String::from_utf8_lossy(digest).into_owned()),
            });
        }
        let path = |(index, line): (usize, &Line)| normalise(&line.path).ok().map(|path| (path, index));
        let by_path = lines.iter().enumerate().filter_map(path).collect();
        let mut inodes: BTreeMap<u64, (usize, u32)> = BTreeMap::new();
        for (index, line) in lines.iter().enumerate() {
            if line.mode & FORMAT_MASK == REGULAR && line.inode != 0 {
                let (last, count) = inodes.entry(line.inode).or_default();
                (*last, *count) = (index, count.saturating_add(1));
            }
        }
        Ok(Self { lines, by_path, inodes })
    }
}

struct Reader<'a> {
    listed: Listed,
    collector: Collector<'a>,
    /// Names of files whose content comes, or came, under another name, by inode.
    names: BTreeMap<u32, Names>,
}

#[derive(Default)]
struct Names {
    waiting: Vec<(Vec<u8>, u32)>,
    content: Option<Vec<u8>>,
}

impl Reader<'_> {
    fn run<R: Read>(mut self, mut archive: Archive<R>, limits: Limits) -> Result<Contents, PayloadError> {
        let mut entries = 0usize;
        while let Some(entry) = archive.next()? {
            entries = entries.saturating_add(1);
            if entries > limits.files {
                return Err(ContentsRejected::TooManyFiles(limits.files).into());
            }
            match entry {
                Entry::Newc { path, mode, inode, links, size } => {
                    self.newc(&mut archive, path, mode, inode, links, size)?;
                }
                Entry::Stripped(index) => self.stripped(&mut archive, index)?,
            }
        }
        // Names without content are of empty files.
        for names in std::mem::take(&mut self.names).into_values() {
            for (path, mode) in names.waiting {
                self.collector.file(&path, mode, 0, &mut std::io::empty())?;
            }
        }
        let contents = self.collector.finish()?;
        check_files(&self.listed, &contents)?;
        Ok(contents)
    }

    fn newc<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        path: Vec<u8>,
        mode: u32,
        inode: u32,
        links: u32,
        size: u64,
    ) -> Result<(), PayloadError> {
        match mode & FORMAT_MASK {
            FOLDER => return Ok(self.collector.folder(&path)?),
            REGULAR => {}
            _ => return Ok(self.collector.other(&path)?),
        }
        if links <= 1 {
            self.collector.file(&path, mode, size, archive)?;
            return Ok(());
        }
        let names = self.names.entry(inode).or_default();
        if size == 0 {
            match &names.content {
                Some(content) => self.collector.hard_link(&path, content)?,
                None => names.waiting.push((path, mode)),
            }
            return Ok(());
        }
        self.collector.file(&path, mode, size, archive)?;
        for (name, _) in names.waiting.drain(..) {
            self.collector.hard_link(&name, &path)?;
        }
        names.content = Some(path);
        Ok(())
    }

    fn stripped<R: Read>(&mut self, archive: &mut Archive<R>, index: u32) -> Result<(), PayloadError> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let unlisted = || PayloadError::Unlisted(format!("number {index}"));
        let line = self.listed.lines.get(index).ok_or_else(unlisted)?;
        let (last, count) = match line.mode & FORMAT_MASK {
            REGULAR => self.listed.inodes.get(&line.inode).copied().unwrap_or((index, 1)),
            LINK => (index, 1),
            _ => (usize::MAX, 1),
        };
        // Only the last of a file's names bears the content.
        let size = if last == index { line.size } else { 0 };
        archive.set_size(size);
        let (path, mode) = (line.path.clone(), line.mode);
        let inode = u32::try_from(line.inode).unwrap_or(u32::MAX);
        self.newc(archive, path, mode, inode, count, size)
    }
}

/// Every file must be listed, and be the one that the list says.
fn check_files(listed: &Listed, contents: &Contents) -> Result<(), PayloadError> {
    for file in &contents.files {
        let line = listed.by_path.get(&file.path).and_then(|index| listed.lines.get(*index));
        let line = line.ok_or_else(|| PayloadError::Unlisted(file.path.clone()))?;
        let sha256 = file.digests.iter().find(|digest| digest.algorithm() == HashAlgorithm::Sha256);
        let found = sha256.map(|digest| to_hex(digest.value()));
        if line.sha256.is_some() && line.sha256 != found {
            return Err(PayloadError::File(file.path.clone()));
        }
    }
    Ok(())
}
