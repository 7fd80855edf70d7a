//! What is watched, as the query of a URL holds it.

use std::net::IpAddr;

use serde::Deserialize;
use utoipa::IntoParams;
use vouchsafe_model::{DeviceId, TrustScore};
use vouchsafe_wire::v1::agent::{Application, Network, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;

/// A question as a query.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// The device that asks.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    device: Option<DeviceId>,
    /// The user on whose behalf.
    #[serde(default)]
    user: Option<String>,
    /// Their roles, separated by commas.
    #[serde(default)]
    roles: Option<String>,
    /// The application that asks.
    #[serde(default)]
    application: Option<String>,
    /// The address that the flow comes from.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    source_ip: Option<IpAddr>,
    /// Whether both ends of the flow authenticated each other. When neither this nor `encrypted` is told, the flow is not
    /// described.
    #[serde(default)]
    authenticated: Option<bool>,
    /// Whether the flow is encrypted from end to end.
    #[serde(default)]
    encrypted: Option<bool>,
    /// What is to be done.
    action: String,
    /// To what.
    resource: String,
    /// The obligations that the asker meets, by their codes, separated by commas.
    #[serde(default)]
    understands: Option<String>,
    /// A score: when that of the device falls below it, it is told too. Without, it is the one that the policy says is needed.
    #[serde(default)]
    minimum_score: Option<f64>,
}

/// What goes with a question.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WatchOptions {
    /// A score: when that of the device falls below it, it is told too. Without, it is the one that the policy says is needed.
    #[serde(default)]
    minimum_score: Option<f64>,
}

impl WatchOptions {
    pub(super) fn minimum_score(self) -> Option<TrustScore> {
        self.minimum_score.map(TrustScore::new)
    }
}

impl WatchQuery {
    pub(super) fn into_question(self) -> (AskDecision, WatchOptions) {
        let listed = |list: Option<&str>| {
            let entries = list.unwrap_or_default().split(',').filter(|entry| !entry.is_empty());
            entries.map(str::to_owned).collect()
        };
        let (roles, understands) = (listed(self.roles.as_deref()), listed(self.understands.as_deref()));
        let is_described = self.source_ip.is_some() || self.authenticated.is_some() || self.encrypted.is_some();
        let network = Network {
            source_ip: self.source_ip,
            authenticated: self.authenticated.unwrap_or(false),
            encrypted: self.encrypted.unwrap_or(false),
        };
        let ask = AskDecision {
            device: self.device,
            user: self.user.map(|id| User { id, roles, authenticated_at: None, factors: Vec::new() }),
            application: self.application.map(|id| Application { id, version: None }),
            network: is_described.then_some(network),
            request: Request::new(self.action, self.resource),
            understands,
        };
        (ask, WatchOptions { minimum_score: self.minimum_score })
    }
}
