//! Questions about HTTP requests that a point holds back until it is answered, whatever protocol it asks in.
//!
//! What a point passes on becomes one question here: the request in its normal form, the device by its certificate, the user
//! by what the point has verified. A request that has no normal form is denied by a decision that says so; a point that is
//! not registered for what it passes on gets no decision at all.

mod certificate;
mod device;
pub(crate) mod over_http;
mod told;
mod user;
mod xfcc;

use std::net::IpAddr;

use vouchsafe_model::Reason;
use vouchsafe_wire::v1::agent::{Application, Network, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;

pub(crate) use device::{Presented, Unrecognised};
pub(crate) use told::{ASK_FOR_A_LOGIN, IDENTITY_FIELDS, Told};

use super::http_request::{Ambiguity, RawRequest, resource_of};
use super::{Caller, Doors, Forward, NotBelieved};
use crate::decider::{Answer, NotDecided};
use crate::question::{Question, QuestionError};

pub(crate) use xfcc::FIELD as XFCC_FIELD;

/// What a point passes on of a request.
#[derive(Debug, Default)]
pub(crate) struct Forwarded<'a> {
    /// The request.
    pub(crate) http: RawRequest<'a>,
    /// The client's certificate, as far as the point tells of one.
    pub(crate) presented: Option<Result<Presented, Unrecognised>>,
    /// Where the request comes from.
    pub(crate) source_ip: Option<IpAddr>,
    /// Whether the flow to the point is encrypted.
    pub(crate) encrypted: bool,
    /// What the point was set up to call these, in place of method and URL.
    pub(crate) names: Names,
    /// The obligations that the point meets. It has to be told of them in the answer: where that has no place for them, none.
    pub(crate) understands: Vec<String>,
}

/// What a point was set up to call things.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) action: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) application: Option<String>,
}

/// A decision about a request, and for whom it was made.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) answer: Answer,
    pub(crate) user: Option<User>,
}

/// Why a point gets no decision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnswered {
    #[error(transparent)]
    NotBelieved(#[from] NotBelieved),
    #[error(transparent)]
    NotDecided(#[from] NotDecided),
}

/// What is wrong with a request that is denied without asking the policy.
enum Fault {
    Ambiguous(Ambiguity),
    UserClaimed(&'static str),
    OutOfBounds(QuestionError),
    LongResource,
}

impl Forwarded<'_> {
    /// Has the request decided, and put on record.
    pub(crate) async fn decide(self, doors: &Doors, caller: &Caller) -> Result<Decided, NotAnswered> {
        caller.may_pass_on(Forward::Http)?;
        let domain = &caller.identity().trust_domain;
        let is_proven = matches!(self.presented, Some(Ok(_)));
        let (device, note) = match &self.presented {
            None => (None, None),
            Some(presented) => {
                caller.may_pass_on(Forward::Device)?;
                device::recognise(presented, domain, doors.decider.engine.records())
            }
        };
        if self.names.application.is_some() {
            caller.may_pass_on(Forward::Application)?;
        }
        let (source_ip, encrypted) = (self.source_ip, self.encrypted);
        let network = Network { source_ip, authenticated: is_proven, encrypted };
        let asked_by = Some(caller.identity().clone());
        let refused = self.http.as_refused();
        let question = self.question(caller, |ask| (ask.device, ask.network) = (device, Some(network.clone())));
        match question {
            Ok((question, user)) => {
                let notes = note.into_iter().collect();
                let answer = doors.decider.decide_noting(question, notes, asked_by).await?;
                Ok(Decided { answer, user })
            }
            Err(fault) => {
                let resource = resource_of(&refused).unwrap_or_else(|| refused.path.clone());
                let request = Request { http: Some(refused.clone()), ..Request::new(refused.method, resource) };
                let ask = AskDecision { device, network: Some(network), ..AskDecision::about(request) };
                let question = Question::check(ask).map_err(NotDecided::from)?;
                let answer = doors.decider.deny(question, fault.reason(), asked_by).await?;
                Ok(Decided { answer, user: None })
            }
        }
    }

    fn question(
        self,
        caller: &Caller,
        complete: impl FnOnce(&mut AskDecision),
    ) -> Result<(Question, Option<User>), Fault> {
        let user = match user::claimed(&self.http.fields) {
            Some(claim) if caller.may_pass_on(Forward::User).is_ok() => claim.read(),
            Some(claim) => return Err(Fault::UserClaimed(claim.field())),
            None => None,
        };
        let mut http = self.http.normalise().map_err(Fault::Ambiguous)?;
        user::FIELDS.iter().for_each(|field| drop(http.headers.remove(*field)));
        let Names { action, resource, application } = self.names;
        let resource = resource.or_else(|| resource_of(&http)).ok_or(Fault::LongResource)?;
        let request = Request { http: Some(http.clone()), ..Request::new(action.unwrap_or(http.method), resource) };
        let application = application.map(|id| Application { id, version: None });
        let understands = self.understands;
        let mut ask = AskDecision { user: user.clone(), application, understands, ..AskDecision::about(request) };
        complete(&mut ask);
        Ok((Question::check(ask).map_err(Fault::OutOfBounds)?, user))
    }
}

impl Fault {
    fn reason(&self) -> Reason {
        match self {
            Self::Ambiguous(ambiguity) => ambiguity.reason(),
            Self::UserClaimed(field) => Reason {
                code: "request.user_claimed".to_owned(),
                message: format!(
                    "The request has the field '{field}', and its point is not registered to pass on users."
                ),
                fix: Some(
                    "Do not send the field; or have an operator register the point (forwards = [\"user\"]).".into(),
                ),
            },
            Self::OutOfBounds(error) => Reason {
                code: "request.too_large".to_owned(),
                message: format!("The request is out of bounds: {error}."),
                fix: Some("Send a smaller request.".to_owned()),
            },
            Self::LongResource => Ambiguity::TooLarge { part: "URL", max: Request::MAX_RESOURCE_LEN }.reason(),
        }
    }
}
