//! HTTP to the engine: one request, one answer, both bounded in size and time.

mod error;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vouchsafe_wire::v1::attest::{Appraised, Challenge, Evidence};
use vouchsafe_wire::v1::enrol::{
    BeginEnrolment, CompleteEnrolment, DeviceCertificate, Enrolled, EnrolmentChallenge, Renew,
};
use vouchsafe_wire::v1::logs::{ImaPart, ImaPosition};
use vouchsafe_wire::v1::problem::Problem;

pub use error::{ClientError, RequestError};

/// The largest answer that is read, in bytes: a verdict with as many findings as it may have, whose every byte JSON has to
/// escape. Evidence of a host after an update that nobody announced is answered with hundreds of them.
pub const MAX_ANSWER: usize = 6 * 1024 * 1024;
/// How long a connection may take, the TPM's signature included.
const CONNECT_LIMIT: Duration = Duration::from_secs(25);
/// How long a connection is kept for the next part of a list. Reading and compressing one takes well below a second.
const NEXT_PART: Duration = Duration::from_secs(5);

/// A door of the engine.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Keeps its connection for a moment: a list of many parts must not cost the TPM a signature for each.
    uploads: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of the door at this URL, by these TLS settings. `limit` is for each request, connecting included.
    ///
    /// Connections are not kept, but between the parts of a list: between two attestations there is nothing to keep them
    /// for.
    ///
    /// # Errors
    /// When the URL is not one of HTTPS.
    pub fn new(url: &str, tls: rustls::ClientConfig, limit: Duration) -> Result<Self, ClientError> {
        let invalid = || ClientError::Url { url: url.chars().take(200).collect() };
        let base = Url::parse(url).map_err(|_| invalid())?;
        if base.scheme() != "https" || base.cannot_be_a_base() || base.query().is_some() || base.fragment().is_some() {
            return Err(invalid());
        }
        let builder = |tls: rustls::ClientConfig| {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .https_only(true)
                .http1_only()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_LIMIT.min(limit))
                .timeout(limit)
                .user_agent(concat!("vouchsafe-agent/", env!("CARGO_PKG_VERSION")))
        };
        let uploads = builder(tls.clone()).pool_max_idle_per_host(1).pool_idle_timeout(NEXT_PART).build();
        let http = builder(tls).pool_max_idle_per_host(0).build();
        Ok(Self { http: http.map_err(ClientError::Library)?, uploads: uploads.map_err(ClientError::Library)?, base })
    }

    /// `POST /v1/enrol/begin`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn begin_enrolment(&self, message: &BeginEnrolment) -> Result<EnrolmentChallenge, RequestError> {
        self.post("v1/enrol/begin", message).await
    }

    /// `POST /v1/enrol/complete`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn complete_enrolment(&self, message: &CompleteEnrolment) -> Result<Enrolled, RequestError> {
        self.post("v1/enrol/complete", message).await
    }

    /// `POST /v1/challenge`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn challenge(&self) -> Result<Challenge, RequestError> {
        self.post("v1/challenge", &serde_json::Map::new()).await
    }

    /// `POST /v1/attest`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn attest(&self, evidence: Evidence) -> Result<Appraised, RequestError> {
        self.post("v1/attest", evidence).await
    }

    /// `POST /v1/renew`.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn renew(&self, message: &Renew) -> Result<DeviceCertificate, RequestError> {
        self.post("v1/renew", message).await
    }

    /// `POST /v1/logs/ima`: a part of the IMA list ahead of evidence. The answer is from where to go on.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn send_ima(&self, part: ImaPart) -> Result<ImaPosition, RequestError> {
        self.post_by(&self.uploads, "v1/logs/ima", part).await
    }

    async fn post<A: DeserializeOwned>(&self, path: &str, message: impl Serialize) -> Result<A, RequestError> {
        self.post_by(&self.http, path, message).await
    }

    async fn post_by<A: DeserializeOwned>(
        &self,
        http: &reqwest::Client,
        path: &str,
        message: impl Serialize,
    ) -> Result<A, RequestError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        let json = json(&message);
        // It may be a megabyte of a log, which must not lie here twice while the engine thinks.
        drop(message);
        let request = http.post(url).header(CONTENT_TYPE, "application/json").body(json);
        let response = request.send().await.map_err(|error| RequestError::of(&error))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = body(response).await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| RequestError::Unintelligible {
                reason: format!("status {}, and a body that is no answer to /{path}: {error}", status.as_u16()),
            });
        }
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| without_problem(status));
        Err(RequestError::Problem { problem: Box::new(Problem { status: status.as_u16(), ..problem }), retry_after })
    }
}

/// A message in JSON, in a buffer of just its length: one that doubles while it grows is at its largest twice as long.
fn json(message: &impl Serialize) -> Vec<u8> {
    let mut length = Length(0);
    // Our messages can be written, and memory takes all; what could not would be refused by the engine.
    let _ = serde_json::to_writer(&mut length, message);
    let mut body = Vec::with_capacity(length.0);
    let _ = serde_json::to_writer(&mut body, message);
    body
}

/// How much is written to it.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, RequestError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| RequestError::of(&error))? {
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(RequestError::Unintelligible { reason: format!("more than {MAX_ANSWER} bytes") });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// `Retry-After` in seconds (RFC 9110, 10.2.3). A date would have to be compared with a clock that nobody vouches for.
fn retry_after(response: &Response) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The problem of a server in between, which does not speak of problems as the engine does.
fn without_problem(status: StatusCode) -> Problem {
    Problem::new(status.as_u16(), "http", status.canonical_reason().unwrap_or("an error without a name"))
}
