//! The network agent: device, user, application and network together, as policies see it.
//!
//! These types are the policy input and generate its JSON Schema. Every field is always present; what is not known is
//! `null`, so that a policy can tell "unknown" from "absent" and never compares with something undefined.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::trust::{FactorPart, Veto};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{
    DeviceId, DeviceState, EndorsementGrade, FindingCode, HostFacts, ImageId, Timestamp, TrustScore,
};

/// What a policy decides over: who asks, from where, with what, for what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Vouchsafe policy input", extend("$id" = "urn:vouchsafe:schema:policy-input:v1"))]
pub struct PolicyInput {
    /// The instant of the question.
    pub now: Timestamp,
    /// The device that the request comes from; `null` when none was named or none of that name is known.
    pub device: Option<DeviceFacts>,
    /// The user on whose behalf; `null` when none was named.
    pub user: Option<User>,
    /// The application that asks; `null` when none was named.
    pub application: Option<Application>,
    /// The flow that carries the request; `null` when it was not described.
    pub network: Option<Network>,
    /// What is asked.
    pub request: Request,
}

/// A device at the instant of the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceFacts {
    /// Its name.
    pub id: DeviceId,
    /// Whether it may take part.
    pub state: DeviceState,
    /// How well its EK is vouched for.
    pub endorsement: EndorsementGrade,
    /// When it first enrolled.
    pub enrolled_at: Timestamp,
    /// The golden image that it is compared with.
    pub image: Option<ImageId>,
    /// When its certificate ends.
    pub certificate_expires_at: Timestamp,
    /// How far it is trusted now.
    pub score: TrustScore,
    /// What each factor of the score is worth and costs.
    pub factors: Vec<FactorPart>,
    /// What holds the score down, whatever its factors say.
    pub vetoes: Vec<Veto>,
    /// What its last evidence came to; `null` before the first.
    pub verdict: Option<VerdictFacts>,
    /// What it says of itself, unproven: fit to deny by, never to allow by.
    pub claims: HostFacts,
}

/// A verdict as policies see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerdictFacts {
    /// What it came to.
    pub status: VerdictStatus,
    /// When it was reached.
    pub appraised_at: Timestamp,
    /// How old the evidence is at the instant of the question, in seconds.
    pub age_secs: u64,
    /// What was found.
    pub findings: Vec<FindingFacts>,
}

/// A finding as policies see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingFacts {
    /// What was found.
    pub code: FindingCode,
    /// The PCR that it is about.
    pub pcr: Option<u8>,
    /// Whether it is for this that the verdict fails.
    pub failure: bool,
}

/// A user, as the enforcement point that asks has authenticated them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Their name at the authority that vouches for them.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// Their roles.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub roles: Vec<String>,
    /// When they authenticated; `null` when that is not known.
    #[serde(default)]
    pub authenticated_at: Option<Timestamp>,
    /// The factors they used: `know`, `have`, `are`.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub factors: Vec<String>,
}

/// An application, as the enforcement point that asks knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub id: String,
    /// Its version; `null` when that is not known.
    #[serde(default)]
    pub version: Option<String>,
}

/// The flow that carries a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The address that it comes from; `null` when that is not known.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "ip")]
    pub source_ip: Option<std::net::IpAddr>,
    /// Whether both ends authenticated each other.
    pub authenticated: bool,
    /// Whether it is encrypted from end to end.
    pub encrypted: bool,
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What is to be done: `read`, `GET`, `connect`.
    #[schemars(length(min = 1, max = 256))]
    pub action: String,
    /// To what: `db:orders`, `https://wiki.example.org/`.
    #[schemars(length(min = 1, max = 4096))]
    pub resource: String,
    /// The HTTP request that waits for the answer; `null` when it is none, or nobody told.
    #[serde(default)]
    pub http: Option<HttpRequest>,
    /// The question in the terms of AuthZEN; `null` when it was not asked so.
    #[serde(default)]
    pub access: Option<Access>,
}

/// An HTTP request, as an enforcement point received it.
///
/// Credentials are not in it: whoever asks has verified them, and what they prove is the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// The method.
    #[schemars(length(min = 1, max = 32))]
    pub method: String,
    /// `http` or `https`; `null` when that is not known.
    #[serde(default)]
    pub scheme: Option<String>,
    /// The host and, unless it is the scheme's own, the port; in lower case.
    #[schemars(length(max = 261))]
    pub host: String,
    /// The path in its normal form, to which all spellings that servers take for the same lead.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
    /// The path as it was sent, undecoded, without the query.
    #[schemars(length(min = 1, max = 4096))]
    pub raw_path: String,
    /// What follows the first `?`, undecoded; `null` when there is none.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub query: Option<String>,
    /// The other headers that the point was set up to pass on, by their names in lower case.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body, if the point was set up to pass it on and it is text; `null` else. It is never logged.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the body goes on beyond what was passed on.
    #[serde(default)]
    pub body_is_partial: bool,
}

/// A question in the terms of AuthZEN (Authorization API 1.0, section 5): may the subject do the action to the resource?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Who.
    pub subject: Entity,
    /// What.
    pub action: Action,
    /// To what.
    pub resource: Entity,
    /// Under which circumstances.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub context: serde_json::Map<String, serde_json::Value>,
}

/// A subject or a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Entity {
    /// What it is: `user`, `device`, `record`.
    pub r#type: String,
    /// Its name among those of its type.
    pub id: String,
    /// What the asker says of it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub properties: serde_json::Map<String, serde_json::Value>,
}

/// An action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// What the asker says of it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub properties: serde_json::Map<String, serde_json::Value>,
}

impl User {
    /// The longest name and role, in bytes.
    pub const MAX_TEXT_LEN: usize = 256;
    /// The most roles.
    pub const MAX_ROLES: usize = 64;
    /// The most factors.
    pub const MAX_FACTORS: usize = 8;
}

impl Application {
    /// The longest name and version, in bytes.
    pub const MAX_TEXT_LEN: usize = 256;
}

impl Request {
    /// The longest action, in bytes.
    pub const MAX_ACTION_LEN: usize = 256;
    /// The longest resource, in bytes.
    pub const MAX_RESOURCE_LEN: usize = 4096;

    /// To do this to that; neither an HTTP request nor in the terms of AuthZEN.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), http: None, access: None }
    }
}

impl HttpRequest {
    /// The longest method, in bytes.
    pub const MAX_METHOD_LEN: usize = 32;
    /// The longest host with its port, in bytes (RFC 1035, 2.3.4).
    pub const MAX_HOST_LEN: usize = 261;
    /// The longest path, in either form, and the longest query, in bytes.
    pub const MAX_PATH_LEN: usize = 4096;
    /// The most headers, each with all its values.
    pub const MAX_HEADERS: usize = 64;
    /// The longest name of a header, in bytes.
    pub const MAX_HEADER_NAME_LEN: usize = 128;
    /// The longest body that is passed on, in bytes.
    pub const MAX_BODY_LEN: usize = 16 * 1024;
}

impl Access {
    /// The longest name and type of an entity and of an action, in bytes.
    pub const MAX_TEXT_LEN: usize = 1024;
    /// The longest that all of it may be as JSON, in bytes.
    pub const MAX_LEN: usize = 16 * 1024;
}
