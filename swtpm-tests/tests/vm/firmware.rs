//! Secure Boot, and every way from the firmware to the kernel.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::guest::{
    BOOT_PCRS, Chain, GuestWorld, Machine, Parts, SecureBoot, SetupVariable, Software, Started,
};

use crate::{denial, replay};

/// What the guest's kernel sees of Secure Boot: the last byte of the variable.
const SECURE_BOOT: &str = "tail -c 1 /sys/firmware/efi/efivars/SecureBoot-* | od -An -tu1";

fn secure_boot(machine: &mut Machine) -> Result<bool> {
    Ok(String::from_utf8(machine.ask(SECURE_BOOT)?)?.trim() == "1")
}

#[test]
#[ignore = "boots five times: make test-vm"]
fn every_boot_chain_comes_up_and_its_log_replays_to_the_pcrs() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let software = Software::new(&parts.kernel)?;
    let chains = [
        (Chain::Direct, SecureBoot::NoKeys),
        (Chain::Stub, SecureBoot::TestKeys),
        (Chain::Unified, SecureBoot::Off),
        (Chain::SystemdBoot, SecureBoot::TestKeys),
        (Chain::ShimGrub, SecureBoot::Microsoft),
    ];
    for (chain, keys) in chains {
        let mut machine = Machine::new(keys)?;
        machine.install(&software, chain)?;
        machine.boot()?;
        let enforced = matches!(keys, SecureBoot::TestKeys | SecureBoot::Microsoft);
        ensure!(secure_boot(&mut machine)? == enforced, "{chain:?} with {keys:?}: Secure Boot is not {enforced}");
        let command_line = String::from_utf8(machine.ask("cat /proc/cmdline")?)?;
        ensure!(command_line.contains(&software.command_line), "{chain:?}: {command_line}");
        let logs = machine.logs()?;
        if let Some(folder) = std::env::var_os("VOUCHSAFE_GUEST_LOGS") {
            logs.write_to(&std::path::Path::new(&folder).join(format!("{chain:?}-{keys:?}")))?;
        }
        let replayed = replay::sha256(&logs.boot)?;
        ensure!(replayed.len() >= 9, "{chain:?} measured into {} PCRs", replayed.len());
        for (pcr, value) in replayed {
            ensure!(logs.pcr("sha256", pcr) == Some(&value), "{chain:?}: PCR {pcr} is not {value}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "boots four times: make test-vm"]
fn secure_boot_lets_only_signed_images_start_and_no_revoked_ones() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let software = Software::new(&parts.kernel)?;
    let mut machine = Machine::new(SecureBoot::TestKeys)?;
    machine.install_unsigned(&software, Chain::Unified)?;
    let unsigned = machine.try_boot()?;
    ensure!(unsigned != Started::Up, "an unsigned image started");

    machine.install(&software, Chain::Unified)?;
    ensure!(machine.try_boot()? == Started::Up, "a signed image is refused");
    ensure!(secure_boot(&mut machine)?, "Secure Boot is off");
    machine.shut_down()?;

    machine.revoke(&machine.first_image()?)?;
    let revoked = machine.try_boot()?;
    ensure!(revoked != Started::Up, "a revoked image started");

    // With Secure Boot off even that one starts: whether it was revoked is then for a verifier to say.
    machine.variables()?.set(&SetupVariable::secure_boot_enable(), &[0])?;
    ensure!(machine.try_boot()? == Started::Up, "Secure Boot is off and refuses an image");
    Ok(())
}

#[test]
#[ignore = "boots twice: make test-vm"]
fn secure_boot_that_is_switched_off_is_denied_and_pcr_7_named() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let mut world = GuestWorld::golden(&parts, SecureBoot::TestKeys, Chain::Unified, &[BOOT_PCRS])?;
    world.machine.shut_down()?;
    world.machine.variables()?.set(&SetupVariable::secure_boot_enable(), &[0])?;
    world.reboot()?;
    // Without Secure Boot systemd's stub has the firmware load the kernel, which then measures it into PCR 4.
    denial::names(&world, &[4, 7])
}
