//! Who knocks, and what is believed of what they say.
//!
//! Every door serves the same callers: operators and enforcement points by their certificates, points also by a key. What a
//! caller sees for itself (what is asked, over which flow) it may say. What it passes on about others, such as who the user
//! is, is believed only of a point that is registered for it. Whatever is not believed is refused, never dropped: a policy
//! that denies by what it is told would allow when it is told nothing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use serde::{Deserialize, Serialize};
use vouchsafe_http::{ApiKeys, HttpProblem, KeyHolder, Peer};
use vouchsafe_model::spiffe::{PeerName, PeerRole, SpiffeId, TrustDomain};
use vouchsafe_model::{Obligation, Sha256Digest};
use vouchsafe_wire::v1::decide::AskDecision;

use crate::question::{Question, QuestionError};

/// The most points that are registered.
pub const MAX_POINTS: usize = 4096;

/// A point as the settings register it: `[[points]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointSettings {
    /// Its name: that in its certificate, if it has one.
    pub name: PeerName,
    /// SHA-256 of its key, if it has one: `vouchsafe point keygen` tells it.
    #[serde(default)]
    pub key_sha256: Option<Sha256Digest>,
    /// What it passes on about others.
    #[serde(default)]
    pub forwards: BTreeSet<Forward>,
    /// The obligations that it meets, by their codes.
    #[serde(default)]
    pub understands: Vec<String>,
}

/// What a point may pass on about others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forward {
    /// The user on whose behalf a request comes.
    User,
    /// The device that a request comes from.
    Device,
    /// The application that asks.
    Application,
    /// The HTTP request that waits for the answer, its headers among it.
    Http,
}

/// The points that are registered.
#[derive(Clone, Debug, Default)]
pub struct Points(Arc<BTreeMap<PeerName, Arc<PointSettings>>>);

/// Why points cannot be registered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PointsError {
    /// Two of them have one name.
    #[error("the point {name} is registered twice")]
    NameTwice {
        /// The name.
        name: PeerName,
    },
    /// Two of them have one key, so that it names neither.
    #[error("the points {one} and {other} have the same key")]
    KeyTwice {
        /// The first.
        one: PeerName,
        /// The second.
        other: PeerName,
    },
    /// One of them is said to meet what cannot be the code of an obligation, or too much.
    #[error(
        "the obligations that the point {name} meets are more than {} or have no code",
        AskDecision::MAX_UNDERSTANDS
    )]
    Understands {
        /// Its name.
        name: PeerName,
    },
    /// There are more than [`MAX_POINTS`].
    #[error("there are more than {MAX_POINTS} points")]
    TooMany,
}

/// Somebody who may ask for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    identity: SpiffeId,
    standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Operator,
    Registered(Arc<PointSettings>),
    /// An enforcement point with a certificate that no settings speak of.
    Unregistered,
}

/// Something that a caller says about others and is not believed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{point} is not registered to pass on {forward}")]
pub struct NotBelieved {
    /// Who says it.
    pub point: SpiffeId,
    /// What it is about.
    pub forward: Forward,
}

