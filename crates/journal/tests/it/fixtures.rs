//! Logs in temporary folders, entries by number, and disks that fail.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use vouchsafe_journal::{
    AppendError, CheckpointKey, Disk, Entry, Journal, JournalParts, JournalSettings, OpenError, Record, Scan,
    SignCheckpoint, SigningFailed, SystemDisk, Verification, VerifyError, Writing, verify,
};
use vouchsafe_model::{DecisionId, Timestamp};
use vouchsafe_pki::{IssuerKey as _, LocalKey};

pub(crate) const START: Timestamp = Timestamp::from_unix_secs(1_769_860_800);

#[derive(Debug)]
pub(crate) struct Signer {
    key: LocalKey,
    public: CheckpointKey,
}

impl Signer {
    pub(crate) fn new() -> Self {
        Self::of(LocalKey::generate().unwrap())
    }

    fn of(key: LocalKey) -> Self {
        let public = CheckpointKey::from_spki_der(&key.spki_der().unwrap()).unwrap();
        Self { key, public }
    }

    /// The key for another process, which finds it by [`KEY`].
    pub(crate) fn pem(&self) -> String {
        self.key.to_pkcs8_pem().to_string()
    }

    pub(crate) fn spki_der(&self) -> Vec<u8> {
        self.key.spki_der().unwrap()
    }
}

impl SignCheckpoint for Signer {
    fn public_key(&self) -> &CheckpointKey {
        &self.public
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.key.sign(text).map_err(|_| SigningFailed)
    }
}

/// The variable that tells a child of these tests their key.
pub(crate) const KEY: &str = "VOUCHSAFE_JOURNAL_TEST_KEY";

/// One key for all logs of this run.
pub(crate) static SIGNER: LazyLock<Arc<Signer>> = LazyLock::new(|| {
    let inherited = std::env::var(KEY).ok().map(|pem| Signer::of(LocalKey::from_pkcs8_pem(pem.as_bytes()).unwrap()));
    Arc::new(inherited.unwrap_or_else(Signer::new))
});

/// A folder for logs, and how they are opened.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) settings: JournalSettings,
    pub(crate) disk: Arc<dyn Disk>,
    /// Milliseconds since [`START`].
    pub(crate) clock: Arc<AtomicI64>,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("decisions");
        Self { _temporary: Some(temporary), ..Self::at(&folder) }
    }

    pub(crate) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            settings: JournalSettings { max_total_bytes: None, max_age: None, ..JournalSettings::default() },
            disk: Arc::new(SystemDisk),
            clock: Arc::default(),
            _temporary: None,
        }
    }

    pub(crate) fn open(&self) -> Result<(Journal, Writing), OpenError> {
        let clock = self.clock.clone();
        Journal::open(JournalParts {
            folder: self.folder.clone(),
            new_origin: "example.org/decisions/test".parse().unwrap(),
            settings: self.settings,
            signer: SIGNER.clone(),
            disk: self.disk.clone(),
            now: Arc::new(move || {
                let millis = clock.load(Ordering::SeqCst);
                Timestamp::from_unix_millis(START.unix_millis() + millis)
            }),
        })
    }

    /// Opens it, appends these entries one after the other, and closes it.
    pub(crate) async fn fill(&self, numbers: std::ops::Range<u32>) {
        let (journal, writing) = self.open().unwrap();
        for number in numbers {
            journal.append(entry(number)).await.unwrap();
        }
        finish(writing).await;
    }

    pub(crate) fn verify(&self) -> Result<Verification, VerifyError> {
        verify(&self.folder, std::slice::from_ref(&SIGNER.public), None, &mut |_| {})
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> String {
        self.verify().expect_err("something is wrong").to_string()
    }

    /// The paths of its segments, in their order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = all.filter(|path| path.extension().is_some_and(|end| end == "vjl")).collect();
        segments.sort();
        segments
    }

    /// Its only or last segment.
    pub(crate) fn last_segment(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }

    /// The numbers of the entries that are in it.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let (journal, writing) = self.open().unwrap();
        let numbers = numbers_in(&journal);
        drop(journal);
        writing.finish();
        numbers
    }
}

