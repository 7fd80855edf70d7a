//! Certificates as proxies write them into a field: PEM in percent-encoding, or the bare base64 of its DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vouchsafe_http::Peer;
use vouchsafe_wire::v1::limits::CERTIFICATE;

/// The longest text, in bytes: base64 takes a third more, and each of its `+`, `/` and `=` may be encoded.
const MAX_LEN: usize = CERTIFICATE * 4;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Whom the one certificate of a text names; `None` when it cannot be read.
pub(super) fn read(text: &str) -> Option<Peer> {
    if text.len() > MAX_LEN {
        return None;
    }
    let decoded = percent_decoded(text.trim())?;
    let text = decoded.trim();
    let encoded = match text.strip_prefix(BEGIN) {
        Some(pem) => pem.strip_suffix(END)?,
        // Traefik writes the whole chain, the client's own certificate first.
        None => text.split(',').next()?,
    };
    let encoded: String = encoded.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    Peer::read_certificate(&STANDARD.decode(encoded).ok()?).ok()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.to_owned();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        let byte = u8::from_str_radix(hex, 16).ok().filter(|byte| byte.is_ascii() && !hex.starts_with('+'))?;
        decoded.push(char::from(byte));
        decoded.push_str(rest);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_once() {
        assert_eq!(percent_decoded("a%2Bb+c%0A%25").as_deref(), Some("a+b+c\n%"));
        for text in ["%", "%2", "%zz", "%+1", "%FF"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_nobody() {
        for text in ["", "AAAA", BEGIN, END, "-----BEGIN%20CERTIFICATE-----%0AAAAA%0A-----END%20CERTIFICATE-----"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"A".repeat(MAX_LEN + 1)), None);
    }
}
