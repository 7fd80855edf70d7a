//! The API, as operators use it: JSON over TLS 1.3, both sides by certificates of the server's own authority.
//!
//! The server is known by the profile's trust bundle and by nothing else: the machine's own roots are never asked.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, RequestBuilder, Response, Url};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vouchsafe_model::{Sha256Digest, Timestamp};
use vouchsafe_pki::{LocalKey, PeerCertificate, files, pem};
use vouchsafe_wire::v1::operate::Page;
use vouchsafe_wire::v1::{limits, problem::Problem};

use crate::failure::{Hint as _, with_hint};
use crate::host;
use crate::profile::Profile;

mod failed;

pub(crate) use failed::CallFailed;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take, from the first byte sent to the last one received.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes: a full page of devices, each with every finding there is, is below 8 MiB.
const MAX_ANSWER_LEN: usize = 16 * 1024 * 1024;
/// The longest file of certificates that is read, in bytes.
const MAX_CERTIFICATES_LEN: usize = 256 * 1024;

/// A connection to the API.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// A place of the API, with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
}

impl Endpoint {
    /// `/v1/` and these segments. They are escaped, so that no name can reach another place.
    pub(crate) fn v1<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { segments: std::iter::once("v1").chain(segments).map(str::to_owned).collect(), query: Vec::new() }
    }

    /// The same place with one more parameter.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// The same place with one more parameter, if it has a value.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        // Only a URL that cannot have a path has no segments, and `Client::open` lets none of those in.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&self.segments);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

impl Client {
    /// Makes ready to call the server of a profile. Nothing is sent yet.
    ///
    /// # Errors
    /// When a file of the profile is missing or unusable, or the operator's certificate has ended.
    pub(crate) fn open(profile: &Profile, now: Timestamp) -> anyhow::Result<Self> {
        let base = read_url(&profile.url)?;
        let tls = client_tls(profile, now)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot prepare the connection")?;
        Ok(Self { http, base })
    }

    /// Reads what is there.
    pub(crate) async fn read<T: DeserializeOwned>(&self, endpoint: &Endpoint) -> anyhow::Result<T> {
        self.call::<(), T>(Method::GET, endpoint, None).await
    }

    /// Reads what is there as a text, which is no JSON.
    pub(crate) async fn read_text(&self, endpoint: &Endpoint) -> anyhow::Result<String> {
        let (url, answered) = self.send::<()>(Method::GET, endpoint, None).await;
        hinted(answered.and_then(|(status, bytes)| {
            let text = accepted(&url, status, bytes)?;
            String::from_utf8(text).map_err(|_| CallFailed::NoText { url: url.to_string() })
        }))
    }

    /// Sends a request with a body.
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        body: &B,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, endpoint, Some(body)).await
    }

    /// Sends a request without a body.
    pub(crate) async fn trigger<T: DeserializeOwned>(&self, endpoint: &Endpoint) -> anyhow::Result<T> {
        self.call::<(), T>(Method::POST, endpoint, None).await
    }

    /// Puts a body in place of what is there.
    pub(crate) async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        body: &B,
    ) -> anyhow::Result<T> {
        self.call(Method::PUT, endpoint, Some(body)).await
    }

    /// Puts bytes in place of what is there, if that still has this hash.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses: 412 where something else is there by now.
    pub(crate) async fn put_bytes<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        bytes: Vec<u8>,
        expected: Sha256Digest,
    ) -> Result<T, CallFailed> {
        let url = endpoint.url(&self.base);
        let request = self.http.put(url.clone()).header(CONTENT_TYPE, "application/gzip");
        let request = request.header(IF_MATCH, format!("\"{expected}\"")).body(bytes);
        let (status, bytes) = self.answer(request).await?;
        interpret(&url, status, bytes)
    }

    /// Reads a list page by page, up to so many rows. Says on standard error when there are more.
    pub(crate) async fn read_all<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        limit: u32,
    ) -> anyhow::Result<Vec<T>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let wanted = (limit - items.len()).min(limits::PAGE as usize);
            let asked = endpoint.clone().with("limit", wanted).with_some("after", after.as_ref());
            let page: Page<T> = self.read(&asked).await?;
            items.extend(page.items.into_iter().take(wanted));
            match page.next {
                Some(_) if items.len() >= limit => {
                    host::complain(&format!("note: there are more than {limit} rows; --limit asks for more\n"));
                    return Ok(items);
                }
                // A page that points to itself would never end.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(items),
            }
        }
    }

    async fn call<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        endpoint: &Endpoint,
        body: Option<&B>,
    ) -> anyhow::Result<T> {
        let (url, answered) = self.send(method, endpoint, body).await;
        hinted(answered.and_then(|(status, bytes)| interpret(&url, status, bytes)))
    }

    /// Sends a request; where it went, and the status and body that came back.
    async fn send<B: Serialize + Sync>(
        &self,
        method: Method,
        endpoint: &Endpoint,
        body: Option<&B>,
    ) -> (Url, Result<(u16, Vec<u8>), CallFailed>) {
        let url = endpoint.url(&self.base);
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        (url, self.answer(request).await)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), CallFailed> {
        match request.send().await {
            Ok(response) => read_answer(response).await,
            Err(error) => Err(CallFailed::unreachable(&self.base, error)),
        }
    }
}

