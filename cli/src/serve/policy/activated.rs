//! The policy that an operator activated, kept for the next start.
//!
//! It is one file, so that a crash at any instant leaves either policy and never a mixture. What cannot be read is no reason to
//! start by another policy than the one that was activated.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vouchsafe_pki::files;
use vouchsafe_policies::{PackedBundle, Trust, limits};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::policy::Activation;

use crate::failure::Hint as _;
use crate::serve::config::Layout;

/// The longest file, in bytes: the bundle in base64, and who activated it.
const MAX_LEN: usize = limits::ARCHIVE_BYTES / 3 * 4 + 64 * 1024;

/// Where it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    activation: Activation,
    /// The packed bundle, as the operator sent it.
    bundle: Bytes<{ limits::ARCHIVE_BYTES }>,
}

impl Kept {
    pub(super) fn of(layout: &Layout) -> Self {
        Self { path: layout.activated_policy() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was activated, if anything was.
    pub(super) fn read(&self) -> anyhow::Result<Option<(Activation, PackedBundle)>> {
        match self.path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let read = || -> anyhow::Result<_> {
            let text = files::read_private_file(&self.path, MAX_LEN)?;
            let Content { activation, bundle } = serde_json::from_slice(&text)?;
            Ok((activation, PackedBundle::read(bundle.as_slice(), Trust::DangerUnsigned)?))
        };
        let read = read().with_context(|| format!("the activated policy in {} cannot be read", self.path.display()));
        read.map(Some).hint("restore the file, or remove it: the server then starts by the policy of its settings")
    }

    /// Keeps a policy in place of one that was kept before.
    pub(super) fn write(&self, activation: &Activation, packed: &[u8]) -> anyhow::Result<()> {
        let content = Content { activation: activation.clone(), bundle: Bytes::new(packed)? };
        Ok(files::write_private_file(&self.path, &serde_json::to_vec(&content)?)?)
    }

    /// Keeps none. It is gone for good when this returns.
    pub(super) fn forget(&self) -> anyhow::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            removed => removed.with_context(|| format!("cannot remove {}", self.path.display()))?,
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flush = || File::open(folder).and_then(|folder| folder.sync_all());
        flush().with_context(|| format!("cannot flush the folder {}", folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use vouchsafe_model::{Sha256Digest, Timestamp};
    use vouchsafe_policies::Manifest;

    fn packed(policy: &str) -> Vec<u8> {
        let files = [("policy.rego".to_owned(), policy.as_bytes().to_vec())];
        PackedBundle::pack(files, &Manifest::default(), None).unwrap()
    }

    fn activation(second: u8) -> Activation {
        Activation {
            by: "spiffe://test.example/operator/ada".to_owned(),
            at: Timestamp::from_unix_secs(second.into()),
            before: Sha256Digest::new([second; 32]),
            in_place_of: "built in".to_owned(),
        }
    }

    #[test]
    fn the_last_one_is_kept_until_it_is_forgotten_and_no_other_user_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(&Layout::of(dir.path()));
        assert!(kept.read().unwrap().is_none());
        kept.forget().unwrap();
        for (number, policy) in [(1, "package a"), (2, "package b")] {
            kept.write(&activation(number), &packed(policy)).unwrap();
            let (read, bundle) = kept.read().unwrap().unwrap();
            assert_eq!((read, bundle.bundle().policies()[0].text()), (activation(number), policy));
            assert_eq!(kept.path().metadata().unwrap().mode() & 0o777, 0o600);
        }
        kept.forget().unwrap();
        assert!(kept.read().unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_another_policy() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::of(&Layout::of(dir.path()));
        kept.write(&activation(1), &packed("package a")).unwrap();
        let whole = fs::read(kept.path()).unwrap();
        let bad = |bytes: &[u8]| {
            files::write_private_file(kept.path(), bytes).unwrap();
            format!("{:#}", kept.read().expect_err("it is refused"))
        };
        assert!(bad(&whole[..whole.len() - 1]).contains("policy.activated.json cannot be read"));
        assert!(bad(b"").contains("policy.activated.json cannot be read"));
        assert!(bad(&[whole.as_slice(), b"x"].concat()).contains("trailing"));
        assert!(bad(&vec![b' '; MAX_LEN + 1]).contains("longer than the maximum"));
        let other = String::from_utf8(whole).unwrap().replace("\"bundle\":\"", "\"bundle\":\"AAAA");
        assert!(bad(other.as_bytes()).contains("cannot be read"));
        fs::set_permissions(kept.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(format!("{:#}", kept.read().unwrap_err()).contains("open to group or others"));
    }
}
