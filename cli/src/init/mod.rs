//! `vouchsafe init`: the folder of a new server.
//!
//! Nothing is overwritten, and nothing half-made is taken for a server: the settings are written last, and where they are,
//! the rest is. When a step fails, what was made is removed again; after a crash the next run names the remains.

mod settings;
mod told;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::{PeerName, PeerRole, SpiffeId};
use vouchsafe_pki::{Authority, Csr, LeafRequest, LeafUsage, LocalKey, Serial, files, pem};
use zeroize::Zeroizing;

use crate::args::init::InitArgs;
use crate::failure::Hint as _;
use crate::host;
use crate::profile::{self, Profile};
use crate::serve::config::Layout;

/// How long the server's and the operator's first certificate are good. The server renews its own.
const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
/// The name of the server in its SPIFFE ID.
const SERVER_NAME: &str = "engine";
/// The length of the engine's secret, in bytes.
const SECRET_LEN: usize = 32;
/// The operator's private key.
const OPERATOR_KEY: &str = "operator.key";
/// The operator's certificate.
const OPERATOR_CERTIFICATE: &str = "operator.crt";
/// What is found in the folder of trusted makers of TPMs.
const EK_ROOTS_README: &str = "README.txt";

/// Makes the folder of a new server and says what it made.
///
/// # Errors
/// When there is one already, or a file cannot be written.
pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    let layout = Layout::of(&args.dir);
    make(args, &layout, host::now())?;
    host::print(&told::made(args))
}

fn make(args: &InitArgs, layout: &Layout, now: Timestamp) -> anyhow::Result<()> {
    let names = Names::of(layout);
    let is_new = !layout.dir().exists();
    files::create_private_folder(layout.dir())
        .hint(format!("keys will lie there, so that nobody else may enter it: chmod 700 {}", layout.dir().display()))?;
    names.refuse_existing(layout)?;

    let mut unfinished = Unfinished::new(is_new.then(|| layout.dir().to_owned()));
    let authority = unfinished.making(layout.authority(), |dir| {
        let serials = [Serial::from_entropy(host::entropy()?), Serial::from_entropy(host::entropy()?)];
        Authority::create(dir, &args.trust_domain, now, serials).context("cannot create the authority")
    })?;
    make_server(args, layout, &authority, &mut unfinished, now)?;
    make_operator(args, layout, &authority, &mut unfinished, now)?;
    let secret = Zeroizing::new(host::entropy::<SECRET_LEN>()?);
    unfinished.file(layout.engine_secret(), secret.as_slice())?;
    let result_key = LocalKey::generate().context("cannot make a key")?;
    unfinished.file(layout.result_key(), result_key.to_pkcs8_pem().as_bytes())?;
    let log_key = LocalKey::generate().context("cannot make a key")?;
    let log_public = pem::encode_public_key(&log_key.spki_der().context("cannot write a key")?);
    unfinished.file(layout.log_key(), log_key.to_pkcs8_pem().as_bytes())?;
    unfinished.file(layout.log_public_key(), log_public.as_bytes())?;
    unfinished.file(layout.trust_bundle(), authority.trust_bundle_pem().as_bytes())?;
    unfinished.making(layout.ek_roots(), |dir| {
        files::create_private_folder(dir)?;
        Ok(files::create_private_file(&dir.join(EK_ROOTS_README), settings::EK_ROOTS_README.as_bytes())?)
    })?;
    unfinished.file(layout.config(), settings::text(args).as_bytes())?;
    unfinished.finish();
    Ok(())
}

fn make_server(
    args: &InitArgs,
    layout: &Layout,
    authority: &Authority,
    unfinished: &mut Unfinished,
    now: Timestamp,
) -> anyhow::Result<()> {
    let name: PeerName = SERVER_NAME.parse().context("the server cannot be named")?;
    let (key, chain) = certify(authority, now, |csr| LeafRequest {
        csr,
        identity: SpiffeId { trust_domain: args.trust_domain.clone(), role: PeerRole::Server(name) },
        dns_names: args.hosts.clone(),
        ip_addresses: args.ips.clone(),
        lifetime: CERTIFICATE_LIFETIME,
        usage: LeafUsage::Server,
    })?;
    unfinished.file(layout.server_key(), key.to_pkcs8_pem().as_bytes())?;
    unfinished.file(layout.server_certificate(), chain.as_bytes())
}