impl Forward {
    /// Its name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Device => "device",
            Self::Application => "application",
            Self::Http => "http",
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Points {
    /// Registers points.
    ///
    /// # Errors
    /// When a name or a key does not tell them apart, or there are too many.
    pub fn new(settings: impl IntoIterator<Item = PointSettings>) -> Result<Self, PointsError> {
        let (mut points, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for point in settings {
            let same_key = point.key_sha256.and_then(|key| keys.insert(key, point.name.clone()));
            if let Some(one) = same_key {
                return Err(PointsError::KeyTwice { one, other: point.name });
            }
            let is_code = |code: &String| !code.is_empty() && code.len() <= Obligation::MAX_CODE_LEN;
            if point.understands.len() > AskDecision::MAX_UNDERSTANDS || !point.understands.iter().all(is_code) {
                return Err(PointsError::Understands { name: point.name });
            }
            match points.entry(point.name.clone()) {
                Entry::Vacant(place) => place.insert(Arc::new(point)),
                Entry::Occupied(_) => return Err(PointsError::NameTwice { name: point.name }),
            };
            if points.len() > MAX_POINTS {
                return Err(PointsError::TooMany);
            }
        }
        Ok(Self(Arc::new(points)))
    }

    /// The keys of those that have one. Their holders are enforcement points of this domain.
    pub fn keys(&self, trust_domain: &TrustDomain) -> ApiKeys {
        ApiKeys::new(self.0.values().filter_map(|point| {
            let role = PeerRole::Enforcement(point.name.clone());
            Some((point.key_sha256?, SpiffeId { trust_domain: trust_domain.clone(), role }))
        }))
    }

    /// Who a request comes from, by what its connection or its key has proven.
    ///
    /// # Errors
    /// `401` when that is nobody, `403` when it is somebody who may not ask.
    pub fn caller(&self, proven: &Extensions) -> Result<Caller, HttpProblem> {
        let peer = proven.get::<Peer>().map(|peer| &peer.identity);
        let holder = proven.get::<KeyHolder>().map(|holder| &holder.identity);
        let identity = peer.or(holder).ok_or_else(unknown)?;
        let standing = match &identity.role {
            PeerRole::Operator(_) => Standing::Operator,
            PeerRole::Enforcement(name) => match self.0.get(name) {
                Some(point) => Standing::Registered(point.clone()),
                None => Standing::Unregistered,
            },
            PeerRole::Device(_) | PeerRole::Server(_) => return Err(forbidden(identity)),
        };
        Ok(Caller { identity: identity.clone(), standing })
    }
}

impl Caller {
    /// Who it is.
    pub fn identity(&self) -> &SpiffeId {
        &self.identity
    }

    /// Whether it is an operator.
    pub fn is_operator(&self) -> bool {
        self.standing == Standing::Operator
    }

    /// The obligations that it meets as the settings say, by their codes.
    pub fn understands(&self) -> &[String] {
        match &self.standing {
            Standing::Registered(point) => &point.understands,
            Standing::Operator | Standing::Unregistered => &[],
        }
    }

    /// A question of it, at a door whose answers have a place for obligations: with those that it meets as the settings say
    /// besides those that the question names.
    pub(crate) fn question(&self, mut ask: AskDecision) -> Result<Question, QuestionError> {
        let missing = |code: &&String| !ask.understands.contains(code);
        let more: Vec<_> = self.understands().iter().filter(missing).cloned().collect();
        ask.understands.extend(more);
        Question::check(ask)
    }

    /// Whether it is believed in what it passes on. Operators are: they could as well change the policy.
    ///
    /// # Errors
    /// When it is not.
    pub fn may_pass_on(&self, forward: Forward) -> Result<(), NotBelieved> {
        let believed = match &self.standing {
            Standing::Operator => true,
            Standing::Registered(point) => point.forwards.contains(&forward),
            Standing::Unregistered => false,
        };
        if believed { Ok(()) } else { Err(NotBelieved { point: self.identity.clone(), forward }) }
    }

    /// Whether it is believed in all that a question says of others.
    ///
    /// # Errors
    /// The first thing in which it is not.
    pub fn may_ask(&self, ask: &AskDecision) -> Result<(), NotBelieved> {
        passed_on(ask).try_for_each(|forward| self.may_pass_on(forward))
    }

    /// The same at our own door: an operator issued the certificate of a point so that it asks there about users and
    /// devices. A point that the settings speak of is held to what they say.
    ///
    /// # Errors
    /// The first thing in which it is not believed.
    pub fn may_ask_natively(&self, ask: &AskDecision) -> Result<(), NotBelieved> {
        if self.standing == Standing::Unregistered { Ok(()) } else { self.may_ask(ask) }
    }
}

/// What a question says of others.
fn passed_on(ask: &AskDecision) -> impl Iterator<Item = Forward> {
    [
        (Forward::User, ask.user.is_some()),
        (Forward::Device, ask.device.is_some()),
        (Forward::Application, ask.application.is_some()),
        (Forward::Http, ask.request.http.is_some()),
    ]
    .into_iter()
    .filter_map(|(forward, said)| said.then_some(forward))
}

impl From<NotBelieved> for HttpProblem {
    fn from(not_believed: NotBelieved) -> Self {
        Self::new(StatusCode::FORBIDDEN, "caller.not_registered", "The caller is not believed in this").with_detail(
            format!(
                "{not_believed}. An operator registers it: [[points]] in the settings, forwards = [\"{}\"].",
                not_believed.forward
            ),
        )
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Points: FromRef<S>,
{
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Points::from_ref(state).caller(&parts.extensions)
    }
}

/// What a caller needs to be.
const NEEDED: &str = "the certificate of an enforcement point or an operator, or the key of a point";

fn unknown() -> HttpProblem {
    HttpProblem::new(StatusCode::UNAUTHORIZED, "peer.certificate_missing", "It is not known who asks")
        .with_detail(format!("This needs {NEEDED}."))
}

fn forbidden(identity: &SpiffeId) -> HttpProblem {
    HttpProblem::new(StatusCode::FORBIDDEN, "peer.forbidden", "Not with this certificate")
        .with_detail(format!("This needs {NEEDED}; yours names {identity}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Timestamp;
    use vouchsafe_wire::v1::agent::{HttpRequest, Request, User};

    fn point(name: &str, key: Option<u8>, forwards: &[Forward]) -> PointSettings {
        PointSettings {
            name: name.parse().unwrap(),
            key_sha256: key.map(|byte| Sha256Digest::new([byte; 32])),
            forwards: forwards.iter().copied().collect(),
            understands: vec!["step_up".to_owned()],
        }
    }

    fn points() -> Points {
        Points::new([point("edge", Some(1), &[Forward::User, Forward::Http]), point("mute", None, &[])]).unwrap()
    }

    fn by_certificate(identity: &str) -> Result<Caller, HttpProblem> {
        let mut proven = Extensions::new();
        proven.insert(Peer {
            identity: format!("spiffe://example.org/{identity}").parse().unwrap(),
            certificate_digest: Sha256Digest::new([0; 32]),
            spki_der: Vec::new(),
            not_after: Timestamp::UNIX_EPOCH,
        });
        points().caller(&proven)
    }

    fn ask(change: impl FnOnce(&mut AskDecision)) -> AskDecision {
        let request = Request::new("read", "db:orders");
        let mut ask = AskDecision::about(request);
        change(&mut ask);
        ask
    }

    fn about_a_user() -> AskDecision {
        let user = User { id: "ada".into(), roles: vec![], authenticated_at: None, factors: vec![] };
        ask(|ask| ask.user = Some(user))
    }

    fn about_a_device() -> AskDecision {
        ask(|ask| ask.device = Some(vouchsafe_model::DeviceId::from_ek_digest(&Sha256Digest::new([1; 32]))))
    }

    #[test]
    fn a_registered_point_is_believed_in_what_it_is_registered_for_and_in_nothing_else() {
        let edge = by_certificate("enforcement/edge").unwrap();
        assert_eq!(edge.may_ask(&ask(|_| ())), Ok(()));
        assert_eq!(edge.may_ask(&about_a_user()), Ok(()));
        assert_eq!(edge.may_ask(&ask(|ask| ask.request.http = Some(HttpRequest::default()))), Ok(()));
        let refused = edge.may_ask(&about_a_device()).unwrap_err();
        assert_eq!(refused.to_string(), "spiffe://example.org/enforcement/edge is not registered to pass on device");
        assert_eq!(edge.may_ask_natively(&about_a_device()), Err(refused));
        let mute = by_certificate("enforcement/mute").unwrap();
        assert_eq!(mute.may_ask_natively(&ask(|_| ())), Ok(()));
        assert!(mute.may_ask_natively(&about_a_user()).is_err());
    }

    #[test]
    fn a_point_that_nobody_registered_is_believed_at_our_own_door_alone() {
        let stranger = by_certificate("enforcement/stranger").unwrap();
        for ask in [about_a_user(), about_a_device()] {
            assert_eq!(stranger.may_ask_natively(&ask), Ok(()));
            assert!(stranger.may_ask(&ask).is_err());
        }
        assert!(stranger.may_pass_on(Forward::Http).is_err());
    }

    #[test]
    fn what_the_settings_say_a_point_meets_is_added_to_what_it_says_itself() {
        let asked = |identity: &str, understands: &[&str]| {
            let understands = understands.iter().map(|code| (*code).to_owned()).collect();
            let question =
                by_certificate(identity).unwrap().question(ask(|ask| ask.understands = understands)).unwrap();
            question.ask().understands.clone()
        };
        assert_eq!(asked("enforcement/edge", &[]), ["step_up"]);
        assert_eq!(asked("enforcement/edge", &["step_up", "record"]), ["step_up", "record"]);
        assert_eq!(asked("enforcement/edge", &["record"]), ["record", "step_up"]);
        assert_eq!(asked("enforcement/stranger", &["record"]), ["record"]);
        assert!(asked("operator/ops", &[]).is_empty());
    }

    #[test]
    fn operators_are_believed_and_devices_servers_and_nobody_are_not_heard() {
        let operator = by_certificate("operator/ops").unwrap();
        assert!(operator.is_operator() && operator.may_ask(&about_a_device()).is_ok());
        let device = format!("device/{}", about_a_device().device.unwrap());
        assert_eq!(by_certificate(&device).unwrap_err().status(), StatusCode::FORBIDDEN);
        assert_eq!(by_certificate("server/engine").unwrap_err().status(), StatusCode::FORBIDDEN);
        assert_eq!(points().caller(&Extensions::new()).unwrap_err().status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_key_makes_the_point_that_it_is_registered_for() {
        let mut proven = Extensions::new();
        proven.insert(KeyHolder { identity: "spiffe://example.org/enforcement/edge".parse().unwrap() });
        assert_eq!(points().caller(&proven), by_certificate("enforcement/edge"));
        assert!(!points().keys(&"example.org".parse().unwrap()).is_empty());
    }

    #[test]
    fn names_and_keys_tell_points_apart() {
        let twice = Points::new([point("a", Some(1), &[]), point("a", Some(2), &[])]);
        assert_eq!(twice.unwrap_err().to_string(), "the point a is registered twice");
        let shared = Points::new([point("a", Some(1), &[]), point("b", Some(1), &[])]);
        assert_eq!(shared.unwrap_err().to_string(), "the points a and b have the same key");
    }

    #[test]
    fn what_a_point_meets_are_codes_and_not_too_many() {
        let meeting = |understands: Vec<String>| Points::new([PointSettings { understands, ..point("a", None, &[]) }]);
        assert!(meeting(vec!["x".repeat(64); AskDecision::MAX_UNDERSTANDS]).is_ok());
        for understands in
            [vec![String::new()], vec!["x".repeat(65)], vec!["x".into(); AskDecision::MAX_UNDERSTANDS + 1]]
        {
            assert_eq!(meeting(understands).unwrap_err(), PointsError::Understands { name: "a".parse().unwrap() });
        }
    }

    #[test]
    fn one_point_more_than_the_most_is_refused() {
        let many = |count: usize| Points::new((0..count).map(|number| point(&format!("p{number}"), None, &[])));
        assert!(many(MAX_POINTS).is_ok());
        assert_eq!(many(MAX_POINTS + 1).unwrap_err(), PointsError::TooMany);
    }
}
