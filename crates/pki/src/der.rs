//! The little of DER (X.690) that a certification request needs, read strictly.
//!
//! Lengths are minimal and definite, every byte belongs to an element, and nothing may follow the last one. What is
//! signed is then the only way to write what was understood.

/// SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// OBJECT IDENTIFIER.
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
/// The constructed tag `[0]` of the context.
pub(crate) const CONTEXT_0: u8 = 0xA0;

/// Bytes that are no DER, or not the element that was due.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no strict DER at {part}")]
pub struct Malformed {
    /// The ASN.1 component that was to be read.
    pub part: &'static str,
}

/// One element: its content, and the whole of it with tag and length.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader { rest: self.content }
    }

    /// The bytes of a BIT STRING that has no unused bits.
    pub(crate) fn whole_bits(self, part: &'static str) -> Result<&'a [u8], Malformed> {
        match self.content.split_first() {
            Some((0, bits)) => Ok(bits),
            _ => Err(Malformed { part }),
        }
    }
}

/// Reads elements one after the other.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next element, which must have this tag; `part` names it in the error.
    pub(crate) fn expect(&mut self, tag: u8, part: &'static str) -> Result<Element<'a>, Malformed> {
        let malformed = Malformed { part };
        let Some((found, after_tag)) = self.rest.split_first() else { return Err(malformed) };
        if *found != tag {
            return Err(malformed);
        }
        let Some((length, after_length)) = read_length(after_tag) else { return Err(malformed) };
        let Some((content, rest)) = after_length.split_at_checked(length) else { return Err(malformed) };
        let whole_len = self.rest.len() - rest.len();
        let Some((whole, _)) = self.rest.split_at_checked(whole_len) else { return Err(malformed) };
        self.rest = rest;
        Ok(Element { content, whole })
    }

    /// Nothing may be left.
    pub(crate) fn finish(self, part: &'static str) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed { part }) }
    }
}

/// A definite length in its shortest form (X.690, 10.1), of at most two length octets: nothing read here is longer.
fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=0x7F, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, length @ 0x80..=0xFF, rest @ ..] => Some((usize::from(*length), rest)),
        [0x82, high @ 1..=0xFF, low, rest @ ..] => Some((usize::from(u16::from_be_bytes([*high, *low])), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<&[u8], Malformed> {
        let mut reader = Reader::new(bytes);
        let element = reader.expect(INTEGER, "test")?;
        reader.finish("end")?;
        Ok(element.content)
    }

    #[test]
    fn reads_the_shortest_form_of_every_length() {
        assert_eq!(read(&[2, 1, 7]), Ok(&[7][..]));
        for length in [0x7F_usize, 0x80, 0xFF, 0x100, 0xFFFF] {
            let mut bytes = vec![2];
            match length {
                0..=0x7F => bytes.push(u8::try_from(length).unwrap()),
                0x80..=0xFF => bytes.extend([0x81, u8::try_from(length).unwrap()]),
                _ => bytes.extend([0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xFF).unwrap()]),
            }
            bytes.resize(bytes.len() + length, 9);
            assert_eq!(read(&bytes).map(<[u8]>::len), Ok(length));
        }
    }

    #[test]
    fn refuses_lengths_that_are_indefinite_padded_or_too_long() {
        for bytes in [
            &[2, 0x80, 0, 0][..],
            &[2, 0x81, 1, 7],
            &[2, 0x82, 0, 1, 7],
            &[2, 0x83, 0, 0, 1, 7],
            &[2, 2, 7],
            &[2],
            &[],
            &[4, 1, 7],
        ] {
            assert_eq!(read(bytes), Err(Malformed { part: "test" }), "{bytes:02x?}");
        }
    }

    #[test]
    fn refuses_what_follows_the_last_element() {
        assert_eq!(read(&[2, 1, 7, 0]), Err(Malformed { part: "end" }));
    }
}
