//! Device paths as text (UEFI 2.10, 10.6): the nodes that boot logs hold, and the others in hexadecimal.

use std::fmt::Write as _;

use vouchsafe_model::hash::to_hex;

use super::bytes::{Bytes, guid_text, utf8_text, utf16_text};

/// The most nodes that are shown.
const MAX_NODES: usize = 64;
/// The longest text of a node that is shown, in bytes of the node.
const MAX_NODE_LEN: usize = 1024;

const HARDWARE: u8 = 1;
const ACPI: u8 = 2;
const MESSAGING: u8 = 3;
const MEDIA: u8 = 4;
const BIOS_BOOT: u8 = 5;
const END: u8 = 0x7F;
const END_ALL: u8 = 0xFF;

/// The text of a device path; `None` when there is no node. What cannot be read ends it with `…`.
pub(super) fn text(path: &[u8]) -> Option<String> {
    let mut bytes = Bytes::new(path);
    let mut text = String::with_capacity(128);
    for _ in 0..MAX_NODES {
        if bytes.left() == 0 {
            break;
        }
        let Some((kind, subkind, data)) = node(&mut bytes) else {
            text.push('…');
            break;
        };
        match (kind, subkind) {
            (END, END_ALL) => break,
            (END, _) => text.push(','),
            _ => {
                if !text.is_empty() && !text.ends_with(',') {
                    text.push('/');
                }
                push_node(&mut text, kind, subkind, data);
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

fn node<'a>(bytes: &mut Bytes<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (kind, subkind) = (bytes.u8()?, bytes.u8()?);
    let len = usize::from(bytes.u16()?).checked_sub(4)?;
    Some((kind, subkind, bytes.take(len)?))
}

fn push_node(text: &mut String, kind: u8, subkind: u8, data: &[u8]) {
    let known = match kind {
        HARDWARE => hardware(subkind, data),
        ACPI => acpi(subkind, data),
        MESSAGING => messaging(subkind, data),
        MEDIA => media(subkind, data),
        BIOS_BOOT if subkind == 1 => bios_boot(data),
        _ => None,
    };
    if let Some(node) = known {
        text.push_str(&node);
    } else {
        let shown = data.get(..MAX_NODE_LEN).unwrap_or(data);
        // A `String` takes whatever is written to it.
        write!(text, "Path({kind},{subkind},{})", to_hex(shown)).unwrap_or_default();
    }
}

fn hardware(subkind: u8, data: &[u8]) -> Option<String> {
    let mut bytes = Bytes::new(data);
    Some(match subkind {
        1 => {
            let (function, device) = (bytes.u8()?, bytes.u8()?);
            format!("Pci({device:#x},{function:#x})")
        }
        3 => {
            let (kind, first, last) = (bytes.u32()?, bytes.u64()?, bytes.u64()?);
            format!("MemoryMapped({kind:#x},{first:#x},{last:#x})")
        }
        4 => vendor("VenHw", bytes)?,
        5 => format!("Ctrl({:#x})", bytes.u32()?),
        _ => return None,
    })
}

fn acpi(subkind: u8, data: &[u8]) -> Option<String> {
    let mut bytes = Bytes::new(data);
    Some(match subkind {
        1 => {
            let (hid, uid) = (bytes.u32()?, bytes.u32()?);
            match hid {
                0x0A03_41D0 => format!("PciRoot({uid:#x})"),
                0x0A08_41D0 => format!("PcieRoot({uid:#x})"),
                _ => format!("Acpi({hid:#010x},{uid:#x})"),
            }
        }
        3 => format!("AcpiAdr({:#x})", bytes.u32()?),
        _ => return None,
    })
}

fn messaging(subkind: u8, data: &[u8]) -> Option<String> {
    let mut bytes = Bytes::new(data);
    Some(match subkind {
        1 => {
            let (primary, slave, lun) = (bytes.u8()?, bytes.u8()?, bytes.u16()?);
            format!("Ata({primary},{slave},{lun})")
        }
        2 => {
            let (target, lun) = (bytes.u16()?, bytes.u16()?);
            format!("Scsi({target:#x},{lun:#x})")
        }
        5 => {
            let (port, interface) = (bytes.u8()?, bytes.u8()?);
            format!("USB({port:#x},{interface:#x})")
        }
        10 => vendor("VenMsg", bytes)?,
        11 => {
            let address = bytes.take(32)?;
            let kind = bytes.u8()?;
            // Ethernet has addresses of six bytes; other kinds use more of the room.
            let len = if kind <= 1 { 6 } else { 32 };
            format!("MAC({},{kind:#x})", to_hex(address.get(..len)?))
        }
        12 => format!("IPv4({})", std::net::Ipv4Addr::from(remote(&mut bytes, 4)?)),
        13 => format!("IPv6({})", std::net::Ipv6Addr::from(remote(&mut bytes, 16)?)),
        15 => {
            let (vendor, product) = (bytes.u16()?, bytes.u16()?);
            let (class, subclass, protocol) = (bytes.u8()?, bytes.u8()?, bytes.u8()?);
            format!("UsbClass({vendor:#x},{product:#x},{class:#x},{subclass:#x},{protocol:#x})")
        }
        16 => format!("UsbWwid({})", utf16_text(data.get(6..)?)),
        17 => format!("Unit({:#x})", bytes.u8()?),
        18 => {
            let (port, multiplier, lun) = (bytes.u16()?, bytes.u16()?, bytes.u16()?);
            format!("Sata({port:#x},{multiplier:#x},{lun:#x})")
        }
        23 => {
            let namespace = bytes.u32()?;
            let mut id = bytes.array::<8>()?;
            id.reverse();
            let id: Vec<String> = id.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("NVMe({namespace:#x},{})", id.join("-"))
        }
        24 => format!("Uri({})", utf8_text(data.get(..MAX_NODE_LEN).unwrap_or(data))),
        26 => format!("SD({})", bytes.u8()?),
        29 => format!("eMMC({})", bytes.u8()?),
        31 => format!("Dns({})", to_hex(data.get(..MAX_NODE_LEN).unwrap_or(data))),
        _ => return None,
    })
}

/// The remote address, which stands behind the local one.
fn remote<const N: usize>(bytes: &mut Bytes<'_>, len: usize) -> Option<[u8; N]> {
    bytes.take(len)?;
    bytes.array()
}

fn media(subkind: u8, data: &[u8]) -> Option<String> {
    let mut bytes = Bytes::new(data);
    Some(match subkind {
        1 => hard_drive(bytes)?,
        2 => format!("CDROM({:#x})", bytes.u32()?),
        3 => vendor("VenMedia", bytes)?,
        4 => utf16_text(data.get(..MAX_NODE_LEN).unwrap_or(data)),
        6 => format!("FvFile({})", guid_text(&bytes.array()?)),
        7 => format!("Fv({})", guid_text(&bytes.array()?)),
        8 => {
            let _reserved = bytes.u32()?;
            let (first, last) = (bytes.u64()?, bytes.u64()?);
            format!("Offset({first:#x},{last:#x})")
        }
        9 => {
            let (first, last) = (bytes.u64()?, bytes.u64()?);
            format!("RamDisk({first:#x},{last:#x})")
        }
        _ => return None,
    })
}

fn hard_drive(mut bytes: Bytes<'_>) -> Option<String> {
    let (number, start, size) = (bytes.u32()?, bytes.u64()?, bytes.u64()?);
    let signature = bytes.array::<16>()?;
    let (_format, kind) = (bytes.u8()?, bytes.u8()?);
    let [a, b, c, d, ..] = signature;
    Some(match kind {
        1 => format!("HD({number},MBR,{:#010x},{start:#x},{size:#x})", u32::from_le_bytes([a, b, c, d])),
        2 => format!("HD({number},GPT,{},{start:#x},{size:#x})", guid_text(&signature)),
        _ => format!("HD({number},{kind},0,{start:#x},{size:#x})"),
    })
}

fn vendor(name: &str, mut bytes: Bytes<'_>) -> Option<String> {
    let guid = guid_text(&bytes.array()?);
    let data = bytes.rest().get(..MAX_NODE_LEN).unwrap_or(bytes.rest());
    Some(if data.is_empty() { format!("{name}({guid})") } else { format!("{name}({guid},{})", to_hex(data)) })
}

fn bios_boot(data: &[u8]) -> Option<String> {
    let mut bytes = Bytes::new(data);
    let (kind, _status) = (bytes.u16()?, bytes.u16()?);
    Some(format!("BBS({kind:#x},{})", utf8_text(bytes.rest().get(..MAX_NODE_LEN).unwrap_or(bytes.rest()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_nodes_read_as_uefi_writes_them() {
        let path = [
            &[2, 1, 12, 0, 0xD0, 0x41, 0x03, 0x0A, 0, 0, 0, 0][..],
            &[1, 1, 6, 0, 0, 3],
            &[3, 2, 8, 0, 1, 0, 0, 0],
            &[4, 4, 10, 0, b'\\', 0, b'E', 0, 0, 0],
            &[0x7F, 0xFF, 4, 0, 9, 9],
        ];
        assert_eq!(text(&path.concat()).unwrap(), "PciRoot(0x0)/Pci(0x3,0x0)/Scsi(0x1,0x0)/\\E");
        let nvme = [&[3, 23, 16, 0, 1, 0, 0, 0][..], &[1, 2, 3, 4, 5, 6, 7, 8]].concat();
        assert_eq!(text(&nvme).unwrap(), "NVMe(0x1,08-07-06-05-04-03-02-01)");
    }

    #[test]
    fn other_nodes_are_hexadecimal_and_cut_ones_end_the_text() {
        assert_eq!(text(&[9, 8, 6, 0, 0xAB, 0xCD]).unwrap(), "Path(9,8,abcd)");
        assert_eq!(text(&[1, 1, 5, 0, 7]).unwrap(), "Path(1,1,07)", "too short for its kind");
        assert_eq!(text(&[1, 1, 6, 0, 0, 3, 1, 1, 60, 0]).unwrap(), "Pci(0x3,0x0)/…".replace('/', ""));
        for short in [&[1][..], &[1, 1, 3, 0], &[1, 1, 0, 0]] {
            assert_eq!(text(short).unwrap(), "…");
        }
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[0x7F, 0xFF, 4, 0]), None);
    }

    #[test]
    fn no_more_nodes_are_shown_than_allowed() {
        let nodes = |count: usize| text(&[1, 1, 6, 0, 0, 3].repeat(count)).unwrap().matches("Pci").count();
        assert_eq!(nodes(MAX_NODES), MAX_NODES);
        assert_eq!(nodes(MAX_NODES + 1), MAX_NODES);
    }
}
