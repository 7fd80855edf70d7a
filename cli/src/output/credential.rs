//! Credentials that were issued.

use std::path::PathBuf;

use serde::Serialize;
use vouchsafe_model::Timestamp;

use super::{instant, line};

/// A credential that was written to a folder.
#[derive(Serialize)]
pub(crate) struct WrittenCredential {
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) files: Vec<&'static str>,
    pub(crate) expires_at: Timestamp,
}

/// What was written, and how to use it.
pub(crate) fn written(credential: &WrittenCredential, now: Timestamp) -> String {
    let dir = credential.dir.display();
    let mut text = format!(
        "{} {} is certified until {}\n",
        credential.role,
        credential.name,
        instant::with_distance(credential.expires_at, now)
    );
    for file in &credential.files {
        line(&mut text, format_args!("  {dir}/{file}"));
    }
    if credential.files.contains(&crate::profile::FILE_NAME) {
        line(&mut text, format_args!("\nTry it: vouchsafe device list --dir {dir}"));
    }
    text
}
