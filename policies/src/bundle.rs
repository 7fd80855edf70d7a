//! A bundle: policies, their tests and their data, in memory.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value};
use vouchsafe_model::Sha256Digest;

use crate::data::{self, DataError};
use crate::limits;

/// One Rego file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    /// Where it lies in its bundle, with `/` between folders.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Policies, their tests and their data.
///
/// Laid out as OPA's bundles are: `*.rego` anywhere, `*_test.rego` beside what they test, and `data.json` files whose
/// folder says where their content lies below `data`. Other files are no part of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    policies: Vec<SourceFile>,
    tests: Vec<SourceFile>,
    data: Value,
    hash: Sha256Digest,
}

/// Why files are no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is nothing to decide by.
    #[error("there is no policy: no file ends in .rego, tests not counted")]
    NoPolicy,
    /// There are more than [`limits::FILES`] files.
    #[error("there are more than {} files", limits::FILES)]
    TooManyFiles,
    /// The files together are larger than [`limits::BUNDLE_BYTES`].
    #[error("the files together are larger than {} bytes", limits::BUNDLE_BYTES)]
    TooLarge,
    /// A file is larger than [`limits::FILE_BYTES`].
    #[error("{path}: larger than {} bytes", limits::FILE_BYTES)]
    FileTooLarge {
        /// The file.
        path: String,
    },
    /// A path leads out of the bundle, is too long, or is written in more than one way.
    #[error("'{}' is no path inside a bundle", path.escape_debug())]
    Path {
        /// The path.
        path: String,
    },
    /// Two files have one path.
    #[error("{path}: there twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// A policy is not text.
    #[error("{path}: not UTF-8 text (byte {position})")]
    NotText {
        /// The file.
        path: String,
        /// The first byte that is not.
        position: usize,
    },
    /// Data in YAML, which this does not read.
    #[error("{path}: data is read from JSON alone; name it data.json and write it as JSON")]
    Yaml {
        /// The file.
        path: String,
    },
    /// Data that cannot be used.
    #[error("{path} is no data document")]
    Data {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: DataError,
    },
}

/// What a file is to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Policy,
    Test,
    Data,
    Yaml,
    /// No part of a bundle.
    Other,
}

impl FileKind {
    /// By its name alone.
    pub(crate) fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            "data.json" => Self::Data,
            "data.yaml" | "data.yml" => Self::Yaml,
            _ if name.ends_with("_test.rego") => Self::Test,
            _ if name.strip_suffix(".rego").is_some_and(|stem| !stem.is_empty()) => Self::Policy,
            _ => Self::Other,
        }
    }
}

