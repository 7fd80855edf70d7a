//! The measurement logs of the host: what explains the PCRs that a quote is about.
//!
//! Nothing is looked for in them: the attester never judges itself. A log that is not there is no error (many hosts have
//! none), and one that cannot be read does not keep the host from attesting; both are said in the log, once.

mod event_log;
mod found;
mod ima;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use vouchsafe_model::Sha256Digest;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{BootId, Deflated};

pub use found::{Found, FoundLogs};
pub use ima::{BLOCK, ImaList, ListPart};

/// A boot event log, compressed.
pub type CompressedEventLog = Deflated<{ limits::EVENT_LOG_COMPRESSED }>;

/// The most that is read of a file which names a boot, in bytes: its name, and the end of its line.
const BOOT_ID_FILE: u64 = 128;

/// Where the logs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPaths {
    /// The boot event log (`binary_bios_measurements`).
    pub event_log: PathBuf,
    /// The IMA list (`binary_runtime_measurements`).
    pub ima: PathBuf,
    /// The name of the boot.
    pub boot_id: PathBuf,
}

impl Default for LogPaths {
    /// Where Linux has them.
    fn default() -> Self {
        Self {
            event_log: PathBuf::from("/sys/kernel/security/tpm0/binary_bios_measurements"),
            ima: PathBuf::from("/sys/kernel/security/ima/binary_runtime_measurements"),
            boot_id: PathBuf::from("/proc/sys/kernel/random/boot_id"),
        }
    }
}

/// Why there is nothing of a log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The host has none.
    #[error("there is no {}", path.display())]
    Absent {
        /// Where it would be.
        path: PathBuf,
    },
    /// What is there is a directory, a device or a pipe.
    #[error("{} is no file", path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is longer than what may travel.
    #[error("{} is longer than {max} bytes{}", path.display(), if *compressed { ", compressed" } else { "" })]
    TooLong {
        /// Which.
        path: PathBuf,
        /// How long it may be.
        max: usize,
        /// Whether that is the limit of the compressed bytes.
        compressed: bool,
    },
    /// What is in the file is no name of a boot.
    #[error("{} names no boot", path.display())]
    NoBootId {
        /// Which.
        path: PathBuf,
    },
}

/// The boot event log as it is announced, and sent where the engine does not know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    /// SHA-256 of it.
    pub digest: Sha256Digest,
    /// All of it.
    pub log: Option<CompressedEventLog>,
}

/// The logs of this host.
#[derive(Debug)]
pub struct HostLogs {
    paths: LogPaths,
    /// The digest of the event log, and the boot to which it belongs: in one boot it does not change.
    event_log: Mutex<Option<(Option<BootId>, Sha256Digest)>>,
    told: [Told; 3],
}

/// What was last said of a log, so that it is said once and not with every attestation.
#[derive(Debug, Default)]
struct Told(Mutex<Option<String>>);

/// The logs by what the host cannot do without them.
#[derive(Clone, Copy, Debug)]
enum Kind {
    EventLog,
    Ima,
    BootId,
}

impl HostLogs {
    /// The logs at these places. Nothing is read yet.
    pub fn new(paths: LogPaths) -> Self {
        Self { paths, event_log: Mutex::new(None), told: Default::default() }
    }

    /// Where they are.
    pub fn paths(&self) -> &LogPaths {
        &self.paths
    }

    /// The name of this boot, if it has one.
    pub fn boot(&self) -> Option<BootId> {
        self.tell(Kind::BootId, boot_id(&self.paths.boot_id))
    }

    /// The boot event log: its digest, and all of it where that digest is not the `known` one. It is read once per boot,
    /// and then only to be sent.
    pub fn event_log(&self, boot: Option<&BootId>, known: Option<&Sha256Digest>) -> Option<EventLog> {
        let mut kept = self.event_log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, digest)) = kept.as_ref()
            && of.as_ref() == boot
            && known == Some(digest)
        {
            return Some(EventLog { digest: *digest, log: None });
        }
        let (digest, log) = self.tell(Kind::EventLog, event_log::read(&self.paths.event_log))?;
        *kept = Some((boot.cloned(), digest));
        Some(EventLog { digest, log: (known != Some(&digest)).then_some(log) })
    }

    /// The IMA list, opened.
    pub fn ima(&self) -> Option<ImaList<File>> {
        self.tell(Kind::Ima, ImaList::open(&self.paths.ima))
    }

    /// The same with an IMA list that broke while it was read.
    pub(crate) fn ima_part(&self, part: Result<ListPart, LogError>) -> Option<ListPart> {
        self.tell(Kind::Ima, part)
    }

    /// Says why there is nothing, unless that was said before.
    fn tell<T>(&self, kind: Kind, found: Result<T, LogError>) -> Option<T> {
        let [of_event_log, of_ima, of_boot_id] = &self.told;
        let told = match kind {
            Kind::EventLog => of_event_log,
            Kind::Ima => of_ima,
            Kind::BootId => of_boot_id,
        };
        let mut last = told.0.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match found {
            Ok(found) => {
                *last = None;
                return Some(found);
            }
            Err(error) => error,
        };
        let text = words(&error);
        if last.as_ref() != Some(&text) {
            match &error {
                LogError::Absent { .. } => tracing::info!(reason = %text, "{}", kind.absent()),
                LogError::TooLong { .. } => tracing::warn!(reason = %text, "a measurement log is not sent"),
                _ => tracing::warn!(reason = %text, "a measurement log cannot be read; is this root?"),
            }
            *last = Some(text);
        }
        None
    }
}

