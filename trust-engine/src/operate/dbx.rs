//! Lists of revoked boot loaders.

use vouchsafe_attest::secure_boot::DbxUpdate;
use vouchsafe_store::{DbxOutcome, StoredDbx};
use vouchsafe_wire::v1::operate::{DbxView, ImportDbx};

use super::{OperateRejected, field};
use crate::engine::TrustEngine;
use crate::nonce::sha256;

impl TrustEngine {
    /// Puts a dbx update in force: a boot that uses what it revokes fails from its next evidence on.
    ///
    /// # Errors
    /// The file is no dbx update, or is older than the one in force.
    pub async fn import_dbx(&self, arch: &str, asked: &ImportDbx) -> Result<DbxView, OperateRejected> {
        let is_name = (1..=16).contains(&arch.len()) && arch.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_name {
            return Err(field("arch", "must be 1 to 16 letters and digits, such as x64"));
        }
        let bytes = asked.file.as_slice();
        let update = DbxUpdate::parse(bytes).map_err(|error| field("file", error.to_string()))?;
        let now = self.now();
        let digest = sha256(bytes);
        match self.store().put_dbx(arch, digest, update.timestamp, bytes, now).await? {
            DbxOutcome::Stored | DbxOutcome::Unchanged => {}
            DbxOutcome::Older { present } => {
                return Err(field("file", format!("is older than the one in force, which is of {present}")));
            }
        }
        self.revocations.forget();
        tracing::info!(dbx.arch = arch, dbx.entries = update.entries.len(), "dbx imported");
        let listed = self.list_dbx().await?;
        let found = listed.into_iter().find(|view| view.arch == arch);
        found.ok_or_else(|| OperateRejected::NotFound { what: "dbx", id: arch.to_owned() })
    }

    /// What is revoked, by architecture.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_dbx(&self) -> Result<Vec<DbxView>, OperateRejected> {
        let stored = self.store().dbx().await?;
        Ok(stored.into_iter().map(view).collect())
    }
}

fn view(stored: StoredDbx) -> DbxView {
    let entries = DbxUpdate::parse(&stored.bytes).map_or(0, |update| update.entries.len());
    DbxView {
        arch: stored.arch,
        digest: stored.digest,
        timestamp: stored.timestamp,
        entries: u64::try_from(entries).unwrap_or(u64::MAX),
        imported_at: stored.imported_at,
    }
}