impl Bundle {
    /// The bundle of these files: each a path with `/` between folders, and its content.
    ///
    /// # Errors
    /// A file that cannot be part of a bundle, or more of them than [`limits`] allow.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, BundleError> {
        let mut sorted = BTreeMap::new();
        let mut total = 0;
        for (path, content) in files {
            check_path(&path)?;
            total += content.len();
            if content.len() > limits::FILE_BYTES {
                return Err(BundleError::FileTooLarge { path });
            }
            if total > limits::BUNDLE_BYTES {
                return Err(BundleError::TooLarge);
            }
            if let Some((path, _)) = sorted.remove_entry(&path) {
                return Err(BundleError::Duplicate { path });
            }
            sorted.insert(path, content);
            if sorted.len() > limits::FILES {
                return Err(BundleError::TooManyFiles);
            }
        }
        Self::from_sorted(sorted)
    }

    fn from_sorted(files: BTreeMap<String, Vec<u8>>) -> Result<Self, BundleError> {
        let hash = hash(&files);
        let (mut policies, mut tests, mut data) = (Vec::new(), Vec::new(), Map::new());
        for (path, content) in files {
            match FileKind::of(&path) {
                FileKind::Policy => policies.push(source_file(path, content)?),
                FileKind::Test => tests.push(source_file(path, content)?),
                FileKind::Data => {
                    data::merge_file(&mut data, &path, &content)
                        .map_err(|source| BundleError::Data { path, source })?;
                }
                FileKind::Yaml => return Err(BundleError::Yaml { path }),
                FileKind::Other => {}
            }
        }
        if policies.is_empty() {
            return Err(BundleError::NoPolicy);
        }
        Ok(Self { policies, tests, data: Value::Object(data), hash })
    }

    /// The same policies over other data, under another name.
    #[must_use]
    pub fn with_data(&self, data: Map<String, Value>) -> Self {
        let data = Value::Object(data);
        let mut context = Context::new(&SHA256);
        context.update(b"vouchsafe policy data v1\0");
        context.update(self.hash.as_bytes());
        context.update(data.to_string().as_bytes());
        Self { policies: self.policies.clone(), tests: self.tests.clone(), data, hash: finish(context) }
    }

    /// The same without its tests, under the same name.
    #[must_use]
    pub fn without_tests(&self) -> Self {
        Self { tests: Vec::new(), ..self.clone() }
    }

    /// The policies, in the order of their paths.
    pub fn policies(&self) -> &[SourceFile] {
        &self.policies
    }

    /// Their tests, in the order of their paths. They take no part in decisions.
    pub fn tests(&self) -> &[SourceFile] {
        &self.tests
    }

    /// What lies below `data`: always an object.
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// The name under which decisions are logged: SHA-256 over policies and data, each with its path, by the order of the
    /// paths. Tests do not change it.
    pub fn hash(&self) -> Sha256Digest {
        self.hash
    }
}

pub(crate) fn check_path(path: &str) -> Result<(), BundleError> {
    let is_step = |step: &str| !step.is_empty() && step != "." && step != "..";
    let valid = path.len() <= limits::PATH_BYTES
        && path.split('/').all(is_step)
        && path.split('/').count() <= limits::DEPTH + 1
        && !path.chars().any(|character| character.is_control() || character == '\\');
    if valid { Ok(()) } else { Err(BundleError::Path { path: path.chars().take(limits::PATH_BYTES).collect() }) }
}

fn source_file(path: String, content: Vec<u8>) -> Result<SourceFile, BundleError> {
    match String::from_utf8(content) {
        Ok(text) => Ok(SourceFile { path, text }),
        Err(error) => Err(BundleError::NotText { path, position: error.utf8_error().valid_up_to() }),
    }
}

