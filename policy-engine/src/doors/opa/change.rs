//! `PUT`, `PATCH` and `DELETE /v1/data`: data that operators write, where the settings let them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::IF_NONE_MATCH;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Deserialize as _;
use serde_json::Value;
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_wire::v1::limits::DATA_CHANGE_BODY;
use vouchsafe_wire::v1::opa::{OpaError, PatchOperation};

use super::Opa;
use super::ask::{V1, path_below, read_body};
use super::error::{Fault, INVALID_PARAMETER, RESOURCE_NOT_FOUND};
use crate::charge::ActivateError;
use crate::written::{DataChange, DataPath, WriteError};

/// Puts a document in place of whatever is there.
#[utoipa::path(
    put,
    path = "/v1/data/{path}",
    operation_id = "opaPutData",
    tag = "opa",
    params(("path" = String, Path, description = "A path at or below one that the settings list as writable.")),
    request_body(content = Object, description = "The document."),
    responses(
        (status = 204, description = "It decides from the next question on."),
        (status = 304, description = "There is something there, and If-None-Match: * was sent."),
        (status = 400, description = "It is not acceptable, or too much.", body = OpaError),
        (status = 401, description = "It is not known who asks.", body = OpaError),
        (status = 403, description = "The caller is no operator.", body = OpaError),
        (status = 404, description = "Nothing may be written there.", body = OpaError),
        (status = 422, description = "The policy does not pass the gate so; `errors` says why.", body = OpaError),
    )
)]
pub(super) async fn put(State(opa): State<Opa>, request: Request) -> Result<Response, Fault> {
    let (operator, path) = opa.operator(&request)?;
    let if_absent = request.headers().get(IF_NONE_MATCH) == Some(&HeaderValue::from_static("*"));
    let document = opa.document(request).await?;
    let change = if if_absent { DataChange::PutIfAbsent(document) } else { DataChange::Put(document) };
    opa.write(operator, path, change).await
}

/// Does operations below a path, all of them or none.
#[utoipa::path(
    patch,
    path = "/v1/data/{path}",
    operation_id = "opaPatchData",
    tag = "opa",
    params(("path" = String, Path, description = "A path at or below one that the settings list as writable.")),
    request_body(content = Vec<PatchOperation>, description = "The operations."),
    responses(
        (status = 204, description = "All is done, and decides from the next question on."),
        (status = 400, description = "It is not acceptable, or too much.", body = OpaError),
        (status = 401, description = "It is not known who asks.", body = OpaError),
        (status = 403, description = "The caller is no operator.", body = OpaError),
        (status = 404, description = "Nothing may be written there, or what was to be changed is not there.", body = OpaError),
        (status = 422, description = "The policy does not pass the gate so; `errors` says why.", body = OpaError),
    )
)]
pub(super) async fn patch(State(opa): State<Opa>, request: Request) -> Result<Response, Fault> {
    let (operator, path) = opa.operator(&request)?;
    let operations = opa.document(request).await?;
    let read = Vec::<PatchOperation>::deserialize(operations);
    let operations = read.map_err(|error| Fault::parameter(format!("no list of operations: {error}")))?;
    opa.write(operator, path, DataChange::Patch(operations)).await
}

/// Removes a document.
#[utoipa::path(
    delete,
    path = "/v1/data/{path}",
    operation_id = "opaDeleteData",
    tag = "opa",
    params(("path" = String, Path, description = "A path at or below one that the settings list as writable.")),
    responses(
        (status = 204, description = "It is gone, from the next question on."),
        (status = 400, description = "The path is not acceptable.", body = OpaError),
        (status = 401, description = "It is not known who asks.", body = OpaError),
        (status = 403, description = "The caller is no operator.", body = OpaError),
        (status = 404, description = "Nothing may be written there, or nothing is there.", body = OpaError),
        (status = 422, description = "The policy does not pass the gate so; `errors` says why.", body = OpaError),
    )
)]
pub(super) async fn delete(State(opa): State<Opa>, request: Request) -> Result<Response, Fault> {
    let (operator, path) = opa.operator(&request)?;
    opa.write(operator, path, DataChange::Remove).await
}

impl Opa {
    /// Who writes, and where.
    fn operator(&self, request: &Request) -> Result<(SpiffeId, DataPath), Fault> {
        let caller = self.doors.points.caller(request.extensions())?;
        if !caller.is_operator() {
            return Err(Fault::new(StatusCode::FORBIDDEN, "unauthorized", "only an operator writes data"));
        }
        Ok((caller.identity().clone(), steps(path_below(request.uri().path(), V1))?))
    }

    async fn document(&self, request: Request) -> Result<Value, Fault> {
        read_body(request, DATA_CHANGE_BODY).await?.ok_or_else(|| Fault::parameter("the body is empty"))
    }

    async fn write(&self, operator: SpiffeId, path: DataPath, change: DataChange) -> Result<Response, Fault> {
        let engine = Arc::clone(&self.doors.decider.engine);
        let place = path.to_string();
        // One at a time goes through the gate; the others wait here, and on no thread.
        let _turn = self.writing.acquire().await;
        let outcome = tokio::task::spawn_blocking(move || engine.write_data(&path, change)).await;
        match outcome {
            Ok(Ok(policy)) => {
                tracing::info!(data.path = place, %policy, peer.identity = %operator, "data was written");
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            Ok(Err(WriteError::Exists)) => Ok(StatusCode::NOT_MODIFIED.into_response()),
            Ok(Err(error)) => Err(refused(&error)),
            Err(error) => {
                tracing::error!(%error, "data could not be written");
                Err(Fault::evaluation())
            }
        }
    }
}

fn refused(error: &WriteError) -> Fault {
    match error {
        WriteError::NotWritable | WriteError::NotFound { .. } => {
            Fault::new(StatusCode::NOT_FOUND, RESOURCE_NOT_FOUND, error.to_string())
        }
        // An operator may know what the gate and the compiler say.
        WriteError::Refused(ActivateError::Refused(report)) => Fault::findings(error.to_string(), report.errors()),
        WriteError::Refused(ActivateError::Compile(cause)) => {
            Fault::new(StatusCode::UNPROCESSABLE_ENTITY, INVALID_PARAMETER, format!("{error}: {cause}"))
        }
        WriteError::Refused(cause @ ActivateError::Gate(_)) => {
            tracing::error!(error = cause as &dyn std::error::Error, "data could not be written");
            Fault::evaluation()
        }
        WriteError::Exists | WriteError::NoPlace { .. } | WriteError::NoValue | WriteError::TooLarge => {
            Fault::parameter(error.to_string())
        }
    }
}

/// The steps of a path, each decoded once.
fn steps(path: &str) -> Result<DataPath, Fault> {
    let unreadable = || Fault::parameter(format!("bad path: {}", path.escape_debug()));
    let decode = |step: &str| percent_decode_str(step).decode_utf8().map(Cow::into_owned);
    let steps: Result<Vec<_>, _> = path.strip_prefix('/').unwrap_or_default().split('/').map(decode).collect();
    DataPath::new(steps.map_err(|_| unreadable())?).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_decoded_once_and_lead_nowhere_else() {
        assert_eq!(steps("/bans/a%40b%2520").unwrap().to_string(), "bans/a@b%20");
        for path in ["", "/", "//", "/a/", "/a//b", "/a/../b", "/a/%2e%2e/b", "/a%2Fb", "/a/%00", "/a/%ff", "/./a"] {
            assert!(steps(path).is_err(), "{path}");
        }
    }
}
