//! From events to [`super::facts`].

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, PcrIndex};

use super::allowed::image_path;
use super::bytes::{any_text, is_utf16, utf8_text, utf16_text, without_nuls};
use super::event::{Event, EventType};
use super::facts::{BootFacts, BootImage, BootImageKind, CommandLine, ExitBootServices, Initrd, Loader};
use super::loader::{Ipl, Tagged, is_systemd_archive};
use super::{check, device_path, gpt};

mod options;
mod secure_boot;

use options::BootMenu;

/// The most paths of initrds that a command of GRUB is searched for.
const MAX_INITRDS: usize = 256;

/// What was read so far.
#[derive(Default)]
struct Gathering<'a> {
    facts: BootFacts,
    menu: BootMenu,
    /// An authority that no image was loaded by yet.
    pending: Option<usize>,
    /// The authority of the last image that had one.
    last: Option<usize>,
    /// The last image, if nothing happened since, and nothing verified it so far.
    unverified: Option<(u64, usize)>,
    /// What GRUB was told to load as initrd.
    initrds: BTreeSet<Vec<u8>>,
    /// The sections of a unified kernel image whose name was measured.
    sections: BTreeSet<&'a [u8]>,
}

/// Reads what events say. What does not have the shape of its type says nothing; the deviations name it.
pub(super) fn gather<'e, 'a: 'e>(events: impl Iterator<Item = &'e Event<'a>>) -> BootFacts {
    let mut gathering = Gathering::default();
    for event in events {
        if let Some(pcr) = event.extends() {
            gathering.add(event, pcr);
        }
    }
    gathering.facts.boot_order = gathering.menu.finish();
    gathering.facts
}

/// The step of leaving the boot services that an event tells.
pub(super) fn exit_step(event: &Event<'_>) -> Option<ExitBootServices> {
    if event.kind != EventType::EFI_ACTION || event.extends()?.get() != 5 {
        return None;
    }
    match without_nuls(event.data) {
        b"Exit Boot Services Invocation" => Some(ExitBootServices::Invoked),
        b"Exit Boot Services Returned with Failure" => Some(ExitBootServices::Failed),
        b"Exit Boot Services Returned with Success" => Some(ExitBootServices::Succeeded),
        _ => None,
    }
}

/// The digests of an event, to keep.
fn digests(event: &Event<'_>) -> BTreeMap<HashAlgorithm, PcrValue> {
    event.digests().filter_map(|(bank, digest)| Some((bank, PcrValue::new(digest.to_vec())?))).collect()
}

impl<'a> Gathering<'a> {
    fn add(&mut self, event: &Event<'a>, pcr: PcrIndex) {
        match event.kind {
            EventType::S_CRTM_VERSION => self.facts.firmware = Some(version(event.data)),
            EventType::EFI_VARIABLE_DRIVER_CONFIG if pcr.get() == 7 => {
                secure_boot::config(&mut self.facts.secure_boot, event);
            }
            EventType::EFI_VARIABLE_AUTHORITY => self.authority(event),
            EventType::EFI_VARIABLE_BOOT | EventType::EFI_VARIABLE_BOOT2 => self.menu.add(event.data),
            EventType::EFI_GPT_EVENT | EventType::EFI_GPT_EVENT2 => {
                self.facts.partition_tables.extend(gpt::parse(event.number, event.data));
            }
            EventType::EFI_ACTION => {
                self.facts.exit_boot_services = exit_step(event).unwrap_or(self.facts.exit_boot_services);
            }
            EventType::IPL => self.ipl(event, pcr),
            EventType::EVENT_TAG => self.tagged(event, pcr),
            kind if kind.is_image() => self.image(event, pcr),
            _ => {}
        }
    }

    fn image(&mut self, event: &Event<'_>, pcr: PcrIndex) {
        let kind = match event.kind {
            EventType::EFI_BOOT_SERVICES_DRIVER => BootImageKind::BootDriver,
            EventType::EFI_RUNTIME_SERVICES_DRIVER => BootImageKind::RuntimeDriver,
            _ => BootImageKind::Application,
        };
        // The firmware, and shim since version 15.3, measure the authority before the image, and each authority once.
        let pending = self.pending.take();
        self.unverified = pending.is_none().then_some((event.number, self.facts.boot_chain.len()));
        self.last = pending.or(self.last);
        let path = image_path(event.data).and_then(device_path::text);
        let image = BootImage { event: event.number, pcr, kind, path, digests: digests(event), authority: self.last };
        self.facts.boot_chain.push(image);
    }

    fn authority(&mut self, event: &Event<'_>) {
        let Some(place) = secure_boot::authority(&mut self.facts.secure_boot, event) else { return };
        // Earlier versions of shim measure the image first, and its authority right behind it.
        let unverified = self.unverified.take().filter(|(number, _)| number.checked_add(1) == Some(event.number));
        match unverified.and_then(|(_, image)| self.facts.boot_chain.get_mut(image)) {
            Some(image) => {
                image.authority = Some(place);
                self.last = Some(place);
            }
            None => self.pending = Some(place),
        }
    }

