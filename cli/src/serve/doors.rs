//! The doors, and what is behind each.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi as _;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{
    ApiSettings, Clock, ConnectionLimits, Entropy, Health, Json, KeyDoor, Rate, RateLimits, RequestLimits, ServeError,
    ServerTls, api, api_by_key, serve,
};
use vouchsafe_pki::Authority;
use vouchsafe_policy_engine::RecordTable;
use vouchsafe_policy_engine::doors::{self, Points};
use vouchsafe_policy_engine::log::{self, explain::ExplainState};
use vouchsafe_store::{RetentionPolicy, Store};
use vouchsafe_trust_engine::{ResultKeys, TrustEngine};
use vouchsafe_wire::v1::limits;

use super::config::ServerConfig;
use super::decisions::Log;
use super::identity::Server;
use super::policy::{self, InCharge};
use super::upkeep;
use crate::failure::Hint as _;

/// What stands behind the doors.
pub(super) struct Doors {
    pub(super) config: ServerConfig,
    pub(super) trust: Arc<TrustEngine>,
    pub(super) result_keys: Arc<ResultKeys>,
    pub(super) decisions: doors::Doors,
    pub(super) in_charge: Arc<InCharge>,
    pub(super) log: Log,
    pub(super) records: Arc<RecordTable>,
    pub(super) store: Arc<dyn Store>,
    pub(super) authority: Arc<Authority>,
    pub(super) metrics: PrometheusHandle,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// Decisions would be made over nothing.
#[derive(Debug, thiserror::Error)]
#[error("the records of devices are not loaded")]
struct NotLoaded;

/// Everything is denied, whatever the policy says.
#[derive(Debug, thiserror::Error)]
#[error("everything is denied: {0}")]
struct Withheld(String);

/// Doors that are open.
pub(super) struct OpenDoors {
    serving: JoinSet<Result<(), ServeError>>,
    tls: Vec<ServerTls>,
    retention: RetentionPolicy,
}

impl Doors {
    /// Opens all of them, or none.
    pub(super) async fn open(self, server: &Server, shutdown: &CancellationToken) -> anyhow::Result<OpenDoors> {
        let enrol_tls = ServerTls::server_only(server.identity()?)?;
        let roots = [self.authority.root_der().to_vec()];
        let domain = self.config.trust_domain.clone();
        let api_tls = ServerTls::mutual(server.identity()?, domain, &roots, self.clock.clone())?;
        let listen = &self.config.listen;
        let enrol = listener("listen.enrol", listen.enrol).await?;
        let api = listener("listen.api", listen.api).await?;
        let ops = listener("listen.ops", listen.ops).await?;

        let mut doors = vec![
            (enrol, Some(enrol_tls.clone()), self.enrol_routes()),
            (api, Some(api_tls.clone()), self.api_routes()),
            (ops, None, self.ops_routes()),
        ];
        let mut tls = vec![enrol_tls, api_tls];
        if let Some(points) = listen.points {
            let points_tls = if listen.points_tls { Some(ServerTls::server_only(server.identity()?)?) } else { None };
            check_points_door(points, points_tls.is_some())?;
            tls.extend(points_tls.clone());
            doors.push((listener("listen.points", points).await?, points_tls, self.point_routes()));
            tracing::info!(listen.points = %points, listen.points_tls, "listening for points with keys");
        }

        let limits = ConnectionLimits::default();
        let mut serving = JoinSet::new();
        for (listener, tls, routes) in doors {
            let (limits, shutdown) = (limits.clone(), shutdown.clone());
            serving.spawn(async move { serve(listener, tls, routes, &limits, shutdown).await });
        }
        tokio::spawn(end_watches(self.decisions.watches.clone(), shutdown.clone()));
        tracing::info!(
            listen.enrol = %listen.enrol, listen.api = %listen.api, listen.ops = %listen.ops, "listening"
        );
        Ok(OpenDoors { serving, tls, retention: upkeep::retention(&self.config.store) })
    }

    fn settings(&self, rates: RateLimits) -> ApiSettings {
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        ApiSettings { clock, entropy, request: RequestLimits::default(), rates }
    }

    /// The same for routes each of which has a bound of its own: none of them is larger than this one.
    fn settings_up_to(&self, max_body_len: usize) -> ApiSettings {
        let settings = self.settings(RateLimits::default());
        ApiSettings { request: RequestLimits { max_body_len, ..settings.request }, ..settings }
    }

    fn enrol_routes(&self) -> Router {
        let routes =
            with_body_limit(vouchsafe_trust_engine::http::enrol_routes(self.trust.clone()), limits::ENROL_BODY);
        api(routes, &self.settings(RateLimits::default()))
    }

