//! The short story: a guest boots, enrols, vouches for itself, is written down as a golden image, and is allowed.

use anyhow::{Context as _, Result, ensure};
use vouchsafe_swtpm_tests::guest::{Chain, GuestWorld, Parts, SecureBoot};

#[test]
fn a_guest_enrols_attests_what_it_booted_and_runs_and_is_allowed() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let (world, image) = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct)?;

    // The document says what it booted and what it runs, the agent among it, and no rule lets anything pass.
    let boot = image.document().boot.as_ref().context("the event log is written down")?;
    ensure!(boot.images.is_some() && boot.initrds.is_some() && boot.command_lines.is_some(), "{boot:#?}");
    let runtime = image.document().runtime.as_ref().context("the IMA list is written down")?;
    for path in ["/init", "/bin/busybox", "/bin/vouchsafe-agent"] {
        ensure!(runtime.digests.contains_key(path), "{path} is not in {:?}", runtime.digests.keys());
    }
    ensure!(runtime.rules.is_empty() && runtime.exclude.is_empty(), "{runtime:#?}");

    world.until_allowed()?;
    let device = world.engine.device(&world.device)?;
    ensure!(device["endorsement"] == "vendor", "{}", device["endorsement"]);
    let kernel = device["facts"]["kernel"].as_str().unwrap_or_default();
    ensure!(kernel == parts.kernel.release, "it is not the guest that enrolled: {}", device["facts"]);
    let verdict = &device["verdict"];
    ensure!(verdict["image"] == image.id(), "{verdict}");
    ensure!(verdict["coverage"]["boot"] == true && verdict["coverage"]["runtime"] == true, "{verdict}");
    ensure!(world.findings()?.is_empty(), "{}", verdict["findings"]);
    Ok(())
}
