//! `Packages`: the packages of one component for one architecture.

use vouchsafe_model::Sha256Digest;

use crate::control::{ControlError, Stanza, stanzas};
use crate::fetch::check_path;
use crate::limits::MAX_PACKAGES;
use crate::package::{InvalidPackageId, PackageId};

/// Why a `Packages` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexRejected {
    /// It is no paragraphs of fields.
    #[error("it is malformed: {0}")]
    Fields(#[from] ControlError),
    /// A paragraph lacks a field.
    #[error("paragraph {number} has no field {field}")]
    NoField {
        /// Which paragraph, counted from 1.
        number: usize,
        /// The field.
        field: &'static str,
    },
    /// A paragraph has a value that it cannot have.
    #[error("paragraph {number} has a malformed {field}")]
    Value {
        /// Which paragraph, counted from 1.
        number: usize,
        /// The field.
        field: &'static str,
    },
    /// A paragraph names no package.
    #[error("paragraph {number} names no package: {source}")]
    Id {
        /// Which paragraph, counted from 1.
        number: usize,
        /// Why.
        source: InvalidPackageId,
    },
    /// It has more packages than any.
    #[error("it has more than {MAX_PACKAGES} packages")]
    TooMany,
}

/// A package as an index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// What it is called.
    pub id: PackageId,
    /// Where it is, below the repository.
    pub path: String,
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// A `Packages` that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Its packages, in its order.
    pub entries: Vec<IndexEntry>,
}

impl Index {
    /// Reads a `Packages`.
    ///
    /// # Errors
    /// When it is malformed, names a path outside the repository, or a package without a SHA-256.
    pub fn parse(text: &str) -> Result<Self, IndexRejected> {
        let mut entries = Vec::new();
        for (at, stanza) in stanzas(text).enumerate() {
            if entries.len() >= MAX_PACKAGES {
                return Err(IndexRejected::TooMany);
            }
            entries.push(entry(at.saturating_add(1), &stanza?)?);
        }
        Ok(Self { entries })
    }
}

fn entry(number: usize, stanza: &Stanza<'_>) -> Result<IndexEntry, IndexRejected> {
    let field = |field| stanza.get(field).ok_or(IndexRejected::NoField { number, field });
    let malformed = |field| IndexRejected::Value { number, field };
    let id = PackageId::new(field("Package")?, field("Version")?, field("Architecture")?)
        .map_err(|source| IndexRejected::Id { number, source })?;
    let path = field("Filename")?;
    let path = path.strip_prefix("./").unwrap_or(path);
    check_path(path).map_err(|_| malformed("Filename"))?;
    Ok(IndexEntry {
        id,
        path: path.to_owned(),
        len: field("Size")?.parse().map_err(|_| malformed("Size"))?,
        sha256: field("SHA256")?.parse().map_err(|_| malformed("SHA256"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAGRAPH: &str = "Package: hello\nVersion: 2.10-3\nArchitecture: amd64\nFilename: pool/hello.deb\nSize: 5\n\
                             MD5sum: 00\nSHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

    #[test]
    fn packages_are_read_with_their_digests() {
        let index = Index::parse(&format!("{PARAGRAPH}\n{PARAGRAPH}")).unwrap();
        assert_eq!(index.entries.len(), 2);
        assert_eq!(index.entries[0].id.to_string(), "hello 2.10-3 (amd64)");
        assert_eq!((index.entries[0].path.as_str(), index.entries[0].len), ("pool/hello.deb", 5));
        assert_eq!(Index::parse("").unwrap(), Index::default());
    }

    #[test]
    fn a_package_without_sha_256_or_with_a_path_that_leads_out_is_refused() {
        for (from, to, field) in [
            ("SHA256:", "SHA1:", None),
            ("SHA256: ba", "SHA256: b", Some("SHA256")),
            ("Size: 5", "Size: -5", Some("Size")),
            ("Filename: pool", "Filename: ..", Some("Filename")),
            ("Filename: pool", "Filename: /etc", Some("Filename")),
        ] {
            let error = Index::parse(&PARAGRAPH.replace(from, to)).unwrap_err();
            let expected = field.map_or(IndexRejected::NoField { number: 1, field: "SHA256" }, |field| {
                IndexRejected::Value { number: 1, field }
            });
            assert_eq!(error, expected, "{to}");
        }
        let error = Index::parse(&PARAGRAPH.replace("hello\n", "a/b\n")).unwrap_err();
        assert!(matches!(error, IndexRejected::Id { number: 1, .. }), "{error}");
    }
}
