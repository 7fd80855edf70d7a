//! The facts of a boot against the boot section of an image.
//!
//! Facts are claims of the event log. They count here only as far as the TPM signed them: digests in the quoted bank, and
//! events in quoted PCRs. That the log replays to the quoted values, and that the data of events has their digests, is for
//! [`crate::eventlog`] to find.

mod chain;
pub(super) mod command_line;
mod proof;
pub(super) mod secure_boot;

use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, PcrIndex};

use super::Compiled;
use super::document::{BootSection, SecureBootRule};
use crate::eventlog::facts::{Authority, BootFacts, BootImage, BootImageKind};
use chain::List;
pub use proof::Proof;

/// Where the firmware measures boot loaders (TCG PFP 2.3.4.5), option ROMs and drivers (2.3.4.3), GRUB its commands and the
/// files that it reads, the firmware Secure Boot (2.3.4.8), and shim its keys.
const IMAGES: u8 = 4;
const OPTION_ROMS: u8 = 2;
const GRUB_COMMANDS: u8 = 8;
const LOADER_FILES: u8 = 9;
const SECURE_BOOT: u8 = 7;
const SHIM_KEYS: u8 = 14;

/// Compares the facts of a boot with what an image expects of it. No finding of severity failure means that it agrees;
/// an image without a boot section agrees with any.
///
/// `proof` is what the TPM vouches for. A fact of another PCR proves nothing: that the PCR was not quoted, or that the log
/// does not come to its value, is reported.
pub fn compare(facts: &BootFacts, image: &Compiled, proof: &Proof) -> Vec<Finding> {
    let Some(boot) = &image.document().boot else { return Vec::new() };
    let bank = proof.bank();
    let mut findings: Vec<Finding> = relied_upon(facts, boot).iter().filter_map(|pcr| proof.lacks(pcr)).collect();
    findings.extend(secure_boot::compare(&facts.secure_boot, boot, bank));
    let chain = &facts.boot_chain;
    // With Secure Boot off nothing verifies an image, and whoever runs may extend PCR 7 by the name of any authority.
    let is_verified = facts.secure_boot.enabled == Some(true);
    let authorities: &[Authority] = if is_verified { &facts.secure_boot.authorities } else { &[] };
    if let (Some(items), Some(index)) = (&boot.images, image.images()) {
        let loaded = chain.iter().filter(|image| is_image(image)).map(|image| chain::Seen::image(image, authorities));
        findings.extend(List::images(items, index, boot.ordered).compare(loaded, bank));
    }
    if let (Some(items), Some(index)) = (&boot.option_roms, image.option_roms()) {
        let loaded = chain.iter().filter(|image| is_driver(image)).map(|image| chain::Seen::image(image, authorities));
        findings.extend(List::option_roms(items, index).compare(loaded, bank));
    }
    if let (Some(items), Some(index)) = (&boot.files, image.files()) {
        let loaded = chain.iter().filter(|image| is_file(image)).map(|image| chain::Seen::image(image, authorities));
        findings.extend(List::files(items, index).compare(loaded, bank));
    }
    if let (Some(items), Some(index)) = (&boot.initrds, image.initrds()) {
        findings.extend(List::initrds(items, index).compare(facts.initrds.iter().map(chain::Seen::initrd), bank));
    }
    if let Some(allowed) = &boot.command_lines {
        findings.extend(command_line::compare(&facts.command_lines, allowed, bank));
    }
    findings
}

/// Whether it was started by firmware or shim, as a boot loader is, or a kernel with an EFI stub.
pub(super) fn is_image(image: &BootImage) -> bool {
    image.kind == BootImageKind::Application
}

/// Whether it is an option ROM or driver.
pub(super) fn is_driver(image: &BootImage) -> bool {
    matches!(image.kind, BootImageKind::BootDriver | BootImageKind::RuntimeDriver)
}

/// Whether a boot loader read it.
pub(super) fn is_file(image: &BootImage) -> bool {
    image.kind == BootImageKind::LoaderFile
}

/// The PCRs that must be quoted for what the image asks about to be proven: those of the facts, and those in which more
/// facts would stand that a log could leave out.
fn relied_upon(facts: &BootFacts, boot: &BootSection) -> PcrSet {
    let mut pcrs = PcrSet::EMPTY;
    let mut add = |wanted: bool, fixed: &[u8], seen: &mut dyn Iterator<Item = PcrIndex>| {
        if wanted {
            fixed.iter().filter_map(|pcr| PcrIndex::new(*pcr)).chain(seen).for_each(|pcr| pcrs.insert(pcr));
        }
    };
    let keys = &boot.keys;
    let of_pcr_7 = [&keys.pk, &keys.kek, &keys.db].into_iter().any(Option::is_some)
        || boot.asks_for_revocations()
        || boot.secure_boot == SecureBootRule::On;
    let mut signed = [&boot.images, &boot.option_roms].into_iter().flatten().flatten();
    let by_signer = signed.any(|item| !item.signers.is_empty());
    add(of_pcr_7 || by_signer, &[SECURE_BOOT], &mut std::iter::empty());
    add(keys.mok.is_some(), &[SHIM_KEYS], &mut std::iter::empty());
    let of_chain = |is_kind: fn(&BootImage) -> bool| {
        facts.boot_chain.iter().filter(move |image| is_kind(image)).map(|image| image.pcr)
    };
    add(boot.images.is_some(), &[IMAGES], &mut of_chain(is_image));
    add(boot.option_roms.is_some(), &[OPTION_ROMS], &mut of_chain(is_driver));
    add(boot.files.is_some(), &[LOADER_FILES], &mut of_chain(is_file));
    add(boot.initrds.is_some(), &[LOADER_FILES], &mut facts.initrds.iter().map(|initrd| initrd.pcr));
    if let Some(allowed) = &boot.command_lines {
        let speaks_of_grub = allowed.iter().any(command_line::is_of_grub);
        let seen = facts.command_lines.iter().filter(|line| speaks_of_grub || command_line::is_of_kernel(line));
        add(true, if speaks_of_grub { &[GRUB_COMMANDS] } else { &[] }, &mut seen.map(|line| line.pcr));
    }
    pcrs
}
