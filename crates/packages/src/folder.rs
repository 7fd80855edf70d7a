//! Folders of `.deb` and `.rpm` packages.
//!
//! An `.rpm` bears its own signature. A `.deb` bears none; a folder of them is signed by a `SHA256SUMS` beside them, with its
//! signature in `SHA256SUMS.asc`, `.gpg` or `.sign`, which counts for `.rpm` packages as well.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use vouchsafe_model::{Sha256Digest, Timestamp};

use crate::archive::{Deb, DebError};
use crate::cancel::{Cancel, Cancelled, Interruptible};
use crate::digest::Sha256;
use crate::limits::{Limits, MAX_FOLDER_DEPTH, MAX_PACKAGES, MAX_RELEASE_LEN, MAX_SIGNATURE_LEN};
use crate::openpgp::{CleartextRefused, Keyring, SignedText, Standing};
use crate::package::{Format, PackageId};
use crate::plan::{Origin, Plan, PlannedPackage};
use crate::rpm::{Rpm, RpmError};

const SUMS: &str = "SHA256SUMS";
const SUMS_SIGNATURES: [&str; 3] = ["SHA256SUMS.asc", "SHA256SUMS.gpg", "SHA256SUMS.sign"];

/// Why a folder gives no plan.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something in it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its folders lie too deep in each other.
    #[error("{} lies more than {MAX_FOLDER_DEPTH} folders deep", .0.display())]
    TooDeep(PathBuf),
    /// It has more packages than a plan may have.
    #[error("it has more than {MAX_PACKAGES} packages")]
    TooMany,
    /// It has no package.
    #[error("there is no .deb and no .rpm in {}", .0.display())]
    Empty(PathBuf),
    /// `SHA256SUMS` is not signed by anyone who counts.
    #[error("{} is refused", path.display())]
    Sums {
        /// The list.
        path: PathBuf,
        /// Why.
        #[source]
        source: CleartextRefused,
    },
    /// A line of `SHA256SUMS` is none.
    #[error("line {line} of {} is no SHA-256 with a path", path.display())]
    SumsLine {
        /// The list.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
    },
    /// `SHA256SUMS` lists another file.
    #[error("the SHA-256 of {} is {found}, and {expected} was signed for", path.display())]
    Changed {
        /// The package.
        path: PathBuf,
        /// What it is.
        found: Sha256Digest,
        /// What was signed for.
        expected: Sha256Digest,
    },
    /// A `.deb` is in no signed list.
    #[error("{} is in no signed SHA256SUMS, and a .deb bears no signature of its own", .0.display())]
    Unsigned(PathBuf),
    /// A package is longer than any.
    #[error("{} has {len} bytes, and at most {max} are possible", path.display())]
    TooLong {
        /// The package.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The bound.
        max: u64,
    },
    /// A `.deb` is refused.
    #[error("{} is refused", path.display())]
    Deb {
        /// The package.
        path: PathBuf,
        /// Why.
        #[source]
        source: DebError,
    },
    /// An `.rpm` is refused.
    #[error("{} is refused", path.display())]
    Rpm {
        /// The package.
        path: PathBuf,
        /// Why.
        #[source]
        source: RpmError,
    },
    /// The run was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// By whom the packages of a folder must be signed.
#[derive(Clone, Copy, Debug)]
pub enum FolderTrust<'a> {
    /// By a key of this keyring.
    Keyring(&'a Keyring),
    /// By nobody: whoever can write to the folder decides what may run.
    DangerUnsigned,
}

/// Finds the packages of a folder and of the folders in it, and checks who signed them. Links to folders are not
/// followed, and source packages are left out.
///
/// # Errors
/// When one cannot be read, or is not signed by anyone who counts.
pub fn plan(
    folder: &Path,
    trust: FolderTrust<'_>,
    limits: Limits,
    now: Timestamp,
    cancel: &Cancel,
) -> Result<Plan, FolderError> {
    let sums = match trust {
        FolderTrust::Keyring(keyring) => read_sums(folder, keyring, now)?,
        FolderTrust::DangerUnsigned => BTreeMap::new(),
    };
    let mut files = Vec::new();
    search(folder, 0, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(FolderError::Empty(folder.to_owned()));
    }
    let mut packages = Vec::new();
    for (path, format) in files {
        cancel.check()?;
        let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
        let examined = Examined { path, format, expected: sums.get(&name).copied(), trust, now, cancel };
        packages.push(examined.plan(limits)?);
    }
    Ok(Plan::new(packages))
}

