//! Partition tables, as events hold them (`UEFI_GPT_DATA`, PFP 10.4.4; UEFI 2.10, 5.3).

use super::bytes::{Bytes, guid_text, utf16_text};
use super::facts::{Partition, PartitionTable};

/// The part of a table's header that is defined, in bytes.
const HEADER_LEN: usize = 92;
/// The part of an entry that is defined, in bytes.
const ENTRY_LEN: usize = 128;
/// The most partitions that are read; disks have 128 by default.
pub(super) const MAX_PARTITIONS: usize = 1024;

/// Reads the table of an event; `None` when the data does not have its shape.
pub(super) fn parse(event: u64, data: &[u8]) -> Option<PartitionTable> {
    let (header, entry_len, entries) = parts(data)?;
    let mut header = Bytes::new(header);
    // Signature, revision, lengths and sums, and four block numbers.
    header.take(56)?;
    let disk = guid_text(&header.array()?);
    let partitions = entries.chunks_exact(entry_len).filter_map(partition).collect();
    Some(PartitionTable { event, disk, partitions })
}

/// Whether the data has the shape of a table.
pub(super) fn is_one(data: &[u8]) -> bool {
    parts(data).is_some()
}

/// The header, the length of an entry, and the entries.
fn parts(data: &[u8]) -> Option<(&[u8], usize, &[u8])> {
    let mut bytes = Bytes::new(data);
    let header = bytes.take(HEADER_LEN)?;
    let mut sizes = Bytes::new(header.get(84..)?);
    let entry_len = sizes.len32().filter(|len| *len >= ENTRY_LEN)?;
    let count = bytes.len64().filter(|count| *count <= MAX_PARTITIONS)?;
    let entries = bytes.take(count.checked_mul(entry_len)?)?;
    header.starts_with(b"EFI PART").then_some((header, entry_len, entries))
}

/// A partition; `None` when the entry is not in use.
fn partition(entry: &[u8]) -> Option<Partition> {
    let mut bytes = Bytes::new(entry);
    let kind = bytes.array().filter(|kind| *kind != [0; 16])?;
    let id = bytes.array()?;
    let (first_lba, last_lba) = (bytes.u64()?, bytes.u64()?);
    let _attributes = bytes.u64()?;
    let name = utf16_text(bytes.take(72)?);
    Some(Partition { kind: guid_text(&kind), id: guid_text(&id), first_lba, last_lba, name })
}
