//! What logs there are, for whoever asks on the host. Nothing is sent by it.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vouchsafe_model::Sha256Digest;
use vouchsafe_wire::v1::logs::{BootId, KnownLogs};

use super::{LogError, LogPaths, boot_id, event_log, open, words};

/// The file beside the IMA list in which the kernel says how many entries it has. To count them is to read them all.
const COUNT_FILE: &str = "runtime_measurements_count";

/// What logs a host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundLogs {
    /// The name of the boot.
    pub boot: Option<BootId>,
    /// The boot event log.
    pub event_log: Found,
    /// The IMA list.
    pub ima: Found,
}

/// What there is of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Why there is nothing of it.
    pub error: Option<String>,
    /// How long it is, where that is cheap to know.
    pub bytes: Option<usize>,
    /// SHA-256, of a log that does not grow.
    pub sha256: Option<Sha256Digest>,
    /// How many entries it has, where that is cheap to know.
    pub entries: Option<u64>,
    /// How many of its bytes the engine knew when it last said so.
    pub known_bytes: Option<u64>,
}

impl FoundLogs {
    /// Looks for logs. `known` is what the engine last said that it knows.
    pub fn look(paths: &LogPaths, known: Option<&KnownLogs>) -> Self {
        let boot = boot_id(&paths.boot_id).ok();
        let position = known.and_then(|known| known.ima.as_ref()).filter(|at| Some(&at.boot) == boot.as_ref());
        let event_log = match event_log::describe(&paths.event_log) {
            Ok((bytes, sha256)) => Found { bytes: Some(bytes), sha256: Some(sha256), ..Found::at(&paths.event_log) },
            Err(error) => Found::nothing(&paths.event_log, &error),
        };
        let ima = match open(&paths.ima) {
            Ok(_) => Found {
                entries: entries(&paths.ima),
                known_bytes: position.map(|at| at.offset),
                ..Found::at(&paths.ima)
            },
            Err(error) => Found::nothing(&paths.ima, &error),
        };
        Self { boot, event_log, ima }
    }
}

impl Found {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    fn nothing(path: &Path, error: &LogError) -> Self {
        Self { error: Some(words(error)), ..Self::at(path) }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.error {
            return write!(f, "none: {error}");
        }
        let parts = [
            self.bytes.map(|bytes| format!("{bytes} bytes")),
            self.sha256.map(|digest| format!("SHA-256 {digest}")),
            self.entries.map(|entries| format!("{entries} entries")),
            self.known_bytes.map(|bytes| format!("the engine knows {bytes} bytes")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let separator = if parts.is_empty() { "" } else { ": " };
        write!(f, "{}{separator}{}", self.path.display(), parts.join(", "))
    }
}

fn entries(list: &Path) -> Option<u64> {
    let mut text = String::new();
    open(&list.with_file_name(COUNT_FILE)).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_wire::v1::logs::ImaPosition;

    #[test]
    fn a_list_is_shown_with_what_is_cheap_to_know() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name| scratch.path().join(name);
        let paths = LogPaths { event_log: at("none"), ima: at("list"), boot_id: at("boot") };
        std::fs::write(at("list"), "entries").unwrap();
        std::fs::write(at("boot"), "b1\n").unwrap();
        assert_eq!(FoundLogs::look(&paths, None).ima.to_string(), at("list").display().to_string());
        std::fs::write(at(COUNT_FILE), "826\n").unwrap();
        let known = |boot: &str| {
            let boot = BootId::try_from(boot.to_owned()).unwrap();
            KnownLogs { ima: Some(ImaPosition { boot, offset: 7 }), ..KnownLogs::default() }
        };
        let found = FoundLogs::look(&paths, Some(&known("b1")));
        let expected = format!("{}: 826 entries, the engine knows 7 bytes", at("list").display());
        assert_eq!(found.ima.to_string(), expected);
        assert!(found.event_log.to_string().starts_with("none: there is no "), "{}", found.event_log);
        assert_eq!(FoundLogs::look(&paths, Some(&known("b0"))).ima.known_bytes, None, "of another boot");
    }
}
