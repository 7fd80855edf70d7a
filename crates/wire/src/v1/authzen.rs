//! OpenID AuthZEN, Authorization API 1.0: what is asked and answered.
//!
//! Unknown fields are ignored, as its section 10.1.1 has it, and an optional one that is `null` is as good as absent. So
//! requests are read by hand from a document that [`ijson`](vouchsafe_model::ijson) has found to mean one thing only: each refusal names
//! the field.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use vouchsafe_model::DeviceId;

use super::agent::{Access, Action, Application, Entity, Network, User};
use super::limits::DECISIONS;

/// Where in `context` a point tells the parts of the network agent that AuthZEN has no words for.
pub const AGENT_PLACE: &str = "vouchsafe";

/// Something that is missing or of another type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Unacceptable {
    field: String,
    problem: &'static str,
}

/// A request to `/access/v1/evaluations`.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluationsRequest {
    /// Without `evaluations`, or with none in it: as to `/access/v1/evaluation`.
    One(Access),
    /// With some.
    Many {
        /// Each with what it takes from the top, or what it lacks.
        evaluations: Vec<Result<Access, Unacceptable>>,
        /// How they are to be run.
        semantic: Semantic,
    },
}

/// How several evaluations are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Semantic {
    /// All of them.
    #[default]
    ExecuteAll,
    /// In order, up to the first deny.
    DenyOnFirstDeny,
    /// In order, up to the first permit.
    PermitOnFirstPermit,
}

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Searched {
    /// Who may do this to that?
    Subject,
    /// To what may they do this?
    Resource,
    /// What may they do to that?
    Action,
}

/// A request to `/access/v1/search/…`.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    /// What is searched for.
    pub searched: Searched,
    /// The rest. The name of what is searched for is empty.
    pub access: Access,
    /// Which part of the results, if that was asked.
    pub page: Option<PageRequest>,
}

/// Which part of the results of a search is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageRequest {
    /// The `next_token` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The most results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Nothing that is known here.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub properties: Map<String, Value>,
}

/// The parts of the network agent that a subject is not: `context.vouchsafe` of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentContext {
    /// The device that the request comes from.
    #[serde(default)]
    pub device: Option<DeviceId>,
    /// The user on whose behalf.
    #[serde(default)]
    pub user: Option<User>,
    /// The application that asks.
    #[serde(default)]
    pub application: Option<Application>,
    /// The flow that carries the request.
    #[serde(default)]
    pub network: Option<Network>,
    /// The obligations that the asker meets, by their codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub understands: Vec<String>,
}

/// The answer to one evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccessDecision {
    /// Yes or no.
    pub decision: bool,
    /// Under which name it is on record, and why.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub context: Map<String, Value>,
}

/// The answers to several evaluations, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccessDecisions {
    /// As many as were run.
    pub evaluations: Vec<AccessDecision>,
}

/// The answer to a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswer {
    /// Which part this is; absent when it is the whole and nobody asked for a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PageAnswer>,
    /// What was found: subjects and resources with `type` and `id`, actions with `name`.
    #[schema(value_type = Vec<Object>)]
    pub results: Vec<Value>,
}

/// Which part of the results of a search this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageAnswer {
    /// By what the next part is asked for; empty when there is none.
    pub next_token: String,
    /// How many results are in this one.
    pub count: usize,
}

/// `/.well-known/authzen-configuration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PdpMetadata {
    /// What the other addresses begin with.
    pub policy_decision_point: String,
    /// Where one decision is asked for.
    pub access_evaluation_endpoint: String,
    /// Where several are.
    pub access_evaluations_endpoint: String,
    /// Where subjects are searched for.
    pub search_subject_endpoint: String,
    /// Where resources are searched for.
    pub search_resource_endpoint: String,
    /// Where actions are searched for.
    pub search_action_endpoint: String,
}

impl Unacceptable {
    fn new(field: impl Into<String>, problem: &'static str) -> Self {
        Self { field: field.into(), problem }
    }

    fn below(self, place: &str) -> Self {
        Self { field: format!("{place}.{}", self.field), ..self }
    }
}

