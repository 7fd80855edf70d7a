//! An image as a document, from what a device vouched for.

use std::path::Path;

use anyhow::{Context as _, bail};
use vouchsafe_attest::eventlog::EventLog;
use vouchsafe_attest::ima::{Entries, ImaContext, ImaState, printable};
use vouchsafe_attest::image::{Capture, ClaimedBoot, GoldenImage, capture};
use vouchsafe_attest::secure_boot::Dbx;
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{ImageId, PcrIndex};
use vouchsafe_pki::files;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::operate::Measurements;

use crate::host;

/// The longest IMA list that is read, in bytes.
const MAX_LIST_LEN: usize = 256 * 1024 * 1024;

/// Makes an image from measurements: what the event log explains as facts, the rest as PCR values, and what runs from a
/// copy of the IMA list.
///
/// # Errors
/// When a log cannot be read, or does not replay to what the device's TPM signed.
pub(crate) fn captured(
    id: &ImageId,
    measured: &Measurements,
    ignored: PcrSet,
    ima: Option<&Path>,
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
    let runs = ima.map(|file| listed(file, measured)).transpose()?.unwrap_or_default();
    let from = Capture { id, now: host::now(), facts, pcrs: &measured.pcrs, ignored };
    Ok(capture(&from, runs))
}

/// The files of a list, as far as the device's TPM vouches for it.
fn listed(file: &Path, measured: &Measurements) -> anyhow::Result<Vec<(String, String)>> {
    let bytes = files::read_file(file, MAX_LIST_LEN).context("cannot use the IMA list")?;
    let quoted = PcrIndex::new(10).and_then(|pcr| measured.pcrs.values.get(&pcr));
    let quoted = quoted.context("the device's quote does not cover PCR 10, which the IMA list is measured into")?;
    let state = ImaState::new(measured.pcrs.bank);
    let advance = state.advance(&bytes, Some(quoted), ImaContext::default());
    let advance = advance.with_context(|| format!("{} is no IMA list", file.display()))?;
    if !advance.is_quoted {
        bail!(
            "{} does not replay to the PCR 10 that the device quoted; copy binary_runtime_measurements from the \
             device after its last attestation",
            file.display()
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