/// Every length is hashed before what it is the length of, so that no two bundles hash the same bytes.
fn hash(files: &BTreeMap<String, Vec<u8>>) -> Sha256Digest {
    let mut context = Context::new(&SHA256);
    context.update(b"vouchsafe policy bundle v1\0");
    let deciding = |path: &str| matches!(FileKind::of(path), FileKind::Policy | FileKind::Data);
    for (path, content) in files.iter().filter(|(path, _)| deciding(path)) {
        for part in [path.as_bytes(), content] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    finish(context)
}

fn finish(context: Context) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(files: &[(&str, &str)]) -> Result<Bundle, BundleError> {
        Bundle::from_files(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())))
    }

    #[test]
    fn tests_and_other_files_are_told_from_policies() {
        let bundle = bundle(&[
            ("a.rego", "package a"),
            ("b/a_test.rego", "package a_test"),
            ("b/data.json", r#"{"x": 1}"#),
            ("input.schema.json", "no JSON at all"),
            (".rego", "not a policy"),
            ("README.md", "hello"),
        ])
        .unwrap();
        assert_eq!(bundle.policies().len(), 1);
        assert_eq!(bundle.tests().len(), 1);
        assert_eq!(bundle.data(), &serde_json::json!({"b": {"x": 1}}));
    }

    #[test]
    fn tests_alone_are_no_policy() {
        assert!(matches!(bundle(&[("a_test.rego", "package a_test")]), Err(BundleError::NoPolicy)));
    }

    #[test]
    fn the_hash_covers_paths_policies_and_data_and_not_tests() {
        let base = [("a.rego", "package a"), ("data.json", "{}"), ("a_test.rego", "package t")];
        let hash = |files: &[(&str, &str)]| bundle(files).unwrap().hash();
        let original = hash(&base);
        assert_eq!(original, hash(&[base[2], base[1], base[0]]), "the order of arrival does not matter");
        assert_eq!(original, hash(&base[..2]), "tests do not matter");
        assert_ne!(original, hash(&[("a.rego", "package  a"), base[1]]));
        assert_ne!(original, hash(&[("b.rego", "package a"), base[1]]));
        assert_ne!(original, hash(&[base[0], ("data.json", "{ }")]));
        assert_ne!(original, hash(&base[..1]));
    }

    #[test]
    fn other_data_is_another_bundle() {
        let bundle = bundle(&[("a.rego", "package a"), ("data.json", r#"{"x": 1}"#)]).unwrap();
        let with = |value: i32| bundle.with_data(Map::from_iter([("x".to_owned(), value.into())]));
        assert_eq!(with(2).data(), &serde_json::json!({"x": 2}));
        assert_eq!(with(2), with(2));
        assert_ne!(with(2).hash(), with(3).hash());
        assert_ne!(with(1).hash(), bundle.hash());
    }

    #[test]
    fn a_path_is_inside_and_written_in_one_way() {
        let long = format!("{}.rego", "a".repeat(limits::PATH_BYTES));
        let deep = format!("{}a.rego", "d/".repeat(limits::DEPTH + 1));
        for path in
            ["", "/a.rego", "../a.rego", "a/../b.rego", "./a.rego", "a//b.rego", "a\\b.rego", "a\0.rego", &long, &deep]
        {
            assert!(matches!(bundle(&[(path, "package a")]), Err(BundleError::Path { .. })), "{path:?}");
        }
        let at_most = format!("{}a.rego", "d/".repeat(limits::DEPTH));
        assert!(bundle(&[(&at_most, "package a")]).is_ok());
    }

    #[test]
    fn one_file_more_than_the_most_is_refused() {
        let files = |count: usize| (0..count).map(|number| (format!("{number}.rego"), b"package a".to_vec()));
        assert!(Bundle::from_files(files(limits::FILES)).is_ok());
        assert!(matches!(Bundle::from_files(files(limits::FILES + 1)), Err(BundleError::TooManyFiles)));
    }

    #[test]
    fn one_byte_more_than_the_most_is_refused() {
        let blank = |length: usize| vec![b' '; length];
        let full = ("a.rego".to_owned(), blank(limits::FILE_BYTES));
        assert!(Bundle::from_files([full]).is_ok());
        let over = ("a.rego".to_owned(), blank(limits::FILE_BYTES + 1));
        assert!(matches!(Bundle::from_files([over]), Err(BundleError::FileTooLarge { .. })));
        let count = limits::BUNDLE_BYTES / limits::FILE_BYTES;
        let many = |count: usize| (0..count).map(|n| (format!("{n}.rego"), blank(limits::FILE_BYTES)));
        assert!(Bundle::from_files(many(count)).is_ok());
        let and_one = many(count).chain([("z.rego".to_owned(), blank(1))]);
        assert!(matches!(Bundle::from_files(and_one), Err(BundleError::TooLarge)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let twice = Bundle::from_files([("a.rego".to_owned(), vec![]), ("a.rego".to_owned(), vec![])]).unwrap_err();
        assert_eq!(twice.to_string(), "a.rego: there twice");
        let binary = Bundle::from_files([("a.rego".to_owned(), vec![b'p', 0xFF])]).unwrap_err();
        assert_eq!(binary.to_string(), "a.rego: not UTF-8 text (byte 1)");
        let yaml = bundle(&[("a.rego", ""), ("x/data.yaml", "a: 1")]).unwrap_err();
        assert!(yaml.to_string().starts_with("x/data.yaml: data is read from JSON alone"), "{yaml}");
    }
}
