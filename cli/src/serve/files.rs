//! What the server reads from its folder when it starts. Whatever is wrong is named with its file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use vouchsafe_attest::dsse::DsseKey;
use vouchsafe_attest::endorsement::{AnchorRole, AnchorSource, TrustAnchors};
use vouchsafe_pki::files::WriteFileError;
use vouchsafe_pki::{Authority, LocalKey, files};
use vouchsafe_policy_engine::doors::PageKey;
use vouchsafe_trust_engine::score::model_file::TrustModel;
use vouchsafe_trust_engine::{EngineSecret, ResultKeys};

use super::config::{Layout, ServerConfig};
use super::decisions::LogSigner;

/// The longest public key that is read, in bytes.
const MAX_KEY_LEN: usize = 16 * 1024;
/// The longest trust model that is read, in bytes.
const MAX_MODEL_LEN: usize = 64 * 1024;
/// The longest file of certificates that is read, in bytes.
const MAX_ROOTS_LEN: usize = 4 * 1024 * 1024;
/// The most files of certificates that are read.
const MAX_ROOT_FILES: usize = 1024;
/// What the names of files with certificates end in.
const CERTIFICATE_ENDINGS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// The certificate authority, which must be of the domain that the settings name.
pub(super) fn authority(layout: &Layout, config: &ServerConfig) -> anyhow::Result<Authority> {
    let dir = layout.authority();
    let authority = Authority::open(&dir).with_context(|| format!("cannot open the authority in {}", dir.display()))?;
    ensure!(
        *authority.trust_domain() == config.trust_domain,
        "the authority in {} is of the trust domain {}, and trust_domain is {}",
        dir.display(),
        authority.trust_domain(),
        config.trust_domain
    );
    Ok(authority)
}

/// Who may sign golden images.
pub(super) fn image_keys(layout: &Layout, config: &ServerConfig) -> anyhow::Result<Vec<DsseKey>> {
    let read = |file: &PathBuf| {
        let path = layout.resolve(file);
        let text = files::read_file(&path, MAX_KEY_LEN)?;
        DsseKey::from_pem(&text).with_context(|| format!("{} holds no public key for images", path.display()))
    };
    config.images.keys.iter().map(read).collect()
}

/// The engine's own secret.
pub(super) fn engine_secret(layout: &Layout) -> anyhow::Result<EngineSecret> {
    let path = layout.engine_secret();
    let bytes = files::read_private_file(&path, EngineSecret::LEN)?;
    let secret = <[u8; EngineSecret::LEN]>::try_from(bytes.as_slice())
        .with_context(|| format!("{} must hold {} bytes", path.display(), EngineSecret::LEN))?;
    Ok(EngineSecret::new(secret))
}

/// The key for the pages of searches.
pub(super) fn page_key(layout: &Layout) -> anyhow::Result<PageKey> {
    Ok(PageKey::new(&engine_secret(layout)?.page_key()))
}

/// The keys of attestation results. The folder of an older server has none: it is made then.
pub(super) fn result_keys(layout: &Layout) -> anyhow::Result<ResultKeys> {
    let (path, former) = (layout.result_key(), layout.former_result_key());
    let made = !path.exists() && make_key(&path, "attestation results")?;
    let signing = result_key(&path)?;
    let former = if former.exists() { vec![result_key(&former)?] } else { Vec::new() };
    // Each was seen to be a P-256 key when it was read.
    let keys = ResultKeys::new(signing, &former)?;
    if made {
        tracing::info!(
            result_key.id = keys.key_id(),
            result_key.file = %path.display(),
            "there was no key for attestation results; one was made"
        );
    }
    tracing::info!(
        result_key.id = keys.key_id(),
        result_keys.published = keys.published().keys.len(),
        "keys for attestation results loaded"
    );
    Ok(keys)
}

