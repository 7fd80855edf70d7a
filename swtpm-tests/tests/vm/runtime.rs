//! What happens on a guest after it booted.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use vouchsafe_swtpm_tests::guest::{Chain, GuestWorld, ImageFile, Parts, SecureBoot, supersede};

use crate::denial::{self, only, told};

const ROGUE: &str = "/usr/local/bin/rogue";

#[test]
#[ignore = "boots a guest: make test-vm"]
fn a_new_executable_is_named_and_denied_until_it_is_golden() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let (mut world, _) = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct)?;
    let before = world.machine.logs()?;

    // What the control channel does leaves no trace.
    world.machine.put("/run/harmless", 0o755, b"#!/bin/sh\nexit 0\n")?;
    world.machine.ask("/run/harmless")?;
    ensure!(world.machine.logs()?.ima == before.ima, "a tmpfs is measured");

    world.machine.put(ROGUE, 0o755, b"#!/bin/sh\necho rogue\n")?;
    ensure!(world.machine.logs()?.ima == before.ima, "a file that nobody ran is measured");
    world.settle()?;
    ensure!(world.findings()?.is_empty(), "{:?}", world.findings()?);

    ensure!(world.machine.ask(ROGUE)? == b"rogue\n");
    let failures = denial::names(&world, &["ima.file_unlisted"])?;
    let finding = only(&failures, "ima.file_unlisted")?;
    let after = world.machine.logs()?;
    ensure!(after.ima.starts_with(&before.ima), "the list was not only appended to");
    ensure!(told(finding, "path") == ROGUE && finding["entry"] == entries(&after.ima)?, "{finding}");
    let script = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"#!/bin/sh\necho rogue\n");
    ensure!(told(finding, "found") == format!("sha256:{}", hex::encode(script)), "{finding}");

    let update = world.capture("2")?.edited("2", |document| supersede(document, &["guest@1"]))?;
    world.import(&update)?;
    world.until_allowed()?;

    let measured = entries(&after.ima)?;
    the_boot_log_can_vouch_for_what_ran_from_the_initramfs(&mut world, &update, measured)
}

/// The same guest by an image that lists nothing of the initramfs: up to the first file that came later, what ran is what
/// the boot log knows; from there on each file has to be listed.
fn the_boot_log_can_vouch_for_what_ran_from_the_initramfs(
    world: &mut GuestWorld,
    image: &ImageFile,
    measured: usize,
) -> Result<()> {
    let rule = format!("initramfs={ROGUE}");
    let by_rule = image.edited("3", |document| {
        (document.supersedes, document.overlap) = (BTreeSet::new(), None);
        let runtime = document.runtime.as_mut().context("the IMA list is written down")?;
        runtime.digests.retain(|path, _| path == ROGUE);
        runtime.rules.push(rule.clone());
        Ok(())
    })?;
    world.import(&by_rule)?;
    world.assign(&by_rule)?;
    world.settle()?;
    let device = world.until_status("affirming")?;
    let findings = device["verdict"]["findings"].as_array().context("a verdict has findings")?;
    let applied = only(findings, "ima.rule_applied")?;
    // All but the boot aggregate and the file that is listed.
    let found = format!("{} entries, the first of them entry 2", measured - 2);
    ensure!(told(applied, "path") == rule && told(applied, "found") == found, "{applied}");

    let late = "/usr/local/bin/late";
    world.machine.put(late, 0o755, b"#!/bin/sh\n")?;
    world.machine.ask(late)?;
    let failures = denial::names(world, &["ima.file_unlisted"])?;
    ensure!(told(only(&failures, "ima.file_unlisted")?, "path") == late, "{failures:#?}");
    Ok(())
}

/// How many entries a list has: the number of its last one.
fn entries(list: &[u8]) -> Result<usize> {
    let entries = vouchsafe_attest::ima::Entries::new(list).collect::<Result<Vec<_>, _>>()?;
    Ok(entries.len())
}