fn hinted<T>(answered: Result<T, CallFailed>) -> anyhow::Result<T> {
    answered.map_err(explained)
}

/// A call that came to nothing, with what to do about it.
pub(crate) fn explained(failed: CallFailed) -> anyhow::Error {
    let hint = failed.hint();
    let error = anyhow::Error::new(failed);
    if let Some(hint) = hint { with_hint(error, hint) } else { error }
}

async fn read_answer(mut response: Response) -> Result<(u16, Vec<u8>), CallFailed> {
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    let url = response.url().clone();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallFailed::unreachable(&url, error))? {
        if bytes.len() + chunk.len() > MAX_ANSWER_LEN {
            return Err(CallFailed::TooLong { url: url.to_string() });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((status, bytes))
}

/// Makes an answer of what came back.
fn interpret<T: DeserializeOwned>(url: &Url, status: u16, bytes: Vec<u8>) -> Result<T, CallFailed> {
    let bytes = accepted(url, status, bytes)?;
    serde_json::from_slice(&bytes).map_err(|source| CallFailed::Unreadable { url: url.to_string(), source })
}

/// The body of an answer that is no refusal.
fn accepted(url: &Url, status: u16, bytes: Vec<u8>) -> Result<Vec<u8>, CallFailed> {
    if (200..300).contains(&status) {
        return Ok(bytes);
    }
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Err(CallFailed::Refused(Box::new(problem))),
        Err(_) => Err(CallFailed::Unexpected { url: url.to_string(), status }),
    }
}

fn read_url(text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).with_context(|| format!("the profile's url '{text}' is no URL"))?;
    if url.scheme() == "https" && url.has_host() {
        return Ok(url);
    }
    Err(anyhow::anyhow!("the profile's url '{text}' does not begin with https://"))
        .hint("the API is served over TLS alone, such as https://engine.example.org:8443")
}

fn client_tls(profile: &Profile, now: Timestamp) -> anyhow::Result<rustls::ClientConfig> {
    let read = |path: &std::path::Path| -> anyhow::Result<Vec<Vec<u8>>> {
        let text = files::read_file(path, MAX_CERTIFICATES_LEN)?;
        pem::decode_certificates(&text).with_context(|| format!("{} holds no certificates", path.display()))
    };
    let mut roots = RootCertStore::empty();
    for der in read(&profile.trust_bundle)? {
        roots
            .add(CertificateDer::from(der))
            .with_context(|| format!("a root in {} cannot be used", profile.trust_bundle.display()))?;
    }
    let chain = read(&profile.certificate)?;
    refuse_expired(profile, chain.first().map(Vec::as_slice).unwrap_or_default(), now)?;
    let key = LocalKey::read(&profile.key)
        .with_context(|| format!("the operator's key {} cannot be used", profile.key.display()))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("TLS 1.3 is not available")?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .with_context(|| {
            format!("{} and {} do not belong together", profile.certificate.display(), profile.key.display())
        })
}

/// The server would refuse it, too, but could not say so as plainly.
fn refuse_expired(profile: &Profile, leaf: &[u8], now: Timestamp) -> anyhow::Result<()> {
    let path = profile.certificate.display();
    let certificate = PeerCertificate::identify(leaf).with_context(|| format!("{path} is no certificate of ours"))?;
    if !certificate.is_expired(now) {
        return Ok(());
    }
    Err(anyhow::anyhow!("the operator's certificate {path} ended at {}", certificate.not_after)).hint(
        "let another operator issue a new one (vouchsafe credential issue), or do so on the server's machine with --ca",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_so_that_they_cannot_reach_another_place() {
        let base = read_url("https://engine.example.org:8443").unwrap();
        let url =
            Endpoint::v1(["images", "../tokens?x=1#y", "retire"]).with("at", "2026-01-01T00:00:00+02:00").url(&base);
        assert_eq!(
            url.as_str(),
            "https://engine.example.org:8443/v1/images/..%2Ftokens%3Fx=1%23y/retire?at=2026-01-01T00%3A00%3A00%2B02%3A00"
        );
        let below = read_url("https://proxy.example.org/engine/").unwrap();
        assert_eq!(Endpoint::v1(["devices"]).url(&below).as_str(), "https://proxy.example.org/engine/v1/devices");
    }

    #[test]
    fn only_https_is_spoken() {
        for text in ["http://engine:8443", "engine:8443", "file:///etc", "unix:/x", ""] {
            assert!(read_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_problem_is_told_as_the_server_put_it() {
        let url = Url::parse("https://e/v1/devices/uws2").unwrap();
        let problem = Problem::new(404, "device.not_found", "There is no such device").with_detail("uws2");
        let failed = interpret::<()>(&url, 404, serde_json::to_vec(&problem).unwrap()).unwrap_err();
        assert_eq!(failed.to_string(), "There is no such device: uws2 (device.not_found)");
        let failed = interpret::<()>(&url, 502, b"<html>".to_vec()).unwrap_err();
        assert_eq!(failed.to_string(), "https://e/v1/devices/uws2 answered with status 502 and without an explanation");
        let failed = interpret::<u8>(&url, 200, b"{}".to_vec()).unwrap_err();
        assert!(matches!(failed, CallFailed::Unreadable { .. }));
    }
}
