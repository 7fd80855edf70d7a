//! The files of a package, as they are read out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::digest::{Algorithms, FileDigest, Hashers};
use crate::limits::Limits;
use crate::path::{PathRefused, ancestors, normalise};

/// A file that a package ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedFile {
    /// Where it belongs, absolute, as the package says.
    pub path: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// Whether it can be run, and how.
    pub kind: FileKind,
    /// The digests of its content.
    pub digests: Vec<FileDigest>,
}

/// How a file can come to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Someone may execute it.
    Program,
    /// ELF or PE without leave to execute it: a library, an object, a kernel.
    Binary,
    /// It begins with `#!`: an interpreter may be given it.
    Script,
    /// A kernel module.
    Module,
    /// Firmware, which the kernel loads into a device.
    Firmware,
    /// Anything else.
    Data,
}

impl FileKind {
    /// Whether a file of this kind is code.
    pub fn is_executable(self) -> bool {
        self != Self::Data
    }

    fn of(path: &str, mode: u32, start: &[u8]) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        if [".ko", ".ko.xz", ".ko.gz", ".ko.zst"].iter().any(|end| name.ends_with(end)) {
            Self::Module
        } else if path.starts_with("/usr/lib/firmware/") || path.starts_with("/lib/firmware/") {
            Self::Firmware
        } else if mode & 0o111 != 0 {
            Self::Program
        } else if start.starts_with(b"\x7FELF") || start.starts_with(b"MZ") {
            Self::Binary
        } else if start.starts_with(b"#!") {
            Self::Script
        } else {
            Self::Data
        }
    }
}

/// What a package ships.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its regular files, by path.
    pub files: Vec<ShippedFile>,
    /// How many files were left out because their names are no UTF-8: no golden image can name them.
    pub unnamed: u32,
}

/// Why the files of a package are refused.
#[derive(Debug, thiserror::Error)]
pub enum ContentsRejected {
    /// A path could mean another file.
    #[error("the path '{}' is refused: {reason}", shown(path))]
    Path {
        /// The path as it stands in the package.
        path: Vec<u8>,
        /// What is wrong with it.
        reason: PathRefused,
    },
    /// Two entries have one path; which of them a host gets depends on who unpacks.
    #[error("{0} is in the package twice")]
    Duplicate(String),
    /// A file lies in something that the same package says is no folder, such as a link that leads elsewhere.
    #[error("{path} lies in {parent}, which is no folder in this package")]
    NotInFolder {
        /// The file.
        path: String,
        /// What is no folder.
        parent: String,
    },
    /// A hard link to nothing that came before.
    #[error("{path} is a hard link to {target}, which is no file that came before it")]
    DanglingLink {
        /// The link.
        path: String,
        /// What it is a link to.
        target: String,
    },
    /// More files than a package may have.
    #[error("the package has more than {0} files")]
    TooManyFiles(usize),
    /// More content than a package may have.
    #[error("the files of the package have more than {0} bytes")]
    TooLong(u64),
    /// A file ended before its size.
    #[error("{path} ends after {read} of its {size} bytes")]
    Short {
        /// The file.
        path: String,
        /// Its size, as the package says.
        size: u64,
        /// How much of it there is.
        read: u64,
    },
    /// The content could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A path for people to read.
fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string().chars().take(200).collect()
}

/// A file whose path is set aside.
struct Body {
    size: u64,
    kind: FileKind,
    digests: Vec<FileDigest>,
}

/// Takes in the entries of an archive in their order.
pub(crate) struct Collector<'a> {
    algorithms: &'a Algorithms,
    limits: Limits,
    files: BTreeMap<String, Body>,
    links: BTreeSet<String>,
    unnamed: u32,
    entries: usize,
    unpacked_len: u64,
    buffer: Vec<u8>,
}

/// How much is read at once, in bytes: as much as stays in a cache close to the processor.
const CHUNK_LEN: usize = 64 * 1024;

impl<'a> Collector<'a> {
    pub(crate) fn new(algorithms: &'a Algorithms, limits: Limits) -> Self {
        Self {
            algorithms,
            limits,
            files: BTreeMap::new(),
            links: BTreeSet::new(),
            unnamed: 0,
            entries: 0,
            unpacked_len: 0,
            buffer: vec![0; CHUNK_LEN],
        }
    }

