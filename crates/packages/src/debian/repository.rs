//! From a keyring to the packages of a repository.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use vouchsafe_model::Timestamp;

use super::index::{Index, IndexEntry, IndexRejected};
use super::list::{PackageList, Wanted};
use super::release::{Freshness, IndexFile, Release, ReleaseRejected};
use super::version::compare_versions;
use crate::archive::Compression;
use crate::cache::{Cache, CacheError};
use crate::cancel::{Cancel, Cancelled};
use crate::digest::sha256;
use crate::fetch::{FetchError, Mirror};
use crate::limits::{MAX_INDEX_LEN, MAX_PACKAGES, MAX_RELEASE_LEN, MAX_SIGNATURE_LEN};
use crate::openpgp::{CleartextRefused, Keyring, SignedText, Standing};
use crate::package::Format;
use crate::plan::{Origin, Plan, PlannedPackage};
use crate::spool::SpoolError;

/// Why the packages of a repository are not known.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A name of a suite, component or architecture cannot be one.
    #[error("'{0}' is no name of a suite, component or architecture")]
    Name(String),
    /// A file did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What stands for the suite is not signed by anyone who counts.
    #[error("{place} is refused")]
    Signature {
        /// What was refused.
        place: String,
        /// Why.
        #[source]
        source: CleartextRefused,
    },
    /// What stands for the suite is signed, and still not what was asked for.
    #[error("{place} is refused")]
    Release {
        /// What was refused.
        place: String,
        /// Why.
        #[source]
        source: ReleaseRejected,
    },
    /// The suite has no such index.
    #[error("{suite} has no index of {component} for {arch}")]
    NoIndex {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// The architecture.
        arch: String,
    },
    /// An index is longer than any.
    #[error("{place} has {len} bytes, and at most {MAX_INDEX_LEN} are possible")]
    IndexTooLong {
        /// The index.
        place: String,
        /// Its length.
        len: u64,
    },
    /// An index is not the one that was signed for.
    #[error("{place} is not what its Release lists")]
    Changed {
        /// The index.
        place: String,
        /// In what it differs.
        #[source]
        source: SpoolError,
    },
    /// An index cannot be unpacked.
    #[error("cannot unpack {place}")]
    Unpack {
        /// The index.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An index is what was signed for, and still malformed.
    #[error("{place} is refused")]
    Index {
        /// The index.
        place: String,
        /// Why.
        #[source]
        source: IndexRejected,
    },
    /// Packages are wanted that no index lists.
    #[error("no index lists {}", listed(.0))]
    Missing(Vec<Wanted>),
    /// More packages are wanted than a plan may have.
    #[error("more than {MAX_PACKAGES} packages are wanted")]
    TooMany,
    /// What was seen before cannot be read or written.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The run was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

fn listed(wanted: &[Wanted]) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = wanted.iter().take(SHOWN).map(ToString::to_string).collect();
    let rest = wanted.len().saturating_sub(SHOWN);
    let names = names.join(", ");
    if rest == 0 { names } else { format!("{names} and {rest} more") }
}

/// By whom a repository must be signed.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// By a key of this keyring.
    Keyring(&'a Keyring),
    /// By nobody: whoever controls the way to the repository decides what may run.
    DangerUnsigned,
}

/// Which part of a repository is asked for.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The repository.
    pub mirror: Mirror,
    /// Suites or codenames: `bookworm`, `bookworm-updates`.
    pub suites: Vec<String>,
    /// Components: `main`.
    pub components: Vec<String>,
    /// Architectures: `amd64`. Packages for all are taken in as well.
    pub architectures: Vec<String>,
}

/// How a repository is checked.
#[derive(Clone, Copy, Debug)]
pub struct Checks<'a> {
    /// By whom it must be signed.
    pub trust: Trust<'a>,
    /// How old it may be.
    pub freshness: Freshness,
    /// The present instant.
    pub now: Timestamp,
}

/// The packages that signed indexes list.
#[derive(Clone, Debug, Default)]
pub struct Repository {
    entries: Vec<(Mirror, IndexEntry)>,
}

impl Repository {
    /// Fetches and checks the indexes of these sources.
    ///
    /// # Errors
    /// When one does not come, or is not what was signed for.
    pub fn load(sources: &[Sources], checks: Checks<'_>, cache: &Cache, cancel: &Cancel) -> Result<Self, DebianError> {
        let mut repository = Self::default();
        for source in sources {
            for name in source.suites.iter().chain(&source.components).chain(&source.architectures) {
                check_name(name)?;
            }
            for suite in &source.suites {
                repository.load_suite(source, suite, checks, cache, cancel)?;
            }
        }
        Ok(repository)
    }

