//! The facts of a boot against the boot section of an image.
//!
//! Facts are claims of the event log. They count here only as far as the TPM signed them: digests in the quoted bank, and
//! events in quoted PCRs. That the log replays to the quoted values, and that the data of events has their digests, is for
//! [`crate::eventlog`] to find.

mod chain;
pub(super) mod command_line;
pub(super) mod secure_boot;

use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{Finding, PcrBank, PcrIndex, PcrSelection};

use super::Compiled;
use super::document::{BootSection, SecureBootRule};
use super::pcrs::not_quoted;
use crate::eventlog::ReplayedLog;
use crate::eventlog::facts::{Authority, BootFacts, BootImage, BootImageKind};
use crate::quote::AuthenticQuote;
use chain::List;

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
/// `quoted` is what the TPM vouches for, see [`proven`]: a fact of another PCR proves nothing, and is reported as not
/// quoted.
pub fn compare(facts: &BootFacts, image: &Compiled, quoted: &PcrSelection) -> Vec<Finding> {
    let Some(boot) = &image.document().boot else { return Vec::new() };
    let bank = quoted.bank;
    let mut findings: Vec<Finding> =
        relied_upon(facts, boot).without(quoted.pcrs).iter().map(|pcr| not_quoted(bank, pcr)).collect();
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

/// What a log that replays to a quote proves: its covered PCRs, and those quoted PCRs from 8 on that it never extends and
/// that still have the value zero. This is what [`compare`] takes.
pub fn proven(log: &ReplayedLog<'_>, quote: &AuthenticQuote) -> PcrSelection {
    let PcrBank { bank, values } = quote.pcrs();
    let replayed = log.replay().bank(*bank).map(|bank| &bank.values);
    let is_untouched = |pcr: &PcrIndex, value: &PcrValue| {
        value.as_bytes().iter().all(|byte| *byte == 0) && !replayed.is_some_and(|replayed| replayed.contains_key(pcr))
    };
    let untouched = values.iter().filter(|(pcr, value)| is_untouched(pcr, value)).map(|(pcr, _)| *pcr);
    PcrSelection { bank: *bank, pcrs: log.covered().iter().chain(untouched).collect() }
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
        || boot.dbx.as_ref().is_some_and(|dbx| !dbx.is_empty())
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
