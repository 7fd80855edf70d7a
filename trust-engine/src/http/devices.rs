//! Devices.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use vouchsafe_http::{HttpProblem, Json, OperatorPeer, Path, Query};
use vouchsafe_model::{DeviceState, ImageId, Timestamp, TrustScore};
use vouchsafe_store::DeviceFilter;
use vouchsafe_wire::v1::operate::{
    self, AssignImage, DeviceSummary, DeviceView, ImaListPage, Measurements, RevokeDevice, TrustView,
};
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::IntoProblem;
use super::tokens::PageQuery;
use crate::operate::trust::TrustQuestion;

/// Which devices.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceQuery {
    /// Only those in this state.
    state: Option<DeviceState>,
    /// Only those that are compared with this image.
    #[param(value_type = Option<String>)]
    image: Option<ImageId>,
    /// The page after this device.
    after: Option<String>,
    /// How many, at most 500.
    limit: Option<u32>,
}

/// Lists devices, each with its score at this instant.
#[utoipa::path(
    get, path = "/v1/devices", tag = "operator", params(DeviceQuery),
    responses((status = 200, body = operate::Page<DeviceSummary>))
)]
pub(super) async fn list(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<operate::Page<DeviceSummary>>, HttpProblem> {
    let filter = DeviceFilter { state: query.state, image: query.image };
    let page = PageQuery { after: query.after, limit: query.limit }.page()?;
    engine.list_devices(&filter, page).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Shows a device, by its id or by enough of it.
#[utoipa::path(
    get, path = "/v1/devices/{device}", tag = "operator", params(("device" = String, Path)),
    responses((status = 200, body = DeviceView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub(super) async fn show(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
) -> Result<Json<DeviceView>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    engine.device(id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Revokes a device.
#[utoipa::path(
    post, path = "/v1/devices/{device}/revoke", tag = "operator", params(("device" = String, Path)),
    request_body = RevokeDevice,
    responses((status = 200, body = DeviceView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub(super) async fn revoke(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
    Json(asked): Json<RevokeDevice>,
) -> Result<Json<DeviceView>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    engine.revoke_device(id, &asked).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Lets a revoked device take part again.
#[utoipa::path(
    post, path = "/v1/devices/{device}/restore", tag = "operator", params(("device" = String, Path)),
    responses((status = 200, body = DeviceView), (status = 404, body = Problem))
)]
pub(super) async fn restore(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
) -> Result<Json<DeviceView>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    engine.restore_device(id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// Compares a device with this image from now on, or with none.
#[utoipa::path(
    put, path = "/v1/devices/{device}/image", tag = "operator", params(("device" = String, Path)),
    request_body = AssignImage,
    responses((status = 200, body = DeviceView), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub(super) async fn assign_image(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
    Json(asked): Json<AssignImage>,
) -> Result<Json<DeviceView>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    engine.assign_image(id, asked.image).await.map(Json).map_err(IntoProblem::into_problem)
}

/// What about a score.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustQuery {
    /// The instant; now if none is named. Past and future ones are answered alike.
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
    /// The threshold whose crossing is asked for.
    threshold: Option<f64>,
    /// How far the curve goes on, in seconds; one day if not named.
    span_secs: Option<u64>,
    /// How many points the curve has, 2 to 500; 25 if not named.
    points: Option<u32>,
}

/// The longest curve, in seconds: ten years.
const MAX_SPAN_SECS: u64 = 10 * 365 * 86_400;

/// What a device last vouched for: its PCRs and its boot event log.
#[utoipa::path(
    get, path = "/v1/devices/{device}/measurements", tag = "operator", params(("device" = String, Path)),
    responses((status = 200, body = Measurements), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub(super) async fn measurements(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
) -> Result<Json<Measurements>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    engine.measurements(id).await.map(Json).map_err(IntoProblem::into_problem)
}

/// What about a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// From which of its bytes on; from its beginning if none is named.
    from: Option<u64>,
}

/// What a device measured since it booted, as far as its quotes vouched for it: its IMA list, a few megabytes at a time.
#[utoipa::path(
    get, path = "/v1/devices/{device}/ima-list", tag = "operator", params(("device" = String, Path), ListQuery),
    responses((status = 200, body = ImaListPage), (status = 404, body = Problem), (status = 409, body = Problem))
)]
pub(super) async fn ima_list(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<ImaListPage>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    engine.ima_list(id, query.from.unwrap_or(0)).await.map(Json).map_err(IntoProblem::into_problem)
}

/// The score of a device at any instant, why, and how it goes on.
#[utoipa::path(
    get, path = "/v1/devices/{device}/trust", tag = "operator", params(("device" = String, Path), TrustQuery),
    responses((status = 200, body = TrustView), (status = 404, body = Problem), (status = 422, body = Problem))
)]
pub(super) async fn trust(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(device): Path<String>,
    Query(query): Query<TrustQuery>,
) -> Result<Json<TrustView>, HttpProblem> {
    let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
    let asked = TrustQuestion {
        at: query.at,
        threshold: query.threshold.map(TrustScore::new),
        span: Duration::from_secs(query.span_secs.unwrap_or(86_400).min(MAX_SPAN_SECS)),
        points: query.points.unwrap_or(25),
    };
    engine.trust(id, asked).await.map(Json).map_err(IntoProblem::into_problem)
}
