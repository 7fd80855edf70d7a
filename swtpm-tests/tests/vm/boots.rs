//! Boots that are not the one that was declared golden.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::guest::{BOOT_PCRS, Chain, GuestWorld, Parts, SecureBoot, Software};

/// Boots other software: the verdict must name this PCR, a decision must be a denial that names it too.
fn is_denied_for(world: &mut GuestWorld, software: &Software, pcr: u64) -> Result<()> {
    world.boot_other(software)?;
    world.until_status("contraindicated")?;
    let mismatched = world.mismatched_pcrs()?;
    ensure!(mismatched.contains(&pcr), "PCR {pcr} is not named, but {mismatched:?}");
    let boot_unrelated = mismatched.iter().find(|other| ![4, 9].contains(*other));
    ensure!(boot_unrelated.is_none(), "PCR {boot_unrelated:?} has nothing to do with it: {mismatched:?}");
    let (outcome, answer) = world.engine.decide(&world.device)?;
    ensure!(outcome == "deny", "it is allowed: {answer}");
    ensure!(answer["reasons"].to_string().contains(&format!("PCR {pcr}")), "the denial does not say why: {answer}");
    Ok(())
}

#[test]
#[ignore = "boots six times: make test-vm"]
fn another_command_line_initramfs_or_kernel_is_denied_until_it_is_golden() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let mut world = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct, &[BOOT_PCRS])?;
    let golden = world.software.clone();

    world.machine.shut_down()?;
    world.reboot()?;
    world.until_status("affirming")?;

    // The kernel's EFI stub measures its command line and its initramfs into PCR 9, the firmware the kernel into PCR 4
    // (UAPI Group, Linux TPM PCR Registry).
    is_denied_for(&mut world, &golden.clone().with_option("init=/bin/sh_not_there"), 9)?;
    let other_initrd = golden.with_file("etc/motd", 0o644, b"hello\n");
    is_denied_for(&mut world, &other_initrd, 9)?;
    let other_kernel = Software::new(&parts.other_kernel()?)?;
    is_denied_for(&mut world, &other_kernel, 4)?;

    world.capture("2")?;
    world.until_status("affirming")?;
    world.machine.shut_down()?;
    world.reboot()?;
    world.until_status("affirming")?;
    Ok(())
}

#[test]
#[ignore = "boots twice: make test-vm"]
fn an_agent_whose_machine_loses_power_goes_on_as_the_same_device() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let mut world = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct, &[BOOT_PCRS])?;
    world.machine.save_state()?;
    world.machine.cut_power();
    world.reboot()?;
    world.until_status("affirming")?;
    let devices = world.engine.ask(&["device", "list"])?;
    ensure!(devices.as_array().is_some_and(|all| all.len() == 1), "{devices}");
    Ok(())
}
