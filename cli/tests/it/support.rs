//! Running the binary.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary with these arguments in an empty folder and without an environment of its own.
pub(crate) fn vouchsafe<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    run_in(Path::new("/"), arguments)
}

/// Runs the binary with these arguments in a folder.
pub(crate) fn run_in<A: AsRef<OsStr>>(dir: &Path, arguments: impl IntoIterator<Item = A>) -> Ran {
    let output = command().current_dir(dir).args(arguments).output().expect("the binary runs");
    let ran = Ran {
        code: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it complains in UTF-8"),
    };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

/// The binary, without an environment of its own.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vouchsafe"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A file of the data that nobody here made; `None`, and a word about it, when it is absent.
pub(crate) fn data(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// The text with this folder's path replaced by `DIR`.
pub(crate) fn without_path(text: &str, dir: &Path) -> String {
    text.replace(&dir.display().to_string(), "DIR")
}