    fn api_routes(&self) -> Router {
        let device = vouchsafe_trust_engine::http::device_routes(self.trust.clone());
        let operator = vouchsafe_trust_engine::http::operator_routes(self.trust.clone());
        let images = vouchsafe_trust_engine::http::image_routes(self.trust.clone());
        let result = vouchsafe_trust_engine::http::result_routes(self.trust.clone(), self.result_keys.clone());
        let routes = with_body_limit(device, limits::ATTEST_BODY)
            .merge(with_body_limit(operator, limits::OPERATE_BODY))
            .merge(with_body_limit(images, limits::IMAGE_BODY))
            .merge(with_body_limit(result, limits::OPERATE_BODY))
            .merge(doors::routes(&self.decisions.clone().at(Some(self.config.public.api.clone()))))
            .merge(with_body_limit(vouchsafe_policy_engine::log::routes(self.log.state()), limits::OPERATE_BODY))
            .merge(with_body_limit(log::explain::routes(self.explain_state()), limits::OPERATE_BODY))
            .merge(policy::door::routes(self.in_charge.clone()))
            .merge(with_body_limit(self.health().routes(), limits::OPERATE_BODY));
        api(routes, &self.settings_up_to(limits::IMAGE_BODY))
    }

    /// Decisions, for points that have a key in place of a certificate.
    fn point_routes(&self) -> Router {
        let keys = self.decisions.points.keys(&self.config.trust_domain);
        if keys.is_empty() {
            tracing::warn!("listen.points is set and no point has a key: nobody is let in there");
        }
        let door = KeyDoor { keys, open_paths: doors::OPEN_PATHS, refusal: doors::refusal };
        let decisions = self.decisions.clone().at(self.config.public.points.clone());
        api_by_key(doors::routes(&decisions), &self.settings_up_to(limits::DECISIONS_BODY), door)
    }

    fn explain_state(&self) -> ExplainState {
        ExplainState::new(self.log.state(), self.decisions.decider.engine.clone())
    }

    fn health(&self) -> Health {
        let (store, records, journal) = (self.store.clone(), self.records.clone(), self.log.journal().clone());
        let engine = self.decisions.decider.engine.clone();
        Health::new()
            .with_check("store", move || {
                let store = store.clone();
                async move { store.ping().await }
            })
            .with_check("decision_log", move || std::future::ready(journal.check()))
            .with_check("records", move || std::future::ready(if records.is_ready() { Ok(()) } else { Err(NotLoaded) }))
            .with_check("policy", move || {
                std::future::ready(match engine.withheld() {
                    None => Ok(()),
                    Some(reason) => Err(Withheld(reason.message)),
                })
            })
    }

    /// Health, metrics, the keys of results and the description of the API, for those on this machine.
    fn ops_routes(&self) -> Router {
        let metrics = self.metrics.clone();
        let routes = Router::new()
            .route("/metrics", get(move || std::future::ready(metrics.render())))
            .route("/openapi.json", get(|| std::future::ready(Json(openapi()))))
            .merge(vouchsafe_trust_engine::http::result_key_routes(self.result_keys.clone()))
            .merge(doors::opa::health_routes(&self.decisions))
            .merge(self.health().routes());
        // Probes come from one address, and often.
        let rates = RateLimits { per_device: Rate::new(200, 400), ..RateLimits::default() };
        api(routes, &self.settings(rates))
    }
}

/// The description of all routes.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = vouchsafe_trust_engine::http::TrustApi::openapi();
    document.merge(doors::openapi());
    document.merge(vouchsafe_policy_engine::log::LogApi::openapi());
    document.merge(log::explain::ExplainApi::openapi());
    document.merge(policy::door::PolicyApi::openapi());
    document.info = utoipa::openapi::InfoBuilder::new()
        .title("Vouchsafe")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Device attestation, trust scores and decisions. Errors are problem details (RFC 9457)."))
        .build();
    document
}

/// Ends what would never end by itself when the doors close.
async fn end_watches(watches: doors::Watches, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    watches.close();
}

/// The points that the settings register.
pub(super) fn points(config: &ServerConfig) -> anyhow::Result<Points> {
    Points::new(config.points.iter().cloned()).context("[[points]] cannot be used")
}

/// A key that travels in the clear is everybody's who is on its way, so that without TLS it travels nowhere.
fn check_points_door(address: SocketAddr, has_tls: bool) -> anyhow::Result<()> {
    ensure!(
        has_tls || address.ip().to_canonical().is_loopback(),
        "listen.points = {address} is reached from outside, and listen.points_tls = false would have keys travel in the clear"
    );
    Ok(())
}

async fn listener(setting: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {setting} = {address}"))
        .hint("is another server running? choose another port in vouchsafe.toml")
}

impl OpenDoors {
    /// The TLS of the doors that have it.
    pub(super) fn tls(&self) -> Vec<ServerTls> {
        self.tls.clone()
    }

    /// For how long things are kept.
    pub(super) fn retention(&self) -> RetentionPolicy {
        self.retention
    }

    /// Waits until all are closed.
    pub(super) async fn until_closed(mut self) -> anyhow::Result<()> {
        let mut closed = Ok(());
        while let Some(door) = self.serving.join_next().await {
            if let Err(error) = door.context("a door failed")? {
                closed = Err(error.into());
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_in_the_clear_on_this_machine_alone() {
        for (address, allowed) in [
            ("127.0.0.1:8445", true),
            ("127.9.9.9:8445", true),
            ("[::1]:8445", true),
            ("[::ffff:127.0.0.1]:8445", true),
            ("0.0.0.0:8445", false),
            ("[::]:8445", false),
            ("192.0.2.1:8445", false),
            ("[::ffff:192.0.2.1]:8445", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(check_points_door(address, false).is_ok(), allowed, "{address}");
            assert!(check_points_door(address, true).is_ok());
        }
    }
}
