//! `.signatures.json`: OPA's signatures of bundles.
//!
//! One token (a JWT) holds the digest of every file of the bundle. It is good when a key that is configured under the id
//! that it names signed it for the scope that the key vouches for, and its files are exactly those that are there.

mod canonical;
mod key;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::archive::Files;
use canonical::digest_of;
pub use key::{Algorithm, KeyError, SigningFailed, SigningKey, VerifyingKey, VerifyingKeys};

/// Where the signature lies in a bundle.
pub const SIGNATURES_PATH: &str = ".signatures.json";

/// Why a bundle does not count as signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature.
    #[error("it is not signed: it has no {SIGNATURES_PATH}")]
    Missing,
    /// The file is not of its shape, or names another way of signing.
    #[error("{SIGNATURES_PATH} cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// There is not just one token, or it is signed in a way of somebody's own.
    #[error("{SIGNATURES_PATH} has to hold one token, and no plugin")]
    NotOneToken,
    /// The token is no JWT.
    #[error("its token is no JWT")]
    Token,
    /// The token names no key, or one that is not configured.
    #[error("its token names {}", id.as_ref().map_or("no key".to_owned(), |id| format!("the key '{}', which is not configured", id.escape_debug())))]
    UnknownKey {
        /// The id of the key.
        id: Option<String>,
    },
    /// The token says that it is signed in another way than with the key.
    #[error("its token is signed with '{}', and the key is for {}", found.escape_debug(), wanted.name())]
    Algorithm {
        /// What the token says.
        found: String,
        /// What the key is for.
        wanted: Algorithm,
    },
    /// The key did not sign this.
    #[error("its signature is not good")]
    Signature,
    /// The key vouches for another scope.
    #[error("it is signed for the scope '{}', and the key vouches for '{}'", found.escape_debug(), wanted.escape_debug())]
    Scope {
        /// What it is signed for.
        found: String,
        /// What the key vouches for.
        wanted: String,
    },
    /// A file is not signed.
    #[error("{path} is not signed")]
    Unsigned {
        /// The file.
        path: String,
    },
    /// A file is not the one that was signed, or its digest does not count.
    #[error("{path} is not as it was signed")]
    Changed {
        /// The file.
        path: String,
    },
    /// A file that was signed is not there, or was signed twice.
    #[error("{path} was signed and is not there, or twice")]
    Absent {
        /// The file.
        path: String,
    },
}

/// `.signatures.json`.
#[derive(Serialize, Deserialize)]
struct Signatures {
    signatures: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
}

/// What a token begins with.
#[derive(Serialize, Deserialize)]
struct TokenHeader {
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// Extensions that have to be understood; none are (RFC 7515, 4.1.11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

/// What a token says.
#[derive(Deserialize)]
struct Claims {
    files: Vec<SignedFile>,
    #[serde(default)]
    scope: String,
    /// Where older versions of OPA name the key.
    #[serde(default)]
    keyid: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SignedFile {
    name: String,
    hash: String,
    algorithm: String,
}

/// Verifies that just these files are signed by one of these keys, and says by which.
pub(crate) fn verify(files: &Files, keys: &VerifyingKeys) -> Result<String, SignatureError> {
    let Signatures { signatures, plugin } =
        serde_json::from_slice(files.get(SIGNATURES_PATH).ok_or(SignatureError::Missing)?)?;
    let [token] = signatures.as_slice() else { return Err(SignatureError::NotOneToken) };
    if plugin.is_some_and(|plugin| !plugin.is_empty() && plugin != "_default") {
        return Err(SignatureError::NotOneToken);
    }
    let (id, claims) = authentic(token, keys)?;
    check_files(files, claims.files)?;
    Ok(id)
}

/// The claims of a token, once it is known who signed it.
fn authentic(token: &str, keys: &VerifyingKeys) -> Result<(String, Claims), SignatureError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(SignatureError::Token)?;
    let (header, payload) = signed.split_once('.').ok_or(SignatureError::Token)?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| SignatureError::Token);
    let header: TokenHeader = serde_json::from_slice(&decoded(header)?).map_err(|_| SignatureError::Token)?;
    let payload = decoded(payload)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| SignatureError::Token)?;
    if header.crit.is_some() {
        return Err(SignatureError::Token);
    }
    // Which key is asked comes from the token; how it is asked comes from the key alone.
    let id = header.kid.or(claims.keyid.clone()).filter(|id| !id.is_empty());
    let key = id.as_ref().and_then(|id| keys.get(id)).ok_or_else(|| SignatureError::UnknownKey { id: id.clone() })?;
    if header.alg != key.algorithm().name() {
        return Err(SignatureError::Algorithm { found: header.alg, wanted: key.algorithm() });
    }
    if !key.verifies(signed.as_bytes(), &decoded(signature)?) {
        return Err(SignatureError::Signature);
    }
    if claims.scope != key.scope() {
        return Err(SignatureError::Scope { found: claims.scope, wanted: key.scope().to_owned() });
    }
    Ok((id.unwrap_or_default(), claims))
}

/// Holds the files against what was signed: the same, all of them, and no others.
fn check_files(files: &Files, signed: Vec<SignedFile>) -> Result<(), SignatureError> {
    let mut expected = BTreeMap::new();
    for file in signed {
        let path = file.name.trim_start_matches('/').to_owned();
        if expected.insert(path.clone(), file).is_some() {
            return Err(SignatureError::Absent { path });
        }
    }
    for (path, content) in files.iter().filter(|(path, _)| *path != SIGNATURES_PATH) {
        let Some(file) = expected.remove(path) else { return Err(SignatureError::Unsigned { path: path.clone() }) };
        let is_same = digest_of(path, content, &file.algorithm)
            .is_some_and(|digest| file.hash.eq_ignore_ascii_case(&lower_hex(&digest)));
        if !is_same {
            return Err(SignatureError::Changed { path: path.clone() });
        }
    }
    match expected.pop_first() {
        Some((path, _)) => Err(SignatureError::Absent { path }),
        None => Ok(()),
    }
}

/// Signs files: the content of their `.signatures.json`.
pub(crate) fn sign(files: &Files, key: &SigningKey, id: &str, scope: &str) -> Result<Vec<u8>, SigningFailed> {
    const ALGORITHM: &str = "SHA-256";
    let signed = files.iter().filter(|(path, _)| *path != SIGNATURES_PATH).map(|(path, content)| {
        let digest = digest_of(path, content, ALGORITHM).ok_or(SigningFailed)?;
        Ok(SignedFile { name: path.clone(), hash: lower_hex(&digest), algorithm: ALGORITHM.to_owned() })
    });
    let signed = signed.collect::<Result<Vec<_>, SigningFailed>>()?;
    let header = TokenHeader { alg: key.algorithm().name().to_owned(), kid: Some(id.to_owned()), crit: None };
    let mut claims = json!({"files": signed, "keyid": id});
    if let (Some(claims), false) = (claims.as_object_mut(), scope.is_empty()) {
        claims.insert("scope".to_owned(), scope.into());
    }
    let encoded = |value: Result<Vec<u8>, serde_json::Error>| {
        value.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| SigningFailed)
    };
    let message = format!("{}.{}", encoded(serde_json::to_vec(&header))?, encoded(serde_json::to_vec(&claims))?);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())?);
    let signatures = Signatures { signatures: vec![format!("{message}.{signature}")], plugin: None };
    serde_json::to_vec(&signatures).map_err(|_| SigningFailed)
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[cfg(test)]
mod tests;
