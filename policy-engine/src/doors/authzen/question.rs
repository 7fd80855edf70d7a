//! From AuthZEN's terms to a question of ours.
//!
//! The subject is whoever asks: a `user` (with the `roles` of its properties, when they are a list of texts), a `device` (by
//! its id) or an `application`, also called `workload` (with the `version` of its properties). A subject of another type is
//! known to the policy by `input.request.access` alone, where all of the request is, properties and context among it. The
//! parts of the network agent that the subject is not may stand in `context.vouchsafe`.

use serde::Deserialize as _;
use serde_json::{Map, Value};
use vouchsafe_wire::v1::agent::{Access, Application, Entity, Request, User};
use vouchsafe_wire::v1::authzen::{AGENT_PLACE, AgentContext};
use vouchsafe_wire::v1::decide::AskDecision;

use crate::doors::{Caller, Forward, NotBelieved};
use crate::question::{Question, QuestionError};

/// Why an evaluation is no question.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoQuestion {
    /// What is told of the network agent has no such shape.
    #[error("context.{AGENT_PLACE}: {0}.")]
    Agent(serde_json::Error),
    /// The subject is one thing and the context says that it is another.
    #[error("context.{AGENT_PLACE} names a {0}, and so does the subject.")]
    Twice(&'static str),
    /// It is out of bounds.
    #[error("{0}.")]
    Bounds(#[from] QuestionError),
}

/// Who the subject is.
enum Subject {
    User(User),
    Device(Option<vouchsafe_model::DeviceId>),
    Application(Application),
    Other,
}

impl Subject {
    fn of(entity: &Entity) -> Self {
        let id = entity.id.clone();
        match entity.r#type.as_str() {
            "user" => {
                let roles = roles(&entity.properties);
                Self::User(User { id, roles, authenticated_at: None, factors: Vec::new() })
            }
            // An id that is none of ours names a device that nobody knows.
            "device" => Self::Device(id.parse().ok()),
            "application" | "workload" => {
                let version = entity.properties.get("version").and_then(Value::as_str).map(str::to_owned);
                Self::Application(Application { id, version })
            }
            _ => Self::Other,
        }
    }

    /// What whoever names it as the subject passes on.
    fn forward(&self) -> Forward {
        match self {
            Self::User(_) | Self::Other => Forward::User,
            Self::Device(_) => Forward::Device,
            Self::Application(_) => Forward::Application,
        }
    }
}

/// Whether a caller is believed when it speaks of this subject, and of what the context tells of the agent.
pub(super) fn check_belief(caller: &Caller, access: &Access) -> Result<(), NotBelieved> {
    caller.may_pass_on(Subject::of(&access.subject).forward())?;
    let agent = access.context.get(AGENT_PLACE).and_then(Value::as_object);
    let told = |part: &str| agent.is_some_and(|agent| agent.get(part).is_some_and(|value| !value.is_null()));
    [("user", Forward::User), ("device", Forward::Device), ("application", Forward::Application)]
        .into_iter()
        .filter(|(part, _)| told(part))
        .try_for_each(|(_, forward)| caller.may_pass_on(forward))
}

