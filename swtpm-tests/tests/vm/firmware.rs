//! Secure Boot, and every way from the firmware to the kernel.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use vouchsafe_attest::image::SecureBootRule;
use vouchsafe_swtpm_tests::binaries::binary;
use vouchsafe_swtpm_tests::guest::{
    Chain, GuestWorld, Logs, Machine, Parts, SecureBoot, SetupVariable, Software, Started, dbx_update,
};

use crate::denial::{self, only, told};
use crate::replay;

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
            logs.write_to(&Path::new(&folder).join(format!("{chain:?}-{keys:?}")))?;
        }
        have_no_fault(&logs, enforced).with_context(|| format!("{chain:?} with {keys:?}"))?;
        let replayed = replay::sha256(&logs.boot)?;
        ensure!(replayed.len() >= 9, "{chain:?} measured into {} PCRs", replayed.len());
        for (pcr, value) in replayed {
            ensure!(logs.pcr("sha256", pcr) == Some(&value), "{chain:?}: PCR {pcr} is not {value}");
        }
    }
    Ok(())
}

/// The logs of a real boot, as the offline tools see them: all that is said is explained.
fn have_no_fault(logs: &Logs, secure_boot: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    logs.write_to(folder.path())?;
    let appraise = |arguments: &[&str]| -> Result<Value> {
        let mut vouchsafe = Command::new(binary("vouchsafe")?);
        let told =
            vouchsafe.arg("appraise").args(arguments).args(["--format", "json"]).current_dir(&folder).output()?;
        let (said, errors) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        ensure!(told.status.success(), "appraise {}: {said}{errors}", arguments.join(" "));
        Ok(serde_json::from_str(&said)?)
    };
    let boot = appraise(&["eventlog", "binary_bios_measurements", "--pcrs", "pcrs.json"])?;
    ensure!(boot["findings"] == Value::Array(Vec::new()), "{}", boot["findings"]);
    ensure!(boot["secure_boot"]["enabled"] == secure_boot, "{}", boot["secure_boot"]);
    ensure!(boot["boot_chain"].as_array().is_some_and(|chain| !chain.is_empty()), "{boot}");
    let list = appraise(&["ima", "binary_runtime_measurements"])?;
    for bank in ["sha1", "sha256"] {
        ensure!(list["pcr10"][bank].as_str() == logs.pcr(bank, 10), "{bank}: {}", list["pcr10"]);
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
fn secure_boot_that_is_switched_off_is_named_and_so_is_a_revoked_image_that_it_lets_start() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let (mut world, image) = GuestWorld::golden(&parts, SecureBoot::TestKeys, Chain::Unified)?;
    let boot = image.document().boot.as_ref().context("the event log is written down")?;
    ensure!(boot.secure_boot == SecureBootRule::On && boot.keys.db.is_some(), "{boot:#?}");
    world.machine.shut_down()?;
    world.machine.variables()?.set(&SetupVariable::secure_boot_enable(), &[0])?;
    world.reboot()?;
    // Without Secure Boot systemd's stub has the firmware load the kernel, which then measures it into PCR 4.
    let failures = denial::names(&world, &["boot.image_unknown", "secure_boot.off"])?;
    let off = only(&failures, "secure_boot.off")?;
    ensure!(told(off, "path") == "SecureBoot" && off["pcr"] == 7, "{off}");
    ensure!((told(off, "expected"), told(off, "found")) == ("on", "off"), "{off}");

    // Whoever revokes the image learns who started it, although this firmware did not look.
    let revoked = world.machine.first_image()?;
    let update = world.scratch("dbxupdate_x64.bin");
    std::fs::write(&update, dbx_update(&revoked))?;
    world.operate(&["secureboot", "import", update.to_str().context("a path is text")?])?;
    let failures = denial::names(&world, &["boot.image_unknown", "secure_boot.image_revoked", "secure_boot.off"])?;
    let finding = only(&failures, "secure_boot.image_revoked")?;
    ensure!(told(finding, "found").contains(&hex::encode(revoked)), "{finding}");
    ensure!(told(finding, "path").ends_with("BOOTX64.EFI") && finding["event"].is_u64(), "{finding}");
    Ok(())
}
