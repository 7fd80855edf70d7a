//! A policy that may come into charge: a folder, or a bundle in a file.

use std::path::Path;

use anyhow::Context as _;
use vouchsafe_pki::files;
use vouchsafe_policies::{Bundle, Manifest, PackedBundle, Trust, limits, read_folder};

use crate::failure::Hint as _;

/// A candidate, read once: what is compared is what is sent.
#[derive(Debug)]
pub(crate) struct CandidateFiles {
    packed: Vec<u8>,
    read: PackedBundle,
}

impl CandidateFiles {
    /// Reads what lies there. Who signed a bundle is not asked.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        let packed = if path.is_dir() {
            let folder = read_folder(path).with_context(|| format!("cannot read the policy in {place}"))?;
            let manifest = Manifest { rego_version: Some(1), ..Manifest::default() };
            PackedBundle::pack(folder, &manifest, None)
                .with_context(|| format!("the policy in {place} cannot be packed"))
                .hint("a policy is a folder of *.rego, *_test.rego and data.json")?
        } else {
            files::read_file(path, limits::ARCHIVE_BYTES).context("cannot read the candidate")?
        };
        let read = PackedBundle::read(&packed, Trust::DangerUnsigned)
            .with_context(|| format!("{place} is no policy"))
            .hint("name a folder, or a bundle as `vouchsafe policy bundle` makes it")?;
        Ok(Self { packed, read })
    }

    /// The policy.
    pub(crate) fn bundle(&self) -> &Bundle {
        self.read.bundle()
    }

    /// The policy as it is sent.
    pub(crate) fn into_packed(self) -> Vec<u8> {
        self.packed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_its_bundle_are_one_policy() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies");
        std::fs::create_dir(&folder).unwrap();
        for (name, text) in
            [("policy.rego", "package a"), ("policy_test.rego", "package a_test"), ("data.json", "{\"x\": 1}")]
        {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let from_folder = CandidateFiles::read(&folder).unwrap();
        assert_eq!(*from_folder.bundle(), Bundle::from_dir(&folder).unwrap());
        let file = dir.path().join("policy.tar.gz");
        std::fs::write(&file, &from_folder.packed).unwrap();
        assert_eq!(CandidateFiles::read(&file).unwrap().bundle(), from_folder.bundle());

        std::fs::write(&file, vec![0; limits::ARCHIVE_BYTES + 1]).unwrap();
        assert!(format!("{:#}", CandidateFiles::read(&file).unwrap_err()).contains("longer than the maximum"));
        assert!(CandidateFiles::read(&dir.path().join("nowhere")).is_err());
        std::fs::remove_file(folder.join("policy.rego")).unwrap();
        assert!(CandidateFiles::read(&folder).is_err(), "tests alone are no policy");
    }
}
