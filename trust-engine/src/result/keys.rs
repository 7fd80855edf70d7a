//! The keys that results are signed with, and their public halves for relying parties (RFC 7517).

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use vouchsafe_pki::LocalKey;
use vouchsafe_pki::key::P256_LEN;

use super::claims::EarClaims;
use super::{MAX_TOKEN_LEN, TOKEN_TYPE};

/// The most keys of a set that is read.
pub const MAX_KEYS: usize = 64;
/// The longest set of keys that is read, in bytes.
pub const MAX_KEY_SET_LEN: usize = 256 * 1024;

/// The key that signs, and former ones that are still published, so that what they signed can be verified.
#[derive(Debug)]
pub struct ResultKeys {
    signing: LocalKey,
    key_id: String,
    published: KeySet,
}

/// A key of another kind than results are signed with.
#[derive(Debug, thiserror::Error)]
#[error("results are signed with a P-256 key, and this is another")]
pub struct WrongKind;

/// A result that was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignFailed {
    /// The claims have no JSON form.
    #[error("the claims cannot be written")]
    Claims(#[from] serde_json::Error),
    /// The key did not sign.
    #[error(transparent)]
    Key(#[from] vouchsafe_pki::key::SigningFailed),
    /// The token is longer than anyone reads.
    #[error("the token is longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
}

/// Public keys for relying parties (RFC 7517, 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeySet {
    /// The one that signs now, then former ones.
    pub keys: Vec<Key>,
}

/// One public key (RFC 7517, 4; RFC 7518, 6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Key {
    /// `EC`.
    kty: String,
    /// `P-256`.
    crv: String,
    /// The first coordinate, in base64url.
    x: String,
    /// The second one.
    y: String,
    /// Its name: its thumbprint (RFC 7638).
    kid: String,
    /// `ES256`.
    alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    purpose: String,
    #[serde(skip)]
    point: Vec<u8>,
}

/// The header of a token (RFC 7515, 4).
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

impl ResultKeys {
    /// Signs with the first, publishes all. Of former keys nothing but the public half is kept.
    ///
    /// # Errors
    /// When one is no P-256 key.
    pub fn new(signing: LocalKey, former: &[LocalKey]) -> Result<Self, WrongKind> {
        let present = Key::of(&signing)?;
        let key_id = present.kid.clone();
        let mut keys = vec![present];
        for former in former {
            let former = Key::of(former)?;
            if !keys.contains(&former) {
                keys.push(former);
            }
        }
        Ok(Self { signing, key_id, published: KeySet { keys } })
    }

    /// The name of the key that signs.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What relying parties verify with.
    pub fn published(&self) -> &KeySet {
        &self.published
    }

    /// Signs claims: a JWS in compact form (RFC 7515, 7.1).
    ///
    /// # Errors
    /// When the key does not sign, or the token would be longer than is read.
    pub fn sign(&self, claims: &EarClaims) -> Result<String, SignFailed> {
        let header = serde_json::to_vec(&Header { alg: "ES256", kid: &self.key_id, typ: TOKEN_TYPE })?;
        let claims = serde_json::to_vec(claims)?;
        let signed = format!("{}.{}", BASE64URL_NOPAD.encode(&header), BASE64URL_NOPAD.encode(&claims));
        let signature = self.signing.sign_es256(signed.as_bytes())?;
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        if token.len() <= MAX_TOKEN_LEN { Ok(token) } else { Err(SignFailed::TooLong) }
    }
}

impl Key {
    fn of(key: &LocalKey) -> Result<Self, WrongKind> {
        let (x, y) = key.p256_coordinates().ok_or(WrongKind)?;
        Ok(Self::new(None, x, y))
    }

    fn new(kid: Option<String>, x: [u8; P256_LEN], y: [u8; P256_LEN]) -> Self {
        let point = [&[4][..], &x, &y].concat();
        let (x, y) = (BASE64URL_NOPAD.encode(&x), BASE64URL_NOPAD.encode(&y));
        let kid = kid.unwrap_or_else(|| thumbprint(&x, &y));
        let [kty, crv, alg, purpose] = ["EC", "P-256", "ES256", "sig"].map(str::to_owned);
        Self { kty, crv, x, y, kid, alg, purpose, point }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.kid
    }

