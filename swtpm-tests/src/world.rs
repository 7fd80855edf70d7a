//! A device that enrolled, with everything around it: software TPM, agent, engine.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::Agent;
use crate::engine::{Engine, eventually};
use crate::soft_tpm::SoftTpm;

/// A device that enrolled, with everything around it.
pub struct World {
    /// The server.
    pub engine: Engine,
    /// The agent, running.
    pub agent: Agent,
    /// The agent's TPM.
    pub tpm: SoftTpm,
    /// The device's id.
    pub device: String,
}

impl World {
    /// A device that enrolled and has vouched for itself once, with no golden image yet.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn enrolled(agent_options: &[&str]) -> Result<Self> {
        let tpm = SoftTpm::start()?;
        let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
        Self::enrol(tpm, engine, agent_options)
    }

    fn enrol(tpm: SoftTpm, engine: Engine, agent_options: &[&str]) -> Result<Self> {
        let join = engine.join_file("join", &[])?;
        let mut agent = Agent::new(&tpm.tcti(), agent_options)?;
        agent.run(Some(&join))?;
        let device = eventually("the device has vouched for itself", || first_verdict(&engine))?;
        Ok(Self { engine, agent, tpm, device })
    }

    /// The same, and its present state is golden.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn golden(agent_options: &[&str]) -> Result<Self> {
        let world = Self::enrolled(agent_options)?;
        world.capture("golden", "1")?;
        world.until_status("affirming")?;
        Ok(world)
    }

    /// A device whose state is golden and that has the score which the default policy asks for, by a trust model in which
    /// that takes seconds.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn allowed() -> Result<Self> {
        let tpm = SoftTpm::start()?;
        let engine = Engine::start_quick(&tpm.vendor_certificates())?;
        let world = Self::enrol(tpm, engine, &[])?;
        world.capture("golden", "1")?;
        eventually("the device is allowed", || {
            let (outcome, answer) = world.engine.decide(&world.device)?;
            ensure!(outcome == "allow", "{answer}");
            Ok(())
        })?;
        Ok(world)
    }

    /// Declares the device's present state golden.
    ///
    /// # Errors
    /// The engine does not take it.
    pub fn capture(&self, name: &str, version: &str) -> Result<()> {
        let captured = self.engine.operator(&[
            "image",
            "capture",
            "--device",
            &self.device,
            "--name",
            name,
            "--version",
            version,
            "--assign",
        ])?;
        ensure!(captured.status.success(), "{}", String::from_utf8_lossy(&captured.stderr));
        Ok(())
    }

    /// Waits until the last verdict has this status, and returns the device as it is then.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn until_status(&self, status: &str) -> Result<Value> {
        eventually(&format!("the verdict is {status}"), || {
            let device = self.engine.device(&self.device)?;
            ensure!(device["verdict"]["status"] == status, "it is {}", device["verdict"]["status"]);
            Ok(device)
        })
    }

    /// The id of the last attestation. Later ones sort after earlier ones.
    ///
    /// # Errors
    /// There is none.
    pub fn attestation(&self) -> Result<String> {
        let device = self.engine.device(&self.device)?;
        Ok(device["verdict"]["attestation"].as_str().context("it has vouched")?.to_owned())
    }

    /// Waits until evidence is accepted that is newer than this.
    ///
    /// # Errors
    /// It does not come to that in time.
    pub fn until_newer_than(&self, attestation: &str) -> Result<()> {
        eventually("newer evidence is accepted", || {
            let now = self.attestation()?;
            ensure!(now.as_str() > attestation, "the last one is still {now}");
            Ok(())
        })
    }
}

/// The id of the first device that has vouched for itself.
///
/// # Errors
/// There is none yet.
pub fn first_verdict(engine: &Engine) -> Result<String> {
    let devices = engine.ask(&["device", "list"])?;
    let device = devices.get(0).context("there is no device yet")?;
    ensure!(!device["verdict"].is_null(), "it has not vouched yet");
    Ok(device["id"].as_str().context("a device has an id")?.to_owned())
}
