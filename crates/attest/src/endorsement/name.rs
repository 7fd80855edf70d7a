//! Distinguished names, compared as tolerantly as chains of real vendors need.
//!
//! RFC 5280, 7.1 compares attribute values without regard to case and white space, and RDN sets without regard to order.
//! Vendors go further: one CA writes its name as `PrintableString` in its own certificate and as `UTF8String` in those
//! that it issues, and some encode RDN sets in an order that DER forbids. None of this weakens a chain: a name only
//! chooses which key to try, the signature decides.

use std::fmt;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The longest text of a name, in characters, that messages repeat.
const MAX_TEXT_CHARS: usize = 256;

/// A distinguished name: how to compare it, and how to show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    key: NameKey,
    text: String,
}

/// What of a name is compared: RDNs in their order, the attributes of each in an order of their own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct NameKey(Vec<Vec<Attribute>>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Attribute {
    oid: Vec<u8>,
    value: Value,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value {
    /// A string of any type: lower case, white space collapsed.
    Text(String),
    /// Anything else, or a string that is none.
    Opaque { tag: u32, bytes: Vec<u8> },
}

impl Name {
    pub(crate) fn from_x509(name: &X509Name<'_>) -> Self {
        let rdns = name.iter_rdn().map(|rdn| {
            let mut set = rdn.iter().map(Attribute::from_x509).collect::<Vec<_>>();
            set.sort();
            set
        });
        Self { key: NameKey(rdns.collect()), text: text_of(name) }
    }

    /// What to compare it by.
    pub(crate) fn key(&self) -> &NameKey {
        &self.key
    }

    /// Whether it names nobody: allowed in a subject whose alternative names say more, never in an issuer.
    pub(crate) fn is_empty(&self) -> bool {
        self.key.0.is_empty()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Attribute {
    fn from_x509(attribute: &AttributeTypeAndValue<'_>) -> Self {
        let value = attribute.attr_value();
        let value = match decode_text(value) {
            Some(text) => Value::Text(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()),
            None => Value::Opaque { tag: value.tag().0, bytes: value.data.to_vec() },
        };
        Self { oid: attribute.attr_type().as_bytes().to_vec(), value }
    }
}

/// Reads a string of any ASN.1 type; `None` when it is no string, or not of the encoding that its type promises.
pub(crate) fn decode_text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::GeneralString
        | Tag::GraphicString => String::from_utf8(value.data.to_vec()).ok(),
        // Nobody implements T.61; what is found there is UTF-8 or Latin-1.
        Tag::T61String => Some(
            String::from_utf8(value.data.to_vec())
                .unwrap_or_else(|_| value.data.iter().map(|byte| char::from(*byte)).collect()),
        ),
        Tag::BmpString => {
            let (units, rest) = value.data.as_chunks::<2>();
            let units = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect::<Vec<_>>();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        Tag::UniversalString => {
            let (units, rest) = value.data.as_chunks::<4>();
            let text = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect::<Option<String>>();
            text.filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// The text without control characters, cut at `max` characters: certificates come from strangers, messages go to
/// terminals.
pub(crate) fn printable(text: &str, max: usize) -> String {
    text.chars().map(|character| if character.is_control() { '\u{FFFD}' } else { character }).take(max).collect()
}

fn text_of(name: &X509Name<'_>) -> String {
    let rdns = name.iter_rdn().map(|rdn| rdn.iter().map(attribute_text).collect::<Vec<_>>().join("+"));
    let text = printable(&rdns.collect::<Vec<_>>().join(", "), MAX_TEXT_CHARS);
    if text.is_empty() { "(empty name)".to_owned() } else { text }
}

fn attribute_text(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    let value = decode_text(value).unwrap_or_else(|| format!("#{}", vouchsafe_model::hash::to_hex(value.data)));
    let kind = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    };
    format!("{kind}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der;
    use x509_parser::prelude::FromDer;

    const UTF8: u8 = 0x0C;
    const PRINTABLE: u8 = 0x13;
    const T61: u8 = 0x14;
    const BMP: u8 = 0x1E;
    const UNIVERSAL: u8 = 0x1C;
    const OCTETS: u8 = 0x04;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// An attribute of `2.5.4.kind`.
    fn attribute(kind: u8, tag: u8, value: &[u8]) -> Vec<u8> {
        der::sequence(&[&[0x06, 0x03, 0x55, 0x04, kind], &tlv(tag, value)])
    }

    fn name(rdns: &[&[Vec<u8>]]) -> Name {
        let sets = rdns.iter().map(|set| tlv(0x31, &set.concat())).collect::<Vec<_>>().concat();
        let der = der::sequence(&[&sets]);
        let (rest, parsed) = X509Name::from_der(&der).unwrap();
        assert!(rest.is_empty());
        Name::from_x509(&parsed)
    }

    #[test]
    fn string_types_case_and_white_space_do_not_matter() {
        let printable = name(&[&[attribute(3, PRINTABLE, b"Root  CA ")]]);
        for (tag, value) in [
            (UTF8, &b"ROOT CA"[..]),
            (T61, b" root ca"),
            (BMP, b"\0R\0o\0o\0t\0 \0C\0A"),
            (UNIVERSAL, b"\0\0\0r\0\0\0o\0\0\0o\0\0\0t\0\0\0 \0\0\0c\0\0\0a"),
        ] {
            assert!(name(&[&[attribute(3, tag, value)]]).key() == printable.key(), "tag {tag:#x}");
        }
        assert!(name(&[&[attribute(3, PRINTABLE, b"RootCA")]]).key() != printable.key());
        assert!(name(&[&[attribute(10, PRINTABLE, b"Root CA")]]).key() != printable.key());
    }

    #[test]
    fn the_order_within_a_set_does_not_matter_but_the_order_of_sets_does() {
        let (common, country) = (attribute(3, UTF8, b"CA"), attribute(6, PRINTABLE, b"TW"));
        let one = name(&[&[common.clone(), country.clone()]]);
        assert!(name(&[&[country.clone(), common.clone()]]).key() == one.key());
        let two = name(&[std::slice::from_ref(&common), std::slice::from_ref(&country)]);
        assert!(two.key() != one.key());
        assert!(name(&[&[country], &[common]]).key() != two.key());
        assert_eq!(one.to_string(), "CN=CA+C=TW");
        assert_eq!(two.to_string(), "CN=CA, C=TW");
    }

    #[test]
    fn what_is_no_string_is_compared_byte_for_byte_and_shown_in_hexadecimal() {
        let broken = name(&[&[attribute(3, UTF8, b"\xFF\xFE")]]);
        assert_eq!(broken.to_string(), "CN=#fffe");
        assert!(name(&[&[attribute(3, OCTETS, b"\xFF\xFE")]]).key() != broken.key());
        assert!(name(&[&[attribute(3, UTF8, b"\xFF\xFE")]]).key() == broken.key());
    }

    #[test]
    fn messages_get_no_control_characters_and_no_endless_names() {
        assert_eq!(name(&[&[attribute(3, UTF8, b"a\x1B[2J\n")]]).to_string(), "CN=a\u{FFFD}[2J\u{FFFD}");
        let long = attribute(3, UTF8, &[b'x'; 100]);
        let long = std::slice::from_ref(&long);
        let shown = name(&[long, long, long]).to_string();
        assert_eq!(shown.chars().count(), MAX_TEXT_CHARS);
        assert_eq!(name(&[]).to_string(), "(empty name)");
        assert!(name(&[]).is_empty());
    }
}