/// Waits until all is written.
pub(crate) async fn finish(writing: Writing) {
    tokio::task::spawn_blocking(move || writing.finish()).await.unwrap();
}

/// The numbers that the entries of a log were made of, in the order in which they are there.
pub(crate) fn numbers_in(journal: &Journal) -> Vec<u32> {
    let mut numbers = Vec::new();
    let scanned = journal.view().oldest_first(&Scan::all(u64::MAX), |record| {
        numbers.push(number_of(&record));
        std::ops::ControlFlow::Continue(())
    });
    scanned.unwrap();
    numbers
}

pub(crate) fn at(number: u32) -> Timestamp {
    Timestamp::from_unix_millis(START.unix_millis() + i64::from(number))
}

pub(crate) fn id(number: u32) -> DecisionId {
    let mut entropy = [0; 10];
    entropy[6..].copy_from_slice(&number.to_be_bytes());
    DecisionId::new(at(number), &entropy)
}

pub(crate) fn body(number: u32) -> String {
    format!(r#"{{"number":{number},"text":"{}"}}"#, "x".repeat(usize::try_from(number % 7).unwrap() * 20))
}

pub(crate) fn entry(number: u32) -> Entry {
    Entry::new(id(number), at(number), body(number).into()).unwrap()
}

/// The number that an entry was made of.
pub(crate) fn number_of(record: &Record<'_>) -> u32 {
    let body = record.body().unwrap();
    let number = body.strip_prefix("{\"number\":").unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!((body, record.id, record.at), (&*self::body(number), id(number), at(number)));
    number
}

/// A disk with so much room, which others may change, and whose steps can be made to fail.
#[derive(Default)]
pub(crate) struct FaultyDisk {
    pub(crate) room: AtomicU64,
    pub(crate) fails_to_sync: AtomicBool,
    pub(crate) fails_to_cut: AtomicBool,
    /// Fails all steps after so many, if that is not 0.
    pub(crate) steps_left: AtomicU64,
    /// How many steps there were.
    pub(crate) steps: AtomicU64,
}

impl FaultyDisk {
    pub(crate) fn with_room(bytes: u64) -> Arc<Self> {
        Arc::new(Self { room: AtomicU64::new(bytes), ..Self::default() })
    }

    fn step(&self) -> io::Result<()> {
        self.steps.fetch_add(1, Ordering::SeqCst);
        let left = self.steps_left.load(Ordering::SeqCst);
        if left == 1 {
            return Err(io::Error::other("the disk is gone"));
        }
        self.steps_left.store(left.saturating_sub(1), Ordering::SeqCst);
        Ok(())
    }
}

impl Disk for FaultyDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let room = self.room.load(Ordering::SeqCst);
        let fitting = bytes.len().min(usize::try_from(room).unwrap());
        file.write_all(&bytes[..fitting])?;
        self.room.store(room - u64::try_from(fitting).unwrap(), Ordering::SeqCst);
        if fitting == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Does not wait: nothing crashes here.
    fn sync(&self, _: &File) -> io::Result<()> {
        self.step()?;
        if self.fails_to_sync.load(Ordering::SeqCst) { Err(io::Error::other("bad block")) } else { Ok(()) }
    }

    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        self.step()?;
        if self.fails_to_cut.load(Ordering::SeqCst) {
            return Err(io::Error::other("bad block"));
        }
        let freed = file.metadata()?.len().saturating_sub(len);
        self.room.fetch_add(freed, Ordering::SeqCst);
        file.set_len(len)
    }

    fn put_in_place(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        fs::remove_file(path)
    }
}

/// Whether an entry was refused because the log cannot be written.
pub(crate) fn is_refused(outcome: &Result<(), AppendError>) -> bool {
    matches!(outcome, Err(AppendError::NotWritable(_)))
}
