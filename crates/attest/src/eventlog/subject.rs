//! The subject of a certificate, and nothing else of it.
//!
//! Certificates of signature databases are compared by their bytes. Their subject is for people, and not worth the time of
//! reading keys and extensions: a boot log holds a dozen of them.

use x509_parser::prelude::FromDer as _;
use x509_parser::x509::X509Name;

/// The longest subject that is told, in characters.
const MAX_CHARS: usize = 256;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;

/// A DER value: its tag, its contents, and all of it.
struct Value<'a> {
    tag: u8,
    contents: &'a [u8],
    whole: &'a [u8],
}

/// Takes the first DER value (ITU-T X.690, 8.1) of the bytes.
fn take<'a>(bytes: &mut &'a [u8]) -> Option<Value<'a>> {
    let input = *bytes;
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match usize::from(*first) {
        short @ 0..=0x7F => (short, rest),
        // No certificate is as long as four bytes of length could say.
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(long & 0x7F)?;
            (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    let whole = input.get(..input.len().saturating_sub(rest.len()))?;
    *bytes = rest;
    Some(Value { tag: *tag, contents, whole })
}

/// Whether the bytes are one DER SEQUENCE, as a certificate is.
pub(super) fn is_one_sequence(mut bytes: &[u8]) -> bool {
    take(&mut bytes).is_some_and(|value| value.tag == SEQUENCE && bytes.is_empty())
}

/// The subject of a certificate; `None` when it cannot be read, or is empty.
pub(super) fn of(mut der: &[u8]) -> Option<String> {
    let mut certificate = expect(&mut der, SEQUENCE)?.contents;
    let mut fields = expect(&mut certificate, SEQUENCE)?.contents;
    if fields.first() == Some(&VERSION) {
        take(&mut fields)?;
    }
    // Serial number, signature algorithm, issuer, validity.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE] {
        expect(&mut fields, tag)?;
    }
    let (_, subject) = X509Name::from_der(expect(&mut fields, SEQUENCE)?.whole).ok()?;
    let text: String = subject.to_string().chars().take(MAX_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

fn expect<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<Value<'a>> {
    take(bytes).filter(|value| value.tag == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_of_a_certificate_is_answered() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a signer");
        let der = params.self_signed(&key).unwrap().der().to_vec();
        assert!(of(&der).unwrap().contains("CN=a signer"));
        assert!(is_one_sequence(&der));
        for len in 0..der.len() {
            assert!(!is_one_sequence(&der[..len]));
            let _ = of(&der[..len]);
        }
        assert!(!is_one_sequence(&[&der[..], &[0]].concat()));
    }
}
