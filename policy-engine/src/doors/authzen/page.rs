//! Tokens of pages: opaque, of one search of one caller, and soon over.
//!
//! A token is base64url of `version (1) ‖ expiry (8, milliseconds, big endian) ‖ limit (4) ‖ the name after which to go on ‖
//! HMAC-SHA256 (32)`, the MAC over all before it, the caller and the search. So nothing is kept here between two pages, and
//! what another caller, another search or another limit brings along is refused.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde_json::{Map, Value};
use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_wire::v1::agent::Access;
use vouchsafe_wire::v1::authzen::{SearchRequest, Searched};

/// How long after its page a token is good.
pub(super) const TTL: Duration = Duration::from_secs(600);
/// The longest token that is looked at, in characters.
const MAX_LEN: usize = 2048;

const VERSION: u8 = 1;
const EXPIRY_LEN: usize = 8;
const LIMIT_LEN: usize = 4;
const MAC_LEN: usize = 32;

/// The key of the tokens.
#[derive(Clone)]
pub struct PageKey(Arc<hmac::Key>);

/// Where a search goes on, and how many results a page has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) after: String,
    pub(super) limit: u32,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenRefused {
    /// It is none of ours, or of another search.
    #[error("page.token is none that was given for this search.")]
    Unknown,
    /// It is too old.
    #[error("page.token is over. Begin the search anew.")]
    Expired,
    /// The limit is another one.
    #[error("page.limit has to stay the same from page to page.")]
    OtherLimit,
}

/// What a token is for.
#[derive(Serialize)]
struct Bound<'a> {
    caller: String,
    searched: Searched,
    access: &'a Access,
    properties: Option<&'a Map<String, Value>>,
}

impl PageKey {
    /// A key of 32 bytes that nobody can foresee. Engines that share it can go on with each other's searches.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// A token for the next page.
    pub(super) fn issue(&self, caller: &SpiffeId, search: &SearchRequest, place: &Place, now: Timestamp) -> String {
        let mut token = vec![VERSION];
        token.extend_from_slice(&now.plus(TTL).unix_millis().to_be_bytes());
        token.extend_from_slice(&place.limit.to_be_bytes());
        token.extend_from_slice(place.after.as_bytes());
        let mac = hmac::sign(&self.0, &signed(&token, caller, search));
        token.extend_from_slice(mac.as_ref());
        BASE64URL_NOPAD.encode(&token)
    }

    /// Recognises a token as ours, this caller's and this search's.
    pub(super) fn recognise(
        &self,
        token: &str,
        caller: &SpiffeId,
        search: &SearchRequest,
        now: Timestamp,
    ) -> Result<Place, TokenRefused> {
        if token.len() > MAX_LEN {
            return Err(TokenRefused::Unknown);
        }
        let token = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| TokenRefused::Unknown)?;
        let (body, mac) = token.split_last_chunk::<MAC_LEN>().ok_or(TokenRefused::Unknown)?;
        hmac::verify(&self.0, &signed(body, caller, search), mac).map_err(|_| TokenRefused::Unknown)?;
        // From here on it is a token of ours, and whole.
        let (version, rest) = body.split_first().ok_or(TokenRefused::Unknown)?;
        let (expiry, rest) = rest.split_first_chunk::<EXPIRY_LEN>().ok_or(TokenRefused::Unknown)?;
        let (limit, after) = rest.split_first_chunk::<LIMIT_LEN>().ok_or(TokenRefused::Unknown)?;
        let after = std::str::from_utf8(after).map_err(|_| TokenRefused::Unknown)?;
        if *version != VERSION {
            return Err(TokenRefused::Unknown);
        }
        let expiry = Timestamp::from_unix_millis(i64::from_be_bytes(*expiry));
        // One from too far ahead was made by a clock that was wrong, and would be good for too long.
        if now >= expiry || expiry > now.plus(TTL + TTL) {
            return Err(TokenRefused::Expired);
        }
        Ok(Place { after: after.to_owned(), limit: u32::from_be_bytes(*limit) })
    }
}

/// What the MAC covers. JSON has no zero byte, so that the last one is where the token ends and the search begins.
fn signed(body: &[u8], caller: &SpiffeId, search: &SearchRequest) -> Vec<u8> {
    let properties = search.page.as_ref().map(|page| &page.properties);
    let bound = Bound { caller: caller.to_string(), searched: search.searched, access: &search.access, properties };
    // Texts and documents always have a JSON form.
    let bound = serde_json::to_vec(&bound).unwrap_or_default();
    [b"vouchsafe page v1\0", body, b"\0", &bound].concat()
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vouchsafe_wire::v1::authzen::read_search;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_769_860_800);

    fn key() -> PageKey {
        PageKey::new(&[7; 32])
    }

    fn caller(name: &str) -> SpiffeId {
        format!("spiffe://example.org/enforcement/{name}").parse().unwrap()
    }

    fn search(action: &str, page: Value) -> SearchRequest {
        let body = json!({
            "subject": {"type": "user"}, "action": {"name": action}, "resource": {"type": "record", "id": "1"}, "page": page
        });
        read_search(Searched::Subject, &body).unwrap()
    }

    fn place() -> Place {
        Place { after: "bob".to_owned(), limit: 2 }
    }

    #[test]
    fn a_token_is_good_for_its_search_and_its_caller_and_a_while() {
        let search = search("read", json!(null));
        let token = key().issue(&caller("edge"), &search, &place(), NOW);
        let take =
            |token: &str, caller: &SpiffeId, search: &SearchRequest, now| key().recognise(token, caller, search, now);
        assert_eq!(take(&token, &caller("edge"), &search, NOW), Ok(place()));
        let last = NOW.plus(TTL.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(take(&token, &caller("edge"), &search, last), Ok(place()));
        assert_eq!(take(&token, &caller("edge"), &search, NOW.plus(TTL)), Err(TokenRefused::Expired));
        assert_eq!(take(&token, &caller("edge"), &search, NOW.minus(TTL + TTL)), Err(TokenRefused::Expired));
        assert_eq!(take(&token, &caller("other"), &search, NOW), Err(TokenRefused::Unknown));
        assert!(!format!("{:?}", key()).contains('7'));
    }

    #[test]
    fn a_token_of_another_search_or_with_one_bit_changed_is_unknown() {
        let first = search("read", json!({"limit": 2}));
        let token = key().issue(&caller("edge"), &first, &place(), NOW);
        let take = |token: &str, search: &SearchRequest| key().recognise(token, &caller("edge"), search, NOW);
        assert_eq!(
            take(&token, &search("read", json!({"token": token}))),
            Ok(place()),
            "the page itself is no part of it"
        );
        assert_eq!(take(&token, &search("write", json!(null))), Err(TokenRefused::Unknown));
        let sorted = search("read", json!({"properties": {"sort": "id"}}));
        assert_eq!(take(&token, &sorted), Err(TokenRefused::Unknown));
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(take(&BASE64URL_NOPAD.encode(&changed), &first), Err(TokenRefused::Unknown), "{bit}");
        }
        for text in
            ["", "a", "!", token.split_at(1).1, &format!("{token}A"), &"A".repeat(MAX_LEN + 1), &"A".repeat(MAX_LEN)]
        {
            assert_eq!(take(text, &first), Err(TokenRefused::Unknown));
        }
        assert_eq!(PageKey::new(&[8; 32]).recognise(&token, &caller("edge"), &first, NOW), Err(TokenRefused::Unknown));
    }
}
