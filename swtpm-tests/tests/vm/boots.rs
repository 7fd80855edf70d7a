//! Boots that are not the one that was declared golden.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::guest::{BOOT_PCRS, Chain, GuestWorld, Parts, SecureBoot, Software};

use crate::denial;

/// Boots other software: it must be denied for exactly these PCRs.
fn is_denied_for(world: &mut GuestWorld, software: &Software, pcrs: &[u64]) -> Result<()> {
    world.boot_other(software)?;
    denial::names(world, pcrs)
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
    // (UAPI Group, Linux TPM PCR Registry). QEMU writes the length of the initramfs into the header of a kernel that it
    // hands over, so the kernel is another one with it; and another kernel's initramfs has other modules.
    is_denied_for(&mut world, &golden.clone().with_option("quiet=again"), &[9])?;
    is_denied_for(&mut world, &golden.with_file("etc/motd", 0o644, b"hello\n"), &[4, 9])?;
    is_denied_for(&mut world, &Software::new(&parts.other_kernel()?)?, &[4, 9])?;

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
