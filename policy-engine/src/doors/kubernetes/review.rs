//! `SubjectAccessReview`, as the API server sends it. Fields of it that no policy needs are not read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use vouchsafe_model::spiffe::{PeerRole, SpiffeId, TrustDomain};
use vouchsafe_wire::v1::agent::{Access, Action, Entity, Network, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;

/// The versions that are spoken.
const VERSIONS: [&str; 2] = ["authorization.k8s.io/v1", "authorization.k8s.io/v1beta1"];

/// May a subject do this?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubjectAccessReview {
    /// `authorization.k8s.io/v1` or `authorization.k8s.io/v1beta1`.
    pub api_version: String,
    /// `SubjectAccessReview`.
    pub kind: String,
    /// What is asked.
    pub spec: ReviewSpec,
    /// The answer; not there in a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ReviewStatus>,
}

/// Who wants to do what. Either of the attributes is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewSpec {
    /// To an object of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_attributes: Option<ResourceAttributes>,
    /// To another path of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_resource_attributes: Option<NonResourceAttributes>,
    /// The user, as the API server has authenticated them.
    #[serde(default)]
    pub user: String,
    /// Their groups; `group` in v1beta1.
    #[serde(default, alias = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The user's unique name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// An object of the API, or several: what is empty stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ResourceAttributes {
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `get`, `list`, `create`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verb: String,
    /// Its API group; empty for the core.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The version of that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its type: `pods`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// A part of it: `log`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A path of the API server that is no object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NonResourceAttributes {
    /// The path: `/healthz`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The method, in lower case.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verb: String,
}

/// The answer. Neither allowed nor denied is no opinion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReviewStatus {
    /// Yes.
    #[serde(default)]
    pub allowed: bool,
    /// No, whatever other authorizers say.
    #[serde(default)]
    pub denied: bool,
    /// Why, and the decision's name.
    #[serde(default)]
    pub reason: String,
}

impl SubjectAccessReview {
    /// Whether it is a review as we know them.
    pub(super) fn check_kind(&self) -> Result<(), String> {
        if self.kind != "SubjectAccessReview" || !VERSIONS.contains(&self.api_version.as_str()) {
            return Err(format!("Send a SubjectAccessReview of {} or {}.", VERSIONS[0], VERSIONS[1]));
        }
        match (&self.spec.resource_attributes, &self.spec.non_resource_attributes) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("spec: there has to be one of resourceAttributes and nonResourceAttributes.".to_owned()),
        }
    }
}

impl ReviewSpec {
    /// The review as a question. A user whose name is the SPIFFE ID of a device of ours is that device.
    pub(super) fn ask(&self, domain: &TrustDomain) -> AskDecision {
        let (verb, r#type, id, properties) = match (&self.resource_attributes, &self.non_resource_attributes) {
            (Some(object), _) => (object.verb.clone(), object.r#type(), object.id(), object.properties()),
            (None, Some(url)) => {
                (url.verb.clone(), "url".to_owned(), format!("kubernetes-url:{}", url.path), Map::new())
            }
            (None, None) => Default::default(),
        };
        let device = match self.user.parse() {
            Ok(SpiffeId { trust_domain, role: PeerRole::Device(id) }) if trust_domain == *domain => Some(id),
            _ => None,
        };
        let user =
            User { id: self.user.clone(), roles: self.groups.clone(), authenticated_at: None, factors: Vec::new() };
        let subject_properties = [("groups", Value::from(self.groups.clone())), ("uid", Value::from(self.uid.clone()))];
        let access = Access {
            subject: Entity { r#type: "user".to_owned(), id: self.user.clone(), properties: map(subject_properties) },
            action: Action { name: verb.clone(), properties: Map::new() },
            resource: Entity { r#type, id: id.clone(), properties },
            context: Map::new(),
        };
        AskDecision {
            device,
            user: Some(user),
            application: None,
            // The API server takes nobody without authentication, and speaks nothing but TLS.
            network: Some(Network { source_ip: None, authenticated: true, encrypted: true }),
            request: Request { access: Some(access), ..Request::new(verb, id) },
            // An API server has no way to be told of one.
            understands: Vec::new(),
        }
    }
}

impl ResourceAttributes {
    /// `deployments.apps`, as Kubernetes names types.
    fn r#type(&self) -> String {
        match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        }
    }

    /// `kubernetes:default/deployments.apps/web/scale`; what stands for all is `*`.
    fn id(&self) -> String {
        let or_all = |text: &str| if text.is_empty() { "*".to_owned() } else { segment(text) };
        let mut id =
            format!("kubernetes:{}/{}/{}", or_all(&self.namespace), segment(&self.r#type()), or_all(&self.name));
        if !self.subresource.is_empty() {
            id.push('/');
            id.push_str(&segment(&self.subresource));
        }
        id
    }

    fn properties(&self) -> Map<String, Value> {
        let Self { namespace, verb: _, group, version, resource, subresource, name } = self;
        map([
            ("namespace", namespace.as_str().into()),
            ("group", group.as_str().into()),
            ("version", version.as_str().into()),
            ("resource", resource.as_str().into()),
            ("subresource", subresource.as_str().into()),
            ("name", name.as_str().into()),
        ])
    }
}

/// A part of a name, which cannot pass for two of them or for all.
fn segment(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace('*', "%2A")
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_passes_for_another_object_or_for_all() {
        let id = |namespace: &str, group: &str, resource: &str, name: &str, subresource: &str| {
            let owned = str::to_owned;
            ResourceAttributes {
                namespace: owned(namespace),
                group: owned(group),
                resource: owned(resource),
                name: owned(name),
                subresource: owned(subresource),
                ..ResourceAttributes::default()
            }
            .id()
        };
        assert_eq!(
            id("default", "apps", "deployments", "web", "scale"),
            "kubernetes:default/deployments.apps/web/scale"
        );
        assert_eq!(id("", "", "nodes", "", ""), "kubernetes:*/nodes/*");
        assert_eq!(id("*", "", "pods", "a/b", ""), "kubernetes:%2A/pods/a%2Fb");
        assert_eq!(id("a%2Fb", "", "pods", "c", ""), "kubernetes:a%252Fb/pods/c");
    }
}
