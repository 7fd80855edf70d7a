//! Engines and agents that are killed, TPMs that are reset: everything goes on where it was, and nothing counts twice.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vouchsafe_swtpm_tests::agent::Agent;
use vouchsafe_swtpm_tests::engine::{Engine, eventually};
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;
use vouchsafe_swtpm_tests::world::{World, first_verdict};

#[test]
fn an_engine_that_is_killed_again_and_again_loses_nothing() -> Result<()> {
    let mut world = World::golden(&[])?;
    let mut seen = BTreeSet::new();
    for round in 0_u64..4 {
        let last = world.attestation()?;
        world.until_newer_than(&last)?;
        seen.insert(world.attestation()?);
        // Somewhere else in the cycle of one second each time.
        std::thread::sleep(Duration::from_millis(170 * round));
        world.engine.restart()?;
    }
    let last = world.attestation()?;
    world.until_newer_than(&last)?;
    let log = world.agent.log();
    ensure!(!log.contains("panicked"), "{log}");
    ensure!(seen.len() == 4, "attestations were lost: {seen:?}");
    // The image is still assigned, the verdict still good, the score still there.
    world.until_status("affirming")?;
    Ok(())
}

#[test]
fn enrolment_survives_an_engine_that_restarts_between_its_messages() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let mut engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let join = engine.join_file("join", &[])?;
    let mut agent = Agent::new(&tpm.tcti(), &[])?;
    agent.run(Some(&join))?;
    // The first message was answered when the engine says that an enrolment began; the credential takes the TPM a while.
    eventually("the enrolment began", || {
        ensure!(engine.log().contains("enrolment began"), "not yet");
        Ok(())
    })?;
    engine.restart()?;
    let device = eventually("the device vouches", || first_verdict(&engine))?;
    let tokens = engine.ask(&["token", "list"])?;
    ensure!(tokens[0]["uses"] == 1, "the token of {device} was counted {} times", tokens[0]["uses"]);
    Ok(())
}

#[test]
fn an_agent_that_is_killed_goes_on_as_the_same_device() -> Result<()> {
    let mut world = World::golden(&[])?;
    let last = world.attestation()?;
    world.agent.kill();
    world.agent.run(None)?;
    world.until_newer_than(&last)?;
    let devices = world.engine.ask(&["device", "list"])?;
    ensure!(devices.as_array().is_some_and(|all| all.len() == 1), "{devices}");
    world.until_status("affirming")?;
    Ok(())
}

#[test]
fn a_tpm_reset_is_noticed_and_survived() -> Result<()> {
    let world = World::enrolled(&[])?;
    let last = world.attestation()?;
    world.tpm.reset().context("resetting the TPM")?;
    world.until_newer_than(&last)?;
    eventually("the reset is in the findings of an attestation", || {
        let log = world.engine.log();
        let device = world.engine.device(&world.device)?;
        let found = device["verdict"]["findings"].to_string().contains("tpm.reset");
        ensure!(found || log.contains("tpm.reset"), "not seen");
        Ok(())
    })?;
    Ok(())
}

#[test]
fn an_agent_waits_for_an_engine_that_is_away() -> Result<()> {
    let mut world = World::golden(&[])?;
    let last = world.attestation()?;
    world.engine.kill();
    std::thread::sleep(Duration::from_secs(3));
    ensure!(world.agent.pid().is_some(), "the agent gave up");
    world.engine.start()?;
    world.until_newer_than(&last)?;
    Ok(())
}
