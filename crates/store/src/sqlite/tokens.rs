//! Join tokens.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::token::JoinToken;
use vouchsafe_model::{ImageId, Sha256Digest, Timestamp, TokenId};

use super::fields::Fields;
use super::operation::Operation;
use super::{SqliteStore, images};
use crate::error::{Entity, StoreError};
use crate::limits::MAX_LABEL_BYTES;
use crate::page::Page;
use crate::tokens::Tokens;

#[async_trait]
impl Tokens for SqliteStore {
    async fn create_token(&self, token: &JoinToken) -> Result<(), StoreError> {
        let operation = Operation::new("create_token", Entity::Token);
        operation.at_most(MAX_LABEL_BYTES, "the label", token.label.len())?;
        let mut tx = self.write(operation).await?;
        images::require(&mut tx, operation, token.image.as_ref()).await?;
        sqlx::query(
            "INSERT INTO join_tokens (id, secret_digest, label, created_at_ms, expires_at_ms, max_uses, uses, \
             pinned_ek, image, sha1_consent, revoked_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(token.id.to_string())
        .bind(token.secret_digest.as_bytes().as_slice())
        .bind(&token.label)
        .bind(token.created_at.unix_millis())
        .bind(token.expires_at.unix_millis())
        .bind(i64::from(token.max_uses))
        .bind(i64::from(token.uses))
        .bind(token.pinned_ek.as_ref().map(|digest| digest.as_bytes().as_slice()))
        .bind(token.image.as_ref().map(ImageId::to_string))
        .bind(token.sha1_consent)
        .bind(token.revoked_at.map(Timestamp::unix_millis))
        .execute(&mut *tx)
        .await
        .map_err(operation.inserting(token.id))?;
        tx.commit().await.map_err(operation.failed())
    }

    async fn token_by_secret_digest(&self, digest: &Sha256Digest) -> Result<Option<JoinToken>, StoreError> {
        let operation = Operation::new("token_by_secret_digest", Entity::Token);
        let row = sqlx::query("SELECT * FROM join_tokens WHERE secret_digest = ?")
            .bind(digest.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| token(&Fields::new(&row, operation))).transpose()
    }

    async fn list_tokens(&self, page: Page<TokenId>) -> Result<Vec<JoinToken>, StoreError> {
        let operation = Operation::new("list_tokens", Entity::Token);
        let query = match page.after {
            None => sqlx::query("SELECT * FROM join_tokens ORDER BY id DESC LIMIT ?"),
            Some(after) => {
                sqlx::query("SELECT * FROM join_tokens WHERE id < ? ORDER BY id DESC LIMIT ?").bind(after.to_string())
            }
        };
        let rows = query.bind(page.limit.get()).fetch_all(&self.readers).await.map_err(operation.failed())?;
        rows.iter().map(|row| token(&Fields::new(row, operation))).collect()
    }

    async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<JoinToken, StoreError> {
        let operation = Operation::new("revoke_token", Entity::Token);
        let mut tx = self.write(operation).await?;
        sqlx::query("UPDATE join_tokens SET revoked_at_ms = ? WHERE id = ? AND revoked_at_ms IS NULL")
            .bind(now.unix_millis())
            .bind(id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(operation.failed())?;
        let revoked = find(&mut tx, operation, id).await?.ok_or_else(|| operation.missing(&id))?;
        tx.commit().await.map_err(operation.failed())?;
        Ok(revoked)
    }
}

/// The token of this name, in a transaction.
pub(super) async fn find(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    id: TokenId,
) -> Result<Option<JoinToken>, StoreError> {
    let operation = operation.about(Entity::Token);
    let row = sqlx::query("SELECT * FROM join_tokens WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(operation.failed())?;
    row.map(|row| token(&Fields::new(&row, operation))).transpose()
}

fn token(fields: &Fields<'_>) -> Result<JoinToken, StoreError> {
    Ok(JoinToken {
        id: fields.parsed("id")?,
        secret_digest: fields.digest("secret_digest")?,
        label: fields.get("label")?,
        created_at: fields.timestamp("created_at_ms")?,
        expires_at: fields.timestamp("expires_at_ms")?,
        max_uses: fields.number("max_uses")?,
        uses: fields.number("uses")?,
        pinned_ek: fields.optional("pinned_ek", Fields::digest)?,
        image: fields.optional("image", Fields::parsed)?,
        sha1_consent: fields.flag("sha1_consent")?,
        revoked_at: fields.optional("revoked_at_ms", Fields::timestamp)?,
    })
}