/// Makes a key where there is none; false when somebody else was faster, whose key then counts.
fn make_key(path: &Path, purpose: &str) -> anyhow::Result<bool> {
    let key = LocalKey::generate().with_context(|| format!("cannot make a key for {purpose}"))?;
    match files::create_private_file(path, key.to_pkcs8_pem().as_bytes()) {
        Ok(()) => Ok(true),
        Err(WriteFileError::Exists { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The key that signs checkpoints of the decision log. The folder of an older server has none: it is made then, as is the
/// file of its public half when that is missing or another.
pub(super) fn log_signer(layout: &Layout) -> anyhow::Result<LogSigner> {
    let (path, public) = (layout.log_key(), layout.log_public_key());
    let made = !path.exists() && make_key(&path, "the decision log")?;
    let key = LocalKey::read(&path).with_context(|| format!("cannot use the key {}", path.display()))?;
    let signer = LogSigner::new(key).with_context(|| format!("the key {} is no P-256 key", path.display()))?;
    if files::read_file(&public, MAX_KEY_LEN).ok().as_deref() != Some(signer.public_pem().as_bytes()) {
        files::write_private_file(&public, signer.public_pem().as_bytes())?;
    }
    if made {
        tracing::info!(log_key.file = %path.display(), "there was no key for the decision log; one was made");
    }
    Ok(signer)
}

fn result_key(path: &Path) -> anyhow::Result<LocalKey> {
    let key = LocalKey::read(path).with_context(|| format!("cannot use the key {}", path.display()))?;
    ensure!(key.p256_coordinates().is_some(), "the key {} is no P-256 key (ES256)", path.display());
    Ok(key)
}

/// The makers of TPMs that are trusted: roots, and beside them intermediates, by which alone nobody is trusted. A
/// certificate that cannot be used is named in the log; the others count.
pub(super) fn ek_roots(layout: &Layout) -> anyhow::Result<TrustAnchors> {
    let roots = certificate_files(&layout.ek_roots())?;
    let intermediates = layout.ek_intermediates();
    let intermediates = if intermediates.exists() { certificate_files(&intermediates)? } else { Vec::new() };
    let roots = roots.iter().map(|file| (AnchorRole::Root, file));
    let intermediates = intermediates.iter().map(|file| (AnchorRole::Intermediate, file));
    let sources: Vec<_> =
        roots.chain(intermediates).map(|(role, (name, bytes))| AnchorSource { name, role, bytes }).collect();
    let (anchors, refusals) = TrustAnchors::load(&sources);
    for refusal in &refusals {
        tracing::warn!(
            ek_root.file = refusal.source_name,
            ek_root.index = refusal.index,
            ek_root.subject = refusal.subject,
            "certificate not used: {}",
            refusal.reason
        );
    }
    tracing::info!(
        ek_roots.used = anchors.root_count(),
        ek_intermediates.used = anchors.intermediate_count(),
        ek_roots.refused = refusals.len(),
        "makers of TPMs loaded"
    );
    Ok(anchors)
}

/// The files of a folder that hold certificates, by name.
fn certificate_files(dir: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let read = || format!("cannot read {}", dir.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(read)? {
        let path = entry.with_context(read)?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        if CERTIFICATE_ENDINGS.contains(&ending.as_str()) {
            paths.push(path);
        }
    }
    ensure!(paths.len() <= MAX_ROOT_FILES, "{} holds more than {MAX_ROOT_FILES} files", dir.display());
    paths.sort();
    paths.iter().map(|path| Ok((named(path), files::read_file(path, MAX_ROOTS_LEN)?))).collect()
}

/// The trust model: the file that the settings name, or the built-in one.
pub(super) fn model(layout: &Layout, config: &ServerConfig) -> anyhow::Result<TrustModel> {
    let Some(file) = &config.model.file else {
        return TrustModel::builtin().context("the built-in trust model cannot be read");
    };
    let path = layout.resolve(file);
    let text = String::from_utf8(files::read_file(&path, MAX_MODEL_LEN)?)
        .with_context(|| format!("the trust model {} is no text", path.display()))?;
    TrustModel::parse(&text).with_context(|| format!("the trust model {} cannot be used", path.display()))
}

/// A file that the server needs, by name, for errors.
pub(super) fn named(path: &Path) -> String {
    path.display().to_string()
}