/// The four entities of a request, as far as they are there. What is there, is whole.
#[derive(Clone, Default)]
struct Parts {
    subject: Option<Entity>,
    action: Option<Action>,
    resource: Option<Entity>,
    context: Option<Map<String, Value>>,
}

impl Parts {
    fn read(body: &Map<String, Value>) -> Result<Self, Unacceptable> {
        Ok(Self {
            subject: optional(body, "subject").map(|value| entity("subject", value, true)).transpose()?,
            action: optional(body, "action").map(action).transpose()?,
            resource: optional(body, "resource").map(|value| entity("resource", value, true)).transpose()?,
            context: optional(body, "context").map(|value| object("context", value)).transpose()?,
        })
    }

    /// With defaults for what is not there, each taken whole.
    fn or(self, defaults: &Self) -> Self {
        Self {
            subject: self.subject.or_else(|| defaults.subject.clone()),
            action: self.action.or_else(|| defaults.action.clone()),
            resource: self.resource.or_else(|| defaults.resource.clone()),
            context: self.context.or_else(|| defaults.context.clone()),
        }
    }

    fn whole(self) -> Result<Access, Unacceptable> {
        Ok(Access {
            subject: self.subject.ok_or_else(|| missing("subject"))?,
            action: self.action.ok_or_else(|| missing("action"))?,
            resource: self.resource.ok_or_else(|| missing("resource"))?,
            context: self.context.unwrap_or_default(),
        })
    }
}

/// Reads a request to `/access/v1/evaluation`.
///
/// # Errors
/// The first field that is missing or of another type.
pub fn read_evaluation(body: &Value) -> Result<Access, Unacceptable> {
    Parts::read(&the_body(body)?)?.whole()
}

/// Reads a request to `/access/v1/evaluations`.
///
/// # Errors
/// The first field at the top that is missing or of another type, or that there are more than [`DECISIONS`] evaluations. What
/// a single evaluation lacks is told of that one.
pub fn read_evaluations(body: &Value) -> Result<EvaluationsRequest, Unacceptable> {
    let body = the_body(body)?;
    let defaults = Parts::read(&body)?;
    let semantic = optional(&body, "options").map(|value| object("options", value)).transpose()?;
    let semantic = semantic.as_ref().and_then(|options| optional(options, "evaluations_semantic"));
    let unknown = |_| Unacceptable::new("options.evaluations_semantic", "is none that is known");
    let semantic = semantic.map(Semantic::deserialize).transpose().map_err(unknown)?.unwrap_or_default();
    let items = match optional(&body, "evaluations") {
        None => return Ok(EvaluationsRequest::One(defaults.whole()?)),
        Some(Value::Array(items)) if items.is_empty() => return Ok(EvaluationsRequest::One(defaults.whole()?)),
        Some(Value::Array(items)) if items.len() > DECISIONS => {
            return Err(Unacceptable::new("evaluations", "has more than 100 entries"));
        }
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Unacceptable::new("evaluations", "is no array")),
    };
    let read = |(position, item): (usize, &Value)| {
        let place = format!("evaluations[{position}]");
        let item = object(&place, item)?;
        let parts = Parts::read(&item).and_then(|parts| parts.or(&defaults).whole());
        parts.map_err(|error| error.below(&place))
    };
    Ok(EvaluationsRequest::Many { evaluations: items.iter().enumerate().map(read).collect(), semantic })
}

/// Reads a request to `/access/v1/search/…`.
///
/// # Errors
/// The first field that is missing or of another type.
pub fn read_search(searched: Searched, body: &Value) -> Result<SearchRequest, Unacceptable> {
    let body = the_body(body)?;
    let required = |field: &'static str| optional(&body, field).ok_or_else(|| missing(field));
    let access = Access {
        subject: entity("subject", required("subject")?, searched != Searched::Subject)?,
        action: if searched == Searched::Action { Action::default() } else { action(required("action")?)? },
        resource: entity("resource", required("resource")?, searched != Searched::Resource)?,
        context: optional(&body, "context").map(|value| object("context", value)).transpose()?.unwrap_or_default(),
    };
    Ok(SearchRequest { searched, access, page: optional(&body, "page").map(page).transpose()? })
}

fn the_body(body: &Value) -> Result<Map<String, Value>, Unacceptable> {
    object("the body", body)
}

