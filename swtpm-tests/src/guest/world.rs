//! A guest that enrolled, with its engine.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Chain, Machine, Parts, SecureBoot, Software};
use crate::engine::{Engine, eventually};
use crate::world::first_verdict;

/// A guest that enrolled, with its engine.
#[derive(Debug)]
pub struct GuestWorld {
    /// The server.
    pub engine: Engine,
    /// The machine; the agent runs.
    pub machine: Machine,
    /// What the machine first booted. Variations start from it.
    pub software: Software,
    /// The device's id.
    pub device: String,
    chain: Chain,
}

/// A setting of the engine by which devices quote what a boot measured, without PCR 10. That one tells what ran since, in the
/// order in which it ran, and no value of it outlives a boot.
pub const BOOT_PCRS: (&str, &str) = ("TRUST__ATTEST__PCRS", "[0,1,2,3,4,5,6,7,8,9,11,12,13,14,15]");

impl GuestWorld {
    /// A machine that booted this way, enrolled and vouched for itself once, with no golden image yet. The settings are the
    /// engine's, as [`Engine::init`] takes them.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn enrolled(parts: &Parts, secure_boot: SecureBoot, chain: Chain, settings: &[(&str, &str)]) -> Result<Self> {
        let software = Software::new(&parts.kernel)?;
        let mut machine = Machine::new(secure_boot)?;
        machine.install(&software, chain)?;
        machine.boot()?;
        let engine = Engine::start_new(&machine.vendor_certificates(), settings)?;
        machine.start_agent(Some(&engine.join_file("join", &[])?))?;
        let device = eventually("the guest has vouched for itself", || first_verdict(&engine))
            .with_context(|| format!("the console of the guest ends with\n{}", machine.console_end()))?;
        Ok(Self { engine, machine, software, device, chain })
    }

    /// The same, and what it booted is golden.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn golden(parts: &Parts, secure_boot: SecureBoot, chain: Chain, settings: &[(&str, &str)]) -> Result<Self> {
        let world = Self::enrolled(parts, secure_boot, chain, settings)?;
        world.capture("1")?;
        world.until_status("affirming")?;
        Ok(world)
    }

    /// Declares what the guest booted golden, in this version.
    ///
    /// # Errors
    /// The engine does not take it.
    pub fn capture(&self, version: &str) -> Result<()> {
        let arguments =
            ["image", "capture", "--device", &self.device, "--name", "guest", "--version", version, "--assign"];
        let captured = self.engine.operator(&arguments)?;
        ensure!(captured.status.success(), "{}", String::from_utf8_lossy(&captured.stderr));
        Ok(())
    }

    /// Installs other software the same way, and boots it.
    ///
    /// # Errors
    /// It does not vouch for itself in time.
    pub fn boot_other(&mut self, software: &Software) -> Result<()> {
        self.machine.shut_down()?;
        self.machine.install(software, self.chain)?;
        self.reboot()
    }

    /// Boots again, and waits until evidence of the new boot is accepted.
    ///
    /// # Errors
    /// It does not vouch for itself in time.
    pub fn reboot(&mut self) -> Result<()> {
        let last = self.attestation()?;
        self.machine.boot()?;
        self.machine.start_agent(None)?;
        eventually("evidence of the new boot is accepted", || {
            let now = self.attestation()?;
            ensure!(now > last, "the last one is still {now}");
            Ok(())
        })
        .with_context(|| format!("the console of the guest ends with\n{}", self.machine.console_end()))
    }

    fn attestation(&self) -> Result<String> {
        let device = self.engine.device(&self.device)?;
        Ok(device["verdict"]["attestation"].as_str().context("it has vouched")?.to_owned())
    }

    /// Waits until the last verdict has this status, and returns the device as it is then.
    ///
    /// # Errors
    /// It does not come to that in time; what was found.
    pub fn until_status(&self, status: &str) -> Result<Value> {
        eventually(&format!("the verdict is {status}"), || {
            let device = self.engine.device(&self.device)?;
            let verdict = &device["verdict"];
            ensure!(verdict["status"] == status, "it is {}: {}", verdict["status"], verdict["findings"]);
            Ok(device)
        })
        .with_context(|| format!("the console of the guest ends with\n{}", self.machine.console_end()))
    }

    /// The PCRs that the last verdict says differ, ascending.
    ///
    /// # Errors
    /// There is no verdict.
    pub fn mismatched_pcrs(&self) -> Result<Vec<u64>> {
        let device = self.engine.device(&self.device)?;
        let findings = device["verdict"]["findings"].as_array().context("a verdict has findings")?;
        let mismatches = findings.iter().filter(|finding| finding["code"] == "pcr.mismatch");
        let mut pcrs: Vec<u64> = mismatches.filter_map(|finding| finding["pcr"].as_u64()).collect();
        pcrs.sort_unstable();
        Ok(pcrs)
    }
}
