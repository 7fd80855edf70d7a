//! `/v1/data` and `/v0/data`: what a rule is worth.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use vouchsafe_model::ijson;
use vouchsafe_model::{Decision, Outcome};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::limits::DATA_BODY;
use vouchsafe_wire::v1::opa::{DataAnswer, OpaError};

use super::answer::{self, Timers};
use super::error::Fault;
use super::parameters::{self, Parameters};
use super::{Opa, explained};
use crate::doors::Caller;
use crate::evaluate::Document;
use crate::explain;
use crate::query::Query;
use crate::question::{Question, QuestionError};
use crate::ruling::UNDEFINED;

/// The rule that decides, as paths name it.
const DECISION: &str = "vouchsafe/decision";
/// Its `allow` alone, for clients that know no more than yes and no.
const DECISION_ALLOW: &str = "vouchsafe/decision/allow";

/// The value of a rule, its input in the query.
#[utoipa::path(
    get,
    path = "/v1/data/{path}",
    operation_id = "opaGetData",
    tag = "opa",
    params(
        ("path" = String, Path, description = "A rule that may be asked about, such as vouchsafe/decision."),
        ("input" = Option<String>, Query, description = "The input, as JSON."),
        ("explain" = Option<String>, Query, description = "notes, fails, full or debug: how the value came about."),
        ("metrics" = Option<bool>, Query, description = "How long it took."),
        ("instrument" = Option<bool>, Query, description = "How long it took, more finely."),
        ("provenance" = Option<bool>, Query, description = "Which policy it was."),
        ("pretty" = Option<bool>, Query, description = "With indents."),
    ),
    responses(
        (status = 200, description = "The value; without `result` when the rule has none, or is none to ask about.",
            body = DataAnswer),
        (status = 400, description = "The input or a parameter is not acceptable.", body = OpaError),
        (status = 401, description = "It is not known who asks.", body = OpaError),
        (status = 403, description = "The caller may not ask this.", body = OpaError),
        (status = 500, description = "There is no value that may be acted upon: deny.", body = OpaError),
    )
)]
pub(super) async fn get_v1(State(opa): State<Opa>, request: Request) -> Result<Response, Fault> {
    let mut timers = Timers::start();
    let caller = opa.doors.points.caller(request.extensions())?;
    let (parameters, input) = Parameters::read(request.uri())?;
    let input = input.map(|text| parameters::document(&text)).transpose()?;
    timers.input_is_read();
    let asked = Asked { path: path_below(request.uri().path(), V1), input, parameters };
    opa.v1(&caller, asked, &timers).await
}

/// The value of a rule, its input in the body: `{"input": …}`.
#[utoipa::path(
    post,
    path = "/v1/data/{path}",
    operation_id = "opaPostData",
    tag = "opa",
    params(
        ("path" = String, Path, description = "A rule that may be asked about, such as vouchsafe/decision."),
        ("explain" = Option<String>, Query, description = "notes, fails, full or debug: how the value came about."),
        ("metrics" = Option<bool>, Query, description = "How long it took."),
        ("instrument" = Option<bool>, Query, description = "How long it took, more finely."),
        ("provenance" = Option<bool>, Query, description = "Which policy it was."),
        ("pretty" = Option<bool>, Query, description = "With indents."),
    ),
    request_body(content = Object, description = "`{\"input\": …}`"),
    responses(
        (status = 200, description = "The value; without `result` when the rule has none, or is none to ask about.",
            body = DataAnswer),
        (status = 400, description = "The input or a parameter is not acceptable.", body = OpaError),
        (status = 401, description = "It is not known who asks.", body = OpaError),
        (status = 403, description = "The caller may not ask this.", body = OpaError),
        (status = 500, description = "There is no value that may be acted upon: deny.", body = OpaError),
    )
)]
pub(super) async fn post_v1(State(opa): State<Opa>, request: Request) -> Result<Response, Fault> {
    let mut timers = Timers::start();
    let caller = opa.doors.points.caller(request.extensions())?;
    let (parameters, _) = Parameters::read(request.uri())?;
    let path = path_below(request.uri().path(), V1).to_owned();
    let input = match read_body(request, DATA_BODY).await? {
        None => None,
        Some(Value::Object(mut body)) => body.remove("input"),
        Some(_) => return Err(Fault::parameter("body contains malformed input document: it is no object")),
    };
    timers.input_is_read();
    opa.v1(&caller, Asked { path: &path, input, parameters }, &timers).await
}

