//! The authority: a root and an intermediate in one private folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::Issuer;
use rustls_pki_types::CertificateDer;
use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::TrustDomain;

use crate::ca_certificate::{BadAuthority, CaCertificate};
use crate::files::{self, FolderError, ReadFileError, WriteFileError};
use crate::issue::MAX_LEAF_LIFETIME;
use crate::key::{GenerateFailed, IssuerKey, KeyAlgorithm, LocalKey, ReadKeyError, Signer};
use crate::pem;
use crate::profile::{self, Serial, Validity};

/// The root's private key. It is needed only to renew the intermediate and may be kept elsewhere until then.
pub const ROOT_KEY: &str = "root.key";
/// The root's certificate: the trust bundle.
pub const ROOT_CERTIFICATE: &str = "root.crt";
/// The intermediate's private key, which signs leaves.
pub const INTERMEDIATE_KEY: &str = "intermediate.key";
/// The intermediate's certificate. It is written last: where it is, the authority is complete.
pub const INTERMEDIATE_CERTIFICATE: &str = "intermediate.crt";

const FILES: [&str; 4] = [ROOT_KEY, ROOT_CERTIFICATE, INTERMEDIATE_KEY, INTERMEDIATE_CERTIFICATE];

/// The private certificate authority of one trust domain.
#[derive(Debug)]
pub struct Authority {
    trust_domain: TrustDomain,
    root_der: Vec<u8>,
    intermediate_der: Vec<u8>,
    intermediate_validity: Validity,
    issuer: Issuer<'static, Signer<Arc<dyn IssuerKey>>>,
}

/// Why no authority was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one already.
    #[error("{} holds an authority already; it is not overwritten", dir.display())]
    Exists {
        /// Where.
        dir: PathBuf,
    },
    /// An earlier creation was cut short and left files behind.
    #[error(
        "{} holds the remains of a creation that was cut short; nothing was issued with them, remove them: {}",
        dir.display(),
        files.join(", ")
    )]
    Remains {
        /// Where.
        dir: PathBuf,
        /// The files.
        files: Vec<String>,
    },
    /// The folder cannot be made or is open to others.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder cannot be listed.
    #[error("cannot list {}", dir.display())]
    List {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No key could be made.
    #[error(transparent)]
    Generate(#[from] GenerateFailed),
    /// A certificate could not be signed.
    #[error("a certificate of the authority could not be signed")]
    Sign(#[from] rcgen::Error),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteFileError),
    /// What was written could not be opened.
    #[error("the authority was written but cannot be opened")]
    Open(#[from] OpenError),
}

/// Why an authority was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is absent or open to others.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is none.
    #[error("{} holds no authority", dir.display())]
    Absent {
        /// Where.
        dir: PathBuf,
    },
    /// Files are missing: its creation was cut short, or somebody removed them.
    #[error("the authority in {} is incomplete: it lacks {}", dir.display(), missing.join(", "))]
    Incomplete {
        /// Where.
        dir: PathBuf,
        /// The files that are not there.
        missing: Vec<&'static str>,
    },
    /// A key is unusable or open to others.
    #[error("the key {} cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadKeyError,
    },
    /// A certificate file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFileError),
    /// A certificate is unusable.
    #[error("the certificate {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BadAuthority,
    },
    /// A key is not that of its certificate.
    #[error("the key {} is not the key of {}", key.display(), certificate.display())]
    Mismatch {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
}

/// Why an intermediate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The root's key is absent, unusable or open to others.
    #[error("the key {} cannot be used", path.display())]
    RootKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadKeyError,
    },
    /// The authority cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The root is over, and with it the authority.
    #[error("the root certificate expired at {not_after}; create a new authority")]
    RootExpired {
        /// When it ended.
        not_after: Timestamp,
    },
    /// The certificate could not be signed.
    #[error("the intermediate certificate could not be signed")]
    Sign(#[from] rcgen::Error),
    /// The certificate could not be written.
    #[error(transparent)]
    Write(#[from] WriteFileError),
}

impl Authority {
    /// Makes a root (ECDSA P-384, ten years) and an intermediate (P-256, two years) in a folder of mode 0700, which is
    /// made if it is not there. Nothing is overwritten.
    ///
    /// # Errors
    /// When there is an authority or the remains of one, or a file cannot be written.
    pub fn create(
        dir: &Path,
        trust_domain: &TrustDomain,
        now: Timestamp,
        serials: [Serial; 2],
    ) -> Result<Self, CreateError> {
        files::create_private_folder(dir)?;
        refuse_remains(dir)?;
        let [root_serial, intermediate_serial] = serials;
        let root_key = LocalKey::generate_for(KeyAlgorithm::P384)?;
        let root = profile::root(trust_domain, now, root_serial)?;
        let root_certificate = root.self_signed(&Signer(&root_key))?;

        let intermediate_key = LocalKey::generate_for(KeyAlgorithm::P256)?;
        let validity = Validity::starting(now, profile::INTERMEDIATE_LIFETIME);
        let intermediate_certificate = profile::intermediate(trust_domain, validity, intermediate_serial)?
            .signed_by(&Signer(&intermediate_key), &Issuer::new(root, Signer(&root_key)))?;

        let write = |name, text: &str| files::create_private_file(&dir.join(name), text.as_bytes());
        write(ROOT_KEY, &root_key.to_pkcs8_pem())?;
        write(ROOT_CERTIFICATE, &certificate_pem(root_certificate.der()))?;
        write(INTERMEDIATE_KEY, &intermediate_key.to_pkcs8_pem())?;
        write(INTERMEDIATE_CERTIFICATE, &certificate_pem(intermediate_certificate.der()))?;
        Ok(Self::open(dir)?)
    }

    /// Opens the authority in a folder, after checking that its keys are private and belong to its certificates, and
    /// that the root signed the intermediate. The root's key may be absent.
    ///
    /// # Errors
    /// When something is missing, damaged, mismatched or open to others; the error names the file.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        files::check_private_folder(dir)?;
        refuse_incomplete(dir)?;
        let root = CaCertificate::read(&dir.join(ROOT_CERTIFICATE))?;
        let intermediate = CaCertificate::read(&dir.join(INTERMEDIATE_CERTIFICATE))?;
        intermediate.check_issuer(&root)?;
        if dir.join(ROOT_KEY).exists() {
            root.matching_key(dir.join(ROOT_KEY))?;
        }
        let key: Arc<dyn IssuerKey> = Arc::new(intermediate.matching_key(dir.join(INTERMEDIATE_KEY))?);
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(intermediate.der.as_slice()), Signer(key))
            .map_err(|_| intermediate.bad(BadAuthority::Malformed))?;
        Ok(Self {
            trust_domain: root.trust_domain,
            root_der: root.der,
            intermediate_der: intermediate.der,
            intermediate_validity: intermediate.validity,
            issuer,
        })
    }

    /// Gives the intermediate's key a new certificate of two years, signed with the root's key, and opens the authority
    /// anew. Leaves that were issued before stay valid.
    ///
    /// # Errors
    /// When the root's key is not in the folder, the root is over, or the file cannot be written.
    pub fn renew_intermediate(dir: &Path, now: Timestamp, serial: Serial) -> Result<Self, RenewError> {
        let old = Self::open(dir)?;
        let root = CaCertificate::read(&dir.join(ROOT_CERTIFICATE))?;
        let not_after = root.validity.not_after;
        if now > not_after {
            return Err(RenewError::RootExpired { not_after });
        }
        let path = dir.join(ROOT_KEY);
        let root_key = LocalKey::read(&path).map_err(|source| RenewError::RootKey { path, source })?;
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(root.der.as_slice()), Signer(&root_key))?;
        let validity = Validity::starting(now, profile::INTERMEDIATE_LIFETIME).within(root.validity);
        let certificate =
            profile::intermediate(&old.trust_domain, validity, serial)?.signed_by(old.issuer.key(), &issuer)?;
        let path = dir.join(INTERMEDIATE_CERTIFICATE);
        files::write_private_file(&path, certificate_pem(certificate.der()).as_bytes())?;
        Ok(Self::open(dir)?)
    }

    /// Whether the intermediate ends before the longest leaf that may now be asked for, and so wants renewal.
    pub fn renewal_due(&self, now: Timestamp) -> bool {
        now.plus(MAX_LEAF_LIFETIME) > self.intermediate_validity.not_after
    }

    /// The domain that it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The root in PEM: what to trust.
    pub fn trust_bundle_pem(&self) -> String {
        certificate_pem(&self.root_der)
    }

    /// The root in DER.
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// The intermediate in DER.
    pub fn intermediate_der(&self) -> &[u8] {
        &self.intermediate_der
    }

    /// When the intermediate ends.
    pub fn intermediate_not_after(&self) -> Timestamp {
        self.intermediate_validity.not_after
    }

    pub(crate) fn intermediate_validity(&self) -> Validity {
        self.intermediate_validity
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, Signer<Arc<dyn IssuerKey>>> {
        &self.issuer
    }
}

