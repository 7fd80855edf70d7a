//! What a device may do with its certificate: attest, ask for a challenge, renew.

use axum::extract::State;
use vouchsafe_http::{DevicePeer, HttpProblem, Json};
use vouchsafe_wire::v1::attest::{Appraised, Challenge, Evidence};
use vouchsafe_wire::v1::enrol::{DeviceCertificate, Renew};
use vouchsafe_wire::v1::logs::{ImaPart, ImaPosition};
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::IntoProblem;

/// Brings evidence; answers verdict, score and the next challenge.
#[utoipa::path(
    post, path = "/v1/attest", tag = "device",
    request_body = Evidence,
    responses(
        (status = 200, body = Appraised),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem),
    )
)]
pub(super) async fn attest(
    State(engine): State<Shared>,
    peer: DevicePeer,
    Json(evidence): Json<Evidence>,
) -> Result<Json<Appraised>, HttpProblem> {
    engine.attest(&peer.peer, peer.id, evidence).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Asks for a challenge, when there is none that is still good.
#[utoipa::path(
    post, path = "/v1/challenge", tag = "device",
    responses((status = 200, body = Challenge), (status = 403, body = Problem), (status = 429, body = Problem))
)]
pub(super) async fn challenge(State(engine): State<Shared>, peer: DevicePeer) -> Result<Json<Challenge>, HttpProblem> {
    engine.fresh_challenge(&peer.peer, peer.id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Asks for the next certificate.
#[utoipa::path(
    post, path = "/v1/renew", tag = "device",
    request_body = Renew,
    responses(
        (status = 200, body = DeviceCertificate),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 429, body = Problem),
    )
)]
pub(super) async fn renew(
    State(engine): State<Shared>,
    peer: DevicePeer,
    Json(message): Json<Renew>,
) -> Result<Json<DeviceCertificate>, HttpProblem> {
    engine.renew(&peer.peer, peer.id, message).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Brings a part of the IMA list ahead of its quote; answers from where to go on.
#[utoipa::path(
    post, path = "/v1/logs/ima", tag = "device",
    request_body = ImaPart,
    responses(
        (status = 200, body = ImaPosition),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
        (status = 429, body = Problem),
    )
)]
pub(super) async fn ima(
    State(engine): State<Shared>,
    peer: DevicePeer,
    Json(part): Json<ImaPart>,
) -> Result<Json<ImaPosition>, HttpProblem> {
    engine.take_ahead(&peer.peer, peer.id, part).await.map(Json).map_err(IntoProblem::into_problem)
}
