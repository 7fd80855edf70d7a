//! What a golden image would make of today's devices, before it is activated.
//!
//! What each device booted is judged by its last quote and event log, what it runs by the IMA list that is kept of it. A list
//! that is not kept is not guessed at: the answer says so.

use std::sync::Arc;

use vouchsafe_attest::image::Compiled;
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, OfflineCheck, QuoteCheck, Sha1Bank};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DeviceId, DeviceState, ImageId, PcrSelection};
use vouchsafe_store::{DeviceFilter, Page, PageLimit, Standing, StoredEvidence};
use vouchsafe_wire::v1::operate::{DryRun, DryRunDevice, ImageSource};

use super::documents::Checked;
use super::{OperateRejected, field};
use crate::appraise;
use crate::engine::{TrustEngine, compute};
use crate::measured::KeptList;

/// What one answer of a dry run may cost, so that it comes before anybody stops waiting for it; the rest is asked for anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DryRunBounds {
    /// The most devices that are looked at.
    pub devices: usize,
    /// The most devices that are judged.
    pub judged: usize,
    /// How many bytes of IMA lists are replayed before no further device is judged.
    pub list_bytes: u64,
    /// How many findings there are before no further device is judged.
    pub findings: usize,
}

impl Default for DryRunBounds {
    /// Some seconds on one core, and an answer of a few megabytes.
    fn default() -> Self {
        Self { devices: 10_000, judged: 1000, list_bytes: 128 * 1024 * 1024, findings: 4096 }
    }
}

/// Which devices are judged, and where to go on: `meant/ID` or `all/ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// Those alone that are compared with an image of the same name, or with one that it supersedes.
    is_meant: bool,
    after: Option<DeviceId>,
}

impl Cursor {
    fn read(text: &str) -> Result<Self, OperateRejected> {
        let read = || {
            let (scope, after) = text.split_once('/')?;
            let is_meant = match scope {
                "meant" => true,
                "all" => false,
                _ => return None,
            };
            Some(Self { is_meant, after: Some(after.parse().ok()?) })
        };
        read().ok_or_else(|| field("after", "is no place that an answer named"))
    }

    fn text(self, after: DeviceId) -> String {
        format!("{}/{after}", if self.is_meant { "meant" } else { "all" })
    }
}

/// The image that is tried.
struct Candidate {
    id: ImageId,
    supersedes: std::collections::BTreeSet<ImageId>,
    compiled: Arc<Compiled>,
}

impl Candidate {
    fn is_meant_for(&self, standing: &Standing) -> bool {
        let image = standing.device.image.as_ref();
        image.is_some_and(|image| image.name() == self.id.name() || self.supersedes.contains(image))
    }
}

impl TrustEngine {
    /// What an image would make of today's devices, from where an answer before says that it ended. Nothing is stored.
    ///
    /// One device is judged after the other, so that attestations have the other cores.
    ///
    /// # Errors
    /// The image would not be taken, or there is no such place to go on.
    pub async fn dry_run(&self, source: ImageSource, after: Option<&str>) -> Result<DryRun, OperateRejected> {
        self.dry_run_within(source, after, DryRunBounds::default()).await
    }

    /// The same within other bounds.
    ///
    /// # Errors
    /// Those of [`Self::dry_run`].
    pub async fn dry_run_within(
        &self,
        source: ImageSource,
        after: Option<&str>,
        bounds: DryRunBounds,
    ) -> Result<DryRun, OperateRejected> {
        let after = after.map(Cursor::read).transpose()?;
        let Checked { document, compiled, .. } = self.check_image(source).await?;
        let candidate = Candidate { id: document.id, supersedes: document.supersedes, compiled };
        let cursor = match after {
            Some(cursor) => cursor,
            None => Cursor { is_meant: self.is_meant_for_any(&candidate).await?, after: None },
        };
        let mut run = DryRun { image: candidate.id.clone(), devices: Vec::new(), unseen: Vec::new(), next: None };
        run.next = self.try_devices(&candidate, cursor, bounds, &mut run).await?.map(|last| cursor.text(last));
        run.devices.sort_by_key(|device| (!device.fails, device.device));
        Ok(run)
    }

    /// Whether there is a device that the image is meant for.
    async fn is_meant_for_any(&self, candidate: &Candidate) -> Result<bool, OperateRejected> {
        let mut page = Page::first(PageLimit::default());
        loop {
            let standings = self.store().list_standings(&active(), page).await?;
            let Some(last) = standings.last().map(|standing| standing.device.id) else { return Ok(false) };
            if standings.iter().any(|standing| candidate.is_meant_for(standing)) {
                return Ok(true);
            }
            page = Page::after(last, PageLimit::default());
        }
    }

