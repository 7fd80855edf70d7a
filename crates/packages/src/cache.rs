//! What earlier runs found out: the digests in each package, by the SHA-256 of the package.
//!
//! Each entry is written to a temporary file, flushed, and renamed: it is whole or not there. It begins with the SHA-256 of
//! itself, so that one that a disk has damaged is not believed, but made again. Whoever can write to the folder decides
//! what may run; it is made for its owner alone.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vouchsafe_model::{HashAlgorithm, Sha256Digest, Timestamp};

use crate::contents::{Contents, FileKind, ShippedFile};
use crate::digest::{Algorithms, sha256};

/// The form of the entries. Another form, or another way to tell kinds of files apart, gets another number.
const VERSION: &str = "v1";
/// The longest entry that is read, in bytes: a million files with a digest of 128 digits each take half.
const MAX_ENTRY_LEN: u64 = 512 * 1024 * 1024;
const DIGEST_LINE_LEN: usize = 65;

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct CacheError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A folder with what earlier runs found out.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    unnamed: u32,
    files: Vec<Line>,
}

/// Path, length, kind, digests.
#[derive(Serialize, Deserialize)]
struct Line(String, u64, FileKind, Vec<String>);

impl Cache {
    /// Takes a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let cache = Self { dir: dir.into() };
        for part in ["packages", "indexes", "incoming"] {
            make_dir(&cache.dir.join(VERSION).join(part))?;
        }
        Ok(cache)
    }

    /// Where bytes that come in may be put meanwhile.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.dir.join(VERSION).join("incoming")
    }

    /// What the package with this SHA-256 ships, if that was found out for these algorithms.
    pub(crate) fn load(&self, package: &Sha256Digest, algorithms: &Algorithms) -> Result<Option<Contents>, CacheError> {
        let Some(bytes) = read_checked(&self.package_path(package, algorithms))? else { return Ok(None) };
        let Ok(entry) = serde_json::from_slice::<Entry>(&bytes) else { return Ok(None) };
        let file = |Line(path, size, kind, digests): Line| {
            let digests = digests.iter().map(|text| text.parse().ok()).collect::<Option<Vec<_>>>()?;
            Some(ShippedFile { path, size, kind, digests })
        };
        let files = entry.files.into_iter().map(file).collect::<Option<Vec<_>>>();
        Ok(files.map(|files| Contents { files, unnamed: entry.unnamed }))
    }

    /// Keeps what a package ships.
    pub(crate) fn store(
        &self,
        package: &Sha256Digest,
        algorithms: &Algorithms,
        contents: &Contents,
    ) -> Result<(), CacheError> {
        let line = |file: &ShippedFile| {
            Line(file.path.clone(), file.size, file.kind, file.digests.iter().map(ToString::to_string).collect())
        };
        let entry = Entry { unnamed: contents.unnamed, files: contents.files.iter().map(line).collect() };
        self.write(&self.package_path(package, algorithms), &entry)
    }

    /// The date of the latest index of a suite that was accepted.
    pub(crate) fn last_seen(&self, suite: &str) -> Result<Option<Timestamp>, CacheError> {
        let bytes = read_checked(&self.index_path(suite))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Keeps the date of an index that was accepted, unless a later one is kept.
    pub(crate) fn remember(&self, suite: &str, date: Timestamp) -> Result<(), CacheError> {
        if self.last_seen(suite)?.is_some_and(|seen| seen >= date) {
            return Ok(());
        }
        self.write(&self.index_path(suite), &date)
    }

    fn package_path(&self, package: &Sha256Digest, algorithms: &Algorithms) -> PathBuf {
        let name = package.to_string();
        let names: Vec<_> = algorithms.iter().map(HashAlgorithm::name).collect();
        let folder = self.dir.join(VERSION).join("packages").join(name.get(..2).unwrap_or_default());
        folder.join(format!("{name}.{}", names.join("+")))
    }

    fn index_path(&self, suite: &str) -> PathBuf {
        self.dir.join(VERSION).join("indexes").join(sha256(suite.as_bytes()).to_string())
    }

    fn write<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), CacheError> {
        let failed = |source: io::Error| CacheError { doing: "write", path: path.to_owned(), source };
        let body = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
        if let Some(folder) = path.parent() {
            make_dir(folder)?;
        }
        let mut file = tempfile::NamedTempFile::new_in(self.incoming()).map_err(failed)?;
        let digest = format!("{}\n", sha256(&body));
        file.write_all(digest.as_bytes()).and_then(|()| file.write_all(&body)).map_err(failed)?;
        file.as_file().sync_data().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// For its owner alone.
fn make_dir(path: &Path) -> Result<(), CacheError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| CacheError { doing: "make the folder", path: path.to_owned(), source })
}

/// What stands behind the digest, when it is what the digest is of.
fn read_checked(path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
    let failed = |source| CacheError { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY_LEN).read_to_end(&mut bytes).map_err(failed)?;
    let Some((digest, body)) = bytes.split_at_checked(DIGEST_LINE_LEN) else { return Ok(None) };
    let expected = format!("{}\n", sha256(body));
    Ok((digest == expected.as_bytes()).then(|| body.to_vec()))
}

/// Whether there is nothing half done in the cache.
#[cfg(test)]
fn is_clean(cache: &Cache) -> bool {
    std::fs::read_dir(cache.incoming()).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::FileDigest;

    fn contents() -> Contents {
        let digest = FileDigest::new(HashAlgorithm::Sha256, vec![7; 32]).unwrap();
        let file = ShippedFile { path: "/a".to_owned(), size: 1, kind: FileKind::Program, digests: vec![digest] };
        Contents { files: vec![file], unnamed: 2 }
    }

    #[test]
    fn what_was_stored_is_loaded_for_the_same_package_and_algorithms_alone() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path().join("new")).unwrap();
        let (one, other) = (Sha256Digest::new([1; 32]), Sha256Digest::new([2; 32]));
        let algorithms = Algorithms::default();
        cache.store(&one, &algorithms, &contents()).unwrap();
        assert_eq!(cache.load(&one, &algorithms).unwrap(), Some(contents()));
        assert_eq!(cache.load(&other, &algorithms).unwrap(), None);
        let more = Algorithms::new([HashAlgorithm::Sha256, HashAlgorithm::Sha512]).unwrap();
        assert_eq!(cache.load(&one, &more).unwrap(), None);
        assert!(is_clean(&cache));
    }

    #[test]
    fn an_entry_that_was_cut_or_changed_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let (package, algorithms) = (Sha256Digest::new([1; 32]), Algorithms::default());
        cache.store(&package, &algorithms, &contents()).unwrap();
        let path = cache.package_path(&package, &algorithms);
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.load(&package, &algorithms).unwrap(), None, "{len}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped).unwrap();
            assert_eq!(cache.load(&package, &algorithms).unwrap(), None, "{at}");
        }
    }

    #[test]
    fn the_latest_index_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        assert_eq!(cache.last_seen("x").unwrap(), None);
        cache.remember("x", Timestamp::from_unix_secs(9)).unwrap();
        cache.remember("x", Timestamp::from_unix_secs(3)).unwrap();
        assert_eq!(cache.last_seen("x").unwrap(), Some(Timestamp::from_unix_secs(9)));
    }
}
