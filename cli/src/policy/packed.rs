//! Bundles in one file: packed, signed, verified.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_pki::{LocalKey, files, pem};
use vouchsafe_policies::{
    Manifest, PackedBundle, Signer, SigningKey, Trust, VerifyingKey, VerifyingKeys, limits, read_folder,
};

use super::REFUSED;
use crate::args::policy::{BundleArgs, KeygenArgs, VerifyArgs};
use crate::failure::Hint as _;
use crate::output::packed::{self, PackedReport};
use crate::{host, output};

/// The longest key that is read, in bytes.
const MAX_KEY_LEN: usize = 16 * 1024;

pub(super) fn keygen(args: &KeygenArgs) -> anyhow::Result<ExitCode> {
    let key = LocalKey::generate().context("cannot make a key")?;
    let spki = key.spki_der().context("cannot write the public key")?;
    let public = public_path(&args.file);
    files::create_private_file(&args.file, key.to_pkcs8_pem().as_bytes()).context("cannot write the key")?;
    write(&public, pem::encode_public_key(&spki).as_bytes())?;
    host::print(&format!("private {}\npublic  {}\n", args.file.display(), public.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn bundle(args: &BundleArgs) -> anyhow::Result<ExitCode> {
    let dir = args.dir.display();
    let folder = read_folder(&args.dir).with_context(|| format!("cannot read the policy in {dir}"))?;
    let mut manifest = Manifest { revision: args.revision.to_string(), rego_version: Some(1), ..Manifest::default() };
    if let Some(instant) = args.expires_at {
        manifest.metadata.insert("expires_at".to_owned(), instant.to_string().into());
    }
    let key = args.key.as_deref().map(read_signing_key).transpose()?;
    let signer = key.as_ref().map(|key| Signer { key, id: &args.key_id, scope: &args.scope });
    let packed = PackedBundle::pack(folder, &manifest, signer.as_ref())
        .with_context(|| format!("the policy in {dir} cannot be packed"))?;
    let read = PackedBundle::read(&packed, Trust::DangerUnsigned).context("the bundle cannot be read again")?;
    write(&args.output, &packed)?;
    let by = signer.map_or_else(|| "not signed".to_owned(), |signer| format!("signed by '{}'", signer.id));
    host::print(&format!(
        "{}: revision {}, policy {}, {by}\n",
        args.output.display(),
        args.revision,
        read.bundle().hash()
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let bytes = files::read_file(&args.file, limits::ARCHIVE_BYTES).context("cannot read the bundle")?;
    let mut keys = VerifyingKeys::default();
    keys.insert(&args.key_id, read_verifying_key(&args.key, &args.scope)?);
    let report = match PackedBundle::read(&bytes, Trust::SignedBy(&keys)) {
        Ok(bundle) => PackedReport::authentic(&bundle),
        Err(error) => PackedReport::refused(&error),
    };
    output::show(args.format.format, &report, || packed::report(&report))?;
    Ok(if report.authentic { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn read_signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let text = files::read_private_file(path, MAX_KEY_LEN)?;
    SigningKey::from_pem(&text)
        .with_context(|| format!("cannot use the key {}", path.display()))
        .hint("`vouchsafe policy keygen FILE` makes one")
}

/// A public key from a file, which vouches for bundles of this scope alone.
pub(crate) fn read_verifying_key(path: &Path, scope: &str) -> anyhow::Result<VerifyingKey> {
    let text = files::read_file(path, MAX_KEY_LEN)?;
    VerifyingKey::from_pem(&text, scope)
        .with_context(|| format!("{} holds no public key for bundles", path.display()))
        .hint("`vouchsafe policy keygen FILE` makes FILE.pub")
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".pub");
    path.with_file_name(name)
}
