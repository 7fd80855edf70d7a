//! Updates of dbx.

use serde::Serialize;
use vouchsafe_attest::eventlog::facts::{SignatureEntry, SignatureKind};
use vouchsafe_attest::secure_boot::DbxUpdate;
use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::operate::DbxView;

use super::clean;
use super::table::{Columns, Facts};

/// What an update revokes.
#[derive(Debug, Serialize)]
pub(crate) struct UpdateReport {
    timestamp: Option<Timestamp>,
    images: usize,
    certificates: usize,
    entries: Vec<SignatureEntry>,
}

impl UpdateReport {
    pub(crate) fn of(update: DbxUpdate) -> Self {
        let dbx = update.dbx();
        let certificates = dbx.certificates().len() + dbx.to_be_signed().len();
        Self { timestamp: update.timestamp, images: dbx.images().len(), certificates, entries: update.entries }
    }
}

/// The update as a table.
pub(crate) fn view(report: &UpdateReport) -> String {
    let facts = Facts::default()
        .with("signed time", super::or_dash(report.timestamp))
        .with("images", report.images)
        .with("certificates", report.certificates);
    let mut columns = Columns::new(["KIND", "SHA-256", "SUBJECT"]);
    for entry in &report.entries {
        let (kind, digest, subject) = match &entry.kind {
            SignatureKind::Sha256 { digest } => ("image", digest.to_string(), None),
            SignatureKind::X509Sha256 { digest } => ("to-be-signed part", digest.to_string(), None),
            SignatureKind::X509 { sha256, subject, .. } => ("certificate", sha256.to_string(), subject.clone()),
            SignatureKind::Other { guid, length } => {
                ("other", "-".to_owned(), Some(format!("type {guid}, {length} bytes")))
            }
        };
        columns.row([kind.to_owned(), digest, super::or_dash(subject)]);
    }
    format!("{}\n{}", facts.text(), columns.text("  "))
}

/// What is in force after an import.
pub(crate) fn in_force(view: &DbxView) -> String {
    Facts::default()
        .with("arch", clean(&view.arch))
        .with("entries", view.entries)
        .with_some("signed", view.timestamp)
        .with("imported", view.imported_at)
        .with("sha256", view.digest)
        .text()
}