    /// How many packages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The packages that are wanted, and those that no index lists.
    ///
    /// # Errors
    /// When they are more than a plan may have.
    pub fn select(&self, list: &PackageList) -> Result<(Plan, Vec<Wanted>), DebianError> {
        let (mut chosen, mut missing) = (BTreeMap::new(), Vec::new());
        let mut take = |(mirror, entry): &(Mirror, IndexEntry)| {
            chosen.entry(entry.sha256).or_insert_with(|| planned(mirror, entry));
        };
        match list {
            PackageList::All => self.entries.iter().for_each(&mut take),
            PackageList::Named(names) => {
                let mut by_name: BTreeMap<&str, Vec<&(Mirror, IndexEntry)>> = BTreeMap::new();
                for entry in &self.entries {
                    by_name.entry(&entry.1.id.name).or_default().push(entry);
                }
                for wanted in names {
                    let found = matching(wanted, by_name.get(wanted.name.as_str()).map_or(&[], Vec::as_slice));
                    if found.is_empty() {
                        missing.push(wanted.clone());
                    }
                    found.into_iter().for_each(&mut take);
                }
            }
        }
        if chosen.len() > MAX_PACKAGES {
            return Err(DebianError::TooMany);
        }
        Ok((Plan::new(chosen.into_values()), missing))
    }

    fn load_suite(
        &mut self,
        source: &Sources,
        suite: &str,
        checks: Checks<'_>,
        cache: &Cache,
        cancel: &Cancel,
    ) -> Result<(), DebianError> {
        cancel.check()?;
        let place = source.mirror.place(&format!("dists/{suite}"));
        let text = fetch_release(&source.mirror, suite, checks)?;
        let refused = |source| DebianError::Release { place: place.clone(), source };
        let release = Release::parse(&text).map_err(refused)?;
        release.check(suite, checks.now, checks.freshness, cache.last_seen(&place)?).map_err(refused)?;
        for component in &source.components {
            for arch in &source.architectures {
                cancel.check()?;
                self.load_index(&source.mirror, suite, &release, component, arch)?;
            }
            if release.all_is_separate() && !source.architectures.iter().any(|arch| arch == "all") {
                self.load_index(&source.mirror, suite, &release, component, "all")?;
            }
        }
        // Only now: an index that was refused must not decide which later ones are.
        cache.remember(&place, release.date())?;
        Ok(())
    }

    fn load_index(
        &mut self,
        mirror: &Mirror,
        suite: &str,
        release: &Release,
        component: &str,
        arch: &str,
    ) -> Result<(), DebianError> {
        let name = format!("{component}/binary-{arch}/Packages");
        let compressed = [(".xz", Compression::Xz), (".gz", Compression::Gzip), ("", Compression::None)];
        let listed = compressed.into_iter().find_map(|(extension, compression)| {
            let name = format!("{name}{extension}");
            release.file(&name).map(|file| (name, compression, file))
        });
        let Some((path, compression, file)) = listed else {
            let (suite, component, arch) = (suite.to_owned(), component.to_owned(), arch.to_owned());
            return Err(DebianError::NoIndex { suite, component, arch });
        };
        let place = mirror.place(&format!("dists/{suite}/{path}"));
        let packed = fetch_index(mirror, suite, release, &path, file)?;
        let unpacked_len = release.file(&name).map_or(MAX_INDEX_LEN, |plain| plain.len.min(MAX_INDEX_LEN));
        let mut text = String::new();
        let unpacked = compression.decode(packed.as_slice(), unpacked_len).read_to_string(&mut text);
        unpacked.map_err(|source| DebianError::Unpack { place: place.clone(), source })?;
        if let Some(plain) = release.file(&name) {
            check(text.as_bytes(), plain).map_err(|source| DebianError::Changed { place: place.clone(), source })?;
        }
        let index = Index::parse(&text).map_err(|source| DebianError::Index { place, source })?;
        let wanted = |entry: &IndexEntry| entry.id.arch == arch || entry.id.arch == "all";
        self.entries.extend(index.entries.into_iter().filter(wanted).map(|entry| (mirror.clone(), entry)));
        Ok(())
    }
}

/// These names become parts of paths.
fn check_name(name: &str) -> Result<(), DebianError> {
    let fits = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte))
    };
    // `bookworm/updates` and `updates/main` were names once.
    if name.split('/').all(fits) && name.len() <= 128 {
        Ok(())
    } else {
        Err(DebianError::Name(name.chars().take(80).collect()))
    }
}