fn missing(field: impl Into<String>) -> Unacceptable {
    Unacceptable::new(field, "is missing")
}

/// A field that is there and says something.
fn optional<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

fn object(field: &str, value: &Value) -> Result<Map<String, Value>, Unacceptable> {
    value.as_object().cloned().ok_or_else(|| Unacceptable::new(field, "is no object"))
}

fn text(object: &Map<String, Value>, place: &str, field: &str) -> Result<String, Unacceptable> {
    let name = format!("{place}.{field}");
    match optional(object, field) {
        None => Err(missing(name)),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Unacceptable::new(name, "is no string")),
    }
}

fn properties(entity: &Map<String, Value>, place: &str) -> Result<Map<String, Value>, Unacceptable> {
    let properties = optional(entity, "properties").map(|value| object(&format!("{place}.properties"), value));
    Ok(properties.transpose()?.unwrap_or_default())
}

/// A subject or a resource. Of one that is searched for, the name is passed over.
fn entity(place: &str, value: &Value, is_named: bool) -> Result<Entity, Unacceptable> {
    let entity = object(place, value)?;
    Ok(Entity {
        r#type: text(&entity, place, "type")?,
        id: if is_named { text(&entity, place, "id")? } else { String::new() },
        properties: properties(&entity, place)?,
    })
}

fn action(value: &Value) -> Result<Action, Unacceptable> {
    let action = object("action", value)?;
    Ok(Action { name: text(&action, "action", "name")?, properties: properties(&action, "action")? })
}

