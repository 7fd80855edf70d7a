//! Variables, as events hold them (`UEFI_VARIABLE_DATA`, PFP 10.4.2).

use super::bytes::{Bytes, utf16_text};

/// A variable: who defines it, its name, its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variable<'a> {
    pub(super) vendor: [u8; 16],
    /// In UTF-16, without a NUL.
    name: &'a [u8],
    pub(super) data: &'a [u8],
    /// How long the structure is; the event may go on behind it.
    pub(super) len: usize,
}

impl<'a> Variable<'a> {
    /// The longest name, in bytes.
    const MAX_NAME_LEN: usize = 1024;

    /// Reads it; `None` when the bytes do not have its shape.
    pub(super) fn parse(event: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes::new(event);
        let vendor = bytes.array()?;
        let name_len = bytes.len64()?.checked_mul(2).filter(|len| *len <= Self::MAX_NAME_LEN)?;
        let data_len = bytes.len64()?;
        let name = bytes.take(name_len)?;
        let data = bytes.take(data_len)?;
        Some(Self { vendor, name, data, len: event.len().saturating_sub(bytes.left()) })
    }

    pub(super) fn name(&self) -> String {
        utf16_text(self.name)
    }

    /// Whether this is its name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.len() == name.len().saturating_mul(2)
            && self.name.chunks_exact(2).zip(name.bytes()).all(|(unit, byte)| unit == [byte, 0])
    }

    /// Its value, if it is one byte that says yes or no.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.data {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    /// The number of a boot option: `Boot0001` is 1.
    pub(super) fn boot_number(&self) -> Option<u16> {
        let name = self.name();
        let digits = name.strip_prefix("Boot").filter(|digits| digits.len() == 4)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    }
}

/// The variables that are yes or no.
pub(super) const FLAGS: [&str; 4] = ["SecureBoot", "SetupMode", "AuditMode", "DeployedMode"];
/// The variables that hold signature databases.
pub(super) const DATABASES: [&str; 4] = ["PK", "KEK", "db", "dbx"];

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name_len: u64, data_len: u64, rest: &[u8]) -> Vec<u8> {
        [&[7; 16][..], &name_len.to_le_bytes(), &data_len.to_le_bytes(), rest].concat()
    }

    #[test]
    fn reads_name_and_value_and_says_how_long_it_is() {
        let event = event(2, 1, b"d\0b\0\x01rest");
        let variable = Variable::parse(&event).unwrap();
        assert_eq!((variable.name(), variable.flag(), variable.len), ("db".to_owned(), Some(true), 37));
        assert!(variable.is("db") && !variable.is("d") && !variable.is("dbx"));
    }

    #[test]
    fn lengths_that_wrap_or_go_beyond_the_end_are_refused() {
        for (name, data) in [(u64::MAX, 0), (1 << 63, 0), (3, 0), (2, 2), (2, u64::MAX), (u64::MAX / 2 + 2, 1)] {
            assert_eq!(Variable::parse(&event(name, data, b"d\0b\0\x01")), None, "{name} {data}");
        }
        let long = |units: usize| event(units as u64, 0, &vec![b'a'; units * 2]);
        assert!(Variable::parse(&long(Variable::MAX_NAME_LEN / 2)).is_some());
        assert!(Variable::parse(&long(Variable::MAX_NAME_LEN / 2 + 1)).is_none());
    }

    #[test]
    fn boot_options_have_four_digits() {
        let number = |name: &str| {
            let utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let event = event(name.len() as u64, 0, &utf16);
            Variable::parse(&event).unwrap().boot_number()
        };
        assert_eq!(number("Boot001A"), Some(0x1A));
        for name in ["BootOrder", "Boot1", "Boot00011", "Boot+001", "Boot"] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
