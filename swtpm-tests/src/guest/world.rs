//! A guest that enrolled, with its engine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Chain, ImageFile, Machine, Parts, Release, SecureBoot, Software};
use crate::engine::{Engine, eventually_within};
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

/// How long anything that the guest does may take. Emulation is slow, and the machine may be busy.
const GUEST_PATIENCE: Duration = Duration::from_secs(180);
/// How often the engine is asked. Each time takes from the guest some of the processor that emulates it.
const GUEST_PACE: Duration = Duration::from_millis(400);

impl GuestWorld {
    /// A machine that booted this way, enrolled and vouched for itself once, with no golden image yet.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn enrolled(parts: &Parts, secure_boot: SecureBoot, chain: Chain) -> Result<Self> {
        let software = Software::new(&parts.kernel)?;
        let mut machine = Machine::new(secure_boot)?;
        machine.install(&software, chain)?;
        machine.boot()?;
        let engine = Engine::start_quick(&machine.vendor_certificates())?;
        machine.start_agent(Some(&engine.join_file("join", &[])?))?;
        let device = patiently("the guest has vouched for itself", || first_verdict(&engine))
            .with_context(|| format!("the console of the guest ends with\n{}", machine.console_end()))?;
        Ok(Self { engine, machine, software, device, chain })
    }

    /// The same, and what it booted and runs is golden, as `guest@1`: captured as a document, imported and assigned.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn golden(parts: &Parts, secure_boot: SecureBoot, chain: Chain) -> Result<(Self, ImageFile)> {
        let mut world = Self::enrolled(parts, secure_boot, chain)?;
        let image = world.capture("1")?;
        world.import(&image)?;
        world.assign(&image)?;
        world.until_status("affirming")?;
        Ok((world, image))
    }

    /// Writes down what the guest booted and all that it ran so far, in this version of the image `guest`.
    ///
    /// # Errors
    /// The engine does not vouch for what the guest tells.
    pub fn capture(&mut self, version: &str) -> Result<ImageFile> {
        // The engine has to have seen all of the list that is handed over.
        self.settle()?;
        let list = self.scratch(&format!("ima-{version}"));
        std::fs::write(&list, self.machine.logs()?.ima)?;
        let output = self.scratch(&format!("guest@{version}.toml"));
        let files = [text(&output)?, text(&list)?];
        self.operate(
            &[
                &["image", "capture", "--device", &self.device, "--name", "guest", "--version", version][..],
                &["--output", files[0], "--ima", files[1]],
            ]
            .concat(),
        )?;
        ImageFile::read(&output)
    }

    /// Builds this version of the image `guest` from packages, and merges it with one that was captured: the boot, what
    /// was there before the packages, and all that the packages ship.
    ///
    /// # Errors
    /// The packages cannot be read, or the images contradict each other.
    pub fn built(&self, version: &str, release: &Release, captured: &ImageFile) -> Result<ImageFile> {
        let (built, merged) =
            (self.scratch(&format!("built-{version}.toml")), self.scratch(&format!("guest@{version}.toml")));
        let (cache, image) = (self.scratch("packages"), format!("guest@{version}"));
        self.operate(
            &["image", "build", "--image", &image, "--danger-unsigned", "--folder", text(release.folder())?]
                .iter()
                .chain(&["--base", text(captured.path())?, "--cache", text(&cache)?, "--output", text(&built)?])
                .copied()
                .collect::<Vec<_>>(),
        )?;
        self.operate(&["image", "merge", text(&built)?, text(captured.path())?, "--output", text(&merged)?])?;
        ImageFile::read(&merged)
    }

    /// Puts an image in force.
    ///
    /// # Errors
    /// The engine does not take it.
    pub fn import(&self, image: &ImageFile) -> Result<()> {
        self.operate(&["image", "import", text(image.path())?])
    }

    /// Says that this is the image that the guest should be.
    ///
    /// # Errors
    /// The engine does not take it.
    pub fn assign(&self, image: &ImageFile) -> Result<()> {
        self.operate(&["device", "assign", &self.device, "--image", &image.id()])
    }

    /// Runs an operator's command that must succeed.
    ///
    /// # Errors
    /// It fails; what it said.
    pub fn operate(&self, arguments: &[&str]) -> Result<()> {
        let output = self.engine.operator(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "vouchsafe {}: {}", arguments.join(" "), said.trim());
        Ok(())
    }

    /// A file beside the engine's folder.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.engine.scratch().join(name)
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
        self.until_newer_than(&last).map(drop)
    }

    /// Waits until the engine has judged all that the guest did so far.
    ///
    /// # Errors
    /// The guest does not vouch for itself in time.
    pub fn settle(&self) -> Result<()> {
        // The evidence that comes next may be under way already. What it is answered with asks for evidence of later.
        let under_way = self.until_newer_than(&self.attestation()?)?;
        self.until_newer_than(&under_way).map(drop)
    }

    fn until_newer_than(&self, last: &str) -> Result<String> {
        self.patiently("newer evidence is accepted", || {
            let now = self.attestation()?;
            ensure!(now.as_str() > last, "the last one is still {now}");
            Ok(now)
        })
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
        self.patiently(&format!("the verdict is {status}"), || {
            let device = self.engine.device(&self.device)?;
            let verdict = &device["verdict"];
            ensure!(verdict["status"] == status, "it is {}: {}", verdict["status"], verdict["findings"]);
            Ok(device)
        })
    }

    /// Waits until the guest is allowed, which takes an affirming verdict and the score that the default policy asks for.
    ///
    /// # Errors
    /// It is not allowed in time; the last answer.
    pub fn until_allowed(&self) -> Result<()> {
        self.until_status("affirming")?;
        self.patiently("the guest is allowed", || {
            let (outcome, answer) = self.engine.decide(&self.device)?;
            ensure!(outcome == "allow", "{answer}");
            Ok(())
        })
    }

    /// The findings of the last verdict that cost trust or fail.
    ///
    /// # Errors
    /// There is no verdict.
    pub fn findings(&self) -> Result<Vec<Value>> {
        let device = self.engine.device(&self.device)?;
        let findings = device["verdict"]["findings"].as_array().context("a verdict has findings")?;
        Ok(findings.iter().filter(|finding| finding["severity"] != "info").cloned().collect())
    }

    /// Waits until something holds of the guest; its console is in the error.
    ///
    /// # Errors
    /// It does not hold in time; the last reason why not.
    pub fn patiently<T>(&self, what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let held = patiently(what, attempt);
        held.with_context(|| format!("the console of the guest ends with\n{}", self.machine.console_end()))
    }
}

fn patiently<T>(what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    eventually_within(GUEST_PATIENCE, GUEST_PACE, what, attempt)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path is text")
}
