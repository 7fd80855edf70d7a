//! `/v1/policy`: operators see which policy decides, and put another one in charge.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use vouchsafe_http::extract::WholeBody;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{HttpProblem, Json, OperatorPeer};
use vouchsafe_model::Sha256Digest;
use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_policy_engine::{ActivateError, ReplaceError};
use vouchsafe_wire::v1::limits::{POLICY_BODY, POLICY_FINDINGS};
use vouchsafe_wire::v1::policy::PolicyStatus;
use vouchsafe_wire::v1::problem::Problem;

use super::activate::{Candidate, NotActivated};
use super::in_charge::InCharge;

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub(in crate::serve) fn routes(in_charge: Arc<InCharge>) -> Router {
    with_body_limit(Router::new().route("/v1/policy", get(show).put(activate)), POLICY_BODY).with_state(in_charge)
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(show, activate), components(schemas(PolicyStatus, Problem)))]
pub(in crate::serve) struct PolicyApi;

/// Shows which policy decides, where it comes from, and what a policy on trial has come to.
#[utoipa::path(
    get, path = "/v1/policy", operation_id = "showPolicy", tag = "operator",
    responses(
        (status = 200, description = "The policy in charge.", body = PolicyStatus,
            headers(("ETag" = String, description = "Its hash, to be sent as If-Match by whoever replaces it."))),
        (status = 401, description = "There is no client certificate.", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "The caller is no operator.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn show(State(in_charge): State<Arc<InCharge>>, _: OperatorPeer) -> Response {
    told(&in_charge.status())
}

/// Puts a policy in charge, in place of the one that If-Match names. It passes the gate first, decides from the next question
/// on, and after a restart as well. Where the gate takes longer than a request may, the answer is 503, and GET tells later what
/// came of it.
#[utoipa::path(
    put, path = "/v1/policy", operation_id = "activatePolicy", tag = "operator",
    params(("If-Match" = String, Header, description = "The hash of the policy in charge, in quotes, as ETag has it.")),
    request_body(content = Vec<u8>, content_type = "application/gzip",
        description = "The policy as a bundle in OPA's form (.tar.gz). It need not be signed; it must not have an expiry."),
    responses(
        (status = 200, description = "It is in charge.", body = PolicyStatus,
            headers(("ETag" = String, description = "The hash of the policy in charge now."))),
        (status = 400, description = "If-Match is no hash in quotes.", body = Problem,
            content_type = "application/problem+json"),
        (status = 401, description = "There is no client certificate.", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "The caller is no operator.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The policy comes as a signed bundle: publish another one there.", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another policy is in charge by now. Nothing was changed.", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is no policy, or does not pass the gate; `findings` says why. Nothing was changed.",
            body = Problem, content_type = "application/problem+json"),
        (status = 428, description = "There is no If-Match.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The gate takes longer than the request may.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn activate(
    State(in_charge): State<Arc<InCharge>>,
    operator: OperatorPeer,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, HttpProblem> {
    let over = expected(&headers)?;
    let candidate = Candidate { bytes: body, over, by: operator.peer.identity };
    in_charge.clone().activate(candidate).await?;
    Ok(told(&in_charge.status()))
}

fn told(status: &PolicyStatus) -> Response {
    let mut response = Json(status).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", status.policy)) {
        headers.insert(ETAG, tag);
    }
    response
}

/// The one policy that may be replaced: neither any (`*`) nor one of several.
fn expected(headers: &HeaderMap) -> Result<Sha256Digest, HttpProblem> {
    let mut tags = headers.get_all(IF_MATCH).iter();
    let Some(tag) = tags.next() else {
        let title = "Say which policy is to be replaced";
        return Err(HttpProblem::new(StatusCode::PRECONDITION_REQUIRED, "policy.if_match_missing", title)
            .with_detail("Send If-Match with the ETag of GET /v1/policy."));
    };
    let quoted = tag.to_str().ok().and_then(|tag| tag.trim().strip_prefix('"')?.strip_suffix('"'));
    match (quoted.and_then(|hash| hash.parse().ok()), tags.next()) {
        (Some(hash), None) => Ok(hash),
        _ => Err(HttpProblem::new(StatusCode::BAD_REQUEST, "policy.if_match", "If-Match names no policy")
            .with_detail("Send the ETag of GET /v1/policy: one hash in quotes.")),
    }
}

/// An operator may know what the gate and the compiler say.
impl From<NotActivated> for HttpProblem {
    fn from(error: NotActivated) -> Self {
        match error {
            NotActivated::Followed { source_of_bundles } => Self::conflict(
                "policy.from_bundle",
                format!(
                    "The policy comes from a signed source of bundles ({source_of_bundles}). Publish the next revision there."
                ),
            ),
            NotActivated::NoBundle(error) => {
                Self::unacceptable("policy.no_bundle", format!("{:#}.", anyhow::Error::new(error)))
            }
            NotActivated::Ends { at } => Self::unacceptable(
                "policy.ends",
                format!("The bundle counts no longer than to {at}; only a server that follows bundles sees to that."),
            ),
            NotActivated::Replace(ReplaceError::Changed { in_charge }) => {
                let title = "Another policy is in charge by now";
                Self::new(StatusCode::PRECONDITION_FAILED, "policy.changed", title)
                    .with_detail(format!("{in_charge} is in charge. Nothing was changed; compare with that one."))
            }
            NotActivated::Replace(ReplaceError::Activate(ActivateError::Refused(report))) => refused(&report),
            NotActivated::Replace(error) => Self::internal(error),
            NotActivated::Failed(error) => Self::internal(error),
        }
    }
}

fn refused(report: &GateReport) -> HttpProblem {
    let errors = report.errors().count();
    let title = "The policy does not pass the gate";
    HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, "policy.refused", title)
        .with_detail(format!("{errors} errors; nothing was changed."))
        .with_findings(report.errors().take(POLICY_FINDINGS).map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_packed_at_all_fits_into_a_body() {
        assert_eq!(POLICY_BODY, vouchsafe_policies::limits::ARCHIVE_BYTES);
    }

    #[test]
    fn one_policy_is_named_and_neither_any_nor_several() {
        let hash = Sha256Digest::new([0xAB; 32]);
        let read = |tags: &[&str]| {
            let tags = tags.iter().map(|tag| (IF_MATCH, HeaderValue::from_str(tag).unwrap()));
            let mut headers = HeaderMap::new();
            tags.for_each(|(name, tag)| {
                headers.append(name, tag);
            });
            expected(&headers).map_err(|problem| problem.status().as_u16())
        };
        let good = format!("\"{hash}\"");
        assert_eq!(read(&[&good]), Ok(hash));
        assert_eq!(read(&[]), Err(428));
        let (weak, two, bare) = (format!("W/{good}"), format!("{good}, {good}"), hash.to_string());
        for tag in ["*", "", "\"\"", "\"", &weak, &two, &bare, &format!("\"{hash}0\"")] {
            assert_eq!(read(&[tag]), Err(400), "{tag}");
        }
        assert_eq!(read(&[&good, &good]), Err(400));
    }
}
