//! The main job, end to end, and what attackers try on the way.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use vouchsafe_swtpm_tests::agent::Agent;
use vouchsafe_swtpm_tests::engine::{Engine, eventually};
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;
use vouchsafe_swtpm_tests::world::{World, first_verdict};

/// The figures of a score, by which a demo threshold is chosen.
fn score(engine: &Engine, device: &str) -> Result<f64> {
    engine.device(device)?["score"].as_f64().context("a device has a score")
}

#[test]
fn a_device_is_enrolled_trusted_tampered_with_and_denied() -> Result<()> {
    let world = World::enrolled(&[])?;
    let before = score(&world.engine, &world.device)?;
    ensure!(before <= 40.0, "without a golden image the score is held at 40, and it is {before}");
    let (outcome, answer) = world.engine.decide(&world.device)?;
    ensure!(outcome == "deny", "an unknown image is allowed: {answer}");

    world.capture("golden", "1")?;
    world.until_status("affirming")?;

    world.tpm.extend(14, "a rogue boot stage")?;
    let device = world.until_status("contraindicated")?;
    ensure!(device["score"].as_f64() == Some(0.0), "a failed attestation is worth nothing: {}", device["score"]);
    let (outcome, answer) = world.engine.decide(&world.device)?;
    ensure!(outcome == "deny", "a tampered device is allowed: {answer}");
    let reasons = answer["reasons"].to_string();
    ensure!(reasons.contains("PCR 14"), "the denial does not name the PCR: {reasons}");
    let findings = device["verdict"]["findings"].to_string();
    ensure!(findings.contains("pcr.mismatch") && findings.contains("\"pcr\":14"), "{findings}");
    Ok(())
}

#[test]
fn an_rsa_attestation_key_and_either_endorsement_key_will_do() -> Result<()> {
    for options in [["--ak", "rsa", "--ek", "rsa"], ["--ak", "ecc", "--ek", "ecc"]] {
        let world = World::golden(&options)?;
        let device = world.engine.device(&world.device)?;
        ensure!(device["endorsement"] == "vendor", "{options:?}: {}", device["endorsement"]);
    }
    Ok(())
}

#[test]
fn a_second_tpm_cannot_use_a_token_that_is_used_up() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let join = engine.join_file("join", &[])?;
    let mut agent = Agent::new(&tpm.tcti(), &[])?;
    agent.run(Some(&join))?;
    let first = eventually("the first device vouches", || first_verdict(&engine))?;

    let second_tpm = SoftTpm::start()?;
    let mut second = Agent::new(&second_tpm.tcti(), &[])?;
    second.run(Some(&join))?;
    let status = second.wait()?;
    ensure!(!status.success(), "the second device enrolled with a token for one");
    ensure!(second.log().contains("token"), "it does not say why: {}", second.log());
    let devices = engine.ask(&["device", "list"])?;
    ensure!(devices.as_array().is_some_and(|all| all.len() == 1), "{devices}");
    ensure!(devices[0]["id"] == first.as_str());
    Ok(())
}

#[test]
fn a_tpm_of_an_unknown_maker_is_refused_and_a_pinned_one_is_not() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&[], &[])?;
    let join = engine.join_file("join", &[])?;
    let mut agent = Agent::new(&tpm.tcti(), &[])?;
    agent.run(Some(&join))?;
    ensure!(!agent.wait()?.success(), "a TPM that nobody vouches for enrolled");
    let log = agent.log();
    let digest = log
        .split(|character: char| !character.is_ascii_hexdigit())
        .find(|word| word.len() == 64)
        .with_context(|| format!("the refusal does not name the EK: {log}"))?;

    let pinned = engine.join_file("pinned", &["--pin-ek", digest])?;
    let mut agent = Agent::new(&tpm.tcti(), &[])?;
    agent.run(Some(&pinned))?;
    let device = eventually("the pinned device vouches", || first_verdict(&engine))?;
    let endorsement = engine.device(&device)?["endorsement"].clone();
    ensure!(endorsement == "pinned", "{endorsement}");
    Ok(())
}

#[test]
fn an_expired_token_lets_nobody_in() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let join = engine.join_file("join", &["--ttl", "1s"])?;
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let mut agent = Agent::new(&tpm.tcti(), &[])?;
    agent.run(Some(&join))?;
    ensure!(!agent.wait()?.success(), "an expired token let a device in");
    ensure!(agent.log().contains("expired"), "it does not say why: {}", agent.log());
    Ok(())
}

#[test]
fn an_agent_does_not_talk_to_an_engine_of_another_authority() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let other = Engine::init(&[], &[])?;
    let join = engine.join_file("join", &[])?;
    let mut file: Value = serde_json::from_slice(&std::fs::read(&join)?)?;
    file["trust_bundle_pem"] = std::fs::read_to_string(other.folder().join("trust-bundle.pem"))?.into();
    std::fs::write(&join, file.to_string())?;
    let enrol = Agent::new(&tpm.tcti(), &[])?.command("enrol")?.arg("--join").arg(&join).output()?;
    let said = String::from_utf8_lossy(&enrol.stderr).to_lowercase();
    ensure!(!enrol.status.success(), "it enrolled with an engine that it cannot know");
    ensure!(said.contains("certificate"), "it does not say why: {said}");
    let devices = engine.ask(&["device", "list"])?;
    ensure!(devices.as_array().is_some_and(Vec::is_empty), "{devices}");
    Ok(())
}

#[test]
fn a_revoked_device_is_denied_at_once_and_its_agent_stops() -> Result<()> {
    let mut world = World::golden(&[])?;
    let revoked = world.engine.operator(&["device", "revoke", &world.device, "--reason", "stolen"])?;
    ensure!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let (outcome, answer) = world.engine.decide(&world.device)?;
    ensure!(outcome == "deny" && answer["reasons"].to_string().contains("revoked"), "{answer}");
    ensure!(!world.agent.wait()?.success(), "the agent of a revoked device reports success");
    ensure!(world.agent.log().contains("revoked"), "it does not say why: {}", world.agent.log());

    // Enrolling again does not undo it.
    let join = world.engine.join_file("again", &[])?;
    let mut agent = Agent::new(&world.tpm.tcti(), &[])?;
    agent.run(Some(&join))?;
    ensure!(!agent.wait()?.success(), "a revoked device enrolled again");
    ensure!(agent.log().contains("revoked"), "it does not say why: {}", agent.log());
    Ok(())
}

#[test]
fn what_is_larger_than_most_requests_is_taken_where_it_may_be() -> Result<()> {
    let engine = Engine::start_new(&[], &[])?;
    let file = |name: &str, head: &str, paths: usize| -> Result<std::path::PathBuf> {
        let digests = (0..paths).map(|n| format!("\"/usr/lib/large/{n:06}\" = [\"sha256:{n:064x}\"]\n"));
        let path = engine.scratch().join(name);
        std::fs::write(&path, format!("{head}\n[runtime.digests]\n{}", digests.collect::<String>()))?;
        Ok(path)
    };
    let head = "format = \"vouchsafe-image/1\"\nimage = \"large@1\"\ncreated_at = \"2026-01-31T12:00:00.000Z\"\n";
    let image = file("large.toml", head, 20_000)?;
    ensure!(std::fs::metadata(&image)?.len() > 1024 * 1024, "it is no larger than most");
    let imported = engine.operator(&["image", "import", image.to_str().context("a path is text")?])?;
    ensure!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let listed = engine.ask(&["image", "list"])?;
    ensure!(listed[0]["id"] == "large@1", "{listed}");
    Ok(())
}
