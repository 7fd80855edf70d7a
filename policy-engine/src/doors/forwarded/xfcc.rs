//! The field `x-forwarded-client-cert`, as Envoy writes it.
//!
//! It is a list of elements, one for each proxy on the way; an element is a list of pairs. Exactly one element is taken: of
//! several, which one tells of our client depends on how many proxies there are, and a client that sends the field itself may
//! have added one. A point that lets it through (`APPEND_FORWARD`, `ALWAYS_FORWARD_ONLY`) is set up wrongly.

use vouchsafe_model::Sha256Digest;

use super::device::{Presented, Unrecognised};

/// The name of the field.
pub(crate) const FIELD: &str = "x-forwarded-client-cert";

/// The longest field that is read, in bytes.
pub(super) const MAX_LEN: usize = 32 * 1024;

/// What an element says of a client's certificate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element<'a> {
    hash: Option<&'a str>,
    certificate: Option<&'a str>,
    chain: Option<&'a str>,
    subject: Option<&'a str>,
    uris: Vec<&'a str>,
}

/// Reads the field.
pub(super) fn read(text: &str) -> Result<Presented, Unrecognised> {
    let element = Element::parse(text).ok_or(Unrecognised::Malformed)?;
    let mut presented = Presented::default();
    if let Some(hash) = element.hash {
        presented.certificate = Some(hash.parse::<Sha256Digest>().map_err(|_| Unrecognised::Malformed)?);
    }
    match element.uris.as_slice() {
        [] => {}
        [uri] => presented.identity = uri.parse().ok(),
        // X509-SVID 1.0, 2: exactly one URI.
        _ => return Err(Unrecognised::Malformed),
    }
    match element.certificate {
        Some(text) => presented.agree(&Presented::by_certificate(text)?),
        None => Ok(presented),
    }
}

impl<'a> Element<'a> {
    /// Parses a field of exactly one element. No value of ours has an escaped quote; one that has is not taken.
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let mut element = Self::default();
        let mut rest = text;
        loop {
            let (key, after) = rest.split_once('=')?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at_checked(after.find([';', ',']).unwrap_or(after.len()))?,
            };
            if value.contains(['"', '\\']) {
                return None;
            }
            element.take(key, value)?;
            match after.strip_prefix(';') {
                Some(next) => rest = next,
                // A ',' would begin another element.
                None => return after.is_empty().then_some(element),
            }
        }
    }

    fn take(&mut self, key: &str, value: &'a str) -> Option<()> {
        let place = match key.to_ascii_lowercase().as_str() {
            "uri" => {
                self.uris.push(value);
                return Some(());
            }
            // About the proxy, and names that are not ours.
            "by" | "dns" => return Some(()),
            "hash" => &mut self.hash,
            "cert" => &mut self.certificate,
            "chain" => &mut self.chain,
            "subject" => &mut self.subject,
            _ => return None,
        };
        if place.replace(value).is_some() { None } else { Some(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0707070707070707070707070707070707070707070707070707070707070707";
    const DEVICE: &str = "spiffe://example.org/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf";

    #[test]
    fn what_envoy_writes_is_read() {
        let text = format!(
            "By=spiffe://example.org/enforcement/edge;Hash={HASH};Subject=\"CN=a, O=\";URI={DEVICE};DNS=a.example;DNS=b"
        );
        let presented = read(&text).unwrap();
        assert_eq!(presented.identity.unwrap().to_string(), DEVICE);
        assert_eq!(presented.certificate, Some(Sha256Digest::new([7; 32])));
        let quoted = read(&format!("hash=\"{HASH}\";uri=\"{DEVICE}\"")).unwrap();
        assert_eq!(quoted.identity.unwrap().to_string(), DEVICE);
        assert_eq!(read("By=spiffe://example.org/enforcement/edge;URI=").unwrap(), Presented::default());
        assert_eq!(read("Subject=\"\";URI=https://example.org/").unwrap().identity, None);
    }

    #[test]
    fn what_envoy_does_not_write_is_refused() {
        for text in [
            "",
            "Hash",
            "Hash=",
            "Hash=07",
            ";",
            "URI=a;",
            "URI=a,URI=b",
            "URI=a,",
            "URI=a;URI=b",
            "Hash=\"07",
            "Subject=\"a\"b",
            "Subject=\"a\\\"b\"",
            "Subject=a\"b",
            "Subject=\"\";Subject=\"\"",
            "Other=1",
            " URI=a",
            "URI =a",
            "Cert=\"AAAA\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let twice = format!("Hash={HASH};Hash={HASH};URI={DEVICE}");
        assert_eq!(read(&twice), Err(Unrecognised::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "(([A-Za-z]{0,4}=)?[\"a-z;,=%\\\\ ]{0,8};?){0,6}") {
            let _ = read(&text);
        }

        #[test]
        fn whatever_certificate_comes_is_read_or_refused(text in "(-----BEGIN CERTIFICATE-----)?[A-Za-z0-9+/=%\n,]{0,64}") {
            let _ = Presented::by_certificate(&text);
        }
    }

    #[test]
    fn a_field_is_read_at_its_longest_and_refused_one_byte_later() {
        let of_length = |length: usize| read(&format!("Subject=\"{}\"", "x".repeat(length - "Subject=\"\"".len())));
        assert!(of_length(MAX_LEN).is_ok());
        assert_eq!(of_length(MAX_LEN + 1), Err(Unrecognised::Malformed));
    }
}