/// The bare value of a rule, the bare input in the body.
#[utoipa::path(
    post,
    path = "/v0/data/{path}",
    operation_id = "opaPostDataV0",
    tag = "opa",
    params(
        ("path" = String, Path, description = "A rule that may be asked about, such as vouchsafe/decision."),
        ("pretty" = Option<bool>, Query, description = "With indents."),
    ),
    request_body(content = Object, description = "The input."),
    responses(
        (status = 200, description = "The value.", body = Object),
        (status = 400, description = "The input or a parameter is not acceptable.", body = OpaError),
        (status = 401, description = "It is not known who asks.", body = OpaError),
        (status = 403, description = "The caller may not ask this.", body = OpaError),
        (status = 404, description = "The rule has no value, or is none to ask about.", body = OpaError),
        (status = 500, description = "There is no value that may be acted upon: deny.", body = OpaError),
    )
)]
pub(super) async fn post_v0(State(opa): State<Opa>, request: Request) -> Result<Response, Fault> {
    let caller = opa.doors.points.caller(request.extensions())?;
    let (parameters, _) = Parameters::read(request.uri())?;
    let path = path_below(request.uri().path(), V0).to_owned();
    let input = read_body(request, DATA_BODY).await?;
    let answered = opa.answer(&caller, Asked { path: &path, input, parameters }).await?;
    answered.value.map_or_else(|| Err(Fault::undefined(&path)), |value| Ok(answer::json(&value, parameters.pretty)))
}

pub(super) const V1: &str = "/v1/data";
const V0: &str = "/v0/data";

/// What is asked.
struct Asked<'a> {
    /// The path below `/v1/data`, with its first slash, exactly as it was sent.
    path: &'a str,
    input: Option<Value>,
    parameters: Parameters,
}

/// What comes of it. It is on record.
struct Answered {
    decision: Decision,
    value: Option<Value>,
    took: Duration,
    /// By what an explanation is made, if one is wanted.
    seen: Option<Seen>,
    has_rule: bool,
}

/// What is told of a decision.
#[derive(Clone, Copy)]
enum Form {
    /// All that the policy may say.
    Document,
    /// Yes or no.
    Allow,
}

impl Form {
    fn question(self, caller: &Caller, ask: AskDecision) -> Result<Question, QuestionError> {
        match self {
            Self::Document => caller.question(ask),
            // Yes and no have no place for obligations: none is met.
            Self::Allow => Question::check(AskDecision { understands: Vec::new(), ..ask }),
        }
    }

    fn tell(self, decision: &Decision) -> Value {
        match self {
            Self::Document => document_of(decision),
            Self::Allow => (decision.outcome() == Outcome::Allow).into(),
        }
    }
}

/// A rule and what it saw.
struct Seen {
    rule: String,
    input: Document,
}

impl Opa {
    async fn v1(&self, caller: &Caller, asked: Asked<'_>, timers: &Timers) -> Result<Response, Fault> {
        let (parameters, has_input) = (asked.parameters, asked.input.is_some());
        let answered = self.answer(caller, asked).await?;
        let warning = match (answered.has_rule, has_input) {
            (false, _) => Some(answer::warning("no rule of this path may be asked about")),
            (true, false) => Some(answer::warning("'input' key missing from the request")),
            (true, true) => None,
        };
        let body = DataAnswer {
            decision_id: Some(answered.decision.id()),
            provenance: parameters.provenance.then(|| answer::provenance(answered.decision.policy())),
            metrics: timers.metrics(parameters, answered.took),
            explanation: self.explain(answered.seen, parameters).await?,
            warning,
            result: answered.value,
        };
        Ok(answer::json(&body, parameters.pretty))
    }

    async fn answer(&self, caller: &Caller, asked: Asked<'_>) -> Result<Answered, Fault> {
        match asked.path.strip_prefix('/') {
            Some(DECISION) => self.decide(caller, asked, Form::Document).await,
            Some(DECISION_ALLOW) => self.decide(caller, asked, Form::Allow).await,
            _ => self.query(caller, asked).await,
        }
    }

    /// Asks the rule that decides. What is answered is made from the decision and not from what the policy said: a value
    /// that was read as a deny for its shape must not look like an allow to somebody who reads it otherwise.
    async fn decide(&self, caller: &Caller, asked: Asked<'_>, form: Form) -> Result<Answered, Fault> {
        let missing = || Fault::parameter("the input is missing: a question, as POST /v1/decision has it");
        let input = asked.input.ok_or_else(missing)?;
        let ask = AskDecision::deserialize(&input).map_err(|error| Fault::parameter(format!("input: {error}")))?;
        caller.may_ask(&ask)?;
        let question = form.question(caller, ask)?;
        let explained = asked.parameters.explain.map(|_| question.clone());
        let decider = &self.doors.decider;
        let answer = decider.decide(question, Some(caller.identity().clone())).await?;
        let (took, decision) = (answer.took(), answer.decision().clone());
        let is_undefined = decision.reasons().iter().any(|reason| reason.code == UNDEFINED);
        let seen = explained.map(|question| Seen {
            rule: vouchsafe_policies::ENTRY_POINT.to_owned(),
            input: Document::of(&decider.engine.input(&question, decision.decided_at())),
        });
        Ok(Answered { value: (!is_undefined).then(|| form.tell(&decision)), seen, has_rule: true, decision, took })
    }

