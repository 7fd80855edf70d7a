//! What a policy leaves out of the decision log, before anything is written.
//!
//! Two rules of a bundle say so, and without them nothing is evaluated: `data.vouchsafe.log.mask` is a set of JSON pointers
//! to remove, or of `{"op": "upsert", "path": …, "value": …}` to replace; `data.vouchsafe.log.drop` is true when nothing but
//! the decision's name and instant is to be kept. Their input is the entry. Both are as in OPA (`system.log.mask`,
//! `system.log.drop`), but for this: whatever is wrong with them, the decision is not logged unmasked, and so not answered.
//!
//! What a decision is cannot be masked: its name, its instant, its outcome and its policy. Whoever hides the device or its score
//! in the decision or the question hides all facts about the device.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use regorus::Engine;
use serde::Deserialize;
use serde_json::{Map, Value};
use vouchsafe_policies::Bundle;

use super::{DecisionLog, LogEntry, LogError};
use crate::compile::{self, CompileError, Names};
use crate::decide::PolicyEngine;
use crate::evaluate::{Document, Evaluate, EvaluationError, EvaluationLimits, ReferenceEvaluator, add_data};

/// The rule that names what is masked.
pub const MASK_RULE: &str = "data.vouchsafe.log.mask";
/// The rule that says whether all is dropped.
pub const DROP_RULE: &str = "data.vouchsafe.log.drop";
/// The most parts of an entry that are masked.
pub const MAX_MASKS: usize = 256;
/// The longest pointer, in bytes.
pub const MAX_POINTER_LEN: usize = 1024;
/// What may be masked of an entry: these places and those below them.
const MASKABLE: [&str; 10] = [
    "/decision/reasons",
    "/decision/obligations",
    "/decision/device",
    "/decision/record_revision",
    "/decision/score",
    "/decision/required_score",
    "/decision/crosses_at",
    "/question",
    "/device",
    "/asked_by",
];
/// The facts about the device.
const FACTS: &str = "/device";
/// What those facts tell again.
const TOLD_BY_FACTS: [&str; 3] = ["/decision/device", "/decision/score", "/question/device"];

/// Why what a policy says of the log cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// A rule has no value, and not for being undefined.
    #[error("{rule} failed")]
    Evaluation {
        /// Which rule.
        rule: &'static str,
        /// Why.
        source: EvaluationError,
    },
    /// The value of the rule is of another kind.
    #[error("{DROP_RULE} is neither true nor false")]
    Drop,
    /// The value of the rule is of another kind.
    #[error("{MASK_RULE} is no set of JSON pointers and replacements: {what}")]
    Mask {
        /// What is wrong with it.
        what: String,
    },
    /// A place that nothing is left out of.
    #[error("{MASK_RULE} names {pointer:?}, which is not to be masked")]
    Protected {
        /// Which place.
        pointer: String,
    },
    /// The entry is no JSON object.
    #[error("the entry cannot be read")]
    Entry,
}

/// The rules of one bundle.
pub(crate) struct Mask {
    drop: Option<Rule>,
    mask: Option<Rule>,
}

/// A rule, and evaluators of it that are not in use.
struct Rule {
    name: &'static str,
    prepared: Engine,
    limits: EvaluationLimits,
    idle: Mutex<Vec<ReferenceEvaluator>>,
}

/// One part of an entry that is masked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Change {
    pointer: String,
    /// `None` removes it.
    replacement: Option<Value>,
}

impl Change {
    /// Whether it is at, below or above something that the facts about the device tell again.
    fn is_told_by_facts(&self) -> bool {
        let within = |place: &str, other: &str| {
            place.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        TOLD_BY_FACTS.iter().any(|place| within(&self.pointer, place) || within(place, &self.pointer))
    }
}

impl Mask {
    /// The rules of a bundle; `None` when it has none.
    pub(crate) fn compile(bundle: &Bundle, limits: EvaluationLimits) -> Result<Option<Self>, CompileError> {
        let mut engine = compile::parse_policies(bundle)?;
        let names = Names::of(engine.get_modules());
        let defined = [DROP_RULE, MASK_RULE].map(|rule| {
            let place: Vec<String> = rule.split('.').skip(1).map(str::to_owned).collect();
            names.related(&place).next().is_some()
        });
        if defined == [false, false] {
            return Ok(None);
        }
        add_data(&mut engine, bundle)?;
        let rule = |name, is_defined: bool| is_defined.then(|| Rule::new(name, engine.clone(), limits));
        let [drops, masks] = defined;
        Ok(Some(Self { drop: rule(DROP_RULE, drops), mask: rule(MASK_RULE, masks) }))
    }

