//! What boot loaders measure: texts of GRUB, systemd and the kernel's EFI stub, and the names of files.

use super::bytes::{Bytes, is_utf16};

/// An `EV_IPL`, by who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ipl<'a> {
    /// A command of GRUB: the text behind its prefix, which is what was measured.
    GrubCommand(&'a [u8]),
    /// The command line that GRUB gives to a kernel or module: the text behind its prefix, which is what was measured.
    GrubKernel(&'a [u8]),
    /// Text of systemd, in UTF-16.
    Utf16(&'a [u8]),
    /// The name of a file or of something else: what was measured is not in the log.
    Name(&'a [u8]),
}

/// What GRUB writes before a command; Red Hat's writes no colon.
const COMMAND_PREFIXES: [&[u8]; 2] = [b"grub_cmd: ", b"grub_cmd "];
/// What GRUB writes before a command line.
const KERNEL_PREFIXES: [&[u8]; 3] = [b"kernel_cmdline: ", b"grub_kernel_cmdline ", b"module_cmdline: "];

impl<'a> Ipl<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        let behind = |prefixes: &[&[u8]]| prefixes.iter().find_map(|prefix| data.strip_prefix(*prefix));
        if let Some(text) = behind(&COMMAND_PREFIXES) {
            return Self::GrubCommand(text);
        }
        if let Some(text) = behind(&KERNEL_PREFIXES) {
            return Self::GrubKernel(text);
        }
        if is_utf16(data) { Self::Utf16(data) } else { Self::Name(data) }
    }
}

/// What systemd-stub calls the archives that it makes; their events hold this name and nothing of what was measured.
pub(super) fn is_systemd_archive(name: &str) -> bool {
    name.ends_with(" initrd") && !name.contains('=')
}

/// An `EV_EVENT_TAG` (`TCG_PCClientTaggedEvent`, PFP 10.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    pub(super) id: u32,
    pub(super) data: &'a [u8],
}

impl<'a> Tagged<'a> {
    /// The kernel's EFI stub: an initrd.
    pub(super) const LINUX_INITRD: u32 = 0x8F3B_22EC;
    /// The kernel's EFI stub: its command line.
    pub(super) const LINUX_LOAD_OPTIONS: u32 = 0x8F3B_22ED;
    /// systemd-boot: its settings.
    const SYSTEMD_LOADER_CONF: u32 = 0xF5BC_582A;
    /// systemd-stub: an addition to the device tree.
    const SYSTEMD_DEVICE_TREE: u32 = 0x6C46_F751;
    /// systemd-stub: an addition to the initrd.
    pub(super) const SYSTEMD_INITRD: u32 = 0x49DF_FE0F;
    /// systemd-stub: microcode.
    const SYSTEMD_MICROCODE: u32 = 0xDAC0_8E1A;
    /// systemd-stub: which profile of the image was chosen.
    const SYSTEMD_PROFILE: u32 = 0x13AE_D6DB;

    /// Reads the first structure of the data; Windows puts more behind it.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes::new(data);
        let id = bytes.u32()?;
        let len = bytes.len32()?;
        Some(Self { id, data: bytes.take(len)? })
    }

    /// Whether the data only names what was measured. The stub's tags count in the PCRs that it measures into, and nowhere
    /// else: the digest of another event must not go unexplained behind one of them.
    pub(super) fn is_name(&self, pcr: u8) -> bool {
        match self.id {
            Self::LINUX_INITRD | Self::LINUX_LOAD_OPTIONS => pcr == 9,
            Self::SYSTEMD_LOADER_CONF => pcr == 5,
            Self::SYSTEMD_DEVICE_TREE | Self::SYSTEMD_INITRD | Self::SYSTEMD_MICROCODE | Self::SYSTEMD_PROFILE => {
                matches!(pcr, 11..=13)
            }
            // Firmware that loads a kernel itself names it as the stub does.
            _ => pcr == 9 && self.data.starts_with(b"LOADED_IMAGE::LoadOptions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_from_names() {
        assert_eq!(Ipl::of(b"grub_cmd: set a=1\0"), Ipl::GrubCommand(b"set a=1\0"));
        assert_eq!(Ipl::of(b"grub_cmd set a=1\0"), Ipl::GrubCommand(b"set a=1\0"));
        assert_eq!(Ipl::of(b"kernel_cmdline: /vmlinuz ro\0"), Ipl::GrubKernel(b"/vmlinuz ro\0"));
        assert_eq!(Ipl::of(b"grub_kernel_cmdline /vmlinuz\0"), Ipl::GrubKernel(b"/vmlinuz\0"));
        assert_eq!(Ipl::of(b"r\0o\0\0\0"), Ipl::Utf16(b"r\0o\0\0\0"));
        assert_eq!(Ipl::of(b"(hd0,gpt1)/grub.cfg\0"), Ipl::Name(b"(hd0,gpt1)/grub.cfg\0"));
        assert_eq!(Ipl::of(b""), Ipl::Name(b""));
    }

    #[test]
    fn a_tag_explains_nothing_in_another_pcr() {
        let tagged = Tagged { id: Tagged::LINUX_INITRD, data: b"Linux initrd" };
        assert!(tagged.is_name(9) && !tagged.is_name(4) && !tagged.is_name(8));
    }

    #[test]
    fn a_tag_longer_than_the_event_is_none() {
        assert_eq!(Tagged::parse(&[1, 0, 0, 0, 2, 0, 0, 0, 9]), None);
        assert_eq!(Tagged::parse(&[1, 0, 0, 0, 1, 0, 0, 0, 9, 9]), Some(Tagged { id: 1, data: &[9] }));
        assert_eq!(Tagged::parse(&[1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 9]), None);
    }
}
