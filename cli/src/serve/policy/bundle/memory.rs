//! What is remembered of the last good bundle, over restarts.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use vouchsafe_model::{Sha256Digest, Timestamp};
use vouchsafe_pki::files;
use vouchsafe_policies::{PackedBundle, limits};

use crate::serve::config::Layout;

/// The longest file of what is remembered, in bytes.
const MAX_LEN: usize = 16 * 1024;

/// The last good bundle and what is known of it.
pub(super) struct Memory {
    bundle: PathBuf,
    state: PathBuf,
    known: Option<Known>,
    /// Whether this process put it in charge.
    is_in_charge: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    revision: Option<u64>,
    policy: Sha256Digest,
    #[serde(default)]
    etag: Option<String>,
    /// When the source last said that it has no other.
    checked_at: Timestamp,
}

impl Memory {
    pub(super) fn open(layout: &Layout) -> anyhow::Result<Self> {
        let (bundle, state) = (layout.last_bundle(), layout.last_bundle_state());
        // A state that cannot be read is no reason to take an older policy for a newer one.
        let known = if state.exists() {
            let text = files::read_private_file(&state, MAX_LEN)?;
            let known = serde_json::from_slice(&text);
            Some(known.with_context(|| format!("{} cannot be read", state.display()))?)
        } else {
            None
        };
        Ok(Self { bundle, state, known, is_in_charge: false })
    }

    /// The last good bundle, if there was one.
    pub(super) fn bundle(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if self.known.is_none() || !self.bundle.exists() {
            return Ok(None);
        }
        Ok(Some(files::read_private_file(&self.bundle, limits::ARCHIVE_BYTES)?.to_vec()))
    }

    /// The tag of the bundle, once it is in charge.
    pub(super) fn etag(&self) -> Option<&str> {
        self.known.as_ref().filter(|_| self.is_in_charge).and_then(|known| known.etag.as_deref())
    }

    pub(super) fn checked_at(&self) -> Timestamp {
        self.known.as_ref().map_or(Timestamp::UNIX_EPOCH, |known| known.checked_at)
    }

    /// Refuses what is older than what is remembered, and another bundle of the same revision.
    pub(super) fn check_revision(&self, packed: &PackedBundle) -> anyhow::Result<()> {
        let revision = &packed.manifest().revision;
        let Some(number) = packed.manifest().revision_number() else {
            bail!("the bundle's revision '{}' is no number that could grow", revision.escape_debug());
        };
        let Some(Known { revision: Some(known), policy, .. }) = &self.known else { return Ok(()) };
        if number < *known {
            bail!("the bundle is of revision {number}, and revision {known} was in charge before");
        }
        if number == *known && packed.bundle().hash() != *policy {
            bail!("the bundle is another one than the one of revision {known} that was in charge before");
        }
        Ok(())
    }

    /// Remembers a bundle that came into charge.
    pub(super) fn keep(
        &mut self,
        packed: &PackedBundle,
        bytes: &[u8],
        etag: Option<String>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        self.is_in_charge = true;
        let revision = packed.manifest().revision_number();
        // The bundle first: one that is newer than what is remembered of it is no step back.
        files::write_private_file(&self.bundle, bytes)?;
        self.remember(Known { revision, policy: packed.bundle().hash(), etag, checked_at: now })
    }

    /// The bundle that was kept is in charge again.
    pub(super) fn resume(&mut self) {
        self.is_in_charge = true;
    }

    /// The source was asked, and has no other.
    pub(super) fn checked(&mut self, now: Timestamp) -> anyhow::Result<()> {
        match self.known.clone() {
            Some(known) => self.remember(Known { checked_at: now, ..known }),
            None => Ok(()),
        }
    }

    fn remember(&mut self, known: Known) -> anyhow::Result<()> {
        let text = serde_json::to_vec(&known)?;
        self.known = Some(known);
        Ok(files::write_private_file(&self.state, &text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_policies::{Manifest, Trust};

    fn packed(revision: &str, policy: &str) -> PackedBundle {
        let manifest = Manifest { revision: revision.to_owned(), ..Manifest::default() };
        let files = [("policy.rego".to_owned(), policy.as_bytes().to_vec())];
        PackedBundle::read(&PackedBundle::pack(files, &manifest, None).unwrap(), Trust::DangerUnsigned).unwrap()
    }

    #[test]
    fn revisions_grow_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::of(dir.path());
        let mut memory = Memory::open(&layout).unwrap();
        assert_eq!((memory.etag(), memory.bundle().unwrap()), (None, None));
        memory.check_revision(&packed("7", "package a")).unwrap();
        memory.keep(&packed("7", "package a"), b"bytes", Some("tag".to_owned()), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(memory.etag(), Some("tag"));

        let memory = Memory::open(&layout).unwrap();
        assert_eq!(memory.bundle().unwrap().as_deref(), Some(b"bytes".as_slice()));
        assert_eq!(memory.etag(), None, "what is not in charge has to be fetched");
        let refused = |revision: &str, policy: &str| memory.check_revision(&packed(revision, policy)).is_err();
        assert!(
            refused("6", "package a")
                && refused("7", "package b")
                && refused("x", "package a")
                && refused("", "package a")
        );
        assert!(!refused("7", "package a") && !refused("8", "package b"));

        files::write_private_file(&layout.last_bundle_state(), b"{").unwrap();
        assert!(Memory::open(&layout).is_err(), "what cannot be read is not forgotten");
    }
}
