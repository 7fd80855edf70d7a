//! Golden images.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use vouchsafe_http::{HttpProblem, Json, OperatorPeer, Path, Query};
use vouchsafe_model::{Image, ImageId};
use vouchsafe_wire::v1::operate::{self, CaptureImage, DryRun, ImageSource};
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

/// The text of an image, as it was imported.
#[utoipa::path(
    get, path = "/v1/images/{id}/document", tag = "operator", params(("id" = String, Path)),
    responses((status = 200, body = ImageSource), (status = 404, body = Problem))
)]
pub(super) async fn document(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(id): Path<ImageId>,
) -> Result<Json<ImageSource>, HttpProblem> {
    engine.image_text(&id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Takes an image as a text, signed or not.
#[utoipa::path(
    post, path = "/v1/image-documents", tag = "operator",
    request_body = ImageSource,
    responses((status = 200, body = Image), (status = 409, body = Problem), (status = 422, body = Problem))
)]
pub(super) async fn import(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Json(source): Json<ImageSource>,
) -> Result<Json<Image>, HttpProblem> {
    engine.import_image(source).await.map(Json).map_err(IntoProblem::into_problem)
}

/// From where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DryRunQuery {
    /// Where the answer before ended: its `next`.
    after: Option<String>,
}

/// Says what an image would make of today's devices, as many as can be judged in a few seconds.
#[utoipa::path(
    post, path = "/v1/image-documents/dry-run", tag = "operator", params(DryRunQuery),
    request_body = ImageSource,
    responses((status = 200, body = DryRun), (status = 422, body = Problem))
)]
pub(super) async fn dry_run(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Query(query): Query<DryRunQuery>,
    Json(source): Json<ImageSource>,
) -> Result<Json<DryRun>, HttpProblem> {
    engine.dry_run(source, query.after.as_deref()).await.map(Json).map_err(IntoProblem::into_problem)
}
