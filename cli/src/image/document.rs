//! An image as a document, from what a device vouched for.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use vouchsafe_attest::eventlog::EventLog;
use vouchsafe_attest::ima::{Entries, ImaContext, ImaState, printable};
use vouchsafe_attest::image::{Capture, ClaimedBoot, GoldenImage, capture};
use vouchsafe_attest::secure_boot::Dbx;
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{ImageId, PcrIndex};
use vouchsafe_pki::files;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::operate::Measurements;

use crate::failure::Hint as _;
use crate::host;

/// The longest IMA list that is read, in bytes.
pub(crate) const MAX_LIST_LEN: usize = 256 * 1024 * 1024;

/// An IMA list, whole or as much as was kept of it.
pub(crate) struct List {
    /// Where it is from, for people.
    pub(crate) source: String,
    pub(crate) bytes: Vec<u8>,
}

impl List {
    /// Reads a copy of a list.
    ///
    /// # Errors
    /// When it cannot be read, or is too long.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let bytes = files::read_file(file, MAX_LIST_LEN).context("cannot use the IMA list")?;
        Ok(Self { source: file.display().to_string(), bytes })
    }
}

/// Makes an image from measurements: what the event log explains as facts, the rest as PCR values, and what runs from the
/// IMA list.
///
/// # Errors
/// When a log cannot be read, or does not replay to what the device's TPM signed.
pub(crate) fn captured(
    id: &ImageId,
    measured: &Measurements,
    ignored: PcrSet,
    list: Option<&List>,
) -> anyhow::Result<GoldenImage> {
    let log = match &measured.event_log {
        Some(log) => Some(log.inflate(limits::EVENT_LOG).context("the event log of the device cannot be read")?),
        None => None,
    };
    let parsed = match &log {
        Some(bytes) => Some(EventLog::parse(bytes).context("the event log of the device cannot be read")?),
        None => None,
    };
    let boot = parsed.as_ref().map(|log| ClaimedBoot::of(&measured.pcrs, log, &Dbx::default()));
    let facts = match boot.as_ref().map(ClaimedBoot::facts) {
        None => None,
        Some(Ok(facts)) => Some(facts),
        Some(Err(faults)) => {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            bail!("the event log does not replay to the quoted PCRs: {first}");
        }
    };
    let runs = list.map(|list| listed(list, measured)).transpose()?.unwrap_or_default();
    let from = Capture { id, now: host::now(), facts, pcrs: &measured.pcrs, ignored };
    Ok(capture(&from, runs))
}

/// The files of a list, as far as the device's TPM vouches for it.
fn listed(list: &List, measured: &Measurements) -> anyhow::Result<Vec<(String, String)>> {
    let List { source, bytes } = list;
    let quoted = PcrIndex::new(10).and_then(|pcr| measured.pcrs.values.get(&pcr));
    let quoted = quoted.context("the device's quote does not cover PCR 10, which the IMA list is measured into")?;
    let state = ImaState::new(measured.pcrs.bank);
    let advance = state.advance(bytes, Some(quoted), ImaContext::default());
    let advance = advance.with_context(|| format!("{source} is no IMA list"))?;
    if !advance.is_quoted {
        return Err(anyhow!("{source} does not replay to the PCR 10 that the device quoted")).hint(
            "the device may have rebooted meanwhile, or keeps entries back: look at its last findings; a copy of \
             binary_runtime_measurements is to be made after its last attestation",
        );
    }
    let vouched = bytes.get(..advance.consumed_bytes).unwrap_or_default();
    let mut files = Vec::new();
    for entry in Entries::new(vouched) {
        let entry = entry?;
        let Some(fields) = entry.fields() else { continue };
        let Some(digest) = fields.digest.filter(|_| !entry.is_violation()) else { continue };
        if fields.name.starts_with(b"/") {
            files.push((printable(fields.name).into_owned(), digest.to_string()));
        }
    }
    Ok(files)
}

/// Writes the document and says what comes next.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(path: &Path, image: &GoldenImage) -> anyhow::Result<()> {
    super::write(path, image.to_text().as_bytes())?;
    let file = path.display();
    host::print(&format!(
        "{} is in {file}: review it, then `vouchsafe image sign {file}` and `vouchsafe image import {file}.dsse`\n",
        image.id
    ))
}
