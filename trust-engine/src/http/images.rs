//! Golden images.

use axum::extract::State;
use vouchsafe_http::{HttpProblem, Json, OperatorPeer, Path, Query};
use vouchsafe_model::{Image, ImageId};
use vouchsafe_wire::v1::operate::{self, CaptureImage};
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::IntoProblem;
use super::tokens::PageQuery;

/// Makes an image from what a device last quoted.
#[utoipa::path(
    post, path = "/v1/images", tag = "operator",
    request_body = CaptureImage,
    responses(
        (status = 200, body = Image),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
    )
)]
pub(super) async fn capture(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Json(asked): Json<CaptureImage>,
) -> Result<Json<Image>, HttpProblem> {
    engine.capture_image(asked).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Lists the images, by name.
#[utoipa::path(
    get, path = "/v1/images", tag = "operator", params(PageQuery),
    responses((status = 200, body = operate::Page<Image>))
)]
pub(super) async fn list(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Query(query): Query<PageQuery>,
) -> Result<Json<operate::Page<Image>>, HttpProblem> {
    engine.list_images(query.page()?).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Shows an image.
#[utoipa::path(
    get, path = "/v1/images/{id}", tag = "operator", params(("id" = String, Path)),
    responses((status = 200, body = Image), (status = 404, body = Problem))
)]
pub(super) async fn show(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(id): Path<ImageId>,
) -> Result<Json<Image>, HttpProblem> {
    engine.image(&id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Withdraws an image.
#[utoipa::path(
    post, path = "/v1/images/{id}/retire", tag = "operator", params(("id" = String, Path)),
    responses((status = 200, body = Image), (status = 404, body = Problem))
)]
pub(super) async fn retire(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(id): Path<ImageId>,
) -> Result<Json<Image>, HttpProblem> {
    engine.retire_image(&id).await.map(Json).map_err(IntoProblem::into_problem)
}
