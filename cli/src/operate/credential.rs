//! `vouchsafe credential`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::{PeerRole, SpiffeId};
use vouchsafe_pki::{Authority, Csr, LeafRequest, LeafUsage, LocalKey, Serial, files};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::operate::{IssueCredential, IssuedCredential};

use crate::args::ProfileArgs;
use crate::args::credential::{CredentialCommand, IssueArgs, RoleArg};
use crate::client::{Client, Endpoint};
use crate::failure::Hint as _;
use crate::output::credential::WrittenCredential;
use crate::profile::{self, Environment, Profile};
use crate::{host, output};

/// The name of the file of roots.
const TRUST_BUNDLE: &str = "trust-bundle.pem";

pub(super) async fn run(profile: &ProfileArgs, command: CredentialCommand) -> anyhow::Result<()> {
    let CredentialCommand::Issue(args) = command;
    let names = FileNames::of(args.role);
    // Who signs here for an enforcement point needs to know no server.
    let profile = match (&args.ca, names.profile) {
        (Some(_), None) => None,
        _ => Some(Profile::find(profile, &Environment::read())?),
    };
    let is_new = !args.out.exists();
    refuse_existing(&args, &names)?;
    let issued = issue(&args, &names, profile.as_ref()).await;
    if issued.is_err() && is_new {
        // It goes only if it is empty, and that it stays harms nobody.
        drop(std::fs::remove_dir(&args.out));
    }

    let written = WrittenCredential {
        role: args.role.name(),
        name: args.name.to_string(),
        dir: args.out.clone(),
        files: names.all(),
        expires_at: issued?.expires_at,
    };
    output::show(args.format.format, &written, || output::credential::written(&written, host::now()))
}

/// Makes the key, has it certified and writes the files.
async fn issue(args: &IssueArgs, names: &FileNames, profile: Option<&Profile>) -> anyhow::Result<IssuedCredential> {
    let key = LocalKey::generate().context("cannot make a key")?;
    let request = key.certification_request().context("cannot ask for a certificate")?;
    let issued = match (&args.ca, profile) {
        (None, Some(profile)) => ask_server(profile, args, request).await?,
        (authority, _) => sign_here(authority.as_deref(), args, &request, host::now())?,
    };
    write(args, names, &key, &issued, profile)?;
    Ok(issued)
}

/// The names of a credential's files.
struct FileNames {
    key: &'static str,
    certificate: &'static str,
    profile: Option<&'static str>,
}

impl FileNames {
    fn of(role: RoleArg) -> Self {
        match role {
            RoleArg::Operator => {
                Self { key: "operator.key", certificate: "operator.crt", profile: Some(profile::FILE_NAME) }
            }
            RoleArg::Enforcement => Self { key: "enforcement.key", certificate: "enforcement.crt", profile: None },
        }
    }

    fn all(&self) -> Vec<&'static str> {
        [self.key, self.certificate, TRUST_BUNDLE].into_iter().chain(self.profile).collect()
    }
}

/// Nothing is asked for that could not be written.
fn refuse_existing(args: &IssueArgs, names: &FileNames) -> anyhow::Result<()> {
    files::create_private_folder(&args.out).hint(format!("try: chmod 700 {}", args.out.display()))?;
    match names.all().into_iter().map(|name| args.out.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(files::WriteFileError::Exists { path })
            .hint("name another folder with --out, or remove the files; nothing was issued"),
    }
}

async fn ask_server(profile: &Profile, args: &IssueArgs, request: Vec<u8>) -> anyhow::Result<IssuedCredential> {
    let asked = IssueCredential {
        role: args.role.into(),
        name: args.name.clone(),
        certificate_request: Bytes::new(request).context("the certificate request is too long")?,
        ttl_secs: args.ttl.as_secs(),
    };
    Client::open(profile, host::now())?.post(&Endpoint::v1(["credentials"]), &asked).await
}

/// Signs with the authority in a folder: the way back when no operator's certificate is valid any more.
fn sign_here(
    authority: Option<&Path>,
    args: &IssueArgs,
    request: &[u8],
    now: Timestamp,
) -> anyhow::Result<IssuedCredential> {
    let dir = authority.context("no folder of an authority was named")?;
    let authority = Authority::open(dir).context("cannot open the authority")?;
    let csr = Csr::verify(request).context("the certificate request is refused")?;
    let role = match args.role {
        RoleArg::Operator => PeerRole::Operator(args.name.clone()),
        RoleArg::Enforcement => PeerRole::Enforcement(args.name.clone()),
    };
    let leaf = LeafRequest {
        csr: &csr,
        identity: SpiffeId { trust_domain: authority.trust_domain().clone(), role },
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        lifetime: Duration::from_secs(args.ttl.as_secs()),
        usage: LeafUsage::Client,
    };
    let issued = authority.issue(&leaf, now, Serial::from_entropy(host::entropy()?)).context("cannot issue")?;
    Ok(IssuedCredential {
        chain_pem: issued.chain_pem,
        trust_bundle_pem: authority.trust_bundle_pem(),
        expires_at: issued.not_after,
    })
}

/// Writes the files, the profile last: where it is, the others are.
fn write(
    args: &IssueArgs,
    names: &FileNames,
    key: &LocalKey,
    issued: &IssuedCredential,
    profile: Option<&Profile>,
) -> anyhow::Result<()> {
    let create = |name: &str, text: &str| files::create_private_file(&args.out.join(name), text.as_bytes());
    create(names.key, &key.to_pkcs8_pem())?;
    create(names.certificate, &issued.chain_pem)?;
    create(TRUST_BUNDLE, &issued.trust_bundle_pem)?;
    if let (Some(name), Some(profile)) = (names.profile, profile) {
        create(name, &Profile::text_for(&profile.url, names.certificate, names.key, TRUST_BUNDLE)?)?;
    }
    Ok(())
}
