//! `vouchsafe point`: keys for enforcement points. No server is needed.

use std::path::PathBuf;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use vouchsafe_model::Sha256Digest;
use vouchsafe_pki::files;
use vouchsafe_policy_engine::doors::{Forward, PointSettings, Points};
use zeroize::Zeroizing;

use crate::args::point::{ForwardArg, KeygenArgs, PointArgs, PointCommand};
use crate::failure::Hint as _;
use crate::host;

/// By what a key is known for one, wherever it turns up.
const PREFIX: &str = "vpk1-";
/// The entropy of a key, in bytes: so much that its hash needs no salt and no slowness.
const ENTROPY_LEN: usize = 32;

/// Runs a command.
///
/// # Errors
/// When it could not be done.
pub(crate) fn run(args: PointArgs) -> anyhow::Result<()> {
    let PointCommand::Keygen(args) = args.command;
    keygen(&args)
}

/// Writes the key and prints what the settings need. The key itself is nowhere but in its file.
fn keygen(args: &KeygenArgs) -> anyhow::Result<()> {
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.key", args.name)));
    let entropy = Zeroizing::new(host::entropy::<ENTROPY_LEN>()?);
    let key = Zeroizing::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(entropy.as_slice())));
    let point = PointSettings {
        name: args.name.clone(),
        key_sha256: Some(hash(&key)?),
        forwards: args.forwards.iter().map(|forward| Forward::from(*forward)).collect(),
        understands: args.understands.clone(),
    };
    Points::new([point.clone()])?;
    let snippet = snippet(&point)?;
    let line = Zeroizing::new(format!("{}\n", *key));
    files::create_private_file(&path, line.as_bytes()).hint("name another file with --out; no key was made")?;
    host::print(&snippet)?;
    host::complain(&format!("the key is in {}: hand it to the point, and to nobody else\n", path.display()));
    Ok(())
}

fn hash(key: &str) -> anyhow::Result<Sha256Digest> {
    let hash = <[u8; 32]>::try_from(digest(&SHA256, key.as_bytes()).as_ref()).context("the key cannot be hashed")?;
    Ok(Sha256Digest::new(hash))
}

/// What goes into the server's settings.
fn snippet(point: &PointSettings) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Snippet<'a> {
        points: [&'a PointSettings; 1],
    }
    let lines = toml::to_string(&Snippet { points: [point] }).context("the settings cannot be written")?;
    Ok(format!("\n{lines}"))
}

impl From<ForwardArg> for Forward {
    fn from(forward: ForwardArg) -> Self {
        match forward {
            ForwardArg::User => Self::User,
            ForwardArg::Device => Self::Device,
            ForwardArg::Application => Self::Application,
            ForwardArg::Http => Self::Http,
        }
    }
}
