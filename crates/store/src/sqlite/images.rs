//! Golden images.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{Image, ImageId, Timestamp};

use super::SqliteStore;
use super::fields::Fields;
use super::operation::Operation;
use crate::error::{Entity, StoreError};
use crate::images::{Images, StoredDocument};
use crate::limits::{MAX_DOCUMENT_BYTES, MAX_KEY_NAME_BYTES, MAX_REFERENCE_BYTES, MAX_SUPERSEDED_IMAGES};
use crate::page::{Page, PageLimit};

#[async_trait]
impl Images for SqliteStore {
    async fn create_image(&self, image: &Image) -> Result<(), StoreError> {
        let operation = Operation::new("create_image", Entity::Image);
        if image.document.is_some() {
            return Err(operation.conflict(&image.id));
        }
        let columns = Columns::new(operation, image)?;
        let mut tx = self.write(operation).await?;
        insert(&mut tx, operation, image, &columns).await?;
        tx.commit().await.map_err(operation.failed())
    }

    async fn create_image_with_document(
        &self,
        image: &Image,
        text: &str,
        envelope: Option<&str>,
    ) -> Result<(), StoreError> {
        let operation = Operation::new("create_image_with_document", Entity::Image);
        let document = image.document.as_ref().filter(|document| !document.supersedes.contains(&image.id));
        let document = document.ok_or_else(|| operation.conflict(&image.id))?;
        operation.at_most(MAX_DOCUMENT_BYTES, "the document", text.len())?;
        operation.at_most(MAX_DOCUMENT_BYTES, "the document's envelope", envelope.map_or(0, str::len))?;
        let columns = Columns::new(operation, image)?;
        let mut tx = self.write(operation).await?;
        insert(&mut tx, operation, image, &columns).await?;
        sqlx::query("INSERT INTO image_documents (image, text, envelope) VALUES (?, ?, ?)")
            .bind(image.id.to_string())
            .bind(text)
            .bind(envelope)
            .execute(&mut *tx)
            .await
            .map_err(operation.failed())?;
        for superseded in &document.supersedes {
            sqlx::query("INSERT INTO image_supersedes (superseded, image) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(superseded.to_string())
                .bind(image.id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(operation.failed())?;
        }
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

    async fn image_document(&self, id: &ImageId) -> Result<Option<StoredDocument>, StoreError> {
        let operation = Operation::new("image_document", Entity::Image);
        let row = sqlx::query("SELECT text, envelope FROM image_documents WHERE image = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        let Some(row) = row else { return Ok(None) };
        let fields = Fields::new(&row, operation);
        Ok(Some(StoredDocument { text: fields.get("text")?, envelope: fields.get("envelope")? }))
    }

    async fn successors(&self, id: &ImageId) -> Result<Vec<Image>, StoreError> {
        let operation = Operation::new("successors", Entity::Image);
        let rows = sqlx::query(
            "SELECT i.* FROM image_supersedes s JOIN images i ON i.id = s.image \
             WHERE s.superseded = ? AND i.retired_at_ms IS NULL ORDER BY i.activated_at_ms DESC, i.id LIMIT ?",
        )
        .bind(id.to_string())
        .bind(PageLimit::MAX)
        .fetch_all(&self.readers)
        .await
        .map_err(operation.failed())?;
        rows.iter().map(|row| image(&Fields::new(row, operation))).collect()
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

/// The parts of an image that are stored as JSON.
struct Columns {
    reference: String,
    document: Option<String>,
}

impl Columns {
    /// Checks the bounds of an image before anything is locked for it.
    fn new(operation: Operation, image: &Image) -> Result<Self, StoreError> {
        let reference = operation.json(MAX_REFERENCE_BYTES, "the reference values", &image.reference)?;
        let Some(document) = &image.document else { return Ok(Self { reference, document: None }) };
        operation.at_most(MAX_SUPERSEDED_IMAGES, "the superseded images", document.supersedes.len())?;
        let key = document.signed_by.as_ref().map_or(0, String::len);
        operation.at_most(MAX_KEY_NAME_BYTES, "the name of the key", key)?;
        let document = operation.json(MAX_SUMMARY_BYTES, "the summary of the document", document)?;
        Ok(Self { reference, document: Some(document) })
    }
}

/// More than the summary of any document within its bounds has, as JSON.
const MAX_SUMMARY_BYTES: usize = 64 * 1024;

async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    image: &Image,
    columns: &Columns,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO images (id, created_at_ms, reference, retired_at_ms, activated_at_ms, document) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(image.id.to_string())
    .bind(image.created_at.unix_millis())
    .bind(&columns.reference)
    .bind(image.retired_at.map(Timestamp::unix_millis))
    .bind(image.activated_at.unix_millis())
    .bind(columns.document.as_deref())
    .execute(&mut **tx)
    .await
    .map_err(operation.inserting(&image.id))?;
    Ok(())
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
        activated_at: fields.timestamp("activated_at_ms")?,
        document: fields.optional("document", Fields::json)?,
    })
}