/// `InRelease`; or, where there is none, `Release` and `Release.gpg`.
fn fetch_release(mirror: &Mirror, suite: &str, checks: Checks<'_>) -> Result<String, DebianError> {
    let path = |name: &str| format!("dists/{suite}/{name}");
    let Trust::Keyring(keyring) = checks.trust else {
        let bytes = mirror.read_file(&path("Release"), MAX_RELEASE_LEN)?;
        let place = mirror.place(&path("Release"));
        let no_utf8 = |_| DebianError::Signature { place, source: CleartextRefused::Malformed("it is no UTF-8") };
        return String::from_utf8(bytes).map_err(no_utf8);
    };
    let standing = match checks.freshness {
        Freshness::Fresh { .. } => Standing::Now(checks.now),
        Freshness::DangerAcceptStale => Standing::WhenSigned(checks.now),
    };
    let (name, signed) = match mirror.read_file(&path("InRelease"), MAX_RELEASE_LEN) {
        Ok(bytes) => ("InRelease", SignedText::verify(&bytes, keyring, standing)),
        Err(FetchError::NotFound(_)) => {
            let bytes = mirror.read_file(&path("Release"), MAX_RELEASE_LEN)?;
            let signature = mirror.read_file(&path("Release.gpg"), MAX_SIGNATURE_LEN)?;
            ("Release", SignedText::verify_detached(&bytes, &signature, keyring, standing))
        }
        Err(error) => return Err(error.into()),
    };
    let place = mirror.place(&path(name));
    signed.map(|signed| signed.text().to_owned()).map_err(|source| DebianError::Signature { place, source })
}

/// By its digest where the repository offers that, since the file under its name may be that of an update in between.
fn fetch_index(
    mirror: &Mirror,
    suite: &str,
    release: &Release,
    path: &str,
    file: IndexFile,
) -> Result<Vec<u8>, DebianError> {
    let named = format!("dists/{suite}/{path}");
    if file.len > MAX_INDEX_LEN {
        return Err(DebianError::IndexTooLong { place: mirror.place(&named), len: file.len });
    }
    let folder = named.rsplit_once('/').map_or("", |(folder, _)| folder);
    let by_hash = format!("{folder}/by-hash/SHA256/{}", file.sha256);
    let fetched = match release.by_hash().then(|| mirror.read_file(&by_hash, file.len)) {
        None | Some(Err(FetchError::NotFound(_))) => mirror.read_file(&named, file.len),
        Some(done) => done,
    };
    let bytes = fetched?;
    check(&bytes, file).map_err(|source| DebianError::Changed { place: mirror.place(&named), source })?;
    Ok(bytes)
}

fn check(bytes: &[u8], file: IndexFile) -> Result<(), SpoolError> {
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if len != file.len {
        return Err(SpoolError::Length { found: len, expected: file.len });
    }
    let found = sha256(bytes);
    if found == file.sha256 { Ok(()) } else { Err(SpoolError::Digest { found, expected: file.sha256 }) }
}

/// All packages of the wanted version; without one, the latest for each architecture.
fn matching<'a>(wanted: &Wanted, candidates: &[&'a (Mirror, IndexEntry)]) -> Vec<&'a (Mirror, IndexEntry)> {
    let of_arch = candidates.iter().filter(|(_, entry)| wanted.arch.as_ref().is_none_or(|arch| *arch == entry.id.arch));
    if let Some(version) = &wanted.version {
        return of_arch.filter(|(_, entry)| entry.id.version == *version).copied().collect();
    }
    let of_arch: Vec<_> = of_arch.copied().collect();
    let architectures: BTreeSet<_> = of_arch.iter().map(|(_, entry)| &entry.id.arch).collect();
    let latest = |arch: &String| {
        let built = of_arch.iter().filter(|(_, entry)| entry.id.arch == *arch);
        built.max_by(|one, other| compare_versions(&one.1.id.version, &other.1.id.version)).copied()
    };
    architectures.into_iter().filter_map(latest).collect()
}

fn planned(mirror: &Mirror, entry: &IndexEntry) -> PlannedPackage {
    PlannedPackage {
        id: entry.id.clone(),
        format: Format::Deb,
        len: entry.len,
        sha256: entry.sha256,
        origin: Origin::Mirror { mirror: mirror.clone(), path: entry.path.clone() },
    }
}
