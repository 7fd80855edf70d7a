//! The program on a software TPM: quotes for other tools, crashes between two messages, and its end.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use vouchsafe_swtpm_tests::agent::Agent;
use vouchsafe_swtpm_tests::engine::{Engine, eventually};
use vouchsafe_swtpm_tests::soft_tpm::{Model, SoftTpm};

use super::ensure_nothing_left;

fn state(agent: &Agent) -> Result<Value> {
    let content = fs::read(agent.state().join("state.json")).context("reading the agent's state")?;
    Ok(serde_json::from_slice::<Value>(&content)?["state"].take())
}

fn attested(agent: &Agent) -> Result<()> {
    let log = agent.log();
    ensure!(log.contains("the engine appraised our evidence"), "no evidence was appraised: {log}");
    Ok(())
}

#[test]
fn quotes_pass_the_check_of_tpm2_tools() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { banks: "sha1,sha256,sha384", ..Model::default() })?;
    tpm.extend(14, "something")?;
    for (ak, pcrs) in [("ecc", "sha256:0-7,14"), ("rsa", "sha256:0-23"), ("ecc", "sha384:14"), ("rsa", "sha1:0-15")] {
        let agent = Agent::new(&tpm.tcti(), &["--ak", ak])?;
        let out = agent.state().with_file_name("quote");
        let (path, nonce) = (|name: &str| out.join(name).display().to_string(), "00112233445566778899aabbccddeeff");
        let quoted = agent.command("quote")?.args(["--nonce", nonce, "--pcrs", pcrs, "--out"]).arg(&out).output()?;
        ensure!(quoted.status.success(), "{ak} {pcrs}: {}", String::from_utf8_lossy(&quoted.stderr));
        for public in ["ak.pem", "ak.pub"] {
            let (public, message, signature) = (path(public), path("quote.msg"), path("quote.sig"));
            let check = ["tpm2_checkquote", "-u", &public, "-m", &message, "-s", &signature, "-g", "sha256"];
            tpm.tool(&[&check[..], &["-f", &path("quote.pcrs"), "-q", nonce]].concat())?;
            let wrong = tpm.tool(&[&check[..], &["-f", &path("quote.pcrs"), "-q", "00"]].concat());
            ensure!(wrong.is_err(), "tpm2_checkquote takes any nonce");
        }
        // The file of values is what tpm2_quote itself would have written.
        tpm.tool(&["tpm2_createak", "-C", "0x81010001", "-c", "ak.ctx", "-G", "ecc", "-g", "sha256", "-s", "ecdsa"])?;
        tpm.tool(&["tpm2_flushcontext", "-t"])?;
        tpm.tool(&[
            "tpm2_quote",
            "-c",
            "ak.ctx",
            "-l",
            &listed(pcrs),
            "-m",
            "m",
            "-s",
            "s",
            "-o",
            "theirs",
            "-q",
            nonce,
        ])?;
        tpm.tool(&["tpm2_flushcontext", "-t"])?;
        let (ours, theirs) = (fs::read(path("quote.pcrs"))?, fs::read(tpm.directory().join("theirs"))?);
        ensure!(ours == theirs, "{pcrs}: {} bytes of ours, {} of tpm2_quote", ours.len(), theirs.len());
    }
    ensure_nothing_left(&tpm)
}

/// A selection as tpm2-tools reads it: without ranges.
fn listed(pcrs: &str) -> String {
    pcrs.parse::<vouchsafe_model::PcrSelection>().map_or_else(|_| pcrs.to_owned(), |selection| selection.to_string())
}

