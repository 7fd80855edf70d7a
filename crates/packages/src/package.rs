//! What a package is called.

use std::fmt;

/// How a package is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Debian's: deb(5).
    Deb,
    /// RPM's.
    Rpm,
}

/// A package: name, version and architecture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct PackageId {
    /// Its name.
    pub name: String,
    /// Its version; for an RPM with epoch (unless that is 0) and release.
    pub version: String,
    /// What it is built for: `amd64`, `all`, `x86_64`, `noarch`.
    pub arch: String,
}

/// A package whose name, version or architecture cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no {field} of a package")]
pub struct InvalidPackageId {
    field: &'static str,
    text: String,
}

impl PackageId {
    /// The longest of each of its parts, in bytes.
    pub const MAX_PART_LEN: usize = 256;

    /// Names a package.
    ///
    /// # Errors
    /// When a part is empty, too long, or has letters that no package has (deb-version(7), RPM's file format): these
    /// texts are shown to people and written to files.
    pub fn new(name: &str, version: &str, arch: &str) -> Result<Self, InvalidPackageId> {
        for (field, text) in [("name", name), ("version", version), ("architecture", arch)] {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~^:_%".contains(&byte);
            if text.is_empty() || text.len() > Self::MAX_PART_LEN || !text.bytes().all(fits) {
                return Err(InvalidPackageId { field, text: text.chars().take(80).collect() });
            }
        }
        Ok(Self { name: name.to_owned(), version: version.to_owned(), arch: arch.to_owned() })
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_line_or_a_path_are_refused() {
        assert!(PackageId::new("libstdc++6", "1:2.3~rc1-4+deb12u1", "amd64").is_ok());
        for (name, version, arch) in
            [("", "1", "all"), ("a", "", "all"), ("a", "1", ""), ("a/b", "1", "all"), ("a", "1\n2", "all")]
        {
            assert!(PackageId::new(name, version, arch).is_err(), "{name} {version} {arch}");
        }
        assert!(PackageId::new(&"n".repeat(256), "1", "all").is_ok());
        assert!(PackageId::new(&"n".repeat(257), "1", "all").is_err());
    }
}
