//! One event of a log, and the types that events have.

use std::fmt;

use vouchsafe_model::{HashAlgorithm, PcrIndex};

/// What an event says it is about (TCG PC Client Platform Firmware Profile, 10.4.1).
///
/// The type is not part of what is measured: nothing but [`super::EventLog::deviations`] keeps an attacker from changing
/// it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(pub u32);

/// PCRs as bits.
const fn bits(first: u32, last: u32) -> u32 {
    (u32::MAX >> 31u32.saturating_sub(last)) & (u32::MAX << first)
}

/// Declares the types once: name, number, spelling and the PCRs that they belong in.
macro_rules! event_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $pcrs:expr;)+) => {
        impl EventType {
            $($(#[$doc])* pub const $name: Self = Self($number);)+

            /// Its name; `None` when the type is not known.
            pub const fn name(self) -> Option<&'static str> {
                match self { $(Self::$name => Some($text),)+ _ => None }
            }

            /// The type with this name, with or without `EV_` in front.
            pub fn from_name(name: &str) -> Option<Self> {
                [$(Self::$name),+].into_iter().find(|kind| {
                    kind.name().is_some_and(|known| known == name || known.strip_prefix("EV_") == Some(name))
                })
            }

            /// The PCRs that it belongs in, as bits; `None` when the type is not known.
            pub(super) const fn pcrs(self) -> Option<u32> {
                match self { $(Self::$name => Some($pcrs),)+ _ => None }
            }
        }
    };
}

/// PCRs of boot loaders and operating systems.
const OS: u32 = bits(8, 15);