fn page(value: &Value) -> Result<PageRequest, Unacceptable> {
    let page = object("page", value)?;
    let limit = optional(&page, "limit")
        .map(|limit| limit.as_u64().ok_or_else(|| Unacceptable::new("page.limit", "is no whole number of at least 0")));
    let token = optional(&page, "token").map(|_| text(&page, "page", "token")).transpose()?;
    Ok(PageRequest { token, limit: limit.transpose()?, properties: properties(&page, "page")? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({
            "subject": {"type": "user", "id": "alice", "properties": {"a": [1, null]}, "more": 1},
            "action": {"name": "read", "properties": {"soft": true}},
            "resource": {"type": "record", "id": "1"},
            "context": {"time": "now"},
            "foo": {"nested": true}
        })
    }

    /// The body after a change at a place.
    fn with(place: &str, value: Value) -> Value {
        let mut body = whole();
        *body.pointer_mut(place).unwrap() = value;
        body
    }

    #[test]
    fn what_is_not_known_is_ignored_and_properties_are_kept() {
        let access = read_evaluation(&whole()).unwrap();
        assert_eq!((access.subject.id.as_str(), access.action.name.as_str()), ("alice", "read"));
        assert_eq!(Value::Object(access.subject.properties), json!({"a": [1, null]}));
        assert_eq!(Value::Object(access.context), json!({"time": "now"}));
        let bare = read_evaluation(&with("/context", json!(null))).unwrap();
        assert!(bare.context.is_empty() && bare.resource.properties.is_empty());
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named() {
        for (place, value, problem) in [
            ("", json!([]), "the body is no object"),
            ("/subject", json!(null), "subject is missing"),
            ("/subject", json!("alice"), "subject is no object"),
            ("/subject/type", json!(null), "subject.type is missing"),
            ("/subject/id", json!(1), "subject.id is no string"),
            ("/subject/properties", json!([]), "subject.properties is no object"),
            ("/action/name", json!(123), "action.name is no string"),
            ("/action", json!({}), "action.name is missing"),
            ("/resource/id", json!(null), "resource.id is missing"),
            ("/context", json!("x"), "context is no object"),
        ] {
            assert_eq!(read_evaluation(&with(place, value)).unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn defaults_are_taken_whole_and_one_bad_evaluation_spoils_no_other() {
        let body = json!({
            "subject": {"type": "user", "id": "alice", "properties": {"role": "x"}},
            "action": {"name": "read"},
            "evaluations": [
                {"resource": {"type": "record", "id": "1"}},
                {},
                {"resource": {"type": "record", "id": "2"}, "subject": {"type": "user", "id": "bob"}},
                {"resource": {"type": "record", "id": "3"}, "subject": {"type": "user"}},
                "text",
            ]
        });
        let EvaluationsRequest::Many { evaluations, semantic } = read_evaluations(&body).unwrap() else { panic!() };
        assert_eq!(semantic, Semantic::ExecuteAll);
        assert_eq!(evaluations[0].as_ref().unwrap().subject.properties["role"], "x");
        assert_eq!(evaluations[1].as_ref().unwrap_err().to_string(), "evaluations[1].resource is missing");
        assert!(evaluations[2].as_ref().unwrap().subject.properties.is_empty());
        assert_eq!(evaluations[3].as_ref().unwrap_err().to_string(), "evaluations[3].subject.id is missing");
        assert_eq!(evaluations[4].as_ref().unwrap_err().to_string(), "evaluations[4] is no object");
    }

    #[test]
    fn without_evaluations_there_is_one_and_more_than_the_most_are_refused() {
        for evaluations in [json!(null), json!([])] {
            let mut body = whole();
            body["evaluations"] = evaluations;
            assert!(matches!(read_evaluations(&body), Ok(EvaluationsRequest::One(_))));
        }
        let many = |count: usize| {
            let mut body = whole();
            body["evaluations"] = vec![json!({}); count].into();
            read_evaluations(&body)
        };
        assert!(many(DECISIONS).is_ok());
        assert_eq!(many(DECISIONS + 1).unwrap_err().to_string(), "evaluations has more than 100 entries");
        let mut body = whole();
        body["evaluations"] = json!({});
        assert!(read_evaluations(&body).is_err());
    }

    #[test]
    fn semantics_are_three() {
        let of = |options: Value| {
            let mut body = whole();
            (body["evaluations"], body["options"]) = (json!([{}]), options);
            read_evaluations(&body).map(|request| match request {
                EvaluationsRequest::Many { semantic, .. } => semantic,
                EvaluationsRequest::One(_) => panic!("one"),
            })
        };
        assert_eq!(of(json!({"other": 1})), Ok(Semantic::ExecuteAll));
        for (name, semantic) in [
            ("execute_all", Semantic::ExecuteAll),
            ("deny_on_first_deny", Semantic::DenyOnFirstDeny),
            ("permit_on_first_permit", Semantic::PermitOnFirstPermit),
        ] {
            assert_eq!(of(json!({"evaluations_semantic": name})), Ok(semantic));
        }
        for options in
            [json!({"evaluations_semantic": "all"}), json!({"evaluations_semantic": 1}), json!("execute_all")]
        {
            assert!(of(options).is_err());
        }
    }

    #[test]
    fn what_is_searched_for_needs_no_name_and_the_rest_does() {
        for (searched, id) in [(Searched::Subject, "/subject/id"), (Searched::Resource, "/resource/id")] {
            let named = read_search(searched, &whole()).unwrap();
            assert_eq!(named, read_search(searched, &with(id, json!(null))).unwrap(), "a name is passed over");
        }
        assert_eq!(read_search(Searched::Action, &whole()).unwrap().access.action, Action::default());
        assert!(read_search(Searched::Action, &with("/subject/id", json!(null))).is_err());
        assert!(read_search(Searched::Subject, &with("/resource/id", json!(null))).is_err());
        assert!(read_search(Searched::Subject, &with("/action", json!(null))).is_err());
        assert!(read_search(Searched::Subject, &with("/subject/type", json!(null))).is_err());
    }

    #[test]
    fn pages_have_a_limit_and_a_token() {
        let of = |page: Value| {
            let mut body = whole();
            body["page"] = page;
            read_search(Searched::Subject, &body).map(|search| search.page)
        };
        assert_eq!(of(json!(null)), Ok(None));
        assert_eq!(of(json!({"limit": 0, "x": 1})).unwrap().unwrap().limit, Some(0));
        assert_eq!(of(json!({"token": "t"})).unwrap().unwrap().token.as_deref(), Some("t"));
        for page in [json!(1), json!({"limit": -1}), json!({"limit": 1.5}), json!({"limit": "1"}), json!({"token": 1})]
        {
            assert!(of(page.clone()).is_err(), "{page}");
        }
    }
}
