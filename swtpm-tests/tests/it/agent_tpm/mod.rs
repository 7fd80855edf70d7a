//! The agent's hold on a TPM, on software TPMs and without any engine.

mod endorsement;
mod faulty;
mod keys;
mod program;
mod quotes;
mod trouble;

use std::time::Duration;

use anyhow::{Result, ensure};
use vouchsafe_agent::tpm::{DeviceKeys, Tpm, TpmConfig, TpmError, TpmHandle};
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;

/// More than any operation takes a software TPM.
const LIMIT: Duration = Duration::from_secs(60);

/// A thread that owns this TPM.
fn owner(tpm: &SoftTpm) -> Result<TpmHandle> {
    Ok(TpmHandle::start(TpmConfig { tcti: tpm.tcti().parse()?, ..TpmConfig::default() })?)
}

/// Does one operation.
fn run<T: Send + 'static>(
    owner: &TpmHandle,
    operation: impl Fn(&Tpm) -> Result<T, TpmError> + Send + 'static,
) -> Result<T> {
    Ok(owner.run_blocking(LIMIT, operation)?)
}

/// Fails unless the TPM is as free as if nobody had used it.
fn ensure_nothing_left(tpm: &SoftTpm) -> Result<()> {
    for kind in ["handles-transient", "handles-loaded-session", "handles-saved-session"] {
        let handles = tpm.tool(&["tpm2_getcap", kind])?;
        ensure!(handles.trim().is_empty(), "{kind} were left in the TPM: {handles}");
    }
    Ok(())
}

/// Keys whose private part was damaged on the disk.
fn keys_damaged(keys: &DeviceKeys) -> Result<DeviceKeys> {
    let mut json = serde_json::to_value(keys)?;
    let private = json["ak"]["private"].as_str().unwrap_or_default().to_owned();
    let middle = private.len() / 2;
    let (head, tail) = private.split_at(middle);
    let flipped = if tail.starts_with('A') { "B" } else { "A" };
    json["ak"]["private"] = format!("{head}{flipped}{}", tail.get(1..).unwrap_or_default()).into();
    Ok(serde_json::from_value(json)?)
}
