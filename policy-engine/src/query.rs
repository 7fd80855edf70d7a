//! Questions about rules other than the one that decides, and the rules that may be asked about.
//!
//! A rule is asked about only when an operator listed it: what callers send is compared with that list and never becomes
//! the text of a query.
//!
//! Such a rule sees the document that the caller sent, as OPA has it, and not the network agent: nothing in it was joined by
//! the engine, and all of it is the caller's word. A caller that wants the engine's word puts a question of ours at
//! `vouchsafe` in its document; in its place the rule then finds the joined input, with the device's record and score of that
//! instant. This is safe for two reasons. What is at `input.vouchsafe` is always of the engine's making: the caller's value is
//! never passed through but read as an `AskDecision`, which names a device and has no place for facts about one, and what does
//! not fit is refused. And the joined input never replaces anything that a policy could have been written to take from the
//! caller, for where the caller put nothing, nothing is put: `input.vouchsafe` is then undefined, and conditions on it fail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vouchsafe_wire::v1::agent::{PolicyInput, Request};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::opa::DataQuery;

use crate::evaluate::Document;
use crate::question::{Question, QuestionError};
use crate::written::{DataPath, MAX_WRITABLE};

/// Where in a document a question of ours is, and the joined input in its place.
pub const OUR_PLACE: &str = "vouchsafe";

/// The most rules that may be asked about.
pub const MAX_ENTRY_POINTS: usize = 64;

/// What callers of the Data API may do beside asking the rule that decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataApi {
    /// The other rules that they may ask about.
    pub entry_points: Vec<EntryPoint>,
    /// Where operators may write data that no bundle brought and nobody signed.
    pub danger_writable: Vec<DataPath>,
}

/// More than may be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// Of rules.
    #[error("more than {MAX_ENTRY_POINTS} entry points are listed")]
    EntryPoints,
    /// Of paths.
    #[error("more than {MAX_WRITABLE} paths are listed below which data may be written")]
    Writable,
}

/// A rule that may be asked about: `data.authz.allow`, in paths `authz/allow`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryPoint {
    /// Its steps below `data`, with `/` between.
    path: String,
}

/// A text that names no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no rule as data.authz.allow does")]
pub struct NoEntryPoint(String);

/// A question about such a rule that is within its bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// None when no rule of that path may be asked about.
    entry_point: Option<EntryPoint>,
    question: Question,
    is_joined: bool,
    asked: DataQuery,
}

/// Why such a question is not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The document is too long.
    #[error("the input is longer than {} bytes", DataQuery::MAX_INPUT_LEN)]
    TooLong,
    /// What it says to us is no question of ours.
    #[error("input.{OUR_PLACE}: {0}")]
    Ours(serde_json::Error),
    /// What it says to us is out of bounds.
    #[error("input.{OUR_PLACE}: {0}")]
    Question(#[from] QuestionError),
}

impl DataApi {
    /// The same within its bounds, and nothing listed twice.
    pub(crate) fn checked(mut self) -> Result<Self, TooMany> {
        self.entry_points.sort();
        self.entry_points.dedup();
        if self.entry_points.len() > MAX_ENTRY_POINTS {
            return Err(TooMany::EntryPoints);
        }
        if self.danger_writable.len() > MAX_WRITABLE { Err(TooMany::Writable) } else { Ok(self) }
    }
}

impl EntryPoint {
    /// Its steps below `data`, with `/` between: `authz/allow`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As policies refer to it: `data.authz.allow`.
    pub fn rule(&self) -> String {
        format!("data.{}", self.path.replace('/', "."))
    }
}

impl FromStr for EntryPoint {
    type Err = NoEntryPoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.strip_prefix("data.").map_or_else(|| text.to_owned(), |steps| steps.replace('.', "/"));
        let is_step = |step: &str| {
            step.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && step.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
        };
        let valid = text.len() <= DataQuery::MAX_RULE_LEN && path.contains('/') && path.split('/').all(is_step);
        if valid { Ok(Self { path }) } else { Err(NoEntryPoint(text.chars().take(DataQuery::MAX_RULE_LEN).collect())) }
    }
}

impl TryFrom<String> for EntryPoint {
    type Error = NoEntryPoint;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EntryPoint> for String {
    fn from(entry_point: EntryPoint) -> Self {
        entry_point.rule()
    }
}

impl fmt::Display for EntryPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.rule())
    }
}

impl Query {
    /// Checks the bounds of a question about a rule.
    ///
    /// # Errors
    /// When the document is too long, or has something else than a question of ours where one has to be.
    pub fn check(entry_point: EntryPoint, input: Option<Value>) -> Result<Self, QueryError> {
        Self::about(entry_point.rule(), Some(entry_point), input)
    }

    /// A question about a path of which no rule may be asked about. It is undefined, and goes on record as any other.
    ///
    /// # Errors
    /// As of [`Query::check`].
    pub fn unlisted(path: &str, input: Option<Value>) -> Result<Self, QueryError> {
        Self::about(path.chars().take(DataQuery::MAX_RULE_LEN).collect(), None, input)
    }

