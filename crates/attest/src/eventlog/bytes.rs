//! A reader of little-endian structures that never goes beyond their end.

/// What is left of a structure, read from front to back. `None` means that the bytes end before the field does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A UINT32 as a length.
    pub(super) fn len32(&mut self) -> Option<usize> {
        self.u32().and_then(|len| usize::try_from(len).ok())
    }

    /// A UINT64 as a length.
    pub(super) fn len64(&mut self) -> Option<usize> {
        self.u64().and_then(|len| usize::try_from(len).ok())
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }
}

/// A GUID as UEFI writes it: the first three fields are little-endian (UEFI 2.10, appendix A).
pub(super) fn guid_text(guid: &[u8; 16]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (position, byte) in ORDER.into_iter().filter_map(|place| guid.get(place)).enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xF] {
            text.push(char::from(DIGITS.get(usize::from(digit)).copied().unwrap_or(b'?')));
        }
    }
    text
}

/// The bytes of a GUID from its digits; for constants.
pub(super) const fn guid(digits: u128) -> [u8; 16] {
    let be = digits.to_be_bytes();
    [
        be[3], be[2], be[1], be[0], be[5], be[4], be[7], be[6], be[8], be[9], be[10], be[11], be[12], be[13], be[14],
        be[15],
    ]
}

/// UTF-16 as text, up to the first NUL; what is no text becomes U+FFFD, and an odd byte at the end is left out.
pub(super) fn utf16_text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Whether the bytes look like text in UTF-16 rather than in ASCII: no ASCII text has a NUL as its second byte.
pub(super) fn is_utf16(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 0, ..] if *first != 0) && bytes.len() > 2
}

/// ASCII or UTF-8 as text, without the NULs at its end; what is no text becomes U+FFFD.
pub(super) fn utf8_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(without_nuls(bytes)).into_owned()
}

/// The bytes without the NULs at their end.
pub(super) fn without_nuls(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    bytes.get(..end).unwrap_or_default()
}

/// Text in whichever of the two encodings it seems to be.
pub(super) fn any_text(bytes: &[u8]) -> String {
    if is_utf16(bytes) { utf16_text(bytes) } else { utf8_text(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_reads_as_its_constant_is_written() {
        let sha256 = guid(0xc1c4_1626_504c_4092_aca9_41f9_3693_4328);
        assert_eq!(guid_text(&sha256), "c1c41626-504c-4092-aca9-41f936934328");
    }

    #[test]
    fn texts_end_at_their_nul_and_bad_ones_do_not_stop_anything() {
        assert_eq!(utf16_text(b"d\0b\0\0\0x\0"), "db");
        assert_eq!(utf16_text(&[0x00, 0xD8, 0x41, 0x00, 0x42]), "\u{FFFD}A", "a lone surrogate, and half a unit");
        assert_eq!(any_text(b"MokList\0"), "MokList");
        assert_eq!(any_text(b"r\0o\0\0\0"), "ro");
        assert_eq!(any_text(b""), "");
        assert_eq!(any_text(&[0xFF, 0]), "\u{FFFD}");
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut bytes = Bytes::new(&[1, 2, 3]);
        assert_eq!(bytes.u32(), None);
        assert_eq!(bytes.u16(), Some(0x0201));
        assert_eq!(bytes.take(2), None);
        assert_eq!(bytes.rest(), [3]);
        assert_eq!(bytes.take(usize::MAX), None);
    }
}