    /// The uncompressed point (SEC 1, 2.3.3).
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }
}

/// SHA-256 over the required members in lexicographic order, without blanks (RFC 7638, 3.2).
fn thumbprint(x: &str, y: &str) -> String {
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, members.as_bytes()).as_ref())
}

/// A set of keys that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeySetRejected {
    /// It is longer than is read.
    #[error("the key set is longer than {MAX_KEY_SET_LEN} bytes")]
    TooLong,
    /// It is no JSON of the right shape.
    #[error("it is no JSON Web Key Set (RFC 7517): {0}")]
    Malformed(#[from] serde_json::Error),
    /// There are too many keys.
    #[error("it holds {count} keys, and at most {MAX_KEYS} are read")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Somebody gave their private key away.
    #[error("key {number} has the member 'd': it is a private key, which nobody but its owner may have")]
    Private {
        /// Which; the first is 1.
        number: usize,
    },
    /// A P-256 key whose coordinates are none.
    #[error("key {number}: '{member}' is no coordinate of P-256: 32 bytes in base64url without padding")]
    Coordinate {
        /// Which; the first is 1.
        number: usize,
        /// Which coordinate.
        member: &'static str,
    },
    /// Two keys of one name: which of them is meant would be a guess.
    #[error("two keys have the kid '{kid}'")]
    Duplicate {
        /// The name.
        kid: String,
    },
    /// No key is of the kind that signs results.
    #[error("none of its {count} keys is a P-256 key for ES256 signatures")]
    NoneUsable {
        /// How many there are.
        count: usize,
    },
}

#[derive(Deserialize)]
struct ReadKeySet {
    keys: Vec<ReadKey>,
}

#[derive(Deserialize)]
struct ReadKey {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    d: bool,
}

/// Whether a member is there, whatever its value.
pub(super) fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl KeySet {
    /// Reads a set. Keys of other kinds or for other uses are passed over (RFC 7517, 5).
    ///
    /// # Errors
    /// When it cannot be read, or holds no key that could have signed a result.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetRejected> {
        if text.len() > MAX_KEY_SET_LEN {
            return Err(KeySetRejected::TooLong);
        }
        let read: ReadKeySet = serde_json::from_slice(text)?;
        let count = read.keys.len();
        if count > MAX_KEYS {
            return Err(KeySetRejected::TooMany { count });
        }
        let mut keys: Vec<Key> = Vec::new();
        for (key, number) in read.keys.into_iter().zip(1..) {
            let Some(key) = key.usable(number)? else { continue };
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeySetRejected::Duplicate { kid: key.kid });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeySetRejected::NoneUsable { count }) } else { Ok(Self { keys }) }
    }

    /// The key of this name.
    pub fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

impl ReadKey {
    fn usable(self, number: usize) -> Result<Option<Key>, KeySetRejected> {
        if self.d {
            return Err(KeySetRejected::Private { number });
        }
        let is = |member: &Option<String>, value: &str| member.as_deref().is_none_or(|member| member == value);
        if self.kty != "EC"
            || self.crv.as_deref() != Some("P-256")
            || !is(&self.alg, "ES256")
            || !is(&self.purpose, "sig")
        {
            return Ok(None);
        }
        let coordinate = |text: Option<String>, member| {
            text.and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok())
                .ok_or(KeySetRejected::Coordinate { number, member })
        };
        Ok(Some(Key::new(self.kid, coordinate(self.x, "x")?, coordinate(self.y, "y")?)))
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_pki::KeyAlgorithm;

    use super::*;

