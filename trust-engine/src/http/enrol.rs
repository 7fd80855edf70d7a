//! `POST /v1/enrol/begin` and `/v1/enrol/complete`.

use axum::extract::State;
use vouchsafe_http::{HttpProblem, Json};
use vouchsafe_wire::v1::enrol::{BeginEnrolment, CompleteEnrolment, Enrolled, EnrolmentChallenge};
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::IntoProblem;

/// Shows EK, AK and TLS key; answers a credential that only their TPM can open.
#[utoipa::path(
    post, path = "/v1/enrol/begin", tag = "enrol",
    request_body = BeginEnrolment,
    responses(
        (status = 200, body = EnrolmentChallenge),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 429, body = Problem),
    )
)]
pub(super) async fn begin(
    State(engine): State<Shared>,
    Json(message): Json<BeginEnrolment>,
) -> Result<Json<EnrolmentChallenge>, HttpProblem> {
    engine.begin_enrolment(message).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Brings the opened secret and a certificate request; answers a name, a certificate and the first challenge.
#[utoipa::path(
    post, path = "/v1/enrol/complete", tag = "enrol",
    request_body = CompleteEnrolment,
    responses(
        (status = 200, body = Enrolled),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 429, body = Problem),
    )
)]
pub(super) async fn complete(
    State(engine): State<Shared>,
    Json(message): Json<CompleteEnrolment>,
) -> Result<Json<Enrolled>, HttpProblem> {
    engine.complete_enrolment(message).await.map(Json).map_err(IntoProblem::into_problem)
}
