//! Keys for images, and what they sign.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_attest::dsse::{DsseKey, MAX_ENVELOPE_LEN};
use vouchsafe_attest::image::MAX_TEXT_LEN;
use vouchsafe_attest::image::signed::{self, OpenError, SignedImage};
use vouchsafe_pki::{IssuerKey as _, LocalKey, files};

use super::{REFUSED, write};
use crate::args::image::{KeygenArgs, SignArgs, VerifyArgs};
use crate::failure::Hint as _;
use crate::output::golden::{self, SignatureReport};
use crate::{host, output};

/// The longest public key that is read, in bytes.
const MAX_KEY_LEN: usize = 16 * 1024;

pub(super) fn keygen(args: &KeygenArgs) -> anyhow::Result<ExitCode> {
    let key = LocalKey::generate().context("cannot make a key")?;
    let spki = key.spki_der().context("cannot write the public key")?;
    let public = with_ending(&args.file, "pub");
    let id = DsseKey::from_spki_der(&spki).context("cannot use the key")?;
    files::create_private_file(&args.file, key.to_pkcs8_pem().as_bytes()).context("cannot write the key")?;
    write(&public, id.to_pem().as_bytes())?;
    host::print(&format!("key {}\nprivate {}\npublic  {}\n", id.id(), args.file.display(), public.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn sign(args: &SignArgs) -> anyhow::Result<ExitCode> {
    let text = files::read_file(&args.file, MAX_TEXT_LEN).context("cannot use the image")?;
    let text = String::from_utf8(text).with_context(|| format!("{} is no UTF-8 text", args.file.display()))?;
    let key = LocalKey::read(&args.key)
        .with_context(|| format!("cannot use the key {}", args.key.display()))
        .hint("give a P-256 or P-384 key as PKCS#8 in PEM that its owner alone can read: vouchsafe image keygen")?;
    let spki = key.spki_der().context("cannot use the key")?;
    let id = DsseKey::from_spki_der(&spki).context("cannot use the key")?;
    let envelope = signed::sign(&text, id.id(), |message| key.sign(message))
        .with_context(|| format!("{} was not signed", args.file.display()))?;
    let path = with_ending(&args.file, "dsse");
    write(&path, envelope.to_json().as_bytes())?;
    host::print(&format!("signed {} by key {}\n", path.display(), id.id()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let envelope = files::read_file(&args.file, MAX_ENVELOPE_LEN).context("cannot use the image")?;
    let keys = args.keys.iter().map(|path| read_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let report = match SignedImage::open(&envelope, &keys) {
        Ok(signed) => {
            args.text.iter().try_for_each(|path| write(path, signed.text().as_bytes()))?;
            SignatureReport::authentic(&signed)
        }
        Err(OpenError::Envelope(error)) => {
            return Err(error).with_context(|| format!("{} is no signed image", args.file.display()));
        }
        Err(error) => SignatureReport::refused(&error),
    };
    output::show(args.format.format, &report, || golden::signature(&report))?;
    Ok(if report.authentic { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

pub(super) fn read_key(path: &Path) -> anyhow::Result<DsseKey> {
    let bytes = files::read_file(path, MAX_KEY_LEN).context("cannot use a key")?;
    DsseKey::from_pem(&bytes)
        .with_context(|| format!("{} is no public key that images can be verified with", path.display()))
        .hint("give a public key in PEM (BEGIN PUBLIC KEY): Ed25519, P-256, P-384 or RSA")
}

/// The path with one more ending: `web.toml` becomes `web.toml.dsse`.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}
