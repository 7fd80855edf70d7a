//! Reads a bundle from a folder.
//!
//! Links are followed only inside the folder, so that a bundle is what lies in it and nothing else; names that begin with
//! a dot are passed over, as editors, version control and Kubernetes' mounted volumes make them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, BundleError, FileKind};
use crate::limits;

/// Why a folder holds no bundle.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something in it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a folder.
    #[error("{} is no folder", path.display())]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// A link leads out of it.
    #[error("{} is a link that leads out of the folder", path.display())]
    LeadsOut {
        /// The link.
        path: PathBuf,
    },
    /// A policy or data that is no file: a pipe, a socket, a device.
    #[error("{} is no regular file", path.display())]
    NotAFile {
        /// What.
        path: PathBuf,
    },
    /// A name that is not UTF-8.
    #[error("{} has a name that is not UTF-8", path.display())]
    Name {
        /// What.
        path: PathBuf,
    },
    /// Folders in folders, more than [`limits::DEPTH`].
    #[error("{} lies deeper than {} folders", path.display(), limits::DEPTH)]
    TooDeep {
        /// The folder.
        path: PathBuf,
    },
    /// A folder of more than [`limits::FOLDER_ENTRIES`] entries.
    #[error("{} has more than {} entries", path.display(), limits::FOLDER_ENTRIES)]
    TooManyEntries {
        /// The folder.
        path: PathBuf,
    },
    /// What lies in it is no bundle.
    #[error("{} holds no bundle", path.display())]
    Bundle {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: BundleError,
    },
}

impl Bundle {
    /// The bundle that lies in a folder: its `*.rego` and `data.json` files, at any depth up to [`limits::DEPTH`].
    ///
    /// # Errors
    /// What cannot be read, leads out of the folder, is too much, or is no bundle.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self, FolderError> {
        let folder = folder.as_ref();
        let files = read_folder(folder)?;
        Self::from_files(files).map_err(|source| FolderError::Bundle { path: folder.to_owned(), source })
    }
}

/// The files of the bundle that lies in a folder, each with its path inside.
///
/// # Errors
/// What cannot be read, leads out of the folder, or is too much.
pub fn read_folder(folder: impl AsRef<Path>) -> Result<Vec<(String, Vec<u8>)>, FolderError> {
    let folder = folder.as_ref();
    if !fs::metadata(folder).map_err(|source| read_error(folder, source))?.is_dir() {
        return Err(FolderError::NotAFolder { path: folder.to_owned() });
    }
    let root = folder.canonicalize().map_err(|source| read_error(folder, source))?;
    let mut walk = Walk { root, files: Vec::new(), bytes: 0, entries: 0 };
    walk.folder(folder, "", 0)?;
    Ok(walk.files)
}

struct Walk {
    /// The folder, without links.
    root: PathBuf,
    files: Vec<(String, Vec<u8>)>,
    bytes: usize,
    entries: usize,
}

impl Walk {
    /// Reads a folder that has the path `inside` in the bundle.
    fn folder(&mut self, folder: &Path, inside: &str, depth: usize) -> Result<(), FolderError> {
        if depth > limits::DEPTH {
            return Err(FolderError::TooDeep { path: folder.to_owned() });
        }
        for entry in fs::read_dir(folder).map_err(|source| read_error(folder, source))? {
            self.entries += 1;
            if self.entries > limits::FOLDER_ENTRIES {
                return Err(FolderError::TooManyEntries { path: folder.to_owned() });
            }
            let entry = entry.map_err(|source| read_error(folder, source))?;
            let path = entry.path();
            let name = entry.file_name().into_string().map_err(|_| FolderError::Name { path: path.clone() })?;
            if name.starts_with('.') {
                continue;
            }
            let is_link = entry.file_type().map_err(|source| read_error(&path, source))?.is_symlink();
            if is_link && !self.stays_inside(&path)? {
                return Err(FolderError::LeadsOut { path });
            }
            let metadata = fs::metadata(&path).map_err(|source| read_error(&path, source))?;
            let inside = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            if metadata.is_dir() {
                self.folder(&path, &inside, depth + 1)?;
            } else if FileKind::of(&inside) != FileKind::Other {
                if !metadata.is_file() {
                    return Err(FolderError::NotAFile { path });
                }
                self.file(&path, inside)?;
            }
        }
        Ok(())
    }

    fn stays_inside(&self, link: &Path) -> Result<bool, FolderError> {
        let target = link.canonicalize().map_err(|source| read_error(link, source))?;
        Ok(target.starts_with(&self.root))
    }

