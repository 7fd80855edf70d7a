//! A bundle that was packed, and whether it may be believed.

use vouchsafe_model::Timestamp;

use crate::archive::{self, ArchiveError, Files};
use crate::bundle::{Bundle, BundleError};
use crate::manifest::{MANIFEST_PATH, Manifest, ManifestError};
use crate::signature::{self, SIGNATURES_PATH, SignatureError, SigningFailed, SigningKey, VerifyingKeys};

/// Who has to have signed a bundle.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// One of these keys.
    SignedBy(&'a VerifyingKeys),
    /// Nobody: whoever can put it where it is read from decides what is allowed.
    DangerUnsigned,
}

/// A bundle as it came in one file.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedBundle {
    bundle: Bundle,
    manifest: Manifest,
    signed_by: Option<String>,
    expires_at: Option<Timestamp>,
}

/// Why a file is no bundle that may be used.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    /// It is no archive, or larger than it may be.
    #[error("the bundle cannot be unpacked")]
    Archive(#[from] ArchiveError),
    /// It is not signed by anybody who may.
    #[error("the bundle's signature does not count")]
    Signature(#[from] SignatureError),
    /// Its manifest cannot be followed.
    #[error("the bundle's manifest cannot be followed")]
    Manifest(#[from] ManifestError),
    /// Its files are no bundle.
    #[error("the bundle's files cannot be used")]
    Bundle(#[from] BundleError),
    /// It changes another bundle, of which nothing is known here.
    #[error("the bundle is a delta; only snapshots are read")]
    Delta,
}

/// Why files cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// They would be no bundle.
    #[error("the files are no bundle")]
    Bundle(#[from] BundleError),
    /// The manifest cannot be followed.
    #[error("the manifest cannot be followed")]
    Manifest(#[from] ManifestError),
    /// The manifest has no JSON form.
    #[error("the manifest cannot be written")]
    Write(#[from] serde_json::Error),
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Archive(#[from] std::io::Error),
}

/// Who signs.
#[derive(Debug)]
pub struct Signer<'a> {
    /// With what.
    pub key: &'a SigningKey,
    /// Under which id the key is known.
    pub id: &'a str,
    /// What for.
    pub scope: &'a str,
}

impl PackedBundle {
    /// Reads a bundle, and believes it only as far as it may be.
    ///
    /// # Errors
    /// When it is no bundle, or not signed by anybody who may.
    pub fn read(bytes: &[u8], trust: Trust<'_>) -> Result<Self, PackedError> {
        let files = archive::unpack(bytes)?;
        let signed_by = match trust {
            Trust::SignedBy(keys) => Some(signature::verify(&files, keys)?),
            Trust::DangerUnsigned => None,
        };
        if files.contains_key("patch.json") {
            return Err(PackedError::Delta);
        }
        Self::of_files(files, signed_by)
    }

    fn of_files(mut files: Files, signed_by: Option<String>) -> Result<Self, PackedError> {
        files.remove(SIGNATURES_PATH);
        let manifest = match files.remove(MANIFEST_PATH) {
            Some(content) => Manifest::read(&content)?,
            None => Manifest::default(),
        };
        let bundle = Bundle::from_files(files)?;
        check_roots(&bundle, &manifest)?;
        let expires_at = manifest.expires_at()?;
        Ok(Self { bundle, manifest, signed_by, expires_at })
    }

    /// Packs files of a bundle, with what it says of itself and, if somebody signs, a signature.
    ///
    /// # Errors
    /// When they would be no bundle, or nobody can sign.
    pub fn pack(
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
        manifest: &Manifest,
        signer: Option<&Signer<'_>>,
    ) -> Result<Vec<u8>, PackError> {
        let mut files: Files = files.into_iter().collect();
        files.retain(|path, _| !matches!(path.as_str(), MANIFEST_PATH | SIGNATURES_PATH));
        let bundle = Bundle::from_files(files.clone())?;
        let written = serde_json::to_vec(manifest)?;
        check_roots(&bundle, &Manifest::read(&written)?)?;
        files.insert(MANIFEST_PATH.to_owned(), written);
        if let Some(Signer { key, id, scope }) = signer {
            files.insert(SIGNATURES_PATH.to_owned(), signature::sign(&files, key, id, scope)?);
        }
        Ok(archive::pack(&files)?)
    }

    /// The policies, their tests and their data.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The id of the key that signed it, if that was asked.
    pub fn signed_by(&self) -> Option<&str> {
        self.signed_by.as_deref()
    }

    /// From when on it counts no more.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }
}

/// Data and packages lie where the manifest says. Tests, which decide nothing, may lie elsewhere.
fn check_roots(bundle: &Bundle, manifest: &Manifest) -> Result<(), ManifestError> {
    let outside =
        |place: &str| (!manifest.gives(place)).then(|| ManifestError::OutsideRoots { place: place.to_owned() });
    for file in bundle.policies() {
        if let Some(error) = package(file.text()).and_then(|package| outside(&package)) {
            return Err(error);
        }
    }
    let mut places = vec![(String::new(), bundle.data())];
    while let Some((place, value)) = places.pop() {
        match value.as_object() {
            // Above the roots lie the objects that lead to them.
            Some(fields) if !fields.is_empty() && !manifest.gives(&place) => {
                places.extend(fields.iter().map(|(name, value)| {
                    (if place.is_empty() { name.clone() } else { format!("{place}/{name}") }, value)
                }));
            }
            Some(fields) if fields.is_empty() && place.is_empty() => {}
            _ => {
                if let Some(error) = outside(&place) {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// The package of a policy, as a path. What is written otherwise than by names and points is not looked at: it is refused by
/// nobody and found by its name alone.
fn package(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let name = line.strip_prefix("package ")?.split(['#', ';']).next()?.trim();
    Some(name.replace("[\"", ".").replace("\"]", "").replace('.', "/"))
}

#[cfg(test)]
mod tests;
