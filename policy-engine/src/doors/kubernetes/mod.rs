//! The authorization webhook of Kubernetes: `SubjectAccessReview` of `authorization.k8s.io`, v1 and v1beta1.
//!
//! Every question that can be read is answered by a review, a deny like any other: what the API server takes for an error of
//! the webhook, it may take for no opinion, and ask its next authorizer. Have it deny then (`failurePolicy: Deny`).

mod review;

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{HttpProblem, Json};
use vouchsafe_model::{Outcome, Reason};
use vouchsafe_wire::v1::agent::Request;
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::limits::DECISION_BODY;
use vouchsafe_wire::v1::problem::Problem;

pub use review::{NonResourceAttributes, ResourceAttributes, ReviewSpec, ReviewStatus, SubjectAccessReview};

use super::native::not_decided;
use super::{Caller, Doors, Forward};
use crate::decider::{Answer, NotDecided};
use crate::question::{Question, QuestionError};
use crate::ruling::UNDEFINED;

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(doors: &Doors) -> Router {
    let routes = Router::new()
        .route("/v1/kubernetes/authorize", post(authorize))
        .route("/v1/kubernetes/authorize/no-opinion", post(authorize_or_no_opinion))
        .with_state(doors.clone());
    with_body_limit(routes, DECISION_BODY)
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(authorize, authorize_or_no_opinion), components(schemas(SubjectAccessReview, Problem)))]
pub struct KubernetesApi;

/// Whether a question that the policy has no answer to is left to the API server's next authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undefined {
    IsDenied,
    IsNoOpinion,
}

/// Reviews the access of a subject. What the policy has no answer to is denied.
#[utoipa::path(
    post,
    path = "/v1/kubernetes/authorize",
    operation_id = "kubernetesAuthorize",
    tag = "enforcement points",
    request_body(content = SubjectAccessReview),
    responses(
        (status = 200, description = "The review with its status.", body = SubjectAccessReview),
        (status = 400, description = "The body is not JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "It is not known who asks.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The API server is not registered to pass on users.", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The body is no review.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The decision could not be put on record.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn authorize(
    State(doors): State<Doors>,
    caller: Caller,
    Json(review): Json<SubjectAccessReview>,
) -> Result<Json<SubjectAccessReview>, HttpProblem> {
    answer(&doors, &caller, review, Undefined::IsDenied).await
}

/// Reviews the access of a subject. What the policy has no answer to is no opinion: neither allowed nor denied.
#[utoipa::path(
    post,
    path = "/v1/kubernetes/authorize/no-opinion",
    operation_id = "kubernetesAuthorizeOrNoOpinion",
    tag = "enforcement points",
    request_body(content = SubjectAccessReview),
    responses(
        (status = 200, description = "The review with its status.", body = SubjectAccessReview),
        (status = 401, description = "It is not known who asks.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The API server is not registered to pass on users.", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The body is no review.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The decision could not be put on record.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn authorize_or_no_opinion(
    State(doors): State<Doors>,
    caller: Caller,
    Json(review): Json<SubjectAccessReview>,
) -> Result<Json<SubjectAccessReview>, HttpProblem> {
    answer(&doors, &caller, review, Undefined::IsNoOpinion).await
}

async fn answer(
    doors: &Doors,
    caller: &Caller,
    review: SubjectAccessReview,
    undefined: Undefined,
) -> Result<Json<SubjectAccessReview>, HttpProblem> {
    review.check_kind().map_err(|detail| HttpProblem::unacceptable("kubernetes.review", detail))?;
    caller.may_pass_on(Forward::User)?;
    let ask = review.spec.ask(&caller.identity().trust_domain);
    if ask.device.is_some() {
        caller.may_pass_on(Forward::Device)?;
    }
    let asked_by = Some(caller.identity().clone());
    let answer = match Question::check(ask) {
        Ok(question) => doors.decider.decide(question, asked_by).await,
        Err(error) => match out_of_bounds() {
            Ok(question) => doors.decider.deny(question, too_large(&error), asked_by).await,
            Err(error) => Err(NotDecided::from(error)),
        },
    };
    let answer = answer.map_err(not_decided)?;
    Ok(Json(SubjectAccessReview { status: Some(status_of(&answer, undefined)), ..review }))
}

/// What is on record of a review whose texts are not.
fn out_of_bounds() -> Result<Question, QuestionError> {
    let request = Request::new("review", "kubernetes:");
    Question::check(AskDecision::about(request))
}

fn too_large(error: &QuestionError) -> Reason {
    let message = format!("The review is out of bounds: {error}.");
    Reason { code: "request.too_large".to_owned(), message, fix: None }
}

fn status_of(answer: &Answer, undefined: Undefined) -> ReviewStatus {
    let decision = answer.decision();
    let is_undefined = decision.reasons().iter().any(|reason| reason.code == UNDEFINED);
    let (allowed, denied) = match decision.outcome() {
        Outcome::Allow => (true, false),
        Outcome::Deny => (false, !(is_undefined && undefined == Undefined::IsNoOpinion)),
    };
    let mut reason = format!("decision {}", decision.id());
    for Reason { code, message, fix } in decision.reasons() {
        // Writing to a String cannot fail.
        let _ = write!(reason, "; {code}: {message}");
        if let Some(fix) = fix {
            let _ = write!(reason, " {fix}");
        }
    }
    ReviewStatus { allowed, denied, reason }
}
