//! Join tokens.

use async_trait::async_trait;
use vouchsafe_model::token::JoinToken;
use vouchsafe_model::{Sha256Digest, Timestamp, TokenId};

use crate::error::StoreError;
use crate::page::Page;

/// Where join tokens are kept. Only [`complete_enrolment`](crate::Devices::complete_enrolment) counts their uses.
///
/// To implement: secret digests are unique; `uses` never exceeds `max_uses`, by a constraint of the schema; tokens are
/// never deleted, since enrolments refer to them.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Stores a new token.
    ///
    /// # Errors
    /// `Conflict` when its id or its secret is taken, or it has more uses than it may; `Missing` when its image does
    /// not exist; `TooLarge` when its label is too long (see [`limits`](crate::limits)).
    async fn create_token(&self, token: &JoinToken) -> Result<(), StoreError>;

    /// The token whose secret has this digest, whether or not it still lets anybody in: ask
    /// [`JoinToken::refusal`].
    ///
    /// # Errors
    /// Those of any operation.
    async fn token_by_secret_digest(&self, digest: &Sha256Digest) -> Result<Option<JoinToken>, StoreError>;

    /// The tokens, newest first (by their ids).
    ///
    /// # Errors
    /// Those of any operation.
    async fn list_tokens(&self, page: Page<TokenId>) -> Result<Vec<JoinToken>, StoreError>;

    /// Withdraws a token and returns it. One that was withdrawn before keeps the instant at which it was.
    ///
    /// # Errors
    /// `Missing` when there is none.
    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<JoinToken, StoreError>;
}
