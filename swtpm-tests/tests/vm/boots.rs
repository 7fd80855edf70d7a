//! Boots that are not the one that was declared golden.

use anyhow::{Context as _, Result, ensure};
use vouchsafe_attest::image::CommandText;
use vouchsafe_swtpm_tests::guest::{Chain, GuestWorld, ImageFile, Parts, SecureBoot, Software, supersede};

use crate::denial::{self, only, told};

/// systemd-boot writes the command line into the log, and a finding can tell the text.
const CHAIN: Chain = Chain::SystemdBoot;
/// On the command line of a boot that is not golden.
const OPTION: &str = "init=/bin/sh";

#[test]
#[ignore = "boots four times: make test-vm"]
fn another_command_line_initrd_or_kernel_is_denied_with_its_finding_until_it_is_golden() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let (mut world, image) = GuestWorld::golden(&parts, SecureBoot::NoKeys, CHAIN)?;
    let golden = world.software.clone();
    an_image_with_another_command_line_says_whom_it_would_fail(&world, &image)?;

    world.boot_other(&golden.clone().with_option(OPTION))?;
    for finding in denial::names(&world, &["boot.command_line_mismatch"])? {
        let (expected, found) = (told(&finding, "expected"), told(&finding, "found"));
        ensure!(expected.ends_with(&golden.command_line), "{finding}");
        ensure!(found == format!("{expected} {OPTION}"), "{finding}");
        ensure!(finding["event"].is_u64() && finding["pcr"].is_u64(), "{finding}");
    }

    world.boot_other(&golden.clone().with_file("etc/motd", 0o644, b"hello\n"))?;
    let failures = denial::names(&world, &["boot.initrd_unknown"])?;
    let finding = only(&failures, "boot.initrd_unknown")?;
    ensure!(finding["pcr"] == 9 && told(finding, "found").contains("sha256 "), "{finding}");

    // Another kernel has other modules, in an initrd that is another one with them.
    let other = Software::new(&parts.other_kernel()?)?;
    world.boot_other(&other)?;
    let codes = ["boot.image_missing", "boot.image_unknown", "boot.initrd_unknown", "ima.file_changed"];
    let failures = denial::names(&world, &codes)?;
    let kernel = only(&failures, "boot.image_unknown")?;
    ensure!(kernel["pcr"] == 4 && told(kernel, "path").ends_with("vmlinuz"), "{kernel}");
    ensure!(told(kernel, "expected").contains("vmlinuz': sha256 "), "{kernel}");
    let changed = failures.iter().filter(|finding| finding["code"] == "ima.file_changed");
    let changed: Vec<&str> = changed.map(|finding| told(finding, "path")).collect();
    ensure!(changed.iter().all(|path| path.starts_with("/modules/")), "{changed:?}");

    // The update of the golden image: from the next evidence on the guest is what it should be, and moves on by itself.
    let update = world.capture("2")?.edited("2", |document| supersede(document, &["guest@1"]))?;
    world.import(&update)?;
    world.until_allowed()?;
    let device = world.engine.device(&world.device)?;
    ensure!(device["image"] == "guest@2", "it is compared with {}", device["image"]);
    Ok(())
}

/// An image that expects another command line is tried, before anything depends on it.
fn an_image_with_another_command_line_says_whom_it_would_fail(world: &GuestWorld, image: &ImageFile) -> Result<()> {
    let candidate = image.edited("candidate", |document| {
        let boot = document.boot.as_mut().context("the image says what to boot")?;
        for line in boot.command_lines.iter_mut().flatten() {
            line.text = CommandText::Exact(format!("{} quiet=again", exact(&line.text)?));
        }
        Ok(())
    })?;
    let file = candidate.path().to_str().context("a path is text")?;
    let run = world.engine.ask(&["image", "dry-run", file])?;
    let device = &run["devices"][0];
    ensure!(device["device"] == world.device.as_str() && device["fails"] == true, "{run}");
    let findings = device["findings"].as_array().context("a dry run has findings")?;
    let reason = findings.iter().find(|finding| finding["code"] == "boot.command_line_mismatch");
    let reason = reason.with_context(|| format!("it does not say why: {run}"))?;
    ensure!(told(reason, "expected") == format!("{} quiet=again", told(reason, "found")), "{reason}");
    ensure!(told(reason, "found").ends_with(&world.software.command_line), "{reason}");

    let run = world.engine.ask(&["image", "dry-run", image.path().to_str().context("a path is text")?])?;
    ensure!(run["devices"][0]["fails"] == false, "the present image would fail: {run}");
    let images = world.engine.ask(&["image", "list"])?;
    ensure!(images.as_array().is_some_and(|all| all.len() == 1), "a dry run left an image: {images}");
    Ok(())
}

fn exact(text: &CommandText) -> Result<&str> {
    match text {
        CommandText::Exact(text) => Ok(text),
        other => anyhow::bail!("the log does not tell the command line: {other:?}"),
    }
}

#[test]
#[ignore = "boots twice: make test-vm"]
fn an_agent_whose_machine_loses_power_goes_on_as_the_same_device() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let (mut world, _) = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct)?;
    world.machine.save_state()?;
    world.machine.cut_power();
    world.reboot()?;
    world.until_allowed()?;
    ensure!(world.findings()?.is_empty(), "{:?}", world.findings()?);
    let devices = world.engine.ask(&["device", "list"])?;
    ensure!(devices.as_array().is_some_and(|all| all.len() == 1), "{devices}");
    Ok(())
}
