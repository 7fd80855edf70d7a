//! Errors in OPA's form. What a stranger reads here is not what the log says.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use vouchsafe_http::HttpProblem;
use vouchsafe_model::ijson::NoIJson;
use vouchsafe_wire::v1::opa::{OpaError, OpaFault, OpaLocation};

use super::Opa;
use crate::compile::Finding;
use crate::decider::NotDecided;
use crate::doors::NotBelieved;
use crate::query::QueryError;
use crate::question::QuestionError;

/// Something is wrong with what was sent.
pub(super) const INVALID_PARAMETER: &str = "invalid_parameter";
/// The caller may not do this.
const UNAUTHORIZED: &str = "unauthorized";
/// There is no such thing.
pub(super) const RESOURCE_NOT_FOUND: &str = "resource_not_found";
/// The rule has no value.
const UNDEFINED_DOCUMENT: &str = "undefined_document";
/// It is our fault.
const INTERNAL_ERROR: &str = "internal_error";

/// An error as an answer.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) error: Box<OpaError>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let error = OpaError { code: code.to_owned(), message: message.into(), errors: Vec::new() };
        Self { status, error: Box::new(error) }
    }

    /// Something is wrong with what was sent.
    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_PARAMETER, message)
    }

    /// What was sent is no I-JSON.
    pub(super) fn json(message: &str, error: &NoIJson) -> Self {
        let location = OpaLocation { file: "input".to_owned(), row: error.line, col: error.column };
        Self::parameter(format!("{message}: {}", error.message)).because(&error.message, Some(location))
    }

    /// The policy does not pass the gate.
    pub(super) fn findings<'a>(message: impl Into<String>, findings: impl Iterator<Item = &'a Finding>) -> Self {
        let mut fault = Self::new(StatusCode::UNPROCESSABLE_ENTITY, INVALID_PARAMETER, message);
        fault.error.errors = findings.map(told).collect();
        fault
    }

    /// The rule has no value.
    pub(super) fn undefined(path: &str) -> Self {
        let message = format!("document missing or undefined: data{}", path.replace('/', "."));
        Self::new(StatusCode::NOT_FOUND, UNDEFINED_DOCUMENT, message)
    }

    /// The rule could not be evaluated.
    pub(super) fn evaluation() -> Self {
        let message = "error(s) occurred while evaluating query";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR, message)
            .because("The policy could not be evaluated; the engine's log tells more.", None)
    }

    fn because(mut self, message: &str, location: Option<OpaLocation>) -> Self {
        let code = self.error.code.clone();
        self.error.errors.push(OpaFault { code, message: message.to_owned(), location });
        self
    }
}

/// What the gate found, as OPA tells what its compiler found.
fn told(finding: &Finding) -> OpaFault {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let location = finding.location.as_ref().map(|place| OpaLocation {
        file: place.file.clone(),
        row: number(place.line),
        col: number(place.column),
    });
    OpaFault { code: finding.code.name().to_owned(), message: finding.message.clone(), location }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        // Texts and numbers always have a JSON form. OPA indents its errors.
        let body = serde_json::to_vec_pretty(&self.error).unwrap_or_default();
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (self.status, [json, (CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
    }
}

/// Problems are told in OPA's words where OPA has some.
impl From<HttpProblem> for Fault {
    fn from(problem: HttpProblem) -> Self {
        let status = problem.status();
        let code = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => UNAUTHORIZED,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => RESOURCE_NOT_FOUND,
            status if status.is_server_error() => INTERNAL_ERROR,
            _ => INVALID_PARAMETER,
        };
        let problem = problem.problem();
        let detail = problem.detail.as_deref().unwrap_or_default();
        Self::new(status, code, format!("{}. {detail}", problem.title).trim_end())
    }
}

impl From<NotBelieved> for Fault {
    fn from(not_believed: NotBelieved) -> Self {
        HttpProblem::from(not_believed).into()
    }
}

impl From<QuestionError> for Fault {
    fn from(error: QuestionError) -> Self {
        Self::parameter(format!("input: {error}"))
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        Self::parameter(error.to_string())
    }
}

/// What is not on record is not answered, whatever it was.
impl From<NotDecided> for Fault {
    fn from(error: NotDecided) -> Self {
        let problem = crate::doors::native::not_decided(error);
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..problem.into() }
    }
}

/// A refusal before the door, in OPA's form.
pub fn as_opa(problem: HttpProblem) -> Response {
    Fault::from(problem).into_response()
}

/// What OPA can do and this cannot: whatever would bring the text of a query or a policy along.
pub(super) async fn not_served(State(opa): State<Opa>, request: Request) -> Response {
    match opa.doors.points.caller(request.extensions()) {
        Err(problem) => as_opa(problem),
        Ok(_) => Fault::new(
            StatusCode::NOT_FOUND,
            RESOURCE_NOT_FOUND,
            "not served here: queries and policies do not come from callers",
        )
        .into_response(),
    }
}
