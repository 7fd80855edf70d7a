//! Where the agent keeps its files: a directory that nobody else may enter, each file written whole and atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::state::State;

/// The only version of the state file.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const MAX_LEN: u64 = 1024 * 1024;
const STATE_FILE: &str = "state.json";
const LOCK_FILE: &str = "lock";

/// Whether a file must be on the disk before life goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It must.
    OnDisk,
    /// It is for whoever looks at it meanwhile.
    Eventually,
}

/// The directory, held by one process.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// What the file holds, so that nothing is written twice.
    written: Vec<u8>,
    /// Released when the process ends, however it does.
    lock: File,
}

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory cannot be made or entered.
    #[error("cannot use the state directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process holds it.
    #[error("the state directory {} is in use by another vouchsafe-agent", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It belongs to somebody else, who could put keys of their own into it.
    #[error("the state directory {} belongs to user {owner}, and this is user {user}", path.display())]
    ForeignOwner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is damaged, or of another version.
    #[error("{} is damaged, or of another version of the agent: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The file: the state with its version.
#[derive(Serialize, Deserialize)]
struct Versioned<S> {
    version: u32,
    state: S,
}

impl StateDirectory {
    /// Makes the directory if it is not there, closes it to others, and takes hold of it.
    ///
    /// # Errors
    /// When another process holds it, when it belongs to another user, or when it cannot be made.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Directory { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let metadata = fs::metadata(path).map_err(failed)?;
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            return Err(StateError::ForeignOwner { path: path.to_owned(), owner: metadata.uid(), user });
        }
        if metadata.mode() & 0o077 != 0 {
            tracing::warn!(state.dir = %path.display(), "the state directory was open to others; closing it");
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK_FILE));
        let lock = lock.map_err(failed)?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), written: Vec::new(), lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::InUse { path: path.to_owned() }),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// What was stored; nothing at first.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn load(&mut self) -> Result<State, StateError> {
        let (state, content) = read_state(&self.path)?;
        self.written = content;
        Ok(state)
    }

    /// Stores the state. When this returns, it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is still there then.
    pub fn store(&mut self, state: &State) -> Result<(), StateError> {
        let content = serde_json::to_vec(&Versioned { version: VERSION, state })
            .map_err(|error| StateError::Damaged { path: self.path.join(STATE_FILE), reason: error.to_string() })?;
        if content != self.written {
            write_atomically(&self.path, STATE_FILE, &content, Durability::OnDisk)?;
            self.written = content;
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        // Not by closing it alone: a process that is being started may hold a copy for a moment.
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
    }
}

/// Reads the state without taking hold of the directory.
///
/// # Errors
/// As [`StateDirectory::load`].
pub fn peek(path: &Path) -> Result<State, StateError> {
    read_state(path).map(|(state, _)| state)
}

fn read_state(directory: &Path) -> Result<(State, Vec<u8>), StateError> {
    let path = directory.join(STATE_FILE);
    let Some(content) = read_bounded(&path)? else { return Ok((State::default(), Vec::new())) };
    let damaged = |reason: String| StateError::Damaged { path: path.clone(), reason };
    // The version is looked at first: a later one may hold anything.
    let versioned: Versioned<serde_json::Value> =
        serde_json::from_slice(&content).map_err(|error| damaged(error.to_string()))?;
    if versioned.version != VERSION {
        return Err(damaged(format!("version {} where {VERSION} is known", versioned.version)));
    }
    let state = serde_json::from_value(versioned.state).map_err(|error| damaged(error.to_string()))?;
    Ok((state, content))
}

/// What a file holds; `None` when there is no such file.
pub(crate) fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let failed = |source| StateError::File { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut content = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > MAX_LEN {
        return Err(StateError::Damaged { path: path.to_owned(), reason: format!("more than {MAX_LEN} bytes") });
    }
    Ok(Some(content))
}

/// Writes a file beside the old one and puts it in its place, so that there is always one or the other, whole.
pub(crate) fn write_atomically(
    directory: &Path,
    name: &str,
    content: &[u8],
    durability: Durability,
) -> Result<(), StateError> {
    let path = directory.join(name);
    let temporary = directory.join(format!(".{name}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        if durability == Durability::Eventually {
            return fs::rename(&temporary, &path);
        }
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        // The new name is only on the disk when the directory is.
        File::open(directory)?.sync_all()
    };
    write().map_err(|source| StateError::File { doing: "write", path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing;

    #[test]
    fn what_was_stored_is_there_after_a_restart() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deeper/state");
        let state = testing::member();
        let mut directory = StateDirectory::open(&path).unwrap();
        assert_eq!(directory.load().unwrap(), State::default());
        directory.store(&state).unwrap();
        drop(directory);
        assert_eq!(StateDirectory::open(&path).unwrap().load().unwrap(), state);
        assert_eq!(peek(&path).unwrap(), state);
    }

    #[test]
    fn nobody_else_may_look_inside() {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut directory = StateDirectory::open(scratch.path()).unwrap();
        directory.store(&testing::member()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(scratch.path()), 0o700);
        assert_eq!(mode(&scratch.path().join(STATE_FILE)), 0o600);
        assert_eq!(mode(&scratch.path().join(LOCK_FILE)), 0o600);
    }

    #[test]
    fn a_directory_is_held_by_one_agent() {
        let scratch = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(scratch.path()).unwrap();
        assert!(matches!(StateDirectory::open(scratch.path()), Err(StateError::InUse { .. })));
        drop(first);
        assert!(StateDirectory::open(scratch.path()).is_ok());
    }

    #[test]
    fn a_write_that_failed_leaves_the_old_file() {
        let scratch = tempfile::tempdir().unwrap();
        let mut directory = StateDirectory::open(scratch.path()).unwrap();
        directory.store(&testing::member()).unwrap();
        // A directory is in the way of the temporary file.
        fs::create_dir(scratch.path().join(".state.json.new")).unwrap();
        assert!(matches!(directory.store(&State::default()), Err(StateError::File { doing: "write", .. })));
        assert_eq!(directory.load().unwrap(), testing::member());
    }

    #[test]
    fn damaged_files_and_other_versions_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(STATE_FILE);
        let good = serde_json::to_string(&Versioned { version: VERSION, state: testing::member() }).unwrap();
        for content in [
            good.get(..good.len() / 2).unwrap().to_owned(),
            good.replace("\"version\":1", "\"version\":2"),
            good.replace("\"keys\"", "\"kyes\""),
            String::new(),
            " ".repeat(usize::try_from(MAX_LEN).unwrap() + 1),
        ] {
            fs::write(&path, &content).unwrap();
            let error = peek(scratch.path()).unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("state.json is damaged"), "{error}");
        }
    }
}
