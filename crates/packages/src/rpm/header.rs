//! The header structure of RPM: an index of typed entries, and a store of their values.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::limits::{MAX_RPM_HEADER_ENTRIES, MAX_RPM_HEADER_LEN};

/// The tags that are read (rpmtag.h).
pub(super) mod tag {
    pub(crate) const SIGNATURE_DSA: u32 = 267;
    pub(crate) const SIGNATURE_RSA: u32 = 268;
    pub(crate) const SIGNATURE_SHA256: u32 = 273;
    pub(crate) const SIGNATURE_OPENPGP: u32 = 278;
    pub(crate) const NAME: u32 = 1000;
    pub(crate) const VERSION: u32 = 1001;
    pub(crate) const RELEASE: u32 = 1002;
    pub(crate) const EPOCH: u32 = 1003;
    pub(crate) const ARCH: u32 = 1022;
    pub(crate) const FILE_SIZES: u32 = 1028;
    pub(crate) const FILE_MODES: u32 = 1030;
    pub(crate) const FILE_DIGESTS: u32 = 1035;
    pub(crate) const FILE_FLAGS: u32 = 1037;
    pub(crate) const SOURCE_RPM: u32 = 1044;
    pub(crate) const FILE_INODES: u32 = 1096;
    pub(crate) const SOURCE_PACKAGE: u32 = 1106;
    pub(crate) const DIR_INDEXES: u32 = 1116;
    pub(crate) const BASE_NAMES: u32 = 1117;
    pub(crate) const DIR_NAMES: u32 = 1118;
    pub(crate) const PAYLOAD_FORMAT: u32 = 1124;
    pub(crate) const PAYLOAD_COMPRESSOR: u32 = 1125;
    pub(crate) const LONG_FILE_SIZES: u32 = 5008;
    pub(crate) const FILE_DIGEST_ALGORITHM: u32 = 5011;
    pub(crate) const PAYLOAD_DIGEST: u32 = 5092;
    pub(crate) const PAYLOAD_DIGEST_ALGORITHM: u32 = 5093;
}

const MAGIC: [u8; 4] = [0x8E, 0xAD, 0xE8, 0x01];
const PREAMBLE_LEN: usize = 16;
const ENTRY_LEN: usize = 16;

/// Why a header is refused.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// It does not begin like a header.
    #[error("it does not begin like a header")]
    Magic,
    /// It has more entries than rpm takes.
    #[error("it has {0} entries, and at most {MAX_RPM_HEADER_ENTRIES} are possible")]
    TooManyEntries(u32),
    /// It has more bytes than rpm takes.
    #[error("it has {0} bytes, and at most {MAX_RPM_HEADER_LEN} are possible")]
    TooLong(u32),
    /// It is not all there.
    #[error("it is not all there")]
    Short,
    /// It has one tag twice.
    #[error("it has the tag {0} twice")]
    Duplicate(u32),
    /// An entry's value is not where it says, or not of the type that its tag has.
    #[error("the value of tag {tag} is malformed: {what}")]
    Value {
        /// The tag.
        tag: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// It could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
}

#[derive(Clone, Copy)]
struct Slot {
    kind: u32,
    offset: usize,
    count: usize,
}

/// A header that was read.
pub(super) struct Header {
    bytes: Vec<u8>,
    slots: BTreeMap<u32, Slot>,
    /// Where the store begins.
    store: usize,
}

impl Header {
    /// Reads a header, and the padding to a multiple of eight behind that of the signatures.
    pub(super) fn read(source: &mut impl Read, padded: bool) -> Result<Self, HeaderError> {
        let mut preamble = [0; PREAMBLE_LEN];
        read_exactly(source, &mut preamble)?;
        let (magic, rest) = preamble.split_at(8);
        if !magic.starts_with(&MAGIC) {
            return Err(HeaderError::Magic);
        }
        let (entries, len) = (word(rest, 0), word(rest, 4));
        if entries > MAX_RPM_HEADER_ENTRIES {
            return Err(HeaderError::TooManyEntries(entries));
        }
        if len > MAX_RPM_HEADER_LEN {
            return Err(HeaderError::TooLong(len));
        }
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        let index_len = entries.saturating_mul(ENTRY_LEN);
        let store = PREAMBLE_LEN.saturating_add(index_len);
        let padding = if padded { u64::from(len).wrapping_neg() % 8 } else { 0 };
        let rest = crate::archive::wide(index_len).saturating_add(len.into());
        let mut bytes = preamble.to_vec();
        // `take` grows with what is there, so that a length that lies takes no memory.
        let read = source.by_ref().take(rest).read_to_end(&mut bytes).map_err(HeaderError::Read)?;
        let skipped = io::copy(&mut source.by_ref().take(padding), &mut io::sink()).map_err(HeaderError::Read)?;
        if crate::archive::wide(read) < rest || skipped < padding {
            return Err(HeaderError::Short);
        }
        let slots = index(bytes.get(PREAMBLE_LEN..store).unwrap_or_default())?;
        Ok(Self { bytes, slots, store })
    }

