//! What happens on a guest after it booted.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::guest::{Chain, GuestWorld, Parts, SecureBoot};

use crate::denial;

const ROGUE: &str = "/usr/local/bin/rogue";

#[test]
#[ignore = "boots a guest: make test-vm"]
fn a_new_executable_is_measured_and_denied_until_it_is_golden() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let mut world = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct, &[])?;
    let before = world.machine.logs()?;
    ensure!(contains(&before.ima, "/bin/vouchsafe-agent"), "the agent is not in the IMA list");

    // What the control channel does leaves no trace.
    world.machine.put("/run/harmless", 0o755, b"#!/bin/sh\nexit 0\n")?;
    world.machine.ask("/run/harmless")?;
    ensure!(world.machine.logs()?.ima == before.ima, "a tmpfs is measured");
    world.until_status("affirming")?;

    world.machine.put(ROGUE, 0o755, b"#!/bin/sh\necho rogue\n")?;
    ensure!(world.machine.logs()?.ima == before.ima, "a file that nobody ran is measured");
    ensure!(world.machine.ask(ROGUE)? == b"rogue\n");
    let after = world.machine.logs()?;
    ensure!(after.ima.starts_with(&before.ima) && contains(&after.ima, ROGUE), "it is not in the IMA list");
    denial::names(&world, &[10])?;

    world.capture("2")?;
    world.until_status("affirming")?;
    Ok(())
}

fn contains(list: &[u8], path: &str) -> bool {
    list.windows(path.len()).any(|window| window == path.as_bytes())
}
