//! A disk with an EFI system partition: a GPT (UEFI 2.10, 5.3) and a FAT file system that mtools makes.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian::stdout;

/// The partition's own GUID, as it is on the disk. Boot entries name it.
pub(super) const PARTITION_GUID: [u8; 16] = *b"vouchsafe-guest1";
/// Where the partition starts, in sectors.
pub(super) const FIRST_SECTOR: u64 = 2048;
/// How long it is, in sectors.
pub(super) const SECTORS: u64 = 192 * 2048;

const DISK_GUID: [u8; 16] = *b"vouchsafe-guest0";
/// C12A7328-F81F-11D2-BA4B-00A0C93EC93B (UEFI 2.10, table 5.7).
const SYSTEM_PARTITION: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
const SECTOR: u64 = 512;
const DISK_SECTORS: u64 = FIRST_SECTOR + SECTORS + 2048;
/// The sectors of a table of 128 partitions of 128 bytes.
const TABLE_SECTORS: u64 = 32;

/// Makes a disk whose system partition holds these files, each at a path such as `EFI/BOOT/BOOTX64.EFI`.
///
/// # Errors
/// mtools is missing, or the files do not fit.
pub(super) fn make(disk: &Path, files: &[(&str, &Path)]) -> Result<()> {
    write_table(&mut File::create(disk)?).with_context(|| format!("writing {}", disk.display()))?;
    let partition = format!("{}@@{}", disk.display(), FIRST_SECTOR * SECTOR);
    let mtools = |program: &str| {
        let mut command = Command::new(program);
        command.env("MTOOLS_SKIP_CHECK", "1").arg("-i").arg(&partition);
        command
    };
    let sectors = SECTORS.to_string();
    stdout(mtools("mformat").args(["-F", "-N", "56534146", "-T", &sectors, "-h", "64", "-s", "32", "::"]))?;
    let mut made: Vec<&str> = Vec::new();
    for (path, file) in files {
        for (end, _) in path.match_indices('/') {
            let folder = path.get(..end).unwrap_or_default();
            if !made.contains(&folder) {
                stdout(mtools("mmd").arg(format!("::{folder}")))?;
                made.push(folder);
            }
        }
        stdout(mtools("mcopy").arg(file).arg(format!("::{path}")))?;
    }
    Ok(())
}

/// Writes a protective MBR, and both copies of the table.
fn write_table(disk: &mut File) -> Result<()> {
    let last = DISK_SECTORS - 1;
    disk.set_len(DISK_SECTORS * SECTOR)?;
    let mut table = Vec::new();
    for part in [&SYSTEM_PARTITION[..], &PARTITION_GUID, &FIRST_SECTOR.to_le_bytes()] {
        table.extend_from_slice(part);
    }
    table.extend_from_slice(&(FIRST_SECTOR + SECTORS - 1).to_le_bytes());
    table.extend_from_slice(&0_u64.to_le_bytes());
    table.extend("EFI system".encode_utf16().flat_map(u16::to_le_bytes));
    table.resize(usize::try_from(TABLE_SECTORS * SECTOR)?, 0);
    disk.write_all(&protective_mbr(u32::try_from(last)?))?;
    disk.write_all(&header(1, last, 2, &table))?;
    disk.seek(SeekFrom::Start(2 * SECTOR))?;
    disk.write_all(&table)?;
    disk.seek(SeekFrom::Start((last - TABLE_SECTORS) * SECTOR))?;
    disk.write_all(&table)?;
    disk.write_all(&header(last, 1, last - TABLE_SECTORS, &table))?;
    Ok(())
}

fn protective_mbr(sectors: u32) -> Vec<u8> {
    let mut mbr = vec![0; 446];
    mbr.extend_from_slice(&[0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]);
    mbr.extend_from_slice(&1_u32.to_le_bytes());
    mbr.extend_from_slice(&sectors.to_le_bytes());
    mbr.resize(510, 0);
    mbr.extend_from_slice(&[0x55, 0xaa]);
    mbr
}

fn header(this: u64, other: u64, table_at: u64, table: &[u8]) -> Vec<u8> {
    let with = |checksum: u32| {
        let mut header = b"EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00".to_vec();
        header.extend_from_slice(&checksum.to_le_bytes());
        header.extend_from_slice(&0_u32.to_le_bytes());
        for sector in [this, other, 2 + TABLE_SECTORS, DISK_SECTORS - 2 - TABLE_SECTORS] {
            header.extend_from_slice(&sector.to_le_bytes());
        }
        header.extend_from_slice(&DISK_GUID);
        header.extend_from_slice(&table_at.to_le_bytes());
        for word in [128, 128, crc32(table)] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header
    };
    with(crc32(&with(0)))
}

/// The CRC-32 of GPT (ISO 3309), bit by bit: the input is 16 KiB.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_header_is_as_long_as_it_says() {
        assert_eq!(header(1, 2, 3, &[]).len(), 0x5c);
        assert_eq!(protective_mbr(1).len(), 512);
    }
}
