//! Callers that have a key in place of a certificate: a bearer token (RFC 6750), known here by its SHA-256 alone.
//!
//! A door takes either certificates or keys, never whichever is there: a wrong key is refused and falls back to nothing.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use vouchsafe_model::Sha256Digest;
use vouchsafe_model::spiffe::SpiffeId;

use crate::problem::HttpProblem;

/// The shortest key that is looked at, in bytes. Whoever has only seen a hash cannot tell how much entropy is behind it; this
/// at least is no password.
pub const MIN_KEY_LEN: usize = 32;
/// The longest key that is looked at, in bytes.
pub const MAX_KEY_LEN: usize = 256;

/// What is asked for when there is no key (RFC 6750, 3).
const ASK_FOR_A_KEY: HeaderValue = HeaderValue::from_static("Bearer realm=\"vouchsafe\"");
/// What is said of a key that is not known (RFC 6750, 3.1).
const KEY_UNKNOWN: HeaderValue = HeaderValue::from_static("Bearer realm=\"vouchsafe\", error=\"invalid_token\"");

/// The keys of a door, and whose they are.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<[(Sha256Digest, SpiffeId)]>);

/// The holder of a key of this door: an extension of every request that was let in by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// Who it is.
    pub identity: SpiffeId,
}

/// How a door that takes keys deals with its callers.
#[derive(Clone)]
pub struct KeyDoor {
    /// The keys.
    pub keys: ApiKeys,
    /// Paths that need none: what they tell, anybody may know.
    pub open_paths: &'static [&'static str],
    /// How a refusal looks to those who ask for this path.
    pub refusal: fn(&str, HttpProblem) -> Response,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyRefused {
    /// It has no key, or more than one, or something else in its place.
    Missing,
    /// Nobody has this key.
    Unknown,
}

impl ApiKeys {
    /// The keys with these hashes.
    pub fn new(keys: impl IntoIterator<Item = (Sha256Digest, SpiffeId)>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Whether nobody has one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key a request carries. Every hash is compared, each in constant time, so that the time tells nothing of how
    /// near a guess was or whose key it was near to.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<&SpiffeId, KeyRefused> {
        let presented = digest(&SHA256, bearer(headers).ok_or(KeyRefused::Missing)?);
        let mut holder = None;
        for (hash, identity) in self.0.iter() {
            if verify_slices_are_equal(hash.as_bytes(), presented.as_ref()).is_ok() {
                holder = Some(identity);
            }
        }
        holder.ok_or(KeyRefused::Unknown)
    }
}

/// Hashes are no secrets, and still nobody needs them in a log.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(_, identity)| identity)).finish()
    }
}

impl KeyDoor {
    /// Names the caller of a request, or says why it has none. The key is taken off the request: nobody further in needs it.
    pub(crate) fn identify(&self, request: &mut Request) -> Result<(), KeyRefused> {
        let holder = self.keys.identify(request.headers()).cloned();
        request.headers_mut().remove(AUTHORIZATION);
        match holder {
            Ok(identity) => {
                request.extensions_mut().insert(KeyHolder { identity });
                Ok(())
            }
            Err(KeyRefused::Missing) if self.open_paths.contains(&request.uri().path()) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// The answer to a request that is not let in.
    pub(crate) fn refuse(&self, path: &str, refused: KeyRefused) -> Response {
        let (code, title, ask) = match refused {
            KeyRefused::Missing => ("caller.key_missing", "A key is needed", ASK_FOR_A_KEY),
            KeyRefused::Unknown => ("caller.key_unknown", "The key is not known", KEY_UNKNOWN),
        };
        let problem = HttpProblem::new(StatusCode::UNAUTHORIZED, code, title)
            .with_detail("Send the key of a point that is registered here, as Authorization: Bearer and the key.");
        let mut response = (self.refusal)(path, problem);
        // Whatever the door makes of it, it stays a refusal that says how to be let in.
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(WWW_AUTHENTICATE, ask);
        response
    }
}

/// A refusal as problem details.
pub fn as_problem(_path: &str, problem: HttpProblem) -> Response {
    problem.into_response()
}

/// The one bearer token of a request (RFC 6750, 2.1), if it is one that could be a key.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let is_b64token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let could_be = scheme.eq_ignore_ascii_case("bearer")
        && (MIN_KEY_LEN..=MAX_KEY_LEN).contains(&token.len())
        && token.bytes().all(is_b64token);
    could_be.then_some(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "vpk1-0123456789abcdefghijklmnopqrstuvwxyz";

    fn identity(name: &str) -> SpiffeId {
        format!("spiffe://example.org/enforcement/{name}").parse().unwrap()
    }

    fn hash(key: &str) -> Sha256Digest {
        Sha256Digest::new(digest(&SHA256, key.as_bytes()).as_ref().try_into().unwrap())
    }

    fn keys() -> ApiKeys {
        ApiKeys::new([(hash(KEY), identity("edge-1")), (hash(&KEY.to_uppercase()), identity("edge-2"))])
    }

    fn with(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap())).collect()
    }

    #[test]
    fn a_key_names_its_holder_and_no_other() {
        let keys = keys();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            assert_eq!(keys.identify(&with(&[&format!("{scheme} {KEY}")])), Ok(&identity("edge-1")));
        }
        assert_eq!(keys.identify(&with(&[&format!("Bearer {}", KEY.to_uppercase())])), Ok(&identity("edge-2")));
        assert_eq!(keys.identify(&with(&[&format!("Bearer {KEY}x")])), Err(KeyRefused::Unknown));
        // The hash is no key, or a leaked file of settings would be one.
        assert_eq!(keys.identify(&with(&[&format!("Bearer {}", hash(KEY))])), Err(KeyRefused::Unknown));
        assert_eq!(ApiKeys::default().identify(&with(&[&format!("Bearer {KEY}")])), Err(KeyRefused::Unknown));
    }

    #[test]
    fn what_is_no_single_bearer_token_is_no_key() {
        let bearer = format!("Bearer {KEY}");
        for values in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &[KEY],
            &["Basic dXNlcjpwYXNzd29yZA=="],
            &[&format!("Basic {KEY}")],
            &[&format!("Bearer {KEY}, Bearer {KEY}")],
            &[&format!("Bearer {KEY} {KEY}")],
            &[&bearer, &bearer],
            &[&bearer, "Basic dXNlcjpwYXNzd29yZA=="],
        ] {
            assert_eq!(keys().identify(&with(values)), Err(KeyRefused::Missing), "{values:?}");
        }
    }

    #[test]
    fn keys_have_a_least_and_a_greatest_length() {
        for (length, expected) in [
            (MIN_KEY_LEN - 1, KeyRefused::Missing),
            (MIN_KEY_LEN, KeyRefused::Unknown),
            (MAX_KEY_LEN, KeyRefused::Unknown),
            (MAX_KEY_LEN + 1, KeyRefused::Missing),
        ] {
            assert_eq!(keys().identify(&with(&[&format!("Bearer {}", "k".repeat(length))])), Err(expected), "{length}");
        }
    }

    #[test]
    fn no_hash_is_shown() {
        assert_eq!(format!("{:?}", keys()).matches("edge-").count(), 2);
        assert!(!format!("{:?}", keys()).contains(&hash(KEY).to_string()));
    }
}
