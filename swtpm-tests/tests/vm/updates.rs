//! Updates of a guest that runs.

use anyhow::{Result, ensure};
use serde_json::Value;
use vouchsafe_swtpm_tests::guest::{Chain, GuestWorld, ImageFile, Package, Parts, Release, SecureBoot, supersede};

use crate::denial::{self, told};

/// How many packages an update has.
const PACKAGES: usize = 300;
/// Of these, how many bring a file that the releases before did not have.
const NEW_FILES: usize = 10;

fn program(number: usize) -> String {
    format!("/usr/bin/tool-{number:03}")
}

fn new_file(number: usize) -> String {
    format!("/usr/libexec/tool-{number:03}-new")
}

fn script(path: &str, version: u32) -> (String, String) {
    (path.to_owned(), format!("#!/bin/sh\n# {path} of version {version}\nexit 0\n"))
}

/// Version 3 has more files than those before.
fn release(world: &GuestWorld, version: u32) -> Result<Release> {
    let packages = (1..=PACKAGES).map(|number| {
        let more = (version == 3 && number <= NEW_FILES).then(|| script(&new_file(number), version));
        let scripts = std::iter::once(script(&program(number), version)).chain(more).collect();
        Package { name: format!("tool-{number:03}"), scripts }
    });
    Release::build(&world.scratch(&format!("release-{version}")), version, &packages.collect::<Vec<_>>())
}

/// Runs programs, so many at once that none of the calls takes too long.
fn run(world: &mut GuestWorld, paths: impl Iterator<Item = String>) -> Result<()> {
    let paths: Vec<String> = paths.collect();
    for some in paths.chunks(100) {
        world.machine.ask(&format!("for program in {}; do $program || exit 1; done", some.join(" ")))?;
    }
    Ok(())
}

/// The image of a release that takes the place of those before it.
fn image(world: &GuestWorld, release: &Release, version: u32, captured: &ImageFile) -> Result<ImageFile> {
    let before: Vec<String> = (1..version).map(|version| format!("guest@{version}")).collect();
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let built = world.built(&version.to_string(), release, captured)?;
    built.edited(&version.to_string(), |document| if before.is_empty() { Ok(()) } else { supersede(document, &before) })
}

/// How many pieces of evidence were not good.
fn bad_evidence(world: &GuestWorld) -> Result<u64> {
    Ok(world.engine.appraised("contraindicated")? + world.engine.appraised("warning")?)
}

#[test]
#[ignore = "boots a guest and runs 900 programs in it: make test-vm"]
fn an_update_of_300_packages_is_no_alarm_when_its_image_came_first_and_names_each_file_when_not() -> Result<()> {
    let Some(parts) = Parts::or_skip()? else { return Ok(()) };
    let mut world = GuestWorld::enrolled(&parts, SecureBoot::NoKeys, Chain::Direct)?;
    let captured = world.capture("captured")?;
    let first = release(&world, 1)?;
    let of_first = image(&world, &first, 1, &captured)?;
    world.import(&of_first)?;
    world.assign(&of_first)?;
    world.machine.install_packages(&first)?;
    run(&mut world, (1..=PACKAGES).map(program))?;
    world.settle()?;
    world.until_allowed()?;
    ensure!(world.findings()?.is_empty(), "{:?}", world.findings()?);

    // The image first, then the packages: good at every attestation before, meanwhile and after.
    let bad = bad_evidence(&world)?;
    let second = release(&world, 2)?;
    world.import(&image(&world, &second, 2, &captured)?)?;
    world.settle()?;
    world.machine.install_packages(&second)?;
    run(&mut world, (1..=PACKAGES).map(program))?;
    world.settle()?;
    ensure!(world.findings()?.is_empty(), "{:?}", world.findings()?);
    ensure!(bad_evidence(&world)? == bad, "evidence was not good while the update went on");
    ensure!(world.engine.device(&world.device)?["image"] == "guest@2", "it has not moved on");

    // The packages without their image.
    let third = release(&world, 3)?;
    world.machine.install_packages(&third)?;
    run(&mut world, (1..=PACKAGES).map(program).chain((1..=NEW_FILES).map(new_file)))?;
    each_file_is_named(&world)?;

    // The image late: all is good again, the boot long past.
    world.import(&image(&world, &third, 3, &captured)?)?;
    world.until_allowed()?;
    world.settle()?;
    ensure!(world.findings()?.is_empty(), "{:?}", world.findings()?);
    Ok(())
}

fn each_file_is_named(world: &GuestWorld) -> Result<()> {
    world.settle()?;
    let failures = denial::names(world, &["ima.file_changed", "ima.file_unlisted"])?;
    let of = |code: &str| -> Vec<&Value> { failures.iter().filter(|finding| finding["code"] == code).collect() };
    let (changed, unlisted) = (of("ima.file_changed"), of("ima.file_unlisted"));
    let paths =
        |findings: &[&Value]| -> Vec<String> { findings.iter().map(|one| told(one, "path").to_owned()).collect() };
    ensure!(paths(&changed) == (1..=PACKAGES).map(program).collect::<Vec<_>>(), "{changed:#?}");
    ensure!(paths(&unlisted) == (1..=NEW_FILES).map(new_file).collect::<Vec<_>>(), "{unlisted:#?}");
    let entries: Vec<u64> = failures.iter().filter_map(|finding| finding["entry"].as_u64()).collect();
    ensure!(entries.len() == failures.len() && entries.is_sorted_by(|one, next| one < next), "{entries:?}");
    for finding in changed {
        let (expected, found) = (told(finding, "expected"), told(finding, "found"));
        ensure!(found.starts_with("sha256:") && !expected.contains(found), "{finding}");
        ensure!(expected.matches("sha256:").count() == 2, "both releases that were shipped are told: {finding}");
    }
    Ok(())
}
