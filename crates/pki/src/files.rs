//! Files that their owner alone can read, written whole or not at all.
//!
//! A file is written beside its place, flushed, moved there, and then the folder is flushed: after a crash at any
//! instruction the place holds the former bytes or the new ones, never a mixture.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroizing;

/// The end of the name of a file that is being written. One that is left behind is the remains of a crash.
pub const UNFINISHED_SUFFIX: &str = ".tmp";

/// How many remains of crashes a writer steps over before it gives up.
const MAX_UNFINISHED: u32 = 64;

/// Numbers the files that this process writes.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// The permission bits of group and others.
const GROUP_AND_OTHERS: u32 = 0o077;

/// A file that was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteFileError {
    /// There is a file of that name, and it must not be replaced.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The path names no file.
    #[error("{} names no file", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A file that was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    /// Group or others can get at it.
    #[error("{} is open to group or others (mode {mode:o}); it must be 600 or less", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is longer than is read.
    #[error("{} is longer than the maximum of {max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The longest that is read.
        max: usize,
    },
    /// The system refused to open or read it.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A folder that cannot hold private files.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Group or others can get at it.
    #[error("{} is open to group or others (mode {mode:o}); it must be 700", path.display())]
    TooOpen {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is something else of that name.
    #[error("{} is no folder", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
    /// The system refused a step.
    #[error("cannot {step} the folder {}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To which folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Writes a file of mode 0600, in place of a former one if there is one.
///
/// # Errors
/// When the system refuses a step; the former file is then as it was.
pub fn write_private_file(path: &Path, bytes: &[u8]) -> Result<(), WriteFileError> {
    publish(path, bytes, |unfinished| fs::rename(unfinished, path).map_err(failed("put in place", path)))
}

/// Writes a file of mode 0600 where there was none.
///
/// # Errors
/// [`WriteFileError::Exists`] when there is a file of that name, which is left as it is; or when the system refuses a
/// step.
pub fn create_private_file(path: &Path, bytes: &[u8]) -> Result<(), WriteFileError> {
    // A link, unlike a rename, fails when the name is taken, so that of two writers only one wins.
    publish(path, bytes, |unfinished| {
        fs::hard_link(unfinished, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => WriteFileError::Exists { path: path.to_owned() },
            _ => failed("put in place", path)(source),
        })?;
        fs::remove_file(unfinished).map_err(failed("remove the unfinished copy of", path))
    })
}

/// Reads a file of at most `max_len` bytes that group and others have no access to. What was read is wiped when dropped.
///
/// # Errors
/// When the file cannot be read, is longer, or is open to others.
pub fn read_private_file(path: &Path, max_len: usize) -> Result<Zeroizing<Vec<u8>>, ReadFileError> {
    let io_error = |source| ReadFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    // The open file is asked, not its name, which could meanwhile mean another one.
    let mode = file.metadata().map_err(io_error)?.mode() & 0o7777;
    if mode & GROUP_AND_OTHERS != 0 {
        return Err(ReadFileError::TooOpen { path: path.to_owned(), mode });
    }
    read_at_most(file, path, max_len).map(Zeroizing::new)
}

/// Reads a public file of at most `max_len` bytes.
///
/// # Errors
/// When the file cannot be read or is longer.
pub fn read_file(path: &Path, max_len: usize) -> Result<Vec<u8>, ReadFileError> {
    let file = File::open(path).map_err(|source| ReadFileError::Io { path: path.to_owned(), source })?;
    read_at_most(file, path, max_len)
}

/// Makes a folder of mode 0700, with its parents, or accepts one that is there and closed to others.
///
/// # Errors
/// When it cannot be made, or is open to group or others.
pub fn create_private_folder(path: &Path) -> Result<(), FolderError> {
    if !path.exists() {
        let io_error = |step| move |source| FolderError::Io { step, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("create"))?;
        flush_folder(folder_of(path)).map_err(io_error("flush the parent of"))?;
    }
    check_private_folder(path)
}

/// Checks that a folder is closed to group and others: who can write there can swap a key for another one.
///
/// # Errors
/// When it is absent, no folder, or open to group or others.
pub fn check_private_folder(path: &Path) -> Result<(), FolderError> {
    let metadata =
        fs::metadata(path).map_err(|source| FolderError::Io { step: "look at", path: path.to_owned(), source })?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_dir() {
        Err(FolderError::NoFolder { path: path.to_owned() })
    } else if mode & GROUP_AND_OTHERS != 0 {
        Err(FolderError::TooOpen { path: path.to_owned(), mode })
    } else {
        Ok(())
    }
}

/// Writes the bytes beside their place and lets `put_in_place` move them there.
fn publish(
    path: &Path,
    bytes: &[u8],
    put_in_place: impl FnOnce(&Path) -> Result<(), WriteFileError>,
) -> Result<(), WriteFileError> {
    let (unfinished, mut file) = open_unfinished(path)?;
    let placed = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))
        .and_then(|()| put_in_place(&unfinished));
    if placed.is_err() {
        // It may hold part of a secret. What is reported is why the writing failed, not a failure to clear up.
        drop(fs::remove_file(&unfinished));
    }
    placed?;
    flush_folder(folder_of(path)).map_err(failed("flush the folder of", path))
}

/// Opens a new file in the same folder, under a name that no other writer uses.
fn open_unfinished(path: &Path) -> Result<(PathBuf, File), WriteFileError> {
    let name = path.file_name().ok_or_else(|| WriteFileError::NoName { path: path.to_owned() })?;
    let mut attempts = 0;
    loop {
        let unfinished = path.with_file_name(unfinished_name(name, COUNTER.fetch_add(1, Ordering::Relaxed)));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished) {
            Ok(file) => return Ok((unfinished, file)),
            // The remains of a crash: in a container every process has the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < MAX_UNFINISHED => attempts += 1,
            Err(source) => return Err(failed("create", path)(source)),
        }
    }
}

fn unfinished_name(name: &OsStr, count: u32) -> OsString {
    let mut unfinished = OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{}-{count}{UNFINISHED_SUFFIX}", std::process::id()));
    unfinished
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteFileError {
    let path = path.to_owned();
    move |source| WriteFileError::Io { step, path, source }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn read_at_most(file: File, path: &Path, max_len: usize) -> Result<Vec<u8>, ReadFileError> {
    // Room for the maximum and one byte more at once: a buffer that grew would leave copies of a key behind.
    let mut bytes = Vec::with_capacity(max_len.saturating_add(1));
    file.take(u64::try_from(max_len).unwrap_or(u64::MAX).saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| ReadFileError::Io { path: path.to_owned(), source })?;
    if bytes.len() > max_len { Err(ReadFileError::TooLarge { path: path.to_owned(), max: max_len }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_over_the_remains_of_crashes_up_to_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let leave_remains = |count| {
            let first = COUNTER.load(Ordering::Relaxed);
            (first..first + count)
                .for_each(|n| fs::write(dir.path().join(unfinished_name("state".as_ref(), n)), "half").unwrap());
        };
        leave_remains(MAX_UNFINISHED);
        write_private_file(&path, b"whole").unwrap();
        assert_eq!(&*read_private_file(&path, 100).unwrap(), b"whole");

        leave_remains(MAX_UNFINISHED + 1);
        let error = write_private_file(&path, b"never written").unwrap_err();
        assert!(matches!(error, WriteFileError::Io { step: "create", .. }), "{error}");
        assert_eq!(&*read_private_file(&path, 100).unwrap(), b"whole");
    }
}
