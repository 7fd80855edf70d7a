//! A bundle as one file: tar, compressed with gzip, as OPA builds and serves it.
//!
//! What comes from elsewhere is read to its end only within bounds: bytes, entries, paths, and how much larger it may
//! become than it came. Links, devices and everything else that is no file are refused, not passed over.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};

use crate::bundle::check_path;
use crate::limits;

/// Files by their paths.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Why bytes are no archive of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There are more bytes than [`limits::ARCHIVE_BYTES`].
    #[error("it is larger than {} bytes", limits::ARCHIVE_BYTES)]
    TooLarge,
    /// It unpacks to more bytes than [`limits::BUNDLE_BYTES`], or to more than [`limits::COMPRESSION_RATIO`] times its own.
    #[error("it unpacks to more than {most} bytes")]
    Bomb {
        /// What it may unpack to.
        most: u64,
    },
    /// It is not gzip over tar, or ends too early.
    #[error("it is no tar archive compressed with gzip: {0}")]
    Unreadable(#[source] io::Error),
    /// Something stands behind the end of the archive.
    #[error("something stands behind its end")]
    Trailing,
    /// There are more than [`limits::FOLDER_ENTRIES`] entries.
    #[error("it has more than {} entries", limits::FOLDER_ENTRIES)]
    TooManyEntries,
    /// An entry is neither a file nor a folder.
    #[error("'{}' is neither a file nor a folder", path.escape_debug())]
    NotAFile {
        /// The entry.
        path: String,
    },
    /// A path that leads out, is too long, or is written in more than one way.
    #[error("'{}' is no path inside a bundle", path.escape_debug())]
    Path {
        /// The path.
        path: String,
    },
    /// Two entries have one path.
    #[error("{path} is there twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// A file is larger than [`limits::FILE_BYTES`].
    #[error("{path} is larger than {} bytes", limits::FILE_BYTES)]
    FileTooLarge {
        /// The file.
        path: String,
    },
}

/// Unpacks an archive.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Files, ArchiveError> {
    if bytes.len() > limits::ARCHIVE_BYTES {
        return Err(ArchiveError::TooLarge);
    }
    let most = most_of(bytes.len());
    let mut archive = Archive::new(Bounded { inner: GzDecoder::new(bytes), left: most, is_over: false });
    let mut files = Files::new();
    let outcome = read_entries(&mut archive, &mut files);
    let mut rest = archive.into_inner();
    if rest.is_over {
        return Err(ArchiveError::Bomb { most });
    }
    outcome?;
    // Behind the last entry, a tar archive is zeros to its end; behind that, there is nothing.
    let mut tail = Vec::new();
    rest.read_to_end(&mut tail)
        .map_err(|error| if rest.is_over { ArchiveError::Bomb { most } } else { ArchiveError::Unreadable(error) })?;
    if tail.iter().any(|byte| *byte != 0) || !rest.inner.into_inner().is_empty() {
        return Err(ArchiveError::Trailing);
    }
    Ok(files)
}

/// What an archive of so many bytes may unpack to: no more than a bundle and its headers, and not from next to nothing.
fn most_of(len: usize) -> u64 {
    let headers = limits::FILES.saturating_mul(2048);
    let ratio = len.saturating_mul(limits::COMPRESSION_RATIO).saturating_add(limits::UNPACKED_ANYWAY);
    u64::try_from(limits::BUNDLE_BYTES.saturating_add(headers).min(ratio)).unwrap_or(u64::MAX)
}

fn read_entries<R: Read>(archive: &mut Archive<R>, files: &mut Files) -> Result<(), ArchiveError> {
    let mut count = 0;
    for entry in archive.entries().map_err(ArchiveError::Unreadable)? {
        let mut entry = entry.map_err(ArchiveError::Unreadable)?;
        count += 1;
        if count > limits::FOLDER_ENTRIES {
            return Err(ArchiveError::TooManyEntries);
        }
        let written = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = inside(&written)?;
        match entry.header().entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular => {}
            _ => return Err(ArchiveError::NotAFile { path: written }),
        }
        let mut content = Vec::new();
        let most = u64::try_from(limits::FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        entry.by_ref().take(most).read_to_end(&mut content).map_err(ArchiveError::Unreadable)?;
        if content.len() > limits::FILE_BYTES {
            return Err(ArchiveError::FileTooLarge { path });
        }
        if files.insert(path.clone(), content).is_some() {
            return Err(ArchiveError::Duplicate { path });
        }
    }
    Ok(())
}

/// A path as it is in the bundle. OPA begins them with `/`, and tar with `./`.
fn inside(written: &str) -> Result<String, ArchiveError> {
    let path = written.strip_prefix("./").or_else(|| written.strip_prefix('/')).unwrap_or(written);
    let path = path.strip_suffix('/').unwrap_or(path);
    if matches!(path, "" | ".") {
        return Ok(String::new());
    }
    check_path(path).map_err(|_| ArchiveError::Path { path: written.chars().take(limits::PATH_BYTES).collect() })?;
    Ok(path.to_owned())
}

/// Packs files, the same way each time.
///
/// # Errors
/// None that files within their bounds can meet.
pub(crate) fn pack(files: &Files) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, content) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        builder.append_data(&mut header, path, content.as_slice())?;
    }
    let mut packed = builder.into_inner()?.finish()?;
    packed.flush()?;
    Ok(packed)
}

/// Reads no more than so many bytes, and knows whether there were more.
struct Bounded<R> {
    inner: R,
    left: u64,
    is_over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            let mut one_more = [0];
            if self.inner.read(&mut one_more)? > 0 {
                self.is_over = true;
                return Err(io::Error::other("larger than it may be"));
            }
            return Ok(0);
        }
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
