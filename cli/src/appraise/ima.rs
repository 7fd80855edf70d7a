//! `vouchsafe appraise ima`: a measurement list from a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use vouchsafe_attest::ima::{
    Entries, FileKey, ImaError, ListFormat, ListReport, MAX_KEY_LEN, RuntimePolicy, RuntimeSection,
};
use vouchsafe_model::Severity;
use vouchsafe_pki::files;

use super::FAILURES;
use crate::args::appraise::ImaArgs;
use crate::failure::Hint as _;
use crate::output;

/// The longest list that is read, in bytes: some four million entries.
const MAX_LIST_LEN: usize = 512 * 1024 * 1024;
/// The longest policy that is read, in bytes.
const MAX_POLICY_LEN: usize = 256 * 1024 * 1024;
/// The most files of a folder with keys that are read.
const MAX_KEY_FILES: usize = 256;
/// What files with keys are called.
const KEY_EXTENSIONS: [&str; 6] = ["pem", "crt", "cer", "der", "x509", "pub"];

/// Appraises a list.
///
/// # Errors
/// When an input is unusable.
pub(super) fn run(args: &ImaArgs) -> anyhow::Result<ExitCode> {
    let keys = args.keys.as_deref().map(read_keys).transpose()?.unwrap_or_default();
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let list = files::read_file(&args.file, MAX_LIST_LEN).context("cannot use the list")?;
    if list.is_empty() {
        bail!("the list {} is empty", args.file.display());
    }
    let report = ListReport::of(&list, &keys, policy.as_ref())
        .map_err(|error| unreadable(&list, &error))
        .with_context(|| format!("{} is no IMA list", args.file.display()))
        .hint("give ascii_runtime_measurements or binary_runtime_measurements of /sys/kernel/security/ima")?;
    output::show(args.format.format, &report, || output::ima::view(&report))?;
    let has_failed = report.findings.iter().any(|finding| finding.severity == Severity::Failure)
        || !report.template_hash_mismatches.is_empty()
        || !report.signatures.invalid.is_empty();
    Ok(if has_failed { ExitCode::from(FAILURES) } else { ExitCode::SUCCESS })
}

/// Where and why: the line of an ASCII list, the entry of a binary one.
fn unreadable(list: &[u8], error: &ImaError) -> anyhow::Error {
    let place = match Entries::new(list).format() {
        ListFormat::Ascii => "line",
        ListFormat::Binary => "entry",
    };
    anyhow::anyhow!("{place} {}, at byte {}: {}", error.entry, error.offset, error.problem)
}

fn read_keys(path: &Path) -> anyhow::Result<Vec<FileKey>> {
    let files = if path.is_dir() { key_files(path)? } else { vec![path.to_owned()] };
    let mut keys = Vec::new();
    for file in &files {
        let bytes = files::read_file(file, MAX_KEY_LEN).context("cannot use a key")?;
        let read = FileKey::read_all(&bytes)
            .with_context(|| format!("{} holds no key that may sign files", file.display()))
            .hint("give certificates or public keys in PEM or DER: RSA-2048 to -4096, P-256, P-384 or P-521")?;
        keys.extend(read);
    }
    Ok(keys)
}

fn key_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot read the folder {}", dir.display());
    let is_key = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| KEY_EXTENSIONS.contains(&extension))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(context)? {
        files.extend(Some(entry.with_context(context)?.path()).filter(is_key));
        if files.len() > MAX_KEY_FILES {
            bail!("the folder {} has more than {MAX_KEY_FILES} keys", dir.display());
        }
    }
    if files.is_empty() {
        bail!("the folder {} has no file that ends in .{}", dir.display(), KEY_EXTENSIONS.join(", ."));
    }
    files.sort();
    Ok(files)
}

/// Reads a golden image, or its runtime section alone.
fn read_policy(path: &Path) -> anyhow::Result<RuntimePolicy> {
    let bytes = files::read_file(path, MAX_POLICY_LEN).context("cannot use the policy")?;
    let unusable = || format!("the policy {} cannot be used", path.display());
    let text = std::str::from_utf8(&bytes).with_context(unusable)?;
    let mut table: toml::Table = toml::from_str(text).with_context(unusable)?;
    let section = match table.remove("runtime") {
        Some(section) => section,
        None => toml::Value::Table(table),
    };
    let section: RuntimeSection = section
        .try_into()
        .with_context(unusable)
        .hint("give a golden image with a [runtime] section, or such a section alone")?;
    RuntimePolicy::compile(&section).with_context(unusable)
}
