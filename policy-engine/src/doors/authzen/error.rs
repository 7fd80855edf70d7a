//! Errors: a status and a message, as text (10.1.2).

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use vouchsafe_http::HttpProblem;
use vouchsafe_model::ijson;
use vouchsafe_wire::v1::authzen::Unacceptable;

use crate::decider::NotDecided;
use crate::doors::NotBelieved;

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// A failure of ours, of which the log tells more.
    pub(super) fn internal() -> Self {
        let message = "The engine failed; its log tells more under this request's id.".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let headers = [text, (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (self.status, headers, self.message).into_response()
    }
}

impl From<HttpProblem> for Refused {
    fn from(problem: HttpProblem) -> Self {
        let status = problem.status();
        let problem = problem.problem();
        let detail = problem.detail.as_deref().unwrap_or_default();
        Self { status, message: format!("{}. {detail}", problem.title).trim_end().to_owned() }
    }
}

impl From<Unacceptable> for Refused {
    fn from(error: Unacceptable) -> Self {
        Self::bad_request(format!("{error}."))
    }
}

impl From<NotBelieved> for Refused {
    fn from(not_believed: NotBelieved) -> Self {
        HttpProblem::from(not_believed).into()
    }
}

/// What is not on record is not answered, whatever it was.
impl From<NotDecided> for Refused {
    fn from(error: NotDecided) -> Self {
        let refused = Self::from(crate::doors::native::not_decided(error));
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..refused }
    }
}

/// A refusal before the door, as this door tells it.
pub fn as_text(problem: HttpProblem) -> Response {
    Refused::from(problem).into_response()
}

/// Reads the body of a request: I-JSON that says it is JSON.
pub(super) async fn read_body(request: Request, max: usize) -> Result<Value, Refused> {
    check_type(request.headers())?;
    let too_large = |_| Refused { status: StatusCode::PAYLOAD_TOO_LARGE, message: "The body is too large.".to_owned() };
    let body = to_bytes(request.into_body(), max).await.map_err(too_large)?;
    ijson::parse(&body).map_err(|error| Refused::bad_request(format!("The body is no I-JSON: {error}.")))
}

fn check_type(headers: &HeaderMap) -> Result<(), Refused> {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Refused::bad_request("The Content-Type has to be application/json."));
    }
    let encoded =
        headers.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded { Err(Refused::bad_request("Send the body without a Content-Encoding.")) } else { Ok(()) }
}