    fn about(rule: String, entry_point: Option<EntryPoint>, input: Option<Value>) -> Result<Self, QueryError> {
        let length = input.as_ref().map_or(0, |input| input.to_string().len());
        if length > DataQuery::MAX_INPUT_LEN {
            return Err(QueryError::TooLong);
        }
        let ours = input.as_ref().and_then(|input| input.get(OUR_PLACE));
        let is_joined = ours.is_some();
        let ask = if let Some(ours) = ours {
            AskDecision::deserialize(ours).map_err(QueryError::Ours)?
        } else {
            let request = Request::new("query", if rule.is_empty() { "data" } else { &rule });
            AskDecision::about(request)
        };
        let question = Question::check(ask)?;
        Ok(Self { entry_point, question, is_joined, asked: DataQuery { rule, input } })
    }

    /// The rule, if it may be asked about.
    pub fn entry_point(&self) -> Option<&EntryPoint> {
        self.entry_point.as_ref()
    }

    /// Whom it is about, as far as the document says so to us.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What was asked, as it is logged.
    pub fn asked(&self) -> &DataQuery {
        &self.asked
    }

    /// The document that the rule sees; undefined when none was sent.
    pub(crate) fn input(&self, joined: impl FnOnce() -> PolicyInput) -> Document {
        match &self.asked.input {
            Some(input) if self.is_joined => Document::of(&with_joined(input.clone(), &joined())),
            Some(input) => Document::of(input),
            None => Document::new(regorus::Value::Undefined),
        }
    }
}

/// The document with the joined input where the question was.
fn with_joined(mut document: Value, joined: &PolicyInput) -> Value {
    if let Some(place) = document.get_mut(OUR_PLACE) {
        // Whatever had no JSON form would be no input, and certainly not the caller's.
        *place = serde_json::to_value(joined).unwrap_or(Value::Null);
    }
    document
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry_point() -> EntryPoint {
        "data.authz.allow".parse().unwrap()
    }

    #[test]
    fn a_rule_is_named_in_two_ways_and_written_in_one() {
        for text in ["data.authz.allow", "authz/allow"] {
            let entry_point: EntryPoint = text.parse().unwrap();
            assert_eq!((entry_point.path(), entry_point.to_string().as_str()), ("authz/allow", "data.authz.allow"));
        }
        let long = format!("a/{}", "b".repeat(DataQuery::MAX_RULE_LEN - 2));
        assert!(long.parse::<EntryPoint>().is_ok());
        assert!(format!("{long}b").parse::<EntryPoint>().is_err());
        for text in [
            "",
            "data",
            "data.",
            "allow",
            "data.allow",
            "/a/b",
            "a//b",
            "a/b/",
            "a/../b",
            "a/b c",
            "a.b/c",
            "a/1b",
            "data.a[\"b\"]",
            "a/b;c",
            "a/b%20",
            "input.a",
            "a/b\n",
            "data.a.b := 1",
        ] {
            assert!(text.parse::<EntryPoint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn one_more_than_the_most_may_not_be_listed() {
        let rules = |count: usize| (0..count).map(|number| format!("a/b{number}").parse().unwrap()).collect();
        let paths = |count: usize| (0..count).map(|number| format!("a{number}").parse().unwrap()).collect();
        let check = |entry_points, danger_writable| DataApi { entry_points, danger_writable }.checked();
        assert!(check(rules(MAX_ENTRY_POINTS), paths(MAX_WRITABLE)).is_ok());
        assert_eq!(check(rules(MAX_ENTRY_POINTS + 1), paths(0)), Err(TooMany::EntryPoints));
        assert_eq!(check(rules(0), paths(MAX_WRITABLE + 1)), Err(TooMany::Writable));
    }

    #[test]
    fn a_document_is_taken_at_its_longest_and_refused_one_byte_later() {
        let of_length = |length: usize| Query::check(entry_point(), Some(json!("x".repeat(length - 2))));
        assert!(of_length(DataQuery::MAX_INPUT_LEN).is_ok());
        assert!(matches!(of_length(DataQuery::MAX_INPUT_LEN + 1), Err(QueryError::TooLong)));
    }

    #[test]
    fn what_is_said_to_us_is_a_question_or_refused() {
        let check = |ours: Value| Query::check(entry_point(), Some(json!({"user": "bob", OUR_PLACE: ours})));
        let query = check(json!({"request": {"action": "read", "resource": "x"}})).unwrap();
        assert_eq!(query.question().ask().request.resource, "x");
        for ours in [
            json!(null),
            json!({}),
            json!("text"),
            json!({"device": {"score": 100, "state": "active"}, "request": {"action": "a", "resource": "b"}}),
            json!({"score": 100, "request": {"action": "a", "resource": "b"}}),
            json!({"now": "2026-01-31T12:00:00Z", "request": {"action": "a", "resource": "b"}}),
        ] {
            assert!(matches!(check(ours.clone()), Err(QueryError::Ours(_))), "{ours}");
        }
        assert!(matches!(check(json!({"request": {"action": "", "resource": "b"}})), Err(QueryError::Question(_))));
    }
}