    /// Takes in a regular file. Returns its path, unless that cannot be written down.
    pub(crate) fn file(
        &mut self,
        raw: &[u8],
        mode: u32,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<Option<String>, ContentsRejected> {
        self.count()?;
        self.unpacked_len = self.unpacked_len.saturating_add(size);
        if self.unpacked_len > self.limits.unpacked_len {
            return Err(ContentsRejected::TooLong(self.limits.unpacked_len));
        }
        let Some(path) = self.path(raw)? else { return Ok(None) };
        let (start, digests) = self.hash(&path, size, content)?;
        let kind = FileKind::of(&path, mode, &start);
        self.insert(path.clone(), Body { size, kind, digests })?;
        Ok(Some(path))
    }

    /// Takes in another name of a file that came before.
    pub(crate) fn hard_link(&mut self, raw: &[u8], target: &[u8]) -> Result<(), ContentsRejected> {
        self.count()?;
        let (Some(path), Some(target)) = (self.path(raw)?, self.path(target)?) else { return Ok(()) };
        let Some(Body { size, kind, digests }) = self.files.get(&target) else {
            return Err(ContentsRejected::DanglingLink { path, target });
        };
        let body = Body { size: *size, kind: *kind, digests: digests.clone() };
        self.insert(path, body)
    }

    /// Takes note of a symbolic link, device or pipe. A kernel measures where a link leads to, which is another entry.
    pub(crate) fn other(&mut self, raw: &[u8]) -> Result<(), ContentsRejected> {
        self.count()?;
        let Some(path) = self.path(raw)? else { return Ok(()) };
        if self.files.contains_key(&path) || !self.links.insert(path.clone()) {
            return Err(ContentsRejected::Duplicate(path));
        }
        Ok(())
    }

    /// Takes note of a folder.
    pub(crate) fn folder(&mut self, raw: &[u8]) -> Result<(), ContentsRejected> {
        self.count()?;
        match self.path(raw)? {
            Some(path) if self.files.contains_key(&path) || self.links.contains(&path) => {
                Err(ContentsRejected::Duplicate(path))
            }
            _ => Ok(()),
        }
    }

    /// What was taken in.
    pub(crate) fn finish(self) -> Result<Contents, ContentsRejected> {
        for path in self.files.keys() {
            let no_folder = |parent: &&str| self.links.contains(*parent) || self.files.contains_key(*parent);
            if let Some(parent) = ancestors(path).find(no_folder) {
                return Err(ContentsRejected::NotInFolder { path: path.clone(), parent: parent.to_owned() });
            }
        }
        let shipped = |(path, Body { size, kind, digests })| ShippedFile { path, size, kind, digests };
        Ok(Contents { files: self.files.into_iter().map(shipped).collect(), unnamed: self.unnamed })
    }

    fn count(&mut self) -> Result<(), ContentsRejected> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > self.limits.files { Err(ContentsRejected::TooManyFiles(self.limits.files)) } else { Ok(()) }
    }

    fn path(&mut self, raw: &[u8]) -> Result<Option<String>, ContentsRejected> {
        match normalise(raw) {
            Ok(path) => Ok(Some(path)),
            Err(PathRefused::NotUtf8) => {
                self.unnamed = self.unnamed.saturating_add(1);
                Ok(None)
            }
            Err(reason) => Err(ContentsRejected::Path { path: raw.to_vec(), reason }),
        }
    }

    fn insert(&mut self, path: String, body: Body) -> Result<(), ContentsRejected> {
        if self.links.contains(&path) || self.files.contains_key(&path) {
            return Err(ContentsRejected::Duplicate(path));
        }
        self.files.insert(path, body);
        Ok(())
    }