fn search(folder: &Path, depth: usize, files: &mut Vec<(PathBuf, Format)>) -> Result<(), FolderError> {
    if depth > MAX_FOLDER_DEPTH {
        return Err(FolderError::TooDeep(folder.to_owned()));
    }
    let failed = |source| FolderError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            search(&path, depth.saturating_add(1), files)?;
        } else if let Some(format) = format_of(&path) {
            if files.len() >= MAX_PACKAGES {
                return Err(FolderError::TooMany);
            }
            files.push((path, format));
        }
    }
    Ok(())
}

fn format_of(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?;
    if name.ends_with(".src.rpm") || name.ends_with(".nosrc.rpm") {
        return None;
    }
    match path.extension()?.to_str()? {
        "deb" => Some(Format::Deb),
        "rpm" => Some(Format::Rpm),
        _ => None,
    }
}

/// Which digests the folder's own list signs for; none when there is no such list.
fn read_sums(folder: &Path, keyring: &Keyring, now: Timestamp) -> Result<BTreeMap<String, Sha256Digest>, FolderError> {
    let path = folder.join(SUMS);
    let Some(bytes) = read_if_there(&path, MAX_RELEASE_LEN)? else { return Ok(BTreeMap::new()) };
    let mut signature = None;
    for name in SUMS_SIGNATURES {
        if signature.is_none() {
            signature = read_if_there(&folder.join(name), MAX_SIGNATURE_LEN)?;
        }
    }
    // A list that nobody signed says nothing.
    let Some(signature) = signature else { return Ok(BTreeMap::new()) };
    let signed = SignedText::verify_detached(&bytes, &signature, keyring, Standing::WhenSigned(now))
        .map_err(|source| FolderError::Sums { path: path.clone(), source })?;
    let mut sums = BTreeMap::new();
    for (at, line) in signed.text().lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let malformed = || FolderError::SumsLine { path: path.clone(), line: at.saturating_add(1) };
        let (digest, name) = line.split_once(' ').ok_or_else(malformed)?;
        let name = name.strip_prefix([' ', '*']).ok_or_else(malformed)?;
        let digest = digest.parse().map_err(|_| malformed())?;
        if sums.insert(name.strip_prefix("./").unwrap_or(name).to_owned(), digest).is_some() {
            return Err(malformed());
        }
    }
    Ok(sums)
}

fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>, FolderError> {
    let failed = |source| FolderError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if len > max { Err(FolderError::TooLong { path: path.to_owned(), len, max }) } else { Ok(Some(bytes)) }
}

/// One package, in the course of being looked at.
struct Examined<'a> {
    path: PathBuf,
    format: Format,
    expected: Option<Sha256Digest>,
    trust: FolderTrust<'a>,
    now: Timestamp,
    cancel: &'a Cancel,
}

impl Examined<'_> {
    fn plan(self, limits: Limits) -> Result<PlannedPackage, FolderError> {
        let failed = |source| FolderError::Read { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(failed)?;
        // One pass: what is signed for and what is hashed are the same bytes, even if the file changes meanwhile.
        let inner = Interruptible { inner: BufReader::with_capacity(128 * 1024, file), cancel: self.cancel };
        let mut source = Counted { inner, hasher: Sha256::new(), len: 0 };
        let id = match self.format {
            Format::Deb => self.deb(&mut source)?,
            Format::Rpm => self.rpm(&mut source)?,
        };
        let rest = io::copy(&mut source.by_ref().take(limits.package_len.saturating_add(1)), &mut io::sink());
        if let Err(error) = rest {
            self.cancel.check()?;
            return Err(failed(error));
        }
        let (len, max) = (source.len, limits.package_len);
        if len > max {
            return Err(FolderError::TooLong { path: self.path, len, max });
        }
        let found = source.hasher.finish();
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(FolderError::Changed { path: self.path, found, expected });
        }
        Ok(PlannedPackage { id, format: self.format, len, sha256: found, origin: Origin::File(self.path) })
    }

    fn deb(&self, source: impl Read) -> Result<PackageId, FolderError> {
        if matches!(self.trust, FolderTrust::Keyring(_)) && self.expected.is_none() {
            return Err(FolderError::Unsigned(self.path.clone()));
        }
        let deb = Deb::open(source).map_err(|source| FolderError::Deb { path: self.path.clone(), source })?;
        Ok(deb.id().clone())
    }

    fn rpm(&self, source: impl Read) -> Result<PackageId, FolderError> {
        let refused = |source| FolderError::Rpm { path: self.path.clone(), source };
        let rpm = Rpm::open(source).map_err(refused)?;
        if let FolderTrust::Keyring(keyring) = self.trust
            && self.expected.is_none()
        {
            rpm.verify(keyring, Standing::WhenSigned(self.now)).map_err(refused)?;
        }
        Ok(rpm.id().clone())
    }
}

struct Counted<R> {
    inner: R,
    hasher: Sha256,
    len: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..len).unwrap_or_default());
        self.len = self.len.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        Ok(len)
    }
}
