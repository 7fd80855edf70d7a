//! How bytes reach the disk: the one place where tests make it fail, and measurements leave out the waiting.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// The steps of writing that can fail. What is not overridden is done by the operating system.
pub trait Disk: Send + Sync {
    /// Writes all of the bytes at the place where the file is.
    ///
    /// # Errors
    /// When some of them may not have been written.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns when a loss of power would not undo what was written.
    ///
    /// # Errors
    /// When it might.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Cuts a file.
    ///
    /// # Errors
    /// When it may be longer still.
    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    /// Gives a file its name, and makes the name last.
    ///
    /// # Errors
    /// When it may not have that name after a crash.
    fn put_in_place(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        sync_folder_of(to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When it may be there still.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