    /// Asks another rule. When no rule of this path may be asked about, it is as undefined as one without a value, and as
    /// much on record. Paths are compared as they were sent: what would have to be decoded or tidied up first is another.
    async fn query(&self, caller: &Caller, asked: Asked<'_>) -> Result<Answered, Fault> {
        let decider = &self.doors.decider;
        let mut listed = decider.engine.entry_points().iter();
        let found = listed.find(|listed| asked.path.strip_prefix('/') == Some(listed.path()));
        let query = match found {
            Some(rule) => Query::check(rule.clone(), asked.input)?,
            None => Query::unlisted(asked.path, asked.input)?,
        };
        caller.may_ask(query.question().ask())?;
        let seen = found.filter(|_| asked.parameters.explain.is_some()).map(|rule| Seen {
            rule: rule.rule(),
            input: query.input(|| decider.engine.input(query.question(), decider.clock.now())),
        });
        let answer = decider.query(query, Some(caller.identity().clone())).await?;
        let value = answer.value().map_err(|_| Fault::evaluation())?;
        let value = Some(value).filter(|value| !value.is_undefined()).map(Document::to_json);
        let (decision, took) = (answer.decision().clone(), answer.took());
        Ok(Answered { decision, value, took, seen, has_rule: found.is_some() })
    }

    /// Explains an answer, if that is wanted.
    async fn explain(&self, seen: Option<Seen>, parameters: Parameters) -> Result<Option<Value>, Fault> {
        let (Some(kind), Some(Seen { rule, input })) = (parameters.explain, seen) else { return Ok(None) };
        let bundle = self.doors.decider.engine.bundle();
        // One at a time. The semaphore is never closed.
        let turn = self.explaining.clone().acquire_owned().await;
        let explaining = tokio::task::spawn_blocking(move || {
            let explained = explain::explain(&bundle, &rule, &input);
            drop(turn);
            explained.map(|explained| explained::told(&explained, &bundle, kind, parameters.pretty))
        });
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "explanation failed");
            Fault::evaluation()
        };
        let explained = explaining.await.map_err(|error| failed(&error))?;
        explained.map(Some).map_err(|error| failed(&error))
    }
}

/// A decision as the documented value of the rule that decides.
fn document_of(decision: &Decision) -> Value {
    let reason = |reason: &vouchsafe_model::Reason| {
        let mut told = Map::from_iter([
            ("code".to_owned(), reason.code.clone().into()),
            ("message".to_owned(), reason.message.clone().into()),
        ]);
        told.extend(reason.fix.iter().map(|fix| ("fix".to_owned(), fix.clone().into())));
        Value::Object(told)
    };
    let reasons: Vec<Value> = decision.reasons().iter().map(reason).collect();
    let allow = decision.outcome() == Outcome::Allow;
    let obligations = decision.obligations();
    match decision.required_score() {
        Some(score) => {
            json!({"allow": allow, "reasons": reasons, "obligations": obligations, "needs": {"score": score}})
        }
        None => json!({"allow": allow, "reasons": reasons, "obligations": obligations}),
    }
}

/// What follows the prefix in a path, undecoded.
pub(super) fn path_below<'a>(path: &'a str, prefix: &str) -> &'a str {
    path.strip_prefix(prefix).unwrap_or_default()
}

/// Reads a body as I-JSON; none when it is empty.
pub(super) async fn read_body(request: Request, max: usize) -> Result<Option<Value>, Fault> {
    check_encoding(request.headers())?;
    let too_large =
        |_| Fault::new(StatusCode::PAYLOAD_TOO_LARGE, super::error::INVALID_PARAMETER, "request body too large");
    let body = to_bytes(request.into_body(), max).await.map_err(too_large)?;
    if body.is_empty() {
        return Ok(None);
    }
    let parsed = ijson::parse(&body);
    parsed.map(Some).map_err(|error| Fault::json("body contains malformed input document", &error))
}

/// OPA takes YAML and gzip, too. Neither is read here: a name may stand twice in the one, and the length of the other says
/// nothing of what is in it.
fn check_encoding(headers: &HeaderMap) -> Result<(), Fault> {
    let is = |name, part: &str| {
        let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase());
        value.is_some_and(|value| value.contains(part))
    };
    if is(CONTENT_TYPE, "yaml") {
        return Err(Fault::parameter("YAML is not read here: send JSON"));
    }
    let encoded =
        headers.get(CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded { Err(Fault::parameter("send the body without a Content-Encoding")) } else { Ok(()) }
}
