//! Decisions in the form of OPA's decision logs, for systems that read those.

use serde_json::{Map, Value, json};
use vouchsafe_journal::Record;

/// The path that events name: the rule that decides.
const PATH: &str = "vouchsafe/decision";

/// An entry as an event of OPA's decision log; `None` when the policy dropped it.
///
/// `result` is the decision, `input` the question, and `device` what the policy saw of the device. Places that were masked are
/// named as they are in the event.
pub fn of(record: &Record<'_>, labels: &Map<String, Value>) -> Option<Value> {
    let mut entry: Map<String, Value> = serde_json::from_str(record.body()?).ok()?;
    let mut event = json!({
        "labels": labels,
        "decision_id": record.id,
        "path": PATH,
        "timestamp": record.at,
        // Which entry of the log it is, so that one that comes twice is known.
        "req_id": record.number,
        "input": entry.remove("question"),
        "result": entry.remove("decision"),
    });
    let members = event.as_object_mut()?;
    if let Some(asked_by) = entry.remove("asked_by") {
        members.insert("requested_by".to_owned(), asked_by);
    }
    if let Some(device) = entry.remove("device") {
        members.insert("device".to_owned(), device);
    }
    if let Some(policy) = members.get("result").and_then(|result| result.get("policy")).cloned() {
        members.insert("bundles".to_owned(), json!({ "vouchsafe": { "revision": policy } }));
    }
    for name in ["erased", "masked", "without"] {
        if let Some(Value::Array(places)) = entry.remove(name) {
            members.insert(name.to_owned(), places.into_iter().map(in_event).collect());
        }
    }
    Some(event)
}

/// A place of an entry, as it is called in an event.
fn in_event(place: Value) -> Value {
    let Value::String(place) = place else { return place };
    let renamed = [("/question", "/input"), ("/decision", "/result"), ("/asked_by", "/requested_by")];
    let found = renamed.iter().find_map(|(from, to)| Some(format!("{to}{}", place.strip_prefix(from)?)));
    Value::String(found.unwrap_or(place))
}
