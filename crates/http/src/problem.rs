//! Problem details (RFC 9457) as answers. What a stranger reads here is not what the log says.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use vouchsafe_wire::v1::problem::{Problem, ProblemFinding};

use crate::observe;

/// The media type of a problem (RFC 9457, 6.1).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem as the answer to a request: what handlers return as their error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProblem {
    /// Boxed, because every result of every handler carries room for it.
    problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl HttpProblem {
    /// A problem of this status, stable code and title. The code names the subject first: `quote.nonce_replayed`.
    pub fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        Problem::new(status.as_u16(), code, title).into()
    }

    /// The same problem, with this occurrence in words.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(self.problem.with_detail(detail)), ..self }
    }

    /// The same problem, with what is wrong one by one.
    #[must_use]
    pub fn with_findings(self, findings: Vec<ProblemFinding>) -> Self {
        Self { problem: Box::new(self.problem.with_findings(findings)), ..self }
    }

    /// The same problem, which may be gone after so long (RFC 9110, 10.2.3).
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// A failure of our own. Its cause is logged here, once; the asker learns only the request's id.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        tracing::error!(error = chain(&*cause), "request failed");
        Self::failed()
    }

    /// There is no such thing; `detail` says which.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "request.not_found", "There is nothing here").with_detail(detail)
    }

    /// What is asked for does not go together with what is.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "This does not go together with what is").with_detail(detail)
    }

    /// The request is understood and not acceptable.
    pub fn unacceptable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The request is not acceptable").with_detail(detail)
    }

    /// Something that is needed is away for the moment.
    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "Not available for the moment").with_detail(detail)
    }

    /// What was wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn failed() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "engine.internal", "The engine failed")
            .with_detail("The engine's log tells more under this request's id.")
    }
}

impl From<Problem> for HttpProblem {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), retry_after: None }
    }
}

impl IntoResponse for HttpProblem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut problem = *self.problem;
        if problem.instance.is_none() {
            problem.instance = observe::current_request_id();
        }
        // A struct of texts and a number always has a JSON form.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds_up(wait)));
        }
        response
    }
}

/// The fallback of a router: no such path.
pub(crate) async fn no_such_path() -> HttpProblem {
    HttpProblem::not_found("There is no such path.")
}

/// The fallback of a route: another method. axum adds the `Allow` header that RFC 9110, 15.5.6 asks for.
pub(crate) async fn no_such_method() -> HttpProblem {
    HttpProblem::new(StatusCode::METHOD_NOT_ALLOWED, "request.method_not_allowed", "Not by this method")
        .with_detail("The Allow header names the methods of this path.")
}

/// The answer after a panic, which is logged here.
#[expect(clippy::needless_pass_by_value, reason = "the signature is that of tower-http's panic handlers")]
pub(crate) fn after_panic(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text");
    tracing::error!(panic = message, "request panicked");
    HttpProblem::failed().into_response()
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {source}");
        cause = source.source();
    }
    text
}

fn whole_seconds_up(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds_up(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn an_internal_error_tells_nothing_of_its_cause() {
        let answer = HttpProblem::internal("the password of the database is hunter2");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!format!("{answer:?}").contains("hunter2"));
    }

    #[test]
    fn the_log_names_every_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot store the device")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk full"));
        assert_eq!(chain(&error), "cannot store the device: disk full");
    }
}