    /// Reads the whole content, and keeps its first bytes.
    fn hash(
        &mut self,
        path: &str,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(Vec<u8>, Vec<FileDigest>), ContentsRejected> {
        let mut hashers = Hashers::new(self.algorithms);
        let mut start = Vec::new();
        let mut left = size;
        let mut content = content.take(size);
        while left > 0 {
            let len = match content.read(&mut self.buffer) {
                Ok(0) => {
                    let read = size.saturating_sub(left);
                    return Err(ContentsRejected::Short { path: path.to_owned(), size, read });
                }
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(ContentsRejected::Read { path: path.to_owned(), source }),
            };
            let bytes = self.buffer.get(..len).unwrap_or_default();
            start.extend(bytes.iter().take(4usize.saturating_sub(start.len())));
            hashers.update(bytes);
            left = left.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
        }
        Ok((start, hashers.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(algorithms: &Algorithms) -> Collector<'_> {
        Collector::new(algorithms, Limits { package_len: 100, unpacked_len: 10, files: 3 })
    }

    fn add(collector: &mut Collector<'_>, path: &str, content: &[u8]) -> Result<Option<String>, ContentsRejected> {
        collector.file(path.as_bytes(), 0o644, content.len() as u64, &mut &*content)
    }

    #[test]
    fn files_and_bytes_are_counted_to_the_bound_and_no_further() {
        let algorithms = Algorithms::default();
        let mut at_bound = collector(&algorithms);
        for (path, content) in [("a", b"12345".as_slice()), ("b", b"67890"), ("c", b"")] {
            add(&mut at_bound, path, content).unwrap();
        }
        let error = add(&mut at_bound, "d", b"").unwrap_err();
        assert!(matches!(error, ContentsRejected::TooManyFiles(3)), "{error}");
        let error = add(&mut collector(&algorithms), "a", &[0; 11]).unwrap_err();
        assert!(matches!(error, ContentsRejected::TooLong(10)), "{error}");
    }

    #[test]
    fn a_file_behind_a_link_of_the_same_package_is_refused_in_either_order() {
        let algorithms = Algorithms::default();
        for link_first in [true, false] {
            let mut collector = collector(&algorithms);
            if link_first {
                collector.other(b"./opt/x").unwrap();
            }
            add(&mut collector, "./opt/x/passwd", b"root").unwrap();
            if !link_first {
                collector.other(b"./opt/x").unwrap();
            }
            let error = collector.finish().unwrap_err();
            assert_eq!(error.to_string(), "/opt/x/passwd lies in /opt/x, which is no folder in this package");
        }
    }

    #[test]
    fn one_path_has_one_entry() {
        let algorithms = Algorithms::default();
        let mut twice = collector(&algorithms);
        add(&mut twice, "./a", b"1").unwrap();
        assert!(matches!(add(&mut twice, "//a", b"2"), Err(ContentsRejected::Duplicate(path)) if path == "/a"));
        let mut link = collector(&algorithms);
        add(&mut link, "./a", b"1").unwrap();
        assert!(matches!(link.other(b"a"), Err(ContentsRejected::Duplicate(_))));
        let mut folder = collector(&algorithms);
        add(&mut folder, "./a", b"1").unwrap();
        assert!(matches!(folder.folder(b"a/"), Err(ContentsRejected::Duplicate(_))));
    }

    #[test]
    fn a_hard_link_has_the_digests_of_its_target_and_none_is_made_up() {
        let algorithms = Algorithms::default();
        let mut collector = collector(&algorithms);
        add(&mut collector, "./a", b"1").unwrap();
        collector.hard_link(b"./b", b"./a").unwrap();
        let error = collector.hard_link(b"./c", b"./etc/shadow").unwrap_err();
        assert!(matches!(error, ContentsRejected::DanglingLink { .. }), "{error}");
        let files = collector.finish().unwrap().files;
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(|file| file.digests == files.first().unwrap().digests));
    }

    #[test]
    fn code_is_told_from_data() {
        for (path, mode, start, kind) in [
            ("/usr/bin/ls", 0o755, b"\x7FELF".as_slice(), FileKind::Program),
            ("/usr/lib/libc.so.6", 0o644, b"\x7FELF", FileKind::Binary),
            ("/boot/vmlinuz", 0o644, b"MZ\0\0", FileKind::Binary),
            ("/usr/lib/modules/1/x.ko.xz", 0o644, b"\xFD7zX", FileKind::Module),
            ("/usr/lib/firmware/x.bin", 0o644, b"", FileKind::Firmware),
            ("/usr/share/x.py", 0o644, b"#!/u", FileKind::Script),
            ("/usr/share/doc/x", 0o644, b"text", FileKind::Data),
        ] {
            assert_eq!(FileKind::of(path, mode, start), kind, "{path}");
        }
    }

    #[test]
    fn a_name_that_is_no_utf_8_is_counted_and_left_out() {
        let algorithms = Algorithms::default();
        let mut collector = collector(&algorithms);
        assert!(collector.file(b"./\xE9", 0o644, 1, &mut b"1".as_slice()).unwrap().is_none());
        assert_eq!(collector.finish().unwrap(), Contents { files: vec![], unnamed: 1 });
    }
}
