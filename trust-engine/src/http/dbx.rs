//! Lists of revoked boot loaders.

use axum::extract::State;
use vouchsafe_http::{HttpProblem, Json, OperatorPeer, Path};
use vouchsafe_wire::v1::operate::{DbxView, ImportDbx};
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::IntoProblem;

/// Lists what is revoked, by architecture.
#[utoipa::path(get, path = "/v1/secure-boot/dbx", tag = "operator", responses((status = 200, body = Vec<DbxView>)))]
pub(super) async fn list(State(engine): State<Shared>, _: OperatorPeer) -> Result<Json<Vec<DbxView>>, HttpProblem> {
    engine.list_dbx().await.map(Json).map_err(IntoProblem::into_problem)
}

/// Puts a dbx update in force.
#[utoipa::path(
    put, path = "/v1/secure-boot/dbx/{arch}", tag = "operator", params(("arch" = String, Path)),
    request_body = ImportDbx,
    responses((status = 200, body = DbxView), (status = 422, body = Problem))
)]
pub(super) async fn import(
    State(engine): State<Shared>,
    _: OperatorPeer,
    Path(arch): Path<String>,
    Json(asked): Json<ImportDbx>,
) -> Result<Json<DbxView>, HttpProblem> {
    engine.import_dbx(&arch, &asked).await.map(Json).map_err(IntoProblem::into_problem)
}
