//! Fetches a bundle, if there is another one than before: as OPA does, with an `ETag` and, where the server can, a request
//! that waits until there is something new.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{Client, Response, StatusCode, Url};
use vouchsafe_pki::files;
use vouchsafe_policies::limits;

use crate::serve::config::{BundleConfig, Layout};
use crate::serve::outward::{self, ClientCertificate};

/// How long a request may take besides what the server is asked to wait.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What a server that can wait calls a bundle.
const BUNDLE_TYPE: &str = "application/vnd.openpolicyagent.bundles";
/// The longest `ETag` that is remembered, in bytes.
const MAX_ETAG_LEN: usize = 1024;

/// Where bundles are fetched from.
pub(super) enum Fetch {
    File(PathBuf),
    Http(Box<HttpFetch>),
}

pub(super) struct HttpFetch {
    client: Client,
    url: Url,
    token_file: Option<PathBuf>,
    long_poll_secs: u32,
    /// Whether the server can wait, as far as it said.
    can_wait: bool,
}

/// What came.
pub(super) enum Fetched {
    /// There is no other.
    Same,
    /// One that may be another.
    Bundle { bytes: Vec<u8>, etag: Option<String> },
}

impl Fetch {
    pub(super) fn new(config: &BundleConfig, layout: &Layout) -> anyhow::Result<Self> {
        let resolve = |file: &Option<PathBuf>| file.as_ref().map(|file| layout.resolve(file));
        let url = match (&config.file, &config.url) {
            (Some(file), None) => return Ok(Self::File(layout.resolve(file))),
            (None, Some(url)) => outward::read_url("policy.bundle.url", url)?,
            _ => bail!("[policy.bundle] needs either file or url"),
        };
        let identity = match (resolve(&config.client_certificate_file), resolve(&config.client_key_file)) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) => None,
            _ => bail!("policy.bundle.client_certificate_file and client_key_file go together"),
        };
        let client = outward::client(resolve(&config.ca_file).as_deref(), identity.as_ref())?;
        Ok(Self::Http(Box::new(HttpFetch {
            client: client.build().context("cannot prepare to fetch policies")?,
            url,
            token_file: resolve(&config.token_file),
            long_poll_secs: config.long_poll_secs,
            can_wait: false,
        })))
    }

    /// Fetches it, unless it is the one with this tag.
    pub(super) async fn fetch(&mut self, etag: Option<&str>, may_wait: bool) -> anyhow::Result<Fetched> {
        match self {
            Self::File(path) => {
                let bytes = files::read_file(path, limits::ARCHIVE_BYTES)?;
                Ok(Fetched::Bundle { bytes, etag: None })
            }
            Self::Http(http) => http.fetch(etag, may_wait).await,
        }
    }

    /// Whether the next request waits where it is sent, so that nothing has to be waited for here.
    pub(super) fn waits(&self) -> bool {
        matches!(self, Self::Http(http) if http.can_wait && http.long_poll_secs > 0)
    }
}

impl HttpFetch {
    async fn fetch(&mut self, etag: Option<&str>, may_wait: bool) -> anyhow::Result<Fetched> {
        let wait = if may_wait { self.long_poll_secs } else { 0 };
        let timeout = TIMEOUT + Duration::from_secs(wait.into());
        let mut request = self.client.get(self.url.clone()).timeout(timeout).header(ACCEPT, "*/*");
        let prefer = if wait > 0 { format!("modes=snapshot;wait={wait}") } else { "modes=snapshot".to_owned() };
        request = request.header("prefer", prefer);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(token) = outward::token(self.token_file.as_deref())? {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.context("the bundle cannot be fetched")?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (kind, etag) = (header(CONTENT_TYPE), header(ETAG).filter(|etag| etag.len() <= MAX_ETAG_LEN));
        self.can_wait = kind.is_some_and(|kind| kind.starts_with(BUNDLE_TYPE));
        match response.status() {
            StatusCode::NOT_MODIFIED => Ok(Fetched::Same),
            StatusCode::OK => Ok(Fetched::Bundle { bytes: body(response).await?, etag }),
            status => bail!("the server of the bundle answered with status {status}"),
        }
    }
}

/// The body, as far as it may be read.
async fn body(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the bundle cannot be read to its end")? {
        ensure!(
            bytes.len().saturating_add(chunk.len()) <= limits::ARCHIVE_BYTES,
            "the bundle is larger than {} bytes",
            limits::ARCHIVE_BYTES
        );
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Http(http) => write!(f, "{}", http.url),
        }
    }
}
