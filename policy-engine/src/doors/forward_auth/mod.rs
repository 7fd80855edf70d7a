//! Forward authentication: a reverse proxy asks by a request of its own, with the client's fields and others that describe the
//! client's request, and lets that pass for an answer of 2xx.
//!
//! Which fields describe it differs from proxy to proxy. Each is read by its own dialect and by no other, so that a field
//! that one proxy replaces and another passes on from its client is never mistaken.

mod dialect;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{HttpProblem, Path};
use vouchsafe_wire::v1::limits::DECISION_BODY;
use vouchsafe_wire::v1::problem::Problem;

pub use dialect::Dialect;

use super::forwarded::Told;
use super::forwarded::over_http::respond;
use super::{Caller, Doors};

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(doors: &Doors) -> Router {
    let routes = Router::new().route("/v1/forward-auth/{dialect}", get(forward_auth)).with_state(doors.clone());
    with_body_limit(routes, DECISION_BODY)
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(forward_auth), components(schemas(Dialect, Problem)))]
pub struct ForwardAuthApi;

/// Decides a request that a reverse proxy holds back meanwhile: nginx (`auth_request`), Traefik (`forwardAuth`) or Caddy
/// (`forward_auth`).
#[utoipa::path(
    get,
    path = "/v1/forward-auth/{dialect}",
    operation_id = "forwardAuth",
    tag = "enforcement points",
    params(
        ("dialect" = Dialect, Path, description = "Which proxy asks, and so which fields describe the request."),
        ("x-original-uri" = Option<String>, Header, description = "nginx: the path with its query, undecoded."),
        ("x-original-method" = Option<String>, Header, description = "nginx: the method."),
        ("x-original-host" = Option<String>, Header, description = "nginx: the host."),
        ("x-real-ip" = Option<String>, Header, description = "nginx: the address of the client."),
        ("x-client-verify" = Option<String>, Header, description = "nginx: whether the client's certificate is verified."),
        ("x-client-cert" = Option<String>, Header, description = "nginx, Caddy: the client's certificate."),
        ("x-forwarded-tls-client-cert" = Option<String>, Header, description = "Traefik: the client's certificate."),
        ("x-forwarded-uri" = Option<String>, Header, description = "Traefik, Caddy: the path with its query, undecoded."),
        ("x-forwarded-method" = Option<String>, Header, description = "Traefik, Caddy: the method."),
        ("x-forwarded-host" = Option<String>, Header, description = "Traefik, Caddy: the host."),
        ("x-forwarded-for" = Option<String>, Header, description = "Traefik, Caddy: addresses, the client's last."),
        ("x-forwarded-proto" = String, Header, description = "The scheme."),
    ),
    responses(
        (status = 200, description = "Allow: x-vouchsafe-… to pass on, each of them, and empty where it is not known."),
        (status = 401, description = "Deny: the policy wants somebody to log in. Or: it is not known who asks."),
        (status = 403, description = "Deny, with its reasons. Or: the point is not registered for what it passes on."),
        (status = 422, description = "The point is set up wrongly: a field is missing or there twice.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "A decision could not be put on record.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn forward_auth(
    State(doors): State<Doors>,
    caller: Caller,
    Path(dialect): Path<Dialect>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    let decided = dialect.read(&headers)?.decide(&doors, &caller).await?;
    Ok(respond(Told::from(&decided), &[]))
}
