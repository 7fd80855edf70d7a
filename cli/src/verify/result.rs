//! `vouchsafe verify result`: a token from a file, by keys from another.

use anyhow::Context as _;
use vouchsafe_pki::files;
use vouchsafe_trust_engine::result::keys::MAX_KEY_SET_LEN;
use vouchsafe_trust_engine::result::{Expected, KeySet, MAX_TOKEN_LEN, UnverifiedToken};

use crate::args::verify::ResultArgs;
use crate::failure::Hint as _;
use crate::output::result::ResultReport;
use crate::{host, output};

/// Says whether the token is authentic and still good, and what is in it.
///
/// # Errors
/// When a file cannot be read, or is no token or no set of keys at all.
pub(super) fn verify(args: &ResultArgs) -> anyhow::Result<bool> {
    let keys = files::read_file(&args.keys, MAX_KEY_SET_LEN).context("cannot use the keys")?;
    let keys = KeySet::parse(&keys)
        .with_context(|| format!("cannot use the keys {}", args.keys.display()))
        .hint("give the engine's keys as a JSON Web Key Set: curl http://127.0.0.1:8444/v1/result-keys")?;
    // One byte more than a token has: the end of the line.
    let text = files::read_file(&args.token, MAX_TOKEN_LEN.saturating_add(1)).context("cannot use the token")?;
    let path = args.token.display();
    let text = str::from_utf8(&text).with_context(|| format!("the token {path} is no text"))?;
    let token = UnverifiedToken::parse(text.trim_ascii_end())
        .with_context(|| format!("{path} is no attestation result"))
        .hint("give a JWT in compact form: vouchsafe device result DEVICE --format jwt")?;
    let now = host::now();
    let report = match token.verify(&Expected { keys: &keys, nonce: args.nonce.as_ref(), now }) {
        Ok(claims) => ResultReport::authentic(claims, args.nonce.is_some()),
        Err(rejected) => ResultReport::refused(&rejected),
    };
    output::show(args.format.format, &report, || output::result::report(&report, now))?;
    Ok(report.authentic)
}