    /// Judges device by device. Returns the last that was looked at, when a bound was met before all were.
    async fn try_devices(
        &self,
        candidate: &Candidate,
        cursor: Cursor,
        bounds: DryRunBounds,
        run: &mut DryRun,
    ) -> Result<Option<DeviceId>, OperateRejected> {
        let mut left = bounds;
        let mut page = Page { after: cursor.after, limit: PageLimit::default() };
        loop {
            let standings = self.store().list_standings(&active(), page).await?;
            let Some(last) = standings.last().map(|standing| standing.device.id) else { return Ok(None) };
            for standing in &standings {
                left.devices = left.devices.saturating_sub(1);
                if !cursor.is_meant || candidate.is_meant_for(standing) {
                    self.try_device(standing, candidate, &mut left, run).await?;
                }
                if left.is_used_up() {
                    return Ok(Some(standing.device.id));
                }
            }
            page = Page::after(last, PageLimit::default());
        }
    }

    async fn try_device(
        &self,
        standing: &Standing,
        candidate: &Candidate,
        left: &mut DryRunBounds,
        run: &mut DryRun,
    ) -> Result<(), OperateRejected> {
        let device = standing.device.id;
        let Some(quote) = self.last_quote(standing).await? else {
            run.unseen.push(device);
            return Ok(());
        };
        let log = self.last_log(standing).await?;
        let list = match candidate.compiled.runtime() {
            Some(_) => self.kept_list(device).await?,
            None => KeptList::None,
        };
        left.judged = left.judged.saturating_sub(1);
        left.list_bytes = left.list_bytes.saturating_sub(list.len());
        let (image, dbx) = (Arc::clone(&candidate.compiled), self.dbx().await?);
        let judge = move || appraise::try_image(&quote, log.as_deref(), &list, &image, &dbx);
        let appraise::Trial { boot, runtime, findings } = compute(judge).await?;
        left.findings = left.findings.saturating_sub(findings.len());
        run.devices.push(DryRunDevice {
            device,
            hostname: standing.device.facts.hostname.clone(),
            image: standing.device.image.clone(),
            fails: VerdictStatus::of(&findings) == VerdictStatus::Contraindicated,
            boot,
            runtime,
            findings,
        });
        Ok(())
    }

    /// The last accepted quote of a device, authentic once more.
    async fn last_quote(&self, standing: &Standing) -> Result<Option<AuthenticQuote>, OperateRejected> {
        let Some(last) = &standing.attestation else { return Ok(None) };
        let evidence = self.store().evidence(last.id()).await?;
        Ok(evidence.and_then(|evidence| authentic(standing, &evidence)))
    }
}

impl DryRunBounds {
    fn is_used_up(&self) -> bool {
        self.devices == 0 || self.judged == 0 || self.list_bytes == 0 || self.findings == 0
    }
}

fn active() -> DeviceFilter {
    DeviceFilter { state: Some(DeviceState::Active), ..DeviceFilter::default() }
}

/// Verifies a stored quote again: by the device's key, for the occasion that it names itself. That the occasion was the
/// right one was checked when it was accepted.
fn authentic(standing: &Standing, evidence: &StoredEvidence) -> Option<AuthenticQuote> {
    let ak = PublicArea::parse_tpmt(&standing.device.keys.ak_public).ok()?;
    let ak = AttestationKey::from_public(ak).ok()?;
    let (message, signature) = (evidence.message.as_slice(), evidence.signature.as_slice());
    let signed = OfflineCheck { key: ak.verifying_key(), message, signature, qualifying_data: None }.verify().ok()?;
    let selection: PcrSelection = evidence.pcrs.selection();
    let sha1 = if standing.device.sha1_consent { Sha1Bank::Consented } else { Sha1Bank::Refused };
    let qualifying_data = signed.qualifying_data();
    let pcrs = &evidence.pcrs;
    QuoteCheck { ak: &ak, message, signature, qualifying_data, selection: &selection, pcrs, sha1 }.verify().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_to_go_on_is_read_as_it_was_told_and_nothing_else_is() {
        let device: DeviceId = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf".parse().unwrap();
        for is_meant in [true, false] {
            let cursor = Cursor { is_meant, after: Some(device) };
            assert_eq!(Cursor::read(&cursor.text(device)).unwrap(), cursor);
        }
        for text in ["", "meant", "meant/", "some/uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "all/x", "all/uws2/x"] {
            assert!(Cursor::read(text).is_err(), "{text}");
        }
    }
}
