//! What is answered beside the value: measures, provenance, and the form of it all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use vouchsafe_model::Sha256Digest;
use vouchsafe_wire::v1::opa::{BundleRevision, Provenance, Warning};

use super::parameters::{Metrics, Parameters};

/// The name of the policy in charge, among bundles.
const BUNDLE: &str = "vouchsafe";

/// How long the steps of an answer took.
pub(super) struct Timers {
    began: Instant,
    parsed: Duration,
}

impl Timers {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), parsed: Duration::ZERO }
    }

    /// The input is read.
    pub(super) fn input_is_read(&mut self) {
        self.parsed = self.began.elapsed();
    }

    /// The measures, by OPA's names, if they are wanted. The policy was compiled before the question came: there is nothing
    /// to tell of that.
    pub(super) fn metrics(&self, parameters: Parameters, evaluated: Duration) -> BTreeMap<String, u64> {
        let Some(wanted) = parameters.metrics else { return BTreeMap::new() };
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let handler = self.began.elapsed();
        let mut metrics = vec![
            ("counter_server_query_cache_hit", 1),
            ("timer_rego_input_parse_ns", nanos(self.parsed)),
            ("timer_rego_query_eval_ns", nanos(evaluated)),
            ("timer_server_handler_ns", nanos(handler)),
        ];
        if wanted == Metrics::More {
            // What is left is the way to the log and back.
            let logged = handler.saturating_sub(self.parsed).saturating_sub(evaluated);
            metrics.push(("timer_vouchsafe_log_ns", nanos(logged)));
        }
        metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

pub(super) fn provenance(policy: Sha256Digest) -> Provenance {
    let revision = BundleRevision { revision: policy.to_string() };
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_commit: String::new(),
        build_timestamp: String::new(),
        build_hostname: String::new(),
        bundles: BTreeMap::from([(BUNDLE.to_owned(), revision)]),
    }
}

pub(super) fn warning(message: &str) -> Warning {
    Warning { code: "api_usage_warning".to_owned(), message: message.to_owned() }
}

/// JSON that nobody stores, indented if that is wanted.
pub(super) fn json(body: &impl Serialize, pretty: bool) -> Response {
    let written = if pretty { serde_json::to_vec_pretty(body) } else { serde_json::to_vec(body) };
    match written {
        Ok(body) => {
            let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
            ([json, (CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
        }
        Err(error) => vouchsafe_http::HttpProblem::internal(error).into_response(),
    }
}
