//! Bodies, paths and queries as types. Whatever does not fit is a problem that says where.

use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::BodyLimit;
use crate::problem::HttpProblem;

/// A JSON body, in or out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json<T>(pub T);

/// A body of any kind, within its bound.
#[derive(Clone, Debug, Default)]
pub struct WholeBody(pub Bytes);

/// The parameters of a path.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// The parameters of a query.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        check_media_type(request.headers())?;
        let limit = request.extensions().get::<BodyLimit>().copied();
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unread_body(&rejection, limit))?;
        read_json(&body).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for WholeBody {
    type Rejection = HttpProblem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let limit = request.extensions().get::<BodyLimit>().copied();
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| unread_body(&rejection, limit))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(TYPICAL_BODY_LEN);
        match serde_json::to_writer(&mut body, &self.0) {
            Ok(()) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
            Err(error) => HttpProblem::internal(error).into_response(),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) if error.status() == StatusCode::BAD_REQUEST => {
                Err(HttpProblem::new(StatusCode::BAD_REQUEST, "path.unacceptable", "The path is not acceptable")
                    .with_detail(error.kind().to_string()))
            }
            Err(misused) => Err(HttpProblem::internal(misused)),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                Err(HttpProblem::new(StatusCode::BAD_REQUEST, "query.unacceptable", "The query is not acceptable")
                    .with_detail(innermost(&error)))
            }
            Err(misused) => Err(HttpProblem::internal(misused)),
        }
    }
}

/// Room for most answers, so that they are not made in several steps.
const TYPICAL_BODY_LEN: usize = 1536;

/// Reads the whole of a body as JSON. Where a fault is, is only looked for when there is one: to keep track of the place
/// costs as much as the reading.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpProblem> {
    serde_json::from_slice(body).or_else(|_| read_json_tracking(body))
}

fn read_json_tracking<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpProblem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() { unacceptable(&error, &path) } else { malformed(&error) }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Not JSON: the text of the error names line and column.
fn malformed(error: &serde_json::Error) -> HttpProblem {
    HttpProblem::new(StatusCode::BAD_REQUEST, "json.malformed", "The body is not JSON").with_detail(error.to_string())
}

/// JSON, but not of the shape that was due: an unknown field, a missing one, another type, a value out of bounds.
fn unacceptable(error: &serde_json::Error, path: &str) -> HttpProblem {
    let place = if path == "." { "in the whole" } else { path };
    HttpProblem::unacceptable("json.unacceptable", format!("{place}: {error}"))
}

fn unread_body(rejection: &BytesRejection, limit: Option<BodyLimit>) -> HttpProblem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => body_too_large(limit),
        _ => HttpProblem::new(StatusCode::BAD_REQUEST, "request.body_cut_short", "The body could not be read")
            .with_detail("The connection ended, or the framing broke, before the end of the body."),
    }
}

pub(crate) fn body_too_large(limit: Option<BodyLimit>) -> HttpProblem {
    let detail = limit.map_or_else(
        || "The body is longer than is read here.".to_owned(),
        |BodyLimit(max)| format!("The body is longer than the maximum of {max} bytes."),
    );
    HttpProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.body_too_large", "The body is too large")
        .with_detail(detail)
}

/// `application/json` or `application/…+json`, not compressed: what is unpacked here could not be bounded by the length
/// that was sent.
fn check_media_type(headers: &HeaderMap) -> Result<(), HttpProblem> {
    let refuse = |detail: &str| {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Err(HttpProblem::new(status, "request.media_type", "The body is of another type").with_detail(detail))
    };
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|essence| essence.trim().to_ascii_lowercase());
    let is_json = essence.as_deref().and_then(|essence| essence.strip_prefix("application/")).is_some_and(|subtype| {
        subtype == "json" || subtype.strip_suffix("+json").is_some_and(|structured| !structured.is_empty())
    });
    if !is_json {
        return refuse("Send application/json.");
    }
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            refuse("Send the body without a Content-Encoding.")
        }
        _ => Ok(()),
    }
}

/// The text of the last cause, which is the parser's own.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
