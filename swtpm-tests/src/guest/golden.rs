//! Golden images as operators keep them: files with a document in them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use vouchsafe_attest::image::GoldenImage;

/// The document of a golden image, in a file.
#[derive(Clone, Debug)]
pub struct ImageFile {
    path: PathBuf,
    document: GoldenImage,
}

impl ImageFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or holds no image.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let document = GoldenImage::parse(&text).with_context(|| format!("{} is no image", path.display()))?;
        Ok(Self { path: path.to_owned(), document })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub fn document(&self) -> &GoldenImage {
        &self.document
    }

    /// Its name and version, as `NAME@VERSION`.
    pub fn id(&self) -> String {
        self.document.id.to_string()
    }

    /// Another version of the image, written beside this one: what an operator makes of it in an editor.
    ///
    /// # Errors
    /// The version is none, the edit fails, or the file cannot be written.
    pub fn edited(&self, version: &str, edit: impl FnOnce(&mut GoldenImage) -> Result<()>) -> Result<Self> {
        let mut document = self.document.clone();
        document.id = format!("{}@{version}", document.id.name()).parse()?;
        edit(&mut document)?;
        let path = self.path.with_file_name(format!("{}-edited.toml", document.id));
        std::fs::write(&path, document.to_text()).with_context(|| format!("writing {}", path.display()))?;
        Self::read(&path)
    }
}

/// Lets an image take the place of others, which stay valid for a week: hosts move in their own time.
///
/// # Errors
/// One of them has no name that an image could have.
pub fn supersede(document: &mut GoldenImage, images: &[&str]) -> Result<()> {
    for image in images {
        document.supersedes.insert(image.parse().with_context(|| format!("{image} names no image"))?);
    }
    document.overlap = Some("7d".parse()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_image_is_another_file_that_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.toml");
        let text = "format = \"vouchsafe-image/1\"\nimage = \"guest@1\"\ncreated_at = \"2026-01-31T12:00:00.000Z\"\n";
        std::fs::write(&path, text).unwrap();
        let one = ImageFile::read(&path).unwrap();
        let two = one.edited("2", |document| supersede(document, &["guest@1"])).unwrap();
        assert_eq!((one.id(), two.id()), ("guest@1".to_owned(), "guest@2".to_owned()));
        let told = std::fs::read_to_string(two.path()).unwrap();
        assert!(told.contains("supersedes = [\"guest@1\"]\noverlap = \"7d\"\n"), "{told}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the old one is as it was");
        assert!(one.edited("2", |document| supersede(document, &["no image"])).is_err());
    }
}
