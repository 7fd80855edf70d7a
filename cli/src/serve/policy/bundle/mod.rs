//! A policy that comes as a signed bundle, from a file or over HTTPS.
//!
//! It is believed when a key of the settings signed it, when its revision is no step back, and when it is not past its end;
//! then it goes through the gate. The last one that did is kept beside the database, so that a server starts while the
//! source is away. When nobody could look for a newer one for too long, everything is denied until somebody can.

mod fetch;
mod follow;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use vouchsafe_model::Timestamp;
use vouchsafe_policies::{PackedBundle, Trust, VerifyingKeys};
use vouchsafe_wire::v1::policy::PolicySource;

use super::super::config::{BundleConfig, Layout};
use crate::policy::packed::read_verifying_key;
use fetch::{Fetch, Fetched};
pub(super) use follow::{Follow, STALE};
use memory::Memory;

/// How often a bundle is looked for, if the settings do not say.
const POLL_SECS: u32 = 60;

/// Where bundles come from, and what is believed.
pub(super) struct BundleSource {
    fetch: Fetch,
    keys: VerifyingKeys,
    danger_unsigned: bool,
    danger_allow_rollback: bool,
    poll: Duration,
    max_age: Option<Duration>,
    memory: Memory,
}

/// A bundle that is believed, and has yet to pass the gate.
pub(super) struct Believed {
    pub(super) packed: Arc<PackedBundle>,
    bytes: Vec<u8>,
    etag: Option<String>,
}

/// The bundle that a server starts with.
pub(super) enum First {
    /// From the source.
    Fresh(Believed),
    /// The last good one, because the source is away or has none that is good.
    Kept(Arc<PackedBundle>),
}

impl First {
    pub(super) fn packed(&self) -> &PackedBundle {
        match self {
            Self::Fresh(believed) => &believed.packed,
            Self::Kept(packed) => packed,
        }
    }
}

impl BundleSource {
    /// As the settings have it.
    pub(super) fn open(config: &BundleConfig, layout: &Layout) -> anyhow::Result<Self> {
        let mut keys = VerifyingKeys::default();
        for key in &config.keys {
            keys.insert(&key.id, read_verifying_key(&layout.resolve(&key.file), &key.scope)?);
        }
        ensure!(
            config.danger_unsigned || !keys.is_empty(),
            "policy.bundle.keys names no key, so that no bundle would be good"
        );
        Ok(Self {
            fetch: Fetch::new(config, layout)?,
            keys,
            danger_unsigned: config.danger_unsigned,
            danger_allow_rollback: config.danger_allow_rollback,
            poll: Duration::from_secs(config.poll_secs.unwrap_or(POLL_SECS).max(1).into()),
            max_age: (config.max_age_secs > 0).then(|| Duration::from_secs(config.max_age_secs.into())),
            memory: Memory::open(layout)?,
        })
    }

    /// What operators are told of it.
    pub(super) fn told(&self) -> PolicySource {
        match &self.fetch {
            Fetch::File(path) => PolicySource::BundleFile { path: path.display().to_string() },
            Fetch::Http(_) => PolicySource::BundleUrl { url: self.fetch.to_string() },
        }
    }

    /// The bundle to start with.
    pub(super) async fn first(&mut self, now: Timestamp) -> anyhow::Result<First> {
        let error = match self.look(now, false).await {
            Ok(Some(believed)) => return Ok(First::Fresh(believed)),
            Ok(None) => anyhow::anyhow!("the source said that nothing is new"),
            Err(error) => error,
        };
        let Some(bytes) = self.memory.bundle()? else {
            return Err(error.context("there is no policy, and none was kept from before"));
        };
        tracing::error!(error = format!("{error:#}"), policy.source = %self.fetch, "the last good policy is used");
        let packed = PackedBundle::read(&bytes, self.trust()).context("the policy that was kept cannot be used")?;
        if !self.danger_allow_rollback {
            self.memory.check_revision(&packed)?;
        }
        Ok(First::Kept(Arc::new(packed)))
    }

    /// Looks for a bundle; none if there is no other than the one that is remembered.
    async fn look(&mut self, now: Timestamp, may_wait: bool) -> anyhow::Result<Option<Believed>> {
        match self.fetch.fetch(self.memory.etag(), may_wait).await? {
            Fetched::Same => Ok(None),
            Fetched::Bundle { bytes, etag } => self.believe(bytes, etag, now).map(Some),
        }
    }

    /// Believes a bundle as far as it may be.
    fn believe(&self, bytes: Vec<u8>, etag: Option<String>, now: Timestamp) -> anyhow::Result<Believed> {
        let packed = PackedBundle::read(&bytes, self.trust())?;
        if packed.expires_at().is_some_and(|instant| instant <= now) {
            bail!("the bundle counts no more: it ended at {}", packed.expires_at().unwrap_or(now));
        }
        if !self.danger_allow_rollback {
            self.memory.check_revision(&packed)?;
        }
        Ok(Believed { packed: Arc::new(packed), bytes, etag })
    }

    fn trust(&self) -> Trust<'_> {
        if self.danger_unsigned { Trust::DangerUnsigned } else { Trust::SignedBy(&self.keys) }
    }

    /// Until when the policy in charge counts.
    fn good_until(&self, packed: &PackedBundle) -> Option<Timestamp> {
        let by_age = self.max_age.map(|age| self.memory.checked_at().plus(age));
        match (by_age, packed.expires_at()) {
            (Some(age), Some(end)) => Some(age.min(end)),
            (one, other) => one.or(other),
        }
    }
}

impl std::fmt::Display for BundleSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fetch.fmt(f)
    }
}
