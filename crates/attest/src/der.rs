//! The few DER values (ITU-T X.690) that this crate writes: public keys and ECDSA signatures.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A SEQUENCE of parts that are already encoded.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(SEQUENCE, parts)
}

/// A BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tagged(BIT_STRING, &[&[0], bytes])
}

/// An unsigned INTEGER from big-endian bytes, leading zeros allowed, in its shortest form.
pub(crate) fn unsigned(big_endian: &[u8]) -> Vec<u8> {
    let leading_zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    let digits = big_endian.get(leading_zeros..).unwrap_or_default();
    // A set top bit would make it negative, and no digits at all would make it empty.
    let sign: &[u8] = if digits.first().is_none_or(|first| first & 0x80 != 0) { &[0] } else { &[] };
    tagged(INTEGER, &[sign, digits])
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut der = Vec::with_capacity(len.saturating_add(6));
    der.push(tag);
    push_len(&mut der, len);
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

fn push_len(der: &mut Vec<u8>, len: usize) {
    let bytes = len.to_be_bytes();
    let short = u8::try_from(len).ok().filter(|len| *len < 0x80);
    if let Some(len) = short {
        der.push(len);
        return;
    }
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    // A usize has at most eight digits in base 256, so the count cannot spill into the flag.
    der.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
    der.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_shortest_and_never_negative() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0x7F]), [2, 1, 0x7F]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned(&[1, 0, 1]), [2, 3, 1, 0, 1]);
    }

    #[test]
    fn lengths_use_the_short_form_below_128() {
        assert_eq!(bit_string(&[0xAA; 126])[..3], [3, 127, 0]);
        assert_eq!(bit_string(&[0xAA; 127])[..4], [3, 0x81, 128, 0]);
        assert_eq!(bit_string(&[0xAA; 255])[..5], [3, 0x82, 1, 0, 0]);
        assert_eq!(sequence(&[&[1], &[2, 3]]), [0x30, 3, 1, 2, 3]);
    }
}