    fn ipl(&mut self, event: &Event<'a>, pcr: PcrIndex) {
        match Ipl::of(event.data) {
            Ipl::GrubCommand(text) => {
                self.note_initrds(without_nuls(text));
                self.command_line(event, pcr, Loader::Grub, utf8_text(text));
            }
            Ipl::GrubKernel(text) => self.command_line(event, pcr, Loader::GrubKernel, utf8_text(text)),
            _ if pcr.get() == 11 => self.section(event, pcr),
            Ipl::Utf16(text) if matches!(pcr.get(), 8 | 12 | 13) => {
                let text = utf16_text(text);
                if is_systemd_archive(&text) {
                    self.initrd(event, pcr, Loader::Systemd, Some(text));
                } else {
                    self.command_line(event, pcr, Loader::Systemd, text);
                }
            }
            // Shim's own variables, by their name alone.
            _ if pcr.get() == 14 => {}
            // GRUB of Red Hat, before it named files.
            Ipl::Name(name) if without_nuls(name) == b"grub_linuxefi Initrd" => {
                self.initrd(event, pcr, Loader::Grub, None);
            }
            Ipl::Name(name) if self.initrds.contains(without_nuls(name)) => {
                self.initrd(event, pcr, Loader::Grub, Some(utf8_text(name)));
            }
            Ipl::Name(name) | Ipl::Utf16(name) => self.file(event, pcr, any_text(name)),
        }
    }

    /// Keeps the paths of a command that loads initrds, without the quotes around them.
    fn note_initrds(&mut self, command: &[u8]) {
        let paths = [&b"initrd "[..], b"initrdefi ", b"initrd16 "].iter().find_map(|name| command.strip_prefix(*name));
        for path in paths.unwrap_or_default().split(|byte| *byte == b' ').filter(|path| !path.is_empty()) {
            if self.initrds.len() < MAX_INITRDS {
                self.initrds.insert(path.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'')).collect());
            }
        }
    }

    /// A section of a unified kernel image: systemd-stub measures its name, then what it holds, under one description.
    fn section(&mut self, event: &Event<'a>, pcr: PcrIndex) {
        if !check::is_section(event.data) || self.sections.insert(event.data) {
            return;
        }
        let name = any_text(event.data);
        match name.as_str() {
            ".initrd" | ".ucode" => self.initrd(event, pcr, Loader::Systemd, Some(name)),
            ".cmdline" => self.measured_line(event, pcr, Loader::Systemd),
            _ => self.file(event, pcr, name),
        }
    }

    fn tagged(&mut self, event: &Event<'_>, pcr: PcrIndex) {
        let Some(tagged) = Tagged::parse(event.data).filter(|tagged| tagged.is_name(pcr.get())) else { return };
        match tagged.id {
            Tagged::LINUX_INITRD => self.initrd(event, pcr, Loader::LinuxStub, None),
            Tagged::LINUX_LOAD_OPTIONS => self.measured_line(event, pcr, Loader::LinuxStub),
            Tagged::SYSTEMD_INITRD => self.initrd(event, pcr, Loader::Systemd, Some(any_text(tagged.data))),
            _ if pcr.get() == 9 => self.measured_line(event, pcr, Loader::Firmware),
            _ => {}
        }
    }

    fn file(&mut self, event: &Event<'_>, pcr: PcrIndex, name: String) {
        let kind = BootImageKind::LoaderFile;
        let path = (!name.is_empty()).then_some(name);
        let image = BootImage { event: event.number, pcr, kind, path, digests: digests(event), authority: None };
        self.facts.boot_chain.push(image);
    }

    fn initrd(&mut self, event: &Event<'_>, pcr: PcrIndex, loader: Loader, path: Option<String>) {
        self.facts.initrds.push(Initrd { event: event.number, pcr, loader, path, digests: digests(event) });
    }

    fn command_line(&mut self, event: &Event<'_>, pcr: PcrIndex, loader: Loader, text: String) {
        self.facts.command_lines.push(CommandLine { event: event.number, pcr, loader, text, digests: BTreeMap::new() });
    }

    /// A command line of which the log holds the digest alone.
    fn measured_line(&mut self, event: &Event<'_>, pcr: PcrIndex, loader: Loader) {
        let (text, digests) = (String::new(), digests(event));
        self.facts.command_lines.push(CommandLine { event: event.number, pcr, loader, text, digests });
    }
}

/// The firmware's version: text if it is one, a GUID or number in hexadecimal otherwise.
fn version(data: &[u8]) -> String {
    let text = if is_utf16(data) { utf16_text(data) } else { utf8_text(data) };
    let is_text = !text.is_empty() && text.chars().all(|character| !character.is_control() && character != '\u{FFFD}');
    if is_text { text } else { vouchsafe_model::hash::to_hex(data.get(..64).unwrap_or(data)) }
}
