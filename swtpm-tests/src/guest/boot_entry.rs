//! A boot entry that starts the kernel itself, by its EFI stub (UEFI 2.10, 3.1.3).

use super::esp::{FIRST_SECTOR, PARTITION_GUID, SECTORS};

/// A load option: this file of the system partition, with a command line.
pub(super) fn load_option(description: &str, file: &str, command_line: &str) -> Vec<u8> {
    let path = device_path(file);
    let mut option = 1_u32.to_le_bytes().to_vec();
    option.extend_from_slice(&u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
    option.extend(utf16(description));
    option.extend(path);
    option.extend(utf16(command_line));
    option
}

/// The partition by its GUID, and the file in it (UEFI 2.10, 10.3.5.1 and 10.3.5.4).
fn device_path(file: &str) -> Vec<u8> {
    let mut partition = 1_u32.to_le_bytes().to_vec();
    partition.extend_from_slice(&FIRST_SECTOR.to_le_bytes());
    partition.extend_from_slice(&SECTORS.to_le_bytes());
    partition.extend_from_slice(&PARTITION_GUID);
    // A GPT, and a signature that is a GUID.
    partition.extend_from_slice(&[2, 2]);
    let file: Vec<u8> = utf16(&file.replace('/', "\\")).collect();
    [node(4, 1, &partition), node(4, 4, &file), node(0x7f, 0xff, &[])].concat()
}

fn node(kind: u8, subtype: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 4).unwrap_or(u16::MAX);
    [&[kind, subtype], &length.to_le_bytes()[..], content].concat()
}

fn utf16(text: &str) -> impl Iterator<Item = u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_as_long_as_the_option_says_and_ends_it() {
        let option = load_option("A", "/vmlinuz", "quiet");
        // Attributes, length, "A" and its end; then a partition (42 bytes), a file (4 + 18) and the end (4).
        assert_eq!(option[4..6], 68_u16.to_le_bytes());
        let path = &option[10..78];
        assert_eq!(path[..4], [4, 1, 42, 0]);
        assert_eq!(path[42..46], [4, 4, 22, 0]);
        assert_eq!(path[64..], [0x7f, 0xff, 4, 0]);
        assert_eq!(option[78..], *b"q\0u\0i\0e\0t\0\0\0");
    }
}
