//! Attestation results for relying parties, and the keys that they verify them with.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use utoipa::IntoParams;
use vouchsafe_http::{HttpProblem, Path, Peer, Query};
use vouchsafe_model::DeviceId;
use vouchsafe_model::spiffe::PeerRole;
use vouchsafe_wire::v1::problem::Problem;

use super::Shared;
use super::problem::{IntoProblem, bad_query};
use crate::result::{KeySet, MEDIA_TYPE, ResultKeys, ResultNonce, ResultRejected};

/// What these handlers share.
#[derive(Clone)]
pub(super) struct Results {
    engine: Shared,
    keys: Arc<ResultKeys>,
}

impl FromRef<Results> for Arc<ResultKeys> {
    fn from_ref(results: &Results) -> Self {
        results.keys.clone()
    }
}

/// The routes of relying parties, behind the door where everyone has a certificate.
pub fn result_routes(engine: Shared, keys: Arc<ResultKeys>) -> Router {
    Router::new()
        .route("/v1/devices/{device}/result", get(result))
        .route("/v1/result-keys", get(self::keys))
        .with_state(Results { engine, keys })
}

/// The keys alone, for a door that asks nobody who they are.
pub fn result_key_routes(keys: Arc<ResultKeys>) -> Router {
    Router::new().route("/v1/result-keys", get(self::keys)).with_state(keys)
}

/// What about a result.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ResultQuery {
    /// 8 to 64 bytes in hexadecimal, which come back in the token (`eat_nonce`, in base64url), so that it is known to be fresh.
    nonce: Option<String>,
}

/// The last verdict as an attestation result: an EAR token, signed by ES256.
///
/// Operators and enforcement points may ask about every device, by its id or by enough of it; a device about itself alone,
/// by its whole id.
#[utoipa::path(
    get, path = "/v1/devices/{device}/result", tag = "result", params(("device" = String, Path), ResultQuery),
    responses(
        (status = 200, content_type = "application/eat+jwt", body = String),
        (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem),
    )
)]
pub(super) async fn result(
    State(Results { engine, keys }): State<Results>,
    peer: Peer,
    Path(device): Path<String>,
    Query(query): Query<ResultQuery>,
) -> Result<impl IntoResponse, HttpProblem> {
    let nonce = query.nonce.map(|text| text.parse::<ResultNonce>()).transpose();
    let nonce = nonce.map_err(|error| bad_query("nonce", &error))?;
    let token = match peer.identity.role {
        PeerRole::Operator(_) | PeerRole::Enforcement(_) => {
            let id = engine.resolve_device(&device).await.map_err(IntoProblem::into_problem)?;
            engine.result_of(id, nonce.as_ref(), &keys).await
        }
        // Before anything is looked up: a device learns nothing of others, not even whether they exist.
        PeerRole::Device(own) if device.parse::<DeviceId>() == Ok(own) => {
            engine.own_result(&peer, own, nonce.as_ref(), &keys).await
        }
        PeerRole::Device(_) | PeerRole::Server(_) => return Err(forbidden(&peer)),
    };
    let token = token.map_err(<ResultRejected as IntoProblem>::into_problem)?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")], token))
}

/// The keys that results are verified with: the one that signs now first, then former ones (RFC 7517).
#[utoipa::path(
    get, path = "/v1/result-keys", tag = "result",
    responses((status = 200, content_type = "application/jwk-set+json", body = KeySet))
)]
pub(super) async fn keys(State(keys): State<Arc<ResultKeys>>) -> Result<impl IntoResponse, HttpProblem> {
    let body = serde_json::to_vec(keys.published()).map_err(HttpProblem::internal)?;
    // Long enough to spare a question for each token, short enough that an exchange is noticed while both keys are there.
    Ok(([(CONTENT_TYPE, "application/jwk-set+json"), (CACHE_CONTROL, "max-age=60")], body))
}

fn forbidden(peer: &Peer) -> HttpProblem {
    HttpProblem::new(StatusCode::FORBIDDEN, "peer.forbidden", "Not with this certificate").with_detail(format!(
        "This needs the certificate of an operator, an enforcement point or the device itself; yours names {}.",
        peer.identity
    ))
}
