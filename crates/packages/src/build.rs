//! The run: packages are fetched and hashed at the same time, each once, and what is known already is not done again.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::archive::{Deb, DebError};
use crate::cache::{Cache, CacheError};
use crate::cancel::{Cancel, Cancelled, Interruptible};
use crate::contents::Contents;
use crate::digest::Algorithms;
use crate::fetch::FetchError;
use crate::inventory::{Inventory, Keep, UsrMerge};
use crate::limits::Limits;
use crate::package::{Format, PackageId};
use crate::plan::{Plan, PlannedPackage};
use crate::progress::Progress;
use crate::rpm::{Rpm, RpmError};
use crate::spool::{Expected, Spool, SpoolError};

/// How often a package is fetched again when its stream breaks.
const ATTEMPTS: u32 = 3;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which digests are made.
    pub algorithms: Algorithms,
    /// What a package may take.
    pub limits: Limits,
    /// Which files are kept.
    pub keep: Keep,
    /// Under which paths.
    pub usr_merge: UsrMerge,
    /// How many packages are fetched at once.
    pub fetchers: usize,
    /// How many packages are read at once.
    pub readers: usize,
}

impl Default for Settings {
    /// Four connections, which hide the way to a server, and a reader for each processor.
    fn default() -> Self {
        Self {
            algorithms: Algorithms::default(),
            limits: Limits::default(),
            keep: Keep::default(),
            usr_merge: UsrMerge::default(),
            fetchers: 4,
            readers: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Why a run failed. What was finished by then is in the cache.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A package did not come.
    #[error("cannot fetch {id}")]
    Fetch {
        /// The package.
        id: Box<PackageId>,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// A package is longer than any.
    #[error("{id} has {len} bytes, and at most {max} are possible")]
    TooLong {
        /// The package.
        id: Box<PackageId>,
        /// Its length.
        len: u64,
        /// The bound.
        max: u64,
    },
    /// What came is not what was signed for.
    #[error("{place} is not what was signed for as {id}")]
    Changed {
        /// The package.
        id: Box<PackageId>,
        /// Where it came from.
        place: String,
        /// In what it differs.
        #[source]
        source: SpoolError,
    },
    /// A package calls itself something else than the index does.
    #[error("{expected} calls itself {found}")]
    Renamed {
        /// What the index calls it.
        expected: Box<PackageId>,
        /// What it calls itself.
        found: Box<PackageId>,
    },
    /// A `.deb` is refused.
    #[error("{id} is refused")]
    Deb {
        /// The package.
        id: Box<PackageId>,
        /// Why.
        #[source]
        source: DebError,
    },
    /// An `.rpm` is refused.
    #[error("{id} is refused")]
    Rpm {
        /// The package.
        id: Box<PackageId>,
        /// Why.
        #[source]
        source: RpmError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No thread can be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The run was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Reads every package of a plan that the cache does not know, and puts together what all of them ship.
///
/// # Errors
/// When a package cannot be had, is not what was signed for, or is refused; or when the run is stopped.
pub fn build(
    plan: &Plan,
    cache: &Cache,
    settings: &Settings,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Inventory, BuildError> {
    cancel.check()?;
    progress.planned(plan.packages().len(), plan.len_bytes());
    let run = Run {
        plan,
        cache,
        settings,
        progress,
        stop: cancel.child(),
        next: AtomicUsize::new(0),
        failed: Mutex::new(None),
        done: Mutex::new(plan.packages().iter().map(|_| None).collect()),
    };
    run.threads();
    cancel.check()?;
    if let Some(error) = run.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let done = run.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut inventory = Inventory::default();
    for (package, done) in plan.packages().iter().zip(done) {
        // Without an error every package is done; a thread that died without one must not leave a hole.
        let Done { contents, cached } = done.ok_or(Cancelled)?;
        inventory.add(package, contents, settings.keep, settings.usr_merge);
        let statistics = &mut inventory.statistics;
        if cached {
            statistics.cached_packages = statistics.cached_packages.saturating_add(1);
        } else {
            statistics.fetched_bytes = statistics.fetched_bytes.saturating_add(package.len);
        }
    }
    Ok(inventory)
}

struct Done {
    contents: Contents,
    cached: bool,
}

/// A package that came, and its place in the plan.
type Came = (usize, Spool);

struct Run<'a> {
    plan: &'a Plan,
    cache: &'a Cache,
    settings: &'a Settings,
    progress: &'a dyn Progress,
    /// Stops this run alone, after an error; or with whoever asked for it.
    stop: Cancel,
    /// The first package that nobody has taken yet.
    next: AtomicUsize,
    failed: Mutex<Option<BuildError>>,
    done: Mutex<Vec<Option<Done>>>,
}

impl Run<'_> {
    fn threads(&self) {
        let readers = self.settings.readers.max(1);
        let (sender, receiver) = sync_channel::<Came>(readers);
        let receiver = Mutex::new(receiver);
        thread::scope(|scope| {
            for _ in 0..readers {
                self.started(thread::Builder::new().spawn_scoped(scope, || self.read_all(&receiver)));
            }
            for _ in 0..self.settings.fetchers.max(1) {
                let sender = sender.clone();
                self.started(thread::Builder::new().spawn_scoped(scope, move || self.fetch_all(&sender)));
            }
            // When the last fetcher lets go of its sender, the readers come to their end.
            drop(sender);
        });
    }

    fn started<T>(&self, thread: io::Result<T>) {
        if let Err(error) = thread {
            self.fail(BuildError::Thread(error));
        }
    }

    fn fail(&self, error: BuildError) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.cancel();
    }

    fn finish(&self, at: usize, package: &PlannedPackage, contents: Contents, cached: bool) {
        if let Some(place) = self.done.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
            *place = Some(Done { contents, cached });
        }
        self.progress.done(&package.id, cached.then_some(package.len));
    }

    fn fetch_all(&self, readers: &SyncSender<Came>) {
        while !self.stop.is_cancelled() {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(package) = self.plan.packages().get(at) else { return };
            match self.cache.load(&package.sha256, &self.settings.algorithms) {
                Ok(Some(contents)) => self.finish(at, package, contents, true),
                Ok(None) => match self.fetch(package) {
                    Ok(spool) => {
                        // Without readers there was an error.
                        if readers.send((at, spool)).is_err() {
                            return;
                        }
                    }
                    Err(error) => return self.fail(error),
                },
                Err(error) => return self.fail(error.into()),
            }
        }
    }

    fn fetch(&self, package: &PlannedPackage) -> Result<Spool, BuildError> {
        let max = self.settings.limits.package_len;
        if package.len > max {
            return Err(BuildError::TooLong { id: Box::new(package.id.clone()), len: package.len, max });
        }
        let mut attempt = 1;
        loop {
            match self.try_fetch(package) {
                Err(BuildError::Changed { source: SpoolError::Read(_), .. }) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    fn try_fetch(&self, package: &PlannedPackage) -> Result<Spool, BuildError> {
        let source =
            package.origin.open().map_err(|source| BuildError::Fetch { id: Box::new(package.id.clone()), source })?;
        let expected = Expected { len: package.len, sha256: package.sha256 };
        let heard = &mut |bytes| self.progress.fetched(bytes);
        Spool::take(source, expected, &self.cache.incoming(), &self.stop, heard).map_err(|error| match error {
            SpoolError::Cancelled(cancelled) => cancelled.into(),
            source => BuildError::Changed { id: Box::new(package.id.clone()), place: package.origin.place(), source },
        })
    }

    fn read_all(&self, came: &Mutex<Receiver<Came>>) {
        loop {
            let next = came.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((at, spool)) = next else { return };
            // After an error or a wish to stop, the fetchers are let go of without reading what they still bring.
            let Some(package) = self.plan.packages().get(at).filter(|_| !self.stop.is_cancelled()) else { continue };
            let read = self.read(package, spool).and_then(|contents| {
                self.cache.store(&package.sha256, &self.settings.algorithms, &contents)?;
                Ok(contents)
            });
            match read {
                Ok(contents) => self.finish(at, package, contents, false),
                Err(error) => self.fail(error),
            }
        }
    }

    fn read(&self, package: &PlannedPackage, spool: Spool) -> Result<Contents, BuildError> {
        let id = || Box::new(package.id.clone());
        let source = Interruptible { inner: spool.into_reader(), cancel: &self.stop };
        let (algorithms, limits) = (&self.settings.algorithms, self.settings.limits);
        let renamed = |found: &PackageId| {
            if *found == package.id {
                Ok(())
            } else {
                Err(BuildError::Renamed { expected: id(), found: Box::new(found.clone()) })
            }
        };
        match package.format {
            Format::Deb => {
                let refused = |source| BuildError::Deb { id: id(), source };
                let deb = Deb::open(source).map_err(refused)?;
                renamed(deb.id())?;
                deb.read(algorithms, limits).map_err(refused)
            }
            Format::Rpm => {
                let refused = |source| BuildError::Rpm { id: id(), source };
                let rpm = Rpm::open(source).map_err(refused)?;
                renamed(rpm.id())?;
                rpm.read(algorithms, limits).map_err(refused)
            }
        }
    }
}
