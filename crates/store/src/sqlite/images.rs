//! Golden images.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{Image, ImageId, Timestamp};

use super::SqliteStore;
use super::fields::Fields;
use super::operation::Operation;
use crate::error::{Entity, StoreError};
use crate::images::Images;
use crate::limits::MAX_REFERENCE_BYTES;
use crate::page::Page;

#[async_trait]
impl Images for SqliteStore {
    async fn create_image(&self, image: &Image) -> Result<(), StoreError> {
        let operation = Operation::new("create_image", Entity::Image);
        let reference = operation.json(MAX_REFERENCE_BYTES, "the reference values", &image.reference)?;
        let mut tx = self.write(operation).await?;
        sqlx::query("INSERT INTO images (id, created_at_ms, reference, retired_at_ms) VALUES (?, ?, ?, ?)")
            .bind(image.id.to_string())
            .bind(image.created_at.unix_millis())
            .bind(reference)
            .bind(image.retired_at.map(Timestamp::unix_millis))
            .execute(&mut *tx)
            .await
            .map_err(operation.inserting(&image.id))?;
        tx.commit().await.map_err(operation.failed())
    }

    async fn image(&self, id: &ImageId) -> Result<Option<Image>, StoreError> {
        let operation = Operation::new("image", Entity::Image);
        let row = sqlx::query("SELECT * FROM images WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| image(&Fields::new(&row, operation))).transpose()
    }

    async fn list_images(&self, page: Page<ImageId>) -> Result<Vec<Image>, StoreError> {
        let operation = Operation::new("list_images", Entity::Image);
        let rows = sqlx::query("SELECT * FROM images WHERE id > ? ORDER BY id LIMIT ?")
            .bind(page.after.map_or_else(String::new, |after| after.to_string()))
            .bind(page.limit.get())
            .fetch_all(&self.readers)
            .await
            .map_err(operation.failed())?;
        rows.iter().map(|row| image(&Fields::new(row, operation))).collect()
    }

    async fn retire_image(&self, id: &ImageId, now: Timestamp) -> Result<Image, StoreError> {
        let operation = Operation::new("retire_image", Entity::Image);
        let mut tx = self.write(operation).await?;
        sqlx::query("UPDATE images SET retired_at_ms = ? WHERE id = ? AND retired_at_ms IS NULL")
            .bind(now.unix_millis())
            .bind(id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(operation.failed())?;
        let row = sqlx::query("SELECT * FROM images WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(operation.failed())?;
        let retired = image(&Fields::new(&row.ok_or_else(|| operation.missing(&id))?, operation))?;
        tx.commit().await.map_err(operation.failed())?;
        Ok(retired)
    }
}

/// Fails when an image is named and there is none of that name.
pub(super) async fn require(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    id: Option<&ImageId>,
) -> Result<(), StoreError> {
    let Some(id) = id else { return Ok(()) };
    let operation = operation.about(Entity::Image);
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM images WHERE id = ?")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(operation.failed())?;
    found.map(|_| ()).ok_or_else(|| operation.missing(&id))
}

fn image(fields: &Fields<'_>) -> Result<Image, StoreError> {
    Ok(Image {
        id: fields.parsed("id")?,
        created_at: fields.timestamp("created_at_ms")?,
        reference: fields.json("reference")?,
        retired_at: fields.optional("retired_at_ms", Fields::timestamp)?,
    })
}