    /// What of an entry is logged.
    pub(crate) fn apply(&self, entry: LogEntry) -> Result<LogEntry, MaskError> {
        let Some(json) = entry.json() else { return Ok(entry) };
        let text = std::str::from_utf8(json).map_err(|_| MaskError::Entry)?;
        let input = Document::from_json(text).map_err(|_| MaskError::Entry)?;
        if let Some(rule) = &self.drop {
            match rule.evaluate(&input)? {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Bool(true)) => return Ok(entry.dropped()),
                Some(_) => return Err(MaskError::Drop),
            }
        }
        let Some(rule) = &self.mask else { return Ok(entry) };
        let mut changes = rule.evaluate(&input)?.map_or(Ok(Vec::new()), changes)?;
        if changes.is_empty() {
            return Ok(entry);
        }
        if changes.iter().any(Change::is_told_by_facts) {
            changes.push(Change { pointer: FACTS.to_owned(), replacement: None });
        }
        let mut value: Map<String, Value> = serde_json::from_str(text).map_err(|_| MaskError::Entry)?;
        change(&mut value, changes);
        let masked = serde_json::to_vec(&value).map_err(|_| MaskError::Entry)?;
        Ok(entry.with_json(masked.into()))
    }
}

impl Rule {
    fn new(name: &'static str, prepared: Engine, limits: EvaluationLimits) -> Self {
        Self { name, prepared, limits, idle: Mutex::default() }
    }

    /// Its value; `None` when it is undefined.
    fn evaluate(&self, input: &Document) -> Result<Option<Value>, MaskError> {
        // Nothing that can panic runs under the lock.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || ReferenceEvaluator::of_rule(self.prepared.clone(), self.name, self.limits);
        let mut evaluator = idle.unwrap_or_else(new);
        let outcome = evaluator.evaluate(input);
        // As many as were ever in use at once, which is at most one for each thread.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(evaluator);
        let value = outcome.map_err(|source| MaskError::Evaluation { rule: self.name, source })?;
        Ok((!value.is_undefined()).then(|| value.to_json()))
    }
}

/// What the value of the rule says. A set has become an array.
fn changes(value: Value) -> Result<Vec<Change>, MaskError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Operation {
        op: Op,
        path: String,
        #[serde(default)]
        value: Value,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Op {
        Remove,
        Upsert,
    }
    let malformed = |what: &dyn ToString| MaskError::Mask { what: what.to_string() };
    let Value::Array(items) = value else { return Err(malformed(&"it is of another kind")) };
    if items.len() > MAX_MASKS {
        return Err(malformed(&format!("it has {} entries, and at most {MAX_MASKS} are followed", items.len())));
    }
    let change = |item| match item {
        Value::String(pointer) => check(pointer, None),
        operation => match serde_json::from_value(operation).map_err(|error| malformed(&error))? {
            Operation { op: Op::Remove, path, .. } => check(path, None),
            Operation { op: Op::Upsert, path, value } => check(path, Some(value)),
        },
    };
    items.into_iter().map(change).collect()
}

fn check(pointer: String, replacement: Option<Value>) -> Result<Change, MaskError> {
    if pointer.len() > MAX_POINTER_LEN {
        return Err(MaskError::Mask { what: format!("a pointer has more than {MAX_POINTER_LEN} bytes") });
    }
    let is_below =
        |place: &&str| pointer.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if MASKABLE.iter().any(is_below) {
        Ok(Change { pointer, replacement })
    } else {
        Err(MaskError::Protected { pointer })
    }
}

/// Follows the changes, and notes in the entry which places they were, as OPA's events do. What is not there is not masked.
fn change(entry: &mut Map<String, Value>, changes: Vec<Change>) {
    let (mut erased, mut masked) = (BTreeSet::new(), BTreeSet::new());
    let mut whole = Value::Object(std::mem::take(entry));
    for Change { pointer, replacement } in changes {
        let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
        let Some(parent) = whole.pointer_mut(parent) else { continue };
        let name = name.replace("~1", "/").replace("~0", "~");
        match (parent, replacement) {
            (Value::Object(members), None) => erased.extend(members.remove(&name).map(|_| pointer)),
            (Value::Object(members), Some(value)) => {
                members.insert(name, value);
                masked.insert(pointer);
            }
            (Value::Array(items), replacement) => {
                let Some(item) = name.parse::<usize>().ok().and_then(|index| items.get_mut(index)) else { continue };
                // Others keep their places, so that the pointers that are still to come mean what they meant.
                let noted = if replacement.is_some() { &mut masked } else { &mut erased };
                *item = replacement.unwrap_or(Value::Null);
                noted.insert(pointer);
            }
            _ => {}
        }
    }
    if let Value::Object(members) = whole {
        *entry = members;
    }
    for (name, places) in [("erased", erased), ("masked", masked)] {
        if !places.is_empty() {
            entry.insert(name.to_owned(), places.into_iter().map(Value::String).collect());
        }
    }
}

/// A log that follows what the policy in charge says of it.
#[derive(Clone)]
pub struct MaskedLog {
    engine: Arc<PolicyEngine>,
    log: Arc<dyn DecisionLog>,
}

impl MaskedLog {
    /// Entries go to this log when the policy of this engine has left out what it does.
    pub fn new(engine: Arc<PolicyEngine>, log: Arc<dyn DecisionLog>) -> Self {
        Self { engine, log }
    }
}

#[async_trait]
impl DecisionLog for MaskedLog {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        let entry = self.engine.mask(entry).map_err(|error| LogError::Masking(Arc::new(error)))?;
        self.log.append(entry).await
    }
}