    /// All of it, as signatures and digests cover it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn has(&self, tag: u32) -> bool {
        self.slots.contains_key(&tag)
    }

    /// A text.
    pub(super) fn string(&self, tag: u32) -> Result<Option<&str>, HeaderError> {
        Ok(self.strings(tag)?.first().copied())
    }

    /// A list of texts; empty when the tag is not there.
    pub(super) fn strings(&self, tag: u32) -> Result<Vec<&str>, HeaderError> {
        let texts = self
            .raw_strings(tag)?
            .into_iter()
            .map(|text| str::from_utf8(text).map_err(|_| HeaderError::Value { tag, what: "it is no UTF-8" }));
        texts.collect()
    }

    /// A list of texts that may be no UTF-8: names of files.
    pub(super) fn raw_strings(&self, tag: u32) -> Result<Vec<&[u8]>, HeaderError> {
        let Some(slot) = self.slots.get(&tag) else { return Ok(Vec::new()) };
        let malformed = |what| HeaderError::Value { tag, what };
        let count = match slot.kind {
            6 if slot.count == 1 => 1,
            8 | 9 => slot.count,
            _ => return Err(malformed("it is no text")),
        };
        let mut rest = self.value(slot);
        let mut texts = Vec::new();
        for _ in 0..count {
            let end = rest.iter().position(|byte| *byte == 0).ok_or_else(|| malformed("a text has no end"))?;
            let (text, behind) = rest.split_at(end);
            texts.push(text);
            rest = behind.get(1..).unwrap_or_default();
        }
        Ok(texts)
    }

    /// A list of numbers of 16, 32 or 64 bits; empty when the tag is not there.
    pub(super) fn numbers(&self, tag: u32) -> Result<Vec<u64>, HeaderError> {
        let Some(slot) = self.slots.get(&tag) else { return Ok(Vec::new()) };
        let malformed = |what| HeaderError::Value { tag, what };
        let len = match slot.kind {
            3 => 2usize,
            4 => 4,
            5 => 8,
            _ => return Err(malformed("it is no number")),
        };
        let bytes = self.value(slot).get(..slot.count.saturating_mul(len));
        let bytes = bytes.ok_or_else(|| malformed("it is behind the end"))?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        Ok(bytes.chunks_exact(len).map(number).collect())
    }

    /// Bytes.
    pub(super) fn binary(&self, tag: u32) -> Result<Option<&[u8]>, HeaderError> {
        let Some(slot) = self.slots.get(&tag) else { return Ok(None) };
        if slot.kind != 7 {
            return Err(HeaderError::Value { tag, what: "it is no binary value" });
        }
        let bytes = self.value(slot).get(..slot.count);
        bytes.map(Some).ok_or(HeaderError::Value { tag, what: "it is behind the end" })
    }

    fn value(&self, slot: &Slot) -> &[u8] {
        self.bytes.get(self.store.saturating_add(slot.offset)..).unwrap_or_default()
    }
}

fn index(bytes: &[u8]) -> Result<BTreeMap<u32, Slot>, HeaderError> {
    let mut slots = BTreeMap::new();
    for entry in bytes.chunks_exact(ENTRY_LEN) {
        let (tag, kind) = (word(entry, 0), word(entry, 4));
        let place = |at| usize::try_from(word(entry, at)).unwrap_or(usize::MAX);
        let slot = Slot { kind, offset: place(8), count: place(12) };
        if slots.insert(tag, slot).is_some() {
            return Err(HeaderError::Duplicate(tag));
        }
    }
    Ok(slots)
}

/// A big-endian number; 0 behind the end.
fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at.saturating_add(4)).and_then(|word| word.try_into().ok());
    u32::from_be_bytes(word.unwrap_or_default())
}

fn read_exactly(source: &mut impl Read, buffer: &mut [u8]) -> Result<(), HeaderError> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => HeaderError::Short,
        _ => HeaderError::Read(error),
    })
}
