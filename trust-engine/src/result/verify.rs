//! The relying party's side: whether a token is a result that one of these keys signed, and still good.
//!
//! Nothing in a token says how it is to be verified (RFC 8725, 3.1): the algorithm is ES256, and keys come from the
//! caller alone. Claims are read after the signature has been verified, and never before.

use std::ops::Range;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use vouchsafe_model::Timestamp;

use super::claims::{EAR_PROFILE, EarClaims};
use super::keys::{KeySet, is_there};
use super::nonce::ResultNonce;
use super::{MAX_TOKEN_LEN, MEDIA_TYPE, TOKEN_TYPE};

/// The longest header that is read, in bytes.
const MAX_HEADER_LEN: usize = 4096;
/// How far ahead of ours the issuer's clock may be, in seconds.
pub const MAX_CLOCK_AHEAD_SECS: i64 = 60;

/// A token that was read and of which nothing is believed.
#[derive(Debug)]
pub struct UnverifiedToken<'a> {
    header: Header,
    /// Header and claims as they were signed.
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// What the relying party knows.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The keys that it trusts.
    pub keys: &'a KeySet,
    /// The nonce that it asked with, if it did.
    pub nonce: Option<&'a ResultNonce>,
    /// The present instant.
    pub now: Timestamp,
}

/// A text that is no token.
#[derive(Debug, thiserror::Error)]
pub enum MalformedToken {
    /// It is longer than is read.
    #[error("the token is longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// It does not have three parts.
    #[error("a token is three parts with dots between them, and this has {count}")]
    Parts {
        /// How many it has.
        count: usize,
    },
    /// A part is no base64url.
    #[error("the {part} is no base64url without padding, at byte {offset} of the token")]
    Base64 {
        /// Which part.
        part: &'static str,
        /// Where, from the beginning of the token.
        offset: usize,
    },
    /// The header is longer than is read.
    #[error("the header is longer than {MAX_HEADER_LEN} bytes")]
    HeaderTooLong,
    /// The header is no JSON of the right shape.
    #[error("the header is malformed: {0}")]
    Header(#[source] serde_json::Error),
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TokenRejected {
    /// It brings its own key, or says where to get one.
    #[error("the header has '{member}': a token does not say by which key it is verified")]
    EmbeddedKey {
        /// The member of the header.
        member: &'static str,
    },
    /// It asks for something that is not understood here (RFC 7515, 4.1.11).
    #[error("the header has 'crit', and no extension is understood here")]
    Critical,
    /// It is not signed.
    #[error("the token says of itself that it is not signed (alg {alg})")]
    AlgorithmNone {
        /// As it spells it.
        alg: String,
    },
    /// Its signature is by a shared secret, for which a public key could be passed off.
    #[error("{alg} signs with a shared secret; results are signed by ES256")]
    AlgorithmSymmetric {
        /// Which.
        alg: String,
    },
    /// Its algorithm is another one.
    #[error("the algorithm {alg} is not accepted; results are signed by ES256")]
    AlgorithmOther {
        /// Which.
        alg: String,
    },
    /// It is a token of another kind.
    #[error("the token is of the type {typ}, not {TOKEN_TYPE}")]
    WrongType {
        /// Which; `none` if it does not say.
        typ: String,
    },
    /// It does not say which key signed it.
    #[error("the header names no key (kid)")]
    KeyMissing,
    /// None of the keys has its name.
    #[error("no key is named '{kid}'; if the engine's key was exchanged, get its keys anew")]
    KeyUnknown {
        /// The name.
        kid: String,
    },
    /// The key did not sign this.
    #[error("the signature is not that of the key '{kid}'")]
    BadSignature {
        /// The name of the key.
        kid: String,
    },
    /// What was signed are not the claims of a result: one is missing or of the wrong type.
    #[error("the claims are not those of an attestation result: {0}")]
    Claims(#[source] serde_json::Error),
    /// The claims are of another profile.
    #[error("the profile is '{profile}', not {EAR_PROFILE}")]
    WrongProfile {
        /// Which.
        profile: String,
    },
    /// It was issued in the future.
    #[error("it was issued at {issued_at}, which is still to come; compare the clocks")]
    NotYet {
        /// When.
        issued_at: Timestamp,
    },
    /// Its time is over.
    #[error("it was good until {expired_at}")]
    Expired {
        /// When it ended.
        expired_at: Timestamp,
    },
    /// It has no nonce, and one was asked for.
    #[error("it has no nonce, so that it may be an old one")]
    NonceMissing,
    /// It has another nonce.
    #[error("it has another nonce: it is the answer to another question, or an old one")]
    WrongNonce,
}

impl TokenRejected {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EmbeddedKey { .. } => "token.embedded_key",
            Self::Critical => "token.critical",
            Self::AlgorithmNone { .. } => "token.alg_none",
            Self::AlgorithmSymmetric { .. } => "token.alg_symmetric",
            Self::AlgorithmOther { .. } => "token.alg_not_accepted",
            Self::WrongType { .. } => "token.wrong_type",
            Self::KeyMissing => "token.key_missing",
            Self::KeyUnknown { .. } => "token.key_unknown",
            Self::BadSignature { .. } => "token.bad_signature",
            Self::Claims(_) => "token.malformed_claims",
            Self::WrongProfile { .. } => "token.wrong_profile",
            Self::NotYet { .. } => "token.not_yet",
            Self::Expired { .. } => "token.expired",
            Self::NonceMissing => "token.nonce_missing",
            Self::WrongNonce => "token.wrong_nonce",
        }
    }
}

/// The members of a header that matter (RFC 7515, 4.1). One that is there twice is malformed; others are passed over.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says of one member whether it is there")]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    jwk: bool,
    #[serde(default, deserialize_with = "is_there")]
    jku: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5u: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5c: bool,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token in compact form (RFC 7515, 7.1).
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(token: &'a str) -> Result<Self, MalformedToken> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(MalformedToken::TooLong);
        }
        let dots: Vec<usize> = token.match_indices('.').map(|(at, _)| at).take(3).collect();
        let [first, second] = dots.as_slice() else {
            return Err(MalformedToken::Parts { count: token.matches('.').count().saturating_add(1) });
        };
        let header = decode(token, 0..*first, "header")?;
        if header.len() > MAX_HEADER_LEN {
            return Err(MalformedToken::HeaderTooLong);
        }
        Ok(Self {
            header: serde_json::from_slice(&header).map_err(MalformedToken::Header)?,
            signed: token.get(..*second).unwrap_or_default(),
            claims: decode(token, first.saturating_add(1)..*second, "claims")?,
            signature: decode(token, second.saturating_add(1)..token.len(), "signature")?,
        })
    }

    /// Verifies the token: what comes back is what the engine concluded, and still good.
    ///
    /// # Errors
    /// When it is not signed by one of the keys, is no attestation result, is over, or does not have the nonce.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<EarClaims, TokenRejected> {
        let kid = self.header.check()?;
        let key = expected.keys.find(kid).ok_or_else(|| TokenRejected::KeyUnknown { kid: shortened(kid) })?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.point())
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| TokenRejected::BadSignature { kid: shortened(kid) })?;
        let claims: EarClaims = serde_json::from_slice(&self.claims).map_err(TokenRejected::Claims)?;
        check_claims(&claims, expected)?;
        Ok(claims)
    }
}