fn refuse_remains(dir: &Path) -> Result<(), CreateError> {
    let list = |source| CreateError::List { dir: dir.to_owned(), source };
    let mut remains = Vec::new();
    for entry in fs::read_dir(dir).map_err(list)? {
        let name = entry.map_err(list)?.file_name().to_string_lossy().into_owned();
        if FILES.contains(&name.as_str()) || is_unfinished(&name) {
            remains.push(name);
        }
    }
    remains.sort();
    if FILES.iter().all(|file| remains.iter().any(|name| name == file)) {
        Err(CreateError::Exists { dir: dir.to_owned() })
    } else if remains.is_empty() {
        Ok(())
    } else {
        Err(CreateError::Remains { dir: dir.to_owned(), files: remains })
    }
}

/// Whether a file is one of ours that was being written when its writer died.
fn is_unfinished(name: &str) -> bool {
    let of_ours = |file: &&'static str| name.strip_prefix('.').is_some_and(|rest| rest.starts_with(*file));
    name.ends_with(files::UNFINISHED_SUFFIX) && FILES.iter().any(of_ours)
}

fn refuse_incomplete(dir: &Path) -> Result<(), OpenError> {
    let needed = [ROOT_CERTIFICATE, INTERMEDIATE_KEY, INTERMEDIATE_CERTIFICATE];
    let missing: Vec<_> = needed.into_iter().filter(|name| !dir.join(name).exists()).collect();
    if missing.is_empty() {
        Ok(())
    } else if FILES.iter().all(|name| !dir.join(name).exists()) {
        Err(OpenError::Absent { dir: dir.to_owned() })
    } else {
        Err(OpenError::Incomplete { dir: dir.to_owned(), missing })
    }
}

fn certificate_pem(der: &[u8]) -> String {
    pem::encode_certificates([der])
}
