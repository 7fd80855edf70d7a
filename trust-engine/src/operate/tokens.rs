//! Join tokens.

use std::time::Duration;

use vouchsafe_model::hash::to_hex;
use vouchsafe_model::token::JoinToken;
use vouchsafe_model::{Timestamp, TokenId};
use vouchsafe_store::{Page, PageLimit};
use vouchsafe_wire::v1::enrol::{JoinFile, JoinSecret};
use vouchsafe_wire::v1::operate::{self, CreateToken, CreatedToken, TokenView};

use super::{OperateRejected, field};
use crate::engine::{EngineError, TrustEngine};
use crate::nonce::sha256;

/// The longest life of a token, in seconds: thirty days.
pub const MAX_TTL_SECS: u64 = 30 * 86_400;
/// The most devices that one token may enrol.
pub const MAX_USES: u32 = 100_000;
/// The longest label, in bytes.
pub const MAX_LABEL_LEN: usize = 256;
/// What every token begins with, so that people and scanners for leaked secrets know one.
const PREFIX: &str = "vs1-";

impl TrustEngine {
    /// Makes a join token. Its secret is in the answer and nowhere else: only its digest is kept.
    ///
    /// # Errors
    /// A field out of its range, or an image that does not exist.
    pub async fn create_token(&self, asked: CreateToken) -> Result<CreatedToken, OperateRejected> {
        if !(1..=MAX_TTL_SECS).contains(&asked.ttl_secs) {
            return Err(field("ttl_secs", format!("must be 1 to {MAX_TTL_SECS}")));
        }
        if !(1..=MAX_USES).contains(&asked.max_uses) {
            return Err(field("max_uses", format!("must be 1 to {MAX_USES}")));
        }
        if asked.label.len() > MAX_LABEL_LEN || asked.label.chars().any(char::is_control) {
            return Err(field(
                "label",
                format!("must be at most {MAX_LABEL_LEN} bytes, none of them a control character"),
            ));
        }
        if asked.pinned_ek.is_some() && asked.max_uses != 1 {
            return Err(field("max_uses", "must be 1 for a token that is pinned to one EK"));
        }
        if let Some(image) = &asked.image {
            self.usable_image(image).await?;
        }
        let now = self.now();
        let secret = format!("{PREFIX}{}", to_hex(&self.random::<32>()?));
        let token = JoinToken {
            id: TokenId::new(now, &self.random()?),
            secret_digest: sha256(secret.as_bytes()),
            label: asked.label,
            created_at: now,
            expires_at: now.plus(Duration::from_secs(asked.ttl_secs)),
            max_uses: asked.max_uses,
            uses: 0,
            pinned_ek: asked.pinned_ek,
            image: asked.image,
            sha1_consent: asked.danger_sha1,
            revoked_at: None,
        };
        self.store().create_token(&token).await?;
        tracing::info!(token.id = %token.id, token.expires_at = %token.expires_at, "join token made");
        let join = self.join_file(secret, token.expires_at)?;
        Ok(CreatedToken { id: token.id, join })
    }

    fn join_file(&self, secret: String, expires_at: Timestamp) -> Result<JoinFile, OperateRejected> {
        Ok(JoinFile {
            enrol_url: self.parts.urls.enrol.clone(),
            attest_url: self.parts.urls.api.clone(),
            trust_bundle_pem: self.parts.authority.trust_bundle_pem(),
            token: JoinSecret::try_from(secret).map_err(|_| EngineError::TooLarge { what: "a join token" })?,
            expires_at,
        })
    }

    /// The tokens, newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_tokens(&self, page: Page<TokenId>) -> Result<operate::Page<TokenView>, OperateRejected> {
        let tokens: Vec<_> = self.store().list_tokens(page).await?.into_iter().map(view).collect();
        let next = next_cursor(&tokens, page.limit, |token| token.id.to_string());
        Ok(operate::Page { items: tokens, next })
    }

    /// Withdraws a token.
    ///
    /// # Errors
    /// There is none of this id.
    pub async fn revoke_token(&self, id: TokenId) -> Result<TokenView, OperateRejected> {
        let token = self.store().revoke_token(id, self.now()).await?;
        tracing::info!(token.id = %id, "join token revoked");
        Ok(view(token))
    }
}

fn view(token: JoinToken) -> TokenView {
    TokenView {
        id: token.id,
        label: token.label,
        created_at: token.created_at,
        expires_at: token.expires_at,
        max_uses: token.max_uses,
        uses: token.uses,
        pinned_ek: token.pinned_ek,
        image: token.image,
        revoked_at: token.revoked_at,
    }
}

/// Where the next page begins; `None` when this one was not full.
pub(super) fn next_cursor<T>(items: &[T], limit: PageLimit, cursor: impl Fn(&T) -> String) -> Option<String> {
    let full = items.len() >= usize::try_from(limit.get()).unwrap_or(usize::MAX);
    items.last().filter(|_| full).map(cursor)
}