/// The bytes of a part of the token.
fn decode(token: &str, range: Range<usize>, part: &'static str) -> Result<Vec<u8>, MalformedToken> {
    let start = range.start;
    let text = token.get(range).unwrap_or_default();
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|error| MalformedToken::Base64 { part, offset: start.saturating_add(error.position) })
}

impl Header {
    /// What the header may say; its key's name if it says nothing else.
    fn check(&self) -> Result<&str, TokenRejected> {
        for (there, member) in [(self.jwk, "jwk"), (self.jku, "jku"), (self.x5u, "x5u"), (self.x5c, "x5c")] {
            if there {
                return Err(TokenRejected::EmbeddedKey { member });
            }
        }
        if self.crit {
            return Err(TokenRejected::Critical);
        }
        if self.alg != "ES256" {
            return Err(refused_algorithm(&self.alg));
        }
        let typ = self.typ.as_deref().unwrap_or("none");
        if !typ.eq_ignore_ascii_case(TOKEN_TYPE) && !typ.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(TokenRejected::WrongType { typ: shortened(typ) });
        }
        self.kid.as_deref().ok_or(TokenRejected::KeyMissing)
    }
}

fn refused_algorithm(alg: &str) -> TokenRejected {
    let told = shortened(alg);
    if alg.eq_ignore_ascii_case("none") {
        TokenRejected::AlgorithmNone { alg: told }
    } else if alg.get(..2).is_some_and(|family| family.eq_ignore_ascii_case("HS")) {
        TokenRejected::AlgorithmSymmetric { alg: told }
    } else {
        TokenRejected::AlgorithmOther { alg: told }
    }
}

fn check_claims(claims: &EarClaims, expected: &Expected<'_>) -> Result<(), TokenRejected> {
    let now = expected.now.unix_secs();
    if claims.profile != EAR_PROFILE {
        return Err(TokenRejected::WrongProfile { profile: shortened(&claims.profile) });
    }
    if claims.appraised_at > now.saturating_add(MAX_CLOCK_AHEAD_SECS) {
        return Err(TokenRejected::NotYet { issued_at: Timestamp::from_unix_secs(claims.appraised_at) });
    }
    // At `exp` itself it is over (RFC 7519, 4.1.4).
    if now >= claims.expires_at {
        return Err(TokenRejected::Expired { expired_at: Timestamp::from_unix_secs(claims.expires_at) });
    }
    match (expected.nonce, &claims.nonce) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(TokenRejected::NonceMissing),
        (Some(asked), Some(claimed)) if asked.claim() == *claimed => Ok(()),
        (Some(_), Some(_)) => Err(TokenRejected::WrongNonce),
    }
}

/// What a stranger wrote, as far as an error tells it.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