    #[test]
    fn the_name_of_a_key_is_its_thumbprint() {
        // Computed with other tools: printf of the members | openssl dgst -sha256 -binary | basenc --base64url.
        let (x, y) = ("G8fAud93NgCg8C_0bY1YqVZ5zNlkb-cNsGTQia7m0is", "RK1gonvUKKQOCSHDwz3SiN9EijCqmXS4sDeRbc8RnL0");
        assert_eq!(thumbprint(x, y), "11B_nORKd7yGnmc8qo1-Wjq1NQMKdQKFhA05GVvoLZE");
        let set = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}]}}"#);
        assert_eq!(KeySet::parse(set.as_bytes()).unwrap().keys[0].id(), thumbprint(x, y));
    }

    #[test]
    fn what_is_published_is_read_again_and_holds_nothing_private() {
        let former = [LocalKey::generate().unwrap(), LocalKey::generate().unwrap()];
        let keys = ResultKeys::new(LocalKey::generate().unwrap(), &former).unwrap();
        let text = serde_json::to_string(keys.published()).unwrap();
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap(), *keys.published());
        assert_eq!(keys.published().keys.len(), 3);
        assert_eq!(keys.published().keys[0].id(), keys.key_id());
        assert!(!text.contains("\"d\"") && !text.contains("point"), "{text}");
    }

    #[test]
    fn a_key_of_another_curve_signs_no_results() {
        let p384 = || LocalKey::generate_for(KeyAlgorithm::P384).unwrap();
        let p256 = || LocalKey::generate().unwrap();
        assert!(ResultKeys::new(p384(), &[]).is_err());
        assert!(ResultKeys::new(p256(), &[p384()]).is_err());
    }

    #[test]
    fn a_set_that_is_none_is_refused_and_says_why() {
        let (x, y) = ("G8fAud93NgCg8C_0bY1YqVZ5zNlkb-cNsGTQia7m0is", "RK1gonvUKKQOCSHDwz3SiN9EijCqmXS4sDeRbc8RnL0");
        let good = format!(r#"{{"kty":"EC","crv":"P-256","kid":"a","x":"{x}","y":"{y}"}}"#);
        let told = |text: &str| KeySet::parse(text.as_bytes()).unwrap_err().to_string();
        let set = |keys: &str| format!(r#"{{"keys":[{keys}]}}"#);
        assert!(told("{}").contains("missing field `keys`"));
        assert!(told("").contains("EOF"));
        assert_eq!(told(&set("")), "none of its 0 keys is a P-256 key for ES256 signatures");
        assert!(told(&set(r#"{"kty":"oct","k":"AAAA"}"#)).starts_with("none of its 1 keys"));
        assert!(told(&set(&good.replace("\"kid\"", "\"alg\":\"ES384\",\"kid\""))).starts_with("none of its 1 keys"));
        assert!(told(&set(&good.replace("\"kid\"", "\"use\":\"enc\",\"kid\""))).starts_with("none of its 1 keys"));
        assert_eq!(told(&set(&format!("{good},{good}"))), "two keys have the kid 'a'");
        assert!(told(&set(&good.replace("\"kid\"", "\"d\":null,\"kid\""))).starts_with("key 1 has the member 'd'"));
        assert!(told(&set(&good.replace(y, y.trim_start_matches('R')))).starts_with("key 1: 'y' is no coordinate"));
        assert!(told(&set(&good.replace(x, &format!("{x}=")))).starts_with("key 1: 'x' is no coordinate"));
        assert!(told(&set(&good.replace(x, "AA"))).starts_with("key 1: 'x' is no coordinate"));
        let other = |n: usize| format!(r#"{{"kty":"RSA","kid":"{n}"}}"#);
        let many = |count| (1..count).map(other).chain([good.clone()]).collect::<Vec<_>>().join(",");
        assert!(KeySet::parse(set(&many(MAX_KEYS)).as_bytes()).is_ok());
        assert_eq!(told(&set(&many(MAX_KEYS + 1))), "it holds 65 keys, and at most 64 are read");
        let mut long = set(&good);
        long.push_str(&" ".repeat(MAX_KEY_SET_LEN - long.len()));
        assert!(KeySet::parse(long.as_bytes()).is_ok());
        assert_eq!(told(&(long + " ")), "the key set is longer than 262144 bytes");
    }
}
