//! The short story: a guest boots, enrols, vouches for itself and is allowed, and what it does not list is noticed.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::guest::{Chain, GuestWorld, Parts, SecureBoot};

#[test]
fn a_guest_enrols_attests_and_is_allowed() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let world = GuestWorld::golden(&parts, SecureBoot::NoKeys, Chain::Direct, &[])?;
    let device = world.engine.device(&world.device)?;
    ensure!(device["endorsement"] == "vendor", "{}", device["endorsement"]);
    let kernel = device["facts"]["kernel"].as_str().unwrap_or_default();
    ensure!(kernel == parts.kernel.release, "it is not the guest that enrolled: {}", device["facts"]);
    Ok(())
}