/// The question of an evaluation. Whoever is told of obligations may meet them; where nobody is, none is met.
pub(super) fn question(access: Access, told: Option<&Caller>) -> Result<Question, NoQuestion> {
    let agent = access.context.get(AGENT_PLACE).map(AgentContext::deserialize);
    let AgentContext { mut device, mut user, mut application, network, understands } =
        agent.transpose().map_err(NoQuestion::Agent)?.unwrap_or_default();
    match Subject::of(&access.subject) {
        Subject::User(subject) => only(&mut user, Some(subject), "user")?,
        Subject::Device(subject) => only(&mut device, subject, "device")?,
        Subject::Application(subject) => only(&mut application, Some(subject), "application")?,
        Subject::Other => {}
    }
    let resource = format!("{}:{}", access.resource.r#type, access.resource.id);
    let mut request = Request::new(access.action.name.clone(), resource);
    request.access = Some(access);
    let ask = AskDecision { device, user, application, network, request, understands };
    Ok(match told {
        Some(caller) => caller.question(ask)?,
        None => Question::check(AskDecision { understands: Vec::new(), ..ask })?,
    })
}

/// Puts the subject in its place, which has to be free.
fn only<T>(place: &mut Option<T>, subject: Option<T>, what: &'static str) -> Result<(), NoQuestion> {
    if place.is_some() {
        return Err(NoQuestion::Twice(what));
    }
    *place = subject;
    Ok(())
}

/// The roles of a subject. What is no list of texts says nothing.
fn roles(properties: &Map<String, Value>) -> Vec<String> {
    let texts = properties.get("roles").and_then(Value::as_array).map(|roles| {
        roles.iter().map(|role| role.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>().unwrap_or_default()
    });
    texts.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn access(subject: Value, context: Value) -> Access {
        let body = json!({
            "subject": subject, "action": {"name": "read"}, "resource": {"type": "record", "id": "1:2"}, "context": context
        });
        vouchsafe_wire::v1::authzen::read_evaluation(&body).unwrap()
    }

    fn asked(subject: Value, context: Value) -> Result<AskDecision, NoQuestion> {
        question(access(subject, context), None).map(|question| question.ask().clone())
    }

    const DEVICE: &str = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf";

    #[test]
    fn a_subject_is_a_user_a_device_or_an_application() {
        let user = asked(json!({"type": "user", "id": "ada", "properties": {"roles": ["ops"]}}), json!(null)).unwrap();
        assert_eq!(user.user.as_ref().map(|user| user.roles.clone()), Some(vec!["ops".to_owned()]));
        assert_eq!((user.request.action.as_str(), user.request.resource.as_str()), ("read", "record:1:2"));
        assert_eq!(user.request.access.unwrap().subject.properties["roles"], json!(["ops"]));
        let device = asked(json!({"type": "device", "id": DEVICE}), json!(null)).unwrap();
        assert_eq!((device.device.unwrap().to_string().as_str(), device.user), (DEVICE, None));
        assert_eq!(asked(json!({"type": "device", "id": "laptop-7"}), json!(null)).unwrap().device, None);
        for kind in ["application", "workload"] {
            let subject = json!({"type": kind, "id": "crm", "properties": {"version": "2"}});
            let application = asked(subject, json!(null)).unwrap().application.unwrap();
            assert_eq!((application.id.as_str(), application.version.as_deref()), ("crm", Some("2")));
        }
        let other = asked(json!({"type": "spaceship", "id": "x"}), json!(null)).unwrap();
        assert_eq!((other.user, other.device, other.application), (None, None, None));
    }

    #[test]
    fn roles_that_are_no_list_of_texts_are_none() {
        for roles in [json!("ops"), json!(["ops", 1]), json!({"0": "ops"}), json!(null)] {
            let subject = json!({"type": "user", "id": "ada", "properties": {"roles": roles}});
            assert_eq!(asked(subject, json!(null)).unwrap().user.unwrap().roles, Vec::<String>::new());
        }
    }

    #[test]
    fn the_context_tells_what_the_subject_is_not_and_nothing_twice() {
        let network = json!({"authenticated": true, "encrypted": true});
        let context = json!({"time": "x", "vouchsafe": {"device": DEVICE, "network": network}});
        let ask = asked(json!({"type": "user", "id": "ada"}), context.clone()).unwrap();
        assert_eq!((ask.device.unwrap().to_string().as_str(), ask.user.unwrap().id.as_str()), (DEVICE, "ada"));
        assert!(ask.network.unwrap().encrypted);
        let twice = asked(json!({"type": "device", "id": DEVICE}), context).unwrap_err();
        assert_eq!(twice.to_string(), "context.vouchsafe names a device, and so does the subject.");
        // Also when the subject's name is none of ours: the device would otherwise be another than the subject.
        let context = json!({"vouchsafe": {"device": DEVICE}});
        assert!(asked(json!({"type": "device", "id": "laptop-7"}), context).is_err());
        for agent in [json!("x"), json!({"device": {"score": 100}}), json!({"score": 100}), json!({"user": "ada"})] {
            let error = asked(json!({"type": "spaceship", "id": "x"}), json!({"vouchsafe": agent}));
            assert!(matches!(error, Err(NoQuestion::Agent(_))), "{agent}");
        }
    }

    #[test]
    fn names_out_of_bounds_are_refused() {
        for subject in [
            json!({"type": "user", "id": ""}),
            json!({"type": "", "id": "x"}),
            json!({"type": "user", "id": "x".repeat(257)}),
            json!({"type": "user", "id": "a\u{1b}[2J"}),
            json!({"type": "other", "id": "x".repeat(Access::MAX_TEXT_LEN + 1)}),
        ] {
            assert!(matches!(asked(subject.clone(), json!(null)), Err(NoQuestion::Bounds(_))), "{subject}");
        }
    }
}