fn make_operator(
    args: &InitArgs,
    layout: &Layout,
    authority: &Authority,
    unfinished: &mut Unfinished,
    now: Timestamp,
) -> anyhow::Result<()> {
    let (key, chain) = certify(authority, now, |csr| LeafRequest {
        csr,
        identity: SpiffeId { trust_domain: args.trust_domain.clone(), role: PeerRole::Operator(args.operator.clone()) },
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        lifetime: CERTIFICATE_LIFETIME,
        usage: LeafUsage::Client,
    })?;
    let bundle = layout.trust_bundle();
    let bundle = bundle.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let url = settings::public_url(args, args.api_port);
    let profile = Profile::text_for(&url, OPERATOR_CERTIFICATE, OPERATOR_KEY, &bundle)?;
    unfinished.file(layout.dir().join(OPERATOR_KEY), key.to_pkcs8_pem().as_bytes())?;
    unfinished.file(layout.dir().join(OPERATOR_CERTIFICATE), chain.as_bytes())?;
    unfinished.file(layout.dir().join(profile::FILE_NAME), profile.as_bytes())
}

/// Makes a key and certifies it.
fn certify<'a>(
    authority: &Authority,
    now: Timestamp,
    request: impl for<'b> FnOnce(&'b vouchsafe_pki::VerifiedCsr) -> LeafRequest<'b> + 'a,
) -> anyhow::Result<(LocalKey, String)> {
    let key = LocalKey::generate().context("cannot make a key")?;
    let csr = key.certification_request().context("cannot ask for a certificate")?;
    let csr = Csr::verify(&csr).context("the certificate request is refused")?;
    let issued = authority
        .issue(&request(&csr), now, Serial::from_entropy(host::entropy()?))
        .context("cannot issue a certificate")?;
    Ok((key, issued.chain_pem))
}

/// All that is made, by path.
struct Names(Vec<PathBuf>);

impl Names {
    fn of(layout: &Layout) -> Self {
        let operator = [OPERATOR_KEY, OPERATOR_CERTIFICATE, profile::FILE_NAME].map(|name| layout.dir().join(name));
        let server = [
            layout.config(),
            layout.authority(),
            layout.server_key(),
            layout.server_certificate(),
            layout.engine_secret(),
            layout.result_key(),
            layout.log_key(),
            layout.log_public_key(),
            layout.trust_bundle(),
            layout.ek_roots(),
        ];
        Self(server.into_iter().chain(operator).collect())
    }

    fn refuse_existing(&self, layout: &Layout) -> anyhow::Result<()> {
        let dir = layout.dir().display();
        if layout.config().symlink_metadata().is_ok() {
            return Err(anyhow::anyhow!("{dir} holds a server already; nothing was changed"))
                .hint(format!("start it (vouchsafe serve --dir {dir}), or name another folder"));
        }
        let there: Vec<String> = self
            .0
            .iter()
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if there.is_empty() {
            return Ok(());
        }
        Err(anyhow::anyhow!("{dir} holds files that would be overwritten: {}", there.join(", "))).hint(
            "they are the remains of an init that was cut short, or somebody else's: look at them and remove them, or name \
             another folder",
        )
    }
}

/// What was made so far; it is removed again unless all is made.
struct Unfinished {
    made: Vec<PathBuf>,
    dir: Option<PathBuf>,
}

impl Unfinished {
    /// Nothing yet, in a folder that goes, too, if it is new.
    fn new(dir: Option<PathBuf>) -> Self {
        Self { made: Vec::new(), dir }
    }

    /// Makes a file that was not there.
    fn file(&mut self, path: PathBuf, bytes: &[u8]) -> anyhow::Result<()> {
        files::create_private_file(&path, bytes)?;
        self.made.push(path);
        Ok(())
    }

    /// Makes a folder that was not there, with what is in it.
    fn making<T>(&mut self, dir: PathBuf, make: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.made.push(dir.clone());
        make(&dir)
    }

    /// All is made.
    fn finish(mut self) {
        self.made.clear();
        self.dir = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What is reported is why the making failed. What cannot be removed is named by the next run.
        for path in self.made.iter().rev() {
            drop(if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) });
        }
        if let Some(dir) = &self.dir {
            drop(fs::remove_dir(dir));
        }
    }
}

#[cfg(test)]
mod tests;