event_types! {
    /// Reserved.
    PREBOOT_CERT = 0x0, "EV_PREBOOT_CERT", 0;
    /// Code of the firmware, named by a description.
    POST_CODE = 0x1, "EV_POST_CODE", 1;
    /// Never to be used.
    UNUSED = 0x2, "EV_UNUSED", 0;
    /// Information that is not measured.
    NO_ACTION = 0x3, "EV_NO_ACTION", bits(0, 23);
    /// The line between the firmware and what it starts.
    SEPARATOR = 0x4, "EV_SEPARATOR", bits(0, 7) | OS;
    /// A named step of a BIOS.
    ACTION = 0x5, "EV_ACTION", bits(1, 6);
    /// A structure with a number of its own, of boot loaders and operating systems.
    EVENT_TAG = 0x6, "EV_EVENT_TAG", bits(1, 6) | OS;
    /// The contents of the S-CRTM.
    S_CRTM_CONTENTS = 0x7, "EV_S_CRTM_CONTENTS", 1;
    /// The version of the S-CRTM.
    S_CRTM_VERSION = 0x8, "EV_S_CRTM_VERSION", 1;
    /// A microcode update.
    CPU_MICROCODE = 0x9, "EV_CPU_MICROCODE", bits(0, 1);
    /// Settings of the platform.
    PLATFORM_CONFIG_FLAGS = 0xA, "EV_PLATFORM_CONFIG_FLAGS", 1 << 1;
    /// The devices of the platform.
    TABLE_OF_DEVICES = 0xB, "EV_TABLE_OF_DEVICES", 1 << 1;
    /// What a boot loader measured by `TCG_CompactHashLogExtendEvent`.
    COMPACT_HASH = 0xC, "EV_COMPACT_HASH", bits(4, 6) | OS;
    /// What a boot loader measured.
    IPL = 0xD, "EV_IPL", bits(4, 5) | OS;
    /// Data of a boot loader's partition.
    IPL_PARTITION_DATA = 0xE, "EV_IPL_PARTITION_DATA", 1 << 5;
    /// Code that runs beside the host.
    NONHOST_CODE = 0xF, "EV_NONHOST_CODE", 1 | 1 << 2;
    /// Settings of what runs beside the host.
    NONHOST_CONFIG = 0x10, "EV_NONHOST_CONFIG", 1 << 1 | 1 << 3;
    /// What runs beside the host.
    NONHOST_INFO = 0x11, "EV_NONHOST_INFO", 1;
    /// Boot attempts are not measured.
    OMIT_BOOT_DEVICE_EVENTS = 0x12, "EV_OMIT_BOOT_DEVICE_EVENTS", 1 << 4;
    /// Code of the firmware, named by a description and its place.
    POST_CODE2 = 0x13, "EV_POST_CODE2", 1;
    /// A variable that configures the boot: the keys of Secure Boot.
    EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001, "EV_EFI_VARIABLE_DRIVER_CONFIG", 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7;
    /// A variable of the boot menu; the digest may be of its data alone.
    EFI_VARIABLE_BOOT = 0x8000_0002, "EV_EFI_VARIABLE_BOOT", 1 << 1 | 1 << 5;
    /// A boot loader or another application.
    EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003, "EV_EFI_BOOT_SERVICES_APPLICATION", 1 << 2 | 1 << 4;
    /// A driver for the boot.
    EFI_BOOT_SERVICES_DRIVER = 0x8000_0004, "EV_EFI_BOOT_SERVICES_DRIVER", 1 | 1 << 2 | 1 << 4;
    /// A driver that stays.
    EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005, "EV_EFI_RUNTIME_SERVICES_DRIVER", 1 | 1 << 2 | 1 << 4;
    /// A partition table.
    EFI_GPT_EVENT = 0x8000_0006, "EV_EFI_GPT_EVENT", 1 << 5;
    /// A named step of the firmware.
    EFI_ACTION = 0x8000_0007, "EV_EFI_ACTION", bits(1, 7);
    /// A part of the firmware, named by its place.
    EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008, "EV_EFI_PLATFORM_FIRMWARE_BLOB", 1 | 1 << 2 | 1 << 4;
    /// Tables that are handed to the operating system.
    EFI_HANDOFF_TABLES = 0x8000_0009, "EV_EFI_HANDOFF_TABLES", 1 << 1;
    /// A part of the firmware, named by a description and its place.
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000A, "EV_EFI_PLATFORM_FIRMWARE_BLOB2", 1 | 1 << 2 | 1 << 4;
    /// Tables that are handed to the operating system, with a description.
    EFI_HANDOFF_TABLES2 = 0x8000_000B, "EV_EFI_HANDOFF_TABLES2", 1 << 1;
    /// A variable of the boot menu; the digest is of the whole structure.
    EFI_VARIABLE_BOOT2 = 0x8000_000C, "EV_EFI_VARIABLE_BOOT2", 1 << 1;
    /// A partition table, without what differs between equal machines.
    EFI_GPT_EVENT2 = 0x8000_000D, "EV_EFI_GPT_EVENT2", 1 << 5;
    /// What was measured before the TPM was started.
    EFI_HCRTM_EVENT = 0x8000_0010, "EV_EFI_HCRTM_EVENT", 1;
    /// What an image was verified by.
    EFI_VARIABLE_AUTHORITY = 0x8000_00E0, "EV_EFI_VARIABLE_AUTHORITY", 1 << 7;
    /// Firmware of a device, as the device tells it.
    EFI_SPDM_FIRMWARE_BLOB = 0x8000_00E1, "EV_EFI_SPDM_FIRMWARE_BLOB", 1 << 2;
    /// Settings of a device, as the device tells them.
    EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00E2, "EV_EFI_SPDM_FIRMWARE_CONFIG", 1 << 3;
    /// A variable that says which devices are trusted.
    EFI_SPDM_DEVICE_POLICY = 0x8000_00E3, "EV_EFI_SPDM_DEVICE_POLICY", 1 << 7;
    /// What a device was verified by.
    EFI_SPDM_DEVICE_AUTHORITY = 0x8000_00E4, "EV_EFI_SPDM_DEVICE_AUTHORITY", 1 << 7;
}

