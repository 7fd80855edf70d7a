//! The folder of a log: which segments are in it, and that one process alone writes there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::line::{Kind, write_other};
use crate::segment::{Header, file_name, first_of};

/// The file that whoever writes holds locked.
const LOCK: &str = "lock";
/// The latest checkpoint: a copy, for people and for noticing that the end of the log was taken away.
pub(crate) const LATEST: &str = "checkpoint";
/// What the name of a file ends in that is being written.
const UNFINISHED: &str = ".tmp";

/// A step that the system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}", path.display())]
pub(crate) struct StepFailed {
    pub(crate) step: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Names a step for its error.
pub(crate) fn step(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StepFailed + use<> {
    let path = path.to_owned();
    move |source| StepFailed { step, path, source }
}

/// Makes the folder, for its owner alone, if it is not there.
pub(crate) fn make(folder: &Path) -> Result<(), StepFailed> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(step("make", folder))
}

/// The folder is this process's while it has this.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Not by closing it alone: a process that is being started may hold a copy for a moment.
        drop(self.0.unlock());
    }
}

/// Takes the folder for this process; `None` when another has it.
pub(crate) fn lock(folder: &Path) -> Result<Option<Lock>, StepFailed> {
    let path = folder.join(LOCK);
    let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = options.map_err(step("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(step("lock", &path)(error)),
    }
}

/// The first entries of all segments of a folder, in their order.
pub(crate) fn segments(folder: &Path) -> Result<Vec<u64>, StepFailed> {
    let failed = |error| step("read", folder)(error);
    let mut firsts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        firsts.extend(entry.map_err(failed)?.file_name().to_str().and_then(first_of));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Where the segment lies that begins with this entry.
pub(crate) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(file_name(first))
}

/// Begins a segment: it has its name when its header is on the disk, and not before. Returns it with its length.
pub(crate) fn begin_segment(folder: &Path, header: &Header, disk: &dyn Disk) -> Result<(File, u64), StepFailed> {
    let path = path_of(folder, header.state.next());
    let unfinished = path.with_extension("tmp");
    let mut line = Vec::new();
    write_other(&mut line, Kind::Header, &header.to_json(), true);
    let options = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
    let mut file = options.map_err(step("create", &unfinished))?;
    disk.write(&mut file, &line).map_err(step("write", &unfinished))?;
    disk.sync(&file).map_err(step("write", &unfinished))?;
    disk.put_in_place(&unfinished, &path).map_err(step("put in place", &path))?;
    Ok((file, u64::try_from(line.len()).unwrap_or(u64::MAX)))
}

/// Removes what a crash left unfinished.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), StepFailed> {
    let failed = |error| step("read", folder)(error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.to_str().is_some_and(|path| path.ends_with(UNFINISHED)) {
            fs::remove_file(&path).map_err(step("remove", &path))?;
        }
    }
    Ok(())
}

/// Writes the latest checkpoint where people find it. It is a copy: that it is written late or not at all loses nothing.
pub(crate) fn write_latest(folder: &Path, note: &str) -> Result<(), StepFailed> {
    let path = folder.join(LATEST);
    let unfinished = folder.join(format!("{LATEST}{UNFINISHED}"));
    fs::write(&unfinished, note).map_err(step("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(step("put in place", &path))
}

/// The latest checkpoint, if there is one that can be read.
pub(crate) fn read_latest(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join(LATEST)).ok()?;
    String::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_though_a_process_that_starts_holds_a_copy_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap().unwrap();
        let _copy = held.0.try_clone().unwrap();
        assert!(lock(folder.path()).unwrap().is_none());
        drop(held);
        assert!(lock(folder.path()).unwrap().is_some());
    }
}
