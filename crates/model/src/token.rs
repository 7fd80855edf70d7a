//! Join tokens: what lets a device enrol.

use crate::hash::Sha256Digest;
use crate::id::TokenId;
use crate::image::ImageId;
use crate::time::Timestamp;

/// A join token, without its secret: only the secret's digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// Its name.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_digest: Sha256Digest,
    /// What it is for, in the operator's words.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many devices it may enrol.
    pub max_uses: u32,
    /// How many it did.
    pub uses: u32,
    /// The one EK it is for (SHA-256 of the SubjectPublicKeyInfo), if the operator named it: a pinned endorsement.
    pub pinned_ek: Option<Sha256Digest>,
    /// The image that its devices are assigned.
    pub image: Option<ImageId>,
    /// Whether its devices may be quoted in the SHA-1 bank.
    pub sha1_consent: bool,
    /// When an operator withdrew it, if one did.
    pub revoked_at: Option<Timestamp>,
}

impl JoinToken {
    /// Why it lets nobody in now; `None` while it does.
    pub fn refusal(&self, now: Timestamp) -> Option<TokenRefusal> {
        if self.revoked_at.is_some() {
            Some(TokenRefusal::Revoked)
        } else if now >= self.expires_at {
            Some(TokenRefusal::Expired)
        } else if self.uses >= self.max_uses {
            Some(TokenRefusal::Spent)
        } else {
            None
        }
    }
}

/// Why a join token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It ended.
    #[error("the join token has expired")]
    Expired,
    /// It enrolled as many devices as it may.
    #[error("the join token is used up")]
    Spent,
    /// An operator withdrew it.
    #[error("the join token was revoked")]
    Revoked,
    /// There is none with this secret.
    #[error("the join token is not known")]
    Unknown,
}