impl EventType {
    /// Whether it is one that only UEFI firmware writes.
    pub(super) const fn is_uefi(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// Whether its data is a `UEFI_VARIABLE_DATA`.
    pub(super) const fn is_variable(self) -> bool {
        matches!(
            self,
            Self::EFI_VARIABLE_DRIVER_CONFIG
                | Self::EFI_VARIABLE_BOOT
                | Self::EFI_VARIABLE_BOOT2
                | Self::EFI_VARIABLE_AUTHORITY
                | Self::EFI_SPDM_DEVICE_POLICY
                | Self::EFI_SPDM_DEVICE_AUTHORITY
        )
    }

    /// Whether its data is a `UEFI_IMAGE_LOAD_EVENT`.
    pub(super) const fn is_image(self) -> bool {
        matches!(
            self,
            Self::EFI_BOOT_SERVICES_APPLICATION | Self::EFI_BOOT_SERVICES_DRIVER | Self::EFI_RUNTIME_SERVICES_DRIVER
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("{:#010x}", self.0)),
        }
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digests by bank, borrowed from the log. Those of algorithms that the model does not name are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests<'a>([Option<&'a [u8]>; HashAlgorithm::ALL.len()]);

impl<'a> Digests<'a> {
    pub(super) fn get(&self, bank: HashAlgorithm) -> Option<&'a [u8]> {
        self.iter().find_map(|(algorithm, digest)| (algorithm == bank).then_some(digest))
    }

    /// Keeps a digest; `false` when there is one for the bank already.
    pub(super) fn insert(&mut self, bank: HashAlgorithm, digest: &'a [u8]) -> bool {
        let slot = HashAlgorithm::ALL.iter().zip(&mut self.0).find(|(algorithm, _)| **algorithm == bank);
        slot.is_some_and(|(_, slot)| slot.replace(digest).is_none())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (HashAlgorithm, &'a [u8])> {
        HashAlgorithm::ALL.into_iter().zip(self.0).filter_map(|(bank, digest)| Some((bank, digest?)))
    }
}

/// One event of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub(super) number: u64,
    pub(super) offset: usize,
    pub(super) pcr: Option<PcrIndex>,
    pub(super) kind: EventType,
    pub(super) digests: Digests<'a>,
    pub(super) data: &'a [u8],
}

impl<'a> Event<'a> {
    /// Its place in the log; the first is 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it begins, in bytes from the start of the log.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The PCR that it says it was measured into; `None` for information that belongs to no PCR (0xFFFFFFFF).
    pub fn pcr(&self) -> Option<PcrIndex> {
        self.pcr
    }

    /// Its type.
    pub fn kind(&self) -> EventType {
        self.kind
    }

    /// What was extended into the bank's PCR.
    pub fn digest(&self, bank: HashAlgorithm) -> Option<&'a [u8]> {
        self.digests.get(bank)
    }

    /// What was extended, by bank.
    pub fn digests(&self) -> impl Iterator<Item = (HashAlgorithm, &'a [u8])> {
        self.digests.iter()
    }

    /// What it says about what was measured.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The PCR that it extends; `None` for information that extends none.
    pub fn extends(&self) -> Option<PcrIndex> {
        self.pcr.filter(|_| self.kind != EventType::NO_ACTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_pcrs_are_what_they_say() {
        assert_eq!(bits(0, 7), 0xFF);
        assert_eq!(bits(8, 15), 0xFF00);
        assert_eq!(bits(1, 1), 2);
        assert_eq!(bits(0, 23), 0xFF_FFFF);
    }

    #[test]
    fn types_show_their_name_or_their_number() {
        assert_eq!(EventType::SEPARATOR.to_string(), "EV_SEPARATOR");
        assert_eq!(EventType(0x401).to_string(), "0x00000401");
        assert_eq!(EventType(0x401).pcrs(), None);
    }
}
