//! A strict reader of big-endian structures.

use vouchsafe_model::HashAlgorithm;

use super::AlgorithmId;

/// Where a structure stopped being one, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{structure}.{field} at byte {offset}: {problem}")]
pub struct DecodeError {
    /// The structure, as Part 2 calls it.
    pub structure: &'static str,
    /// The field of it.
    pub field: &'static str,
    /// Where the field begins, in bytes from the start of the outermost structure.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: DecodeProblem,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeProblem {
    /// The bytes end before the field does.
    #[error("truncated: {needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that the field takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes follow where none belong.
    #[error("{left} trailing bytes")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A length or count is above what the structure allows.
    #[error("{len} is more than the {max} allowed")]
    Oversized {
        /// The length or count.
        len: usize,
        /// The greatest that is allowed.
        max: usize,
    },
    /// An algorithm that is not supported in this place.
    #[error("{0} is not supported here")]
    Unsupported(AlgorithmId),
    /// A value that the specification forbids in this place.
    #[error("{value:#x} instead of {expected}")]
    BadValue {
        /// The value.
        value: u64,
        /// What would be allowed.
        expected: &'static str,
    },
}

/// Reads one structure from front to back, and never beyond its end.
///
/// Lengths are compared with the bytes that are there before anything is taken, so that no length can wrap or make
/// this allocate. Borrowing, not copying.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    structure: &'static str,
    rest: &'a [u8],
    offset: usize,
    field_offset: usize,
}

impl<'a> Reader<'a> {
    /// Begins to read a structure of this name.
    pub const fn new(structure: &'static str, bytes: &'a [u8]) -> Self {
        Self { structure, rest: bytes, offset: 0, field_offset: 0 }
    }

    /// Goes on reading the same bytes as a part of another name, for messages.
    pub const fn enter(&mut self, structure: &'static str) {
        self.structure = structure;
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        self.field_offset = self.offset;
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| self.error(field, DecodeProblem::Truncated { needed: len, left: self.rest.len() }))?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }

    /// Takes an array.
    ///
    /// # Errors
    /// When fewer bytes are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        self.bytes(field, N)?
            .try_into()
            .map_err(|_| self.error(field, DecodeProblem::Truncated { needed: N, left: self.rest.len() }))
    }

    /// Takes a UINT8.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Takes a UINT16.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Takes a UINT32.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Takes a UINT64.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Takes an algorithm identifier, whichever it is.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn algorithm(&mut self, field: &'static str) -> Result<AlgorithmId, DecodeError> {
        self.u16(field).map(AlgorithmId)
    }

    /// Takes a hash algorithm that has a name in the model; SM3 is one of them.
    ///
    /// # Errors
    /// When it is cut off or another algorithm.
    pub fn hash(&mut self, field: &'static str) -> Result<HashAlgorithm, DecodeError> {
        let id = self.algorithm(field)?;
        HashAlgorithm::from_tpm_alg_id(id.0).ok_or_else(|| self.unsupported(field, id))
    }

    /// Takes a TPM2B: a UINT16 and as many bytes, at most `max`.
    ///
    /// # Errors
    /// When it is cut off or longer than `max`.
    pub fn sized(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u16(field)?);
        if len > max {
            return Err(self.error(field, DecodeProblem::Oversized { len, max }));
        }
        self.bytes(field, len)
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left, which stay.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the structure.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn finish(mut self) -> Result<(), DecodeError> {
        self.field_offset = self.offset;
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.error("end", DecodeProblem::Trailing { left })),
        }
    }

    /// An error about the field that was taken last.
    pub const fn error(&self, field: &'static str, problem: DecodeProblem) -> DecodeError {
        DecodeError { structure: self.structure, field, offset: self.field_offset, problem }
    }

    /// An error about the algorithm that was taken last.
    pub const fn unsupported(&self, field: &'static str, algorithm: AlgorithmId) -> DecodeError {
        self.error(field, DecodeProblem::Unsupported(algorithm))
    }

    /// An error about the value that was taken last.
    pub fn bad_value(&self, field: &'static str, value: impl Into<u64>, expected: &'static str) -> DecodeError {
        self.error(field, DecodeProblem::BadValue { value: value.into(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_big_endian_to_the_last_byte() {
        let mut reader = Reader::new("T", &[1, 0, 2, 0, 0, 0, 3, 0, 1, 0xAA]);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(2));
        assert_eq!(reader.u32("c"), Ok(3));
        assert_eq!(reader.sized("d", 1), Ok(&[0xAA][..]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn says_which_field_of_which_structure_was_cut_off_and_where() {
        let mut reader = Reader::new("TPMS_X", &[0, 1, 2]);
        reader.u16("first").unwrap();
        let error = reader.u32("second").unwrap_err();
        assert_eq!(error.to_string(), "TPMS_X.second at byte 2: truncated: 4 bytes needed, 1 left");
    }

    #[test]
    fn a_length_above_the_bound_is_refused_even_when_the_bytes_are_there() {
        let mut reader = Reader::new("T", &[0, 3, 1, 2, 3]);
        let error = reader.sized("buffer", 2).unwrap_err();
        assert_eq!(error.problem, DecodeProblem::Oversized { len: 3, max: 2 });
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut reader = Reader::new("T", &[1, 2, 3]);
        reader.u8("a").unwrap();
        let error = reader.finish().unwrap_err();
        assert_eq!((error.offset, error.problem), (1, DecodeProblem::Trailing { left: 2 }));
    }
}