impl Kind {
    fn absent(self) -> &'static str {
        match self {
            Self::EventLog => {
                "no boot event log: the engine sees that a boot changed, and not what; mount securityfs if it is not \
                 (mount -t securityfs securityfs /sys/kernel/security), or name the log by --event-log"
            }
            Self::Ima => {
                "no IMA list: what runs on this host is not measured; boot with ima_policy=tcb to have it measured, \
                 mount securityfs if it is not, or name the list by --ima-log"
            }
            Self::BootId => {
                "this boot has no name, and no IMA list is sent; mount /proc, or name a file by --boot-id-file"
            }
        }
    }
}

/// An error with its causes.
pub(crate) fn words(error: &dyn Error) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |words, cause| words + ": " + &cause.to_string())
}

/// The name of this boot.
///
/// # Errors
/// When there is no such file, or no name in it.
pub fn boot_id(path: &Path) -> Result<BootId, LogError> {
    let mut text = String::new();
    let read = open(path)?.take(BOOT_ID_FILE).read_to_string(&mut text);
    read.map_err(|source| LogError::Read { path: path.to_owned(), source })?;
    BootId::try_from(text.trim_end().to_owned()).map_err(|_| LogError::NoBootId { path: path.to_owned() })
}

/// Opens a log. What would make us wait, or never ends, is none: only a regular file is (those of securityfs and procfs
/// say so of themselves).
fn open(path: &Path) -> Result<File, LogError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => LogError::Absent { path: path.to_owned() },
        _ => LogError::Read { path: path.to_owned(), source },
    };
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(LogError::NoFile { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn host(scratch: &Path) -> HostLogs {
        let at = |name| scratch.join(name);
        HostLogs::new(LogPaths { event_log: at("event-log"), ima: at("ima"), boot_id: at("boot-id") })
    }

    #[test]
    fn a_host_without_logs_has_none() {
        let scratch = tempfile::tempdir().unwrap();
        let logs = host(scratch.path());
        assert_eq!((logs.boot(), logs.event_log(None, None)), (None, None));
        assert!(logs.ima().is_none());
        assert!(matches!(boot_id(&logs.paths().boot_id), Err(LogError::Absent { .. })));
    }

    #[test]
    fn this_host_names_its_boot_and_other_texts_are_no_names() {
        assert_eq!(boot_id(&LogPaths::default().boot_id).unwrap().as_str().len(), 36);
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("boot-id");
        for text in ["", "\n", "../x\n", &"a".repeat(limits::BOOT_ID + 1), &"a".repeat(100_000)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(boot_id(&path), Err(LogError::NoBootId { .. })), "{text}");
        }
        fs::write(&path, "a".repeat(limits::BOOT_ID) + "\n").unwrap();
        assert!(boot_id(&path).is_ok());
    }

    #[test]
    fn the_event_log_is_read_once_per_boot_and_sent_while_it_is_unknown() {
        let scratch = tempfile::tempdir().unwrap();
        let logs = host(scratch.path());
        let boot = |name: &str| BootId::try_from(name.to_owned()).unwrap();
        fs::write(scratch.path().join("event-log"), "first").unwrap();
        let first = logs.event_log(Some(&boot("a")), None).unwrap();
        assert!(first.log.is_some());
        // It is gone, and nobody asks.
        fs::remove_file(scratch.path().join("event-log")).unwrap();
        let known = logs.event_log(Some(&boot("a")), Some(&first.digest)).unwrap();
        assert_eq!(known, EventLog { digest: first.digest, log: None });
        // To be sent it has to be read.
        assert_eq!(logs.event_log(Some(&boot("a")), None), None);
        fs::write(scratch.path().join("event-log"), "second").unwrap();
        let second = logs.event_log(Some(&boot("b")), Some(&first.digest)).unwrap();
        assert!(second.digest != first.digest && second.log.is_some());
        assert_eq!(logs.event_log(Some(&boot("b")), Some(&second.digest)).unwrap().log, None);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let scratch = tempfile::tempdir().unwrap();
        let pipe = scratch.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        for path in [scratch.path(), pipe.as_path(), Path::new("/dev/zero")] {
            assert!(matches!(open(path), Err(LogError::NoFile { .. })), "{}", path.display());
        }
    }

    #[test]
    fn a_reason_is_said_once_and_again_when_it_changes() {
        let scratch = tempfile::tempdir().unwrap();
        let logs = host(scratch.path());
        let said = |logs: &HostLogs| logs.told[1].0.lock().unwrap().clone();
        assert!(logs.ima().is_none());
        assert_eq!(said(&logs).unwrap(), format!("there is no {}", logs.paths().ima.display()));
        fs::create_dir(&logs.paths().ima).unwrap();
        assert!(logs.ima().is_none());
        assert!(said(&logs).unwrap().ends_with("is no file"));
        fs::remove_dir(&logs.paths().ima).unwrap();
        fs::write(&logs.paths().ima, "").unwrap();
        assert!(logs.ima().is_some());
        assert_eq!(said(&logs), None);
    }
}