    /// Reads a file, and one byte more than may be, by which [`Bundle::from_files`] sees that it is too large.
    fn file(&mut self, path: &Path, inside: String) -> Result<(), FolderError> {
        let room = limits::FILE_BYTES.min(limits::BUNDLE_BYTES.saturating_sub(self.bytes)) as u64 + 1;
        let mut content = Vec::new();
        File::open(path)
            .and_then(|file| file.take(room).read_to_end(&mut content))
            .map_err(|source| read_error(path, source))?;
        self.bytes += content.len();
        self.files.push((inside, content));
        Ok(())
    }
}

fn read_error(path: &Path, source: io::Error) -> FolderError {
    FolderError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let dir = TempDir::new().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn reads_policies_tests_and_data_at_any_depth() {
        let dir = folder(&[
            ("policy.rego", "package a"),
            ("lib/time/time.rego", "package lib.time"),
            ("lib/time/time_test.rego", "package lib.time_test"),
            ("lib/data.json", r#"{"x": 1}"#),
            (".git/hooks/x.rego", "not this"),
            ("notes.txt", "nor this"),
        ]);
        let bundle = Bundle::from_dir(dir.path()).unwrap();
        let paths: Vec<_> = bundle.policies().iter().chain(bundle.tests()).map(crate::SourceFile::path).collect();
        assert_eq!(paths, ["lib/time/time.rego", "policy.rego", "lib/time/time_test.rego"]);
        assert_eq!(bundle.data(), &serde_json::json!({"lib": {"x": 1}}));
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused_and_one_inside_is_followed() {
        let outside = folder(&[("secret.rego", "package secret"), ("more/x.rego", "package x")]);
        for (target, name) in [("secret.rego", "linked.rego"), ("more", "linked")] {
            let dir = folder(&[("policy.rego", "package a")]);
            symlink(outside.path().join(target), dir.path().join(name)).unwrap();
            let error = Bundle::from_dir(dir.path()).unwrap_err();
            assert!(matches!(&error, FolderError::LeadsOut { path } if path.ends_with(name)), "{error}");
        }
        // As Kubernetes mounts a ConfigMap: policy.rego -> ..data/policy.rego, ..data -> ..2026_01_31.
        let dir = folder(&[("..2026_01_31/policy.rego", "package a")]);
        symlink("..2026_01_31", dir.path().join("..data")).unwrap();
        symlink("..data/policy.rego", dir.path().join("policy.rego")).unwrap();
        assert_eq!(Bundle::from_dir(dir.path()).unwrap().policies().len(), 1);
    }

    #[test]
    fn a_folder_that_contains_itself_ends() {
        let dir = folder(&[("policy.rego", "package a")]);
        symlink(dir.path(), dir.path().join("again")).unwrap();
        assert!(matches!(Bundle::from_dir(dir.path()), Err(FolderError::TooDeep { .. } | FolderError::Bundle { .. })));
    }

    #[test]
    fn one_folder_more_than_the_deepest_is_refused() {
        let nested = |depth: usize| format!("{}policy.rego", "d/".repeat(depth));
        let dir = folder(&[(&nested(limits::DEPTH), "package a")]);
        assert!(Bundle::from_dir(dir.path()).is_ok());
        let dir = folder(&[(&nested(limits::DEPTH + 1), "package a")]);
        assert!(matches!(Bundle::from_dir(dir.path()), Err(FolderError::TooDeep { .. })));
    }

    #[test]
    fn what_is_no_file_and_what_is_not_there_is_named() {
        let dir = folder(&[("x", "")]);
        let socket = dir.path().join("policy.rego");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(Bundle::from_dir(dir.path()), Err(FolderError::NotAFile { .. })));
        assert!(matches!(Bundle::from_dir(dir.path().join("x")), Err(FolderError::NotAFolder { .. })));
        let missing = Bundle::from_dir(dir.path().join("nowhere")).unwrap_err();
        assert!(missing.to_string().ends_with("nowhere"), "{missing}");
        let dangling = folder(&[("policy.rego", "package a")]);
        symlink("gone.rego", dangling.path().join("link.rego")).unwrap();
        assert!(matches!(Bundle::from_dir(dangling.path()), Err(FolderError::Read { .. })));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_to_its_end() {
        let dir = folder(&[("policy.rego", &" ".repeat(limits::FILE_BYTES + 2))]);
        let error = Bundle::from_dir(dir.path()).unwrap_err();
        let FolderError::Bundle { source: BundleError::FileTooLarge { path }, .. } = error else { panic!("{error}") };
        assert_eq!(path, "policy.rego");
    }
}