/// An agent that was killed between the two messages of its enrolment, and what it had on the disk then.
fn killed_between_messages(tpm: &SoftTpm, engine: &Engine) -> Result<(Agent, Vec<u8>)> {
    for attempt in 0..5 {
        let join = engine.join_file(&format!("join{attempt}"), &[])?;
        let mut agent = Agent::new(&tpm.tcti(), &[])?;
        agent.run(Some(&join))?;
        // The TPM takes a while to open the credential: long enough to look every few milliseconds.
        for _ in 0..5_000 {
            let known = state(&agent).unwrap_or_default();
            if known["pending"].is_object() {
                agent.kill();
                // Without the join file, whose token may have been used.
                fs::remove_file(&join)?;
                let stored = fs::read(agent.state().join("state.json"))?;
                if state(&agent)?["pending"].is_object() {
                    return Ok((agent, stored));
                }
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    bail!("the agent was never caught between its messages")
}

#[test]
fn an_enrolment_that_crashed_goes_on_with_the_same_ticket() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let mut engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let (mut agent, pending) = killed_between_messages(&tpm, &engine)?;
    agent.run(None)?;
    eventually("the device vouches", || attested(&agent))?;
    agent.kill();

    // As if the crash had come after the engine's answer, and before that was stored.
    let device = state(&agent)?["membership"]["device"].clone();
    fs::write(agent.state().join("state.json"), pending)?;
    engine.restart()?;
    agent.run(None)?;
    eventually("the same device is enrolled", || {
        ensure!(state(&agent)?["membership"]["device"] == device, "not yet: {}", agent.log());
        Ok(())
    })?;
    let tokens = engine.ask(&["token", "list"])?;
    let uses: Option<u64> = tokens.as_array().map(|all| all.iter().filter_map(|token| token["uses"].as_u64()).sum());
    ensure!(uses == Some(1), "tokens were counted {uses:?} times: {tokens}");
    Ok(())
}

#[test]
fn an_agent_that_is_told_to_end_ends_at_once_and_leaves_nothing() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let join = engine.join_file("join", &[])?;
    let mut agent = Agent::new(&tpm.tcti(), &["--log-format", "json"])?;
    for (round, signal) in ["-TERM", "-INT", "-TERM"].into_iter().enumerate() {
        agent.run(Some(&join))?;
        eventually("the device vouches", || {
            ensure!(agent.log().matches("appraised our evidence").count() > round, "not yet: {}", agent.log());
            Ok(())
        })?;
        // Somewhere in the cycle of a second.
        std::thread::sleep(Duration::from_millis(330 * round as u64));
        let pid = agent.pid().context("it runs")?.to_string();
        ensure!(Command::new("kill").args([signal, &pid]).status()?.success());
        let before = std::time::Instant::now();
        let status = agent.wait()?;
        ensure!(status.success(), "{signal}: {status}: {}", agent.log());
        ensure!(before.elapsed() < Duration::from_secs(8), "it took {:?}", before.elapsed());
        ensure_nothing_left(&tpm)?;
    }
    let status = agent.command("status")?.args(["--format", "json"]).output()?;
    let report: Value = serde_json::from_slice(&status.stdout)?;
    ensure!(status.status.success() && report["enrolled"] == true, "{report}");
    ensure!(report["last_attestation"]["verdict"].is_string() && report["next_due_at"].is_string(), "{report}");
    Ok(())
}

#[test]
fn enrolling_is_a_command_of_its_own_and_may_be_done_again() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let agent = Agent::new(&tpm.tcti(), &[])?;
    let mut names = Vec::new();
    for (number, again) in [&[][..], &["--again"]].into_iter().enumerate() {
        let join = engine.join_file(&format!("join{number}"), &[])?;
        let enrolled = agent.command("enrol")?.arg("--join").arg(&join).args(again).output()?;
        ensure!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        names.push(String::from_utf8(enrolled.stdout)?);
    }
    ensure!(names[0].starts_with("enrolled as ") && names[0] == names[1], "{names:?}");
    let idle = agent.command("enrol")?.args(["--join", "/nonexistent"]).output()?;
    ensure!(idle.status.success() && String::from_utf8_lossy(&idle.stdout).starts_with("already enrolled"));
    ensure_nothing_left(&tpm)
}

#[test]
fn two_agents_do_not_share_a_state() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let join = engine.join_file("join", &[])?;
    let mut agent = Agent::new(&tpm.tcti(), &[])?;
    agent.run(Some(&join))?;
    eventually("the device vouches", || attested(&agent))?;
    let second = agent.command("run")?.output()?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(second.status.code() == Some(3) && said.contains("in use by another"), "{said}");
    Ok(())
}

#[test]
fn an_engine_that_is_away_is_waited_for_as_long_as_was_said() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let mut engine = Engine::start_new(&tpm.vendor_certificates(), &[])?;
    let join = engine.join_file("join", &[])?;
    engine.kill();
    let agent = Agent::new(&tpm.tcti(), &[])?;
    let enrol = agent.command("enrol")?.arg("--join").arg(&join).args(["--wait-secs", "2"]).output()?;
    let said = String::from_utf8_lossy(&enrol.stderr).into_owned();
    ensure!(enrol.status.code() == Some(7) && said.contains("cannot be reached"), "{said}");
    Ok(())
}
