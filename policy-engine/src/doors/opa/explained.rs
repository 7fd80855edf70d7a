//! Explanations in OPA's form, as far as they go here.
//!
//! OPA traces every step of an evaluation. What is known here is which lines were evaluated (`eval`), which others of the
//! same rules were not (`skip`: something before them failed, or was enough), and what the policy printed (`note`). Each is
//! one event; `node` holds the line's text, and no bindings are told.

use serde_json::{Value, json};
use vouchsafe_policies::{Bundle, SourceFile};

use super::parameters::Explain;
use crate::explain::Explanation;

/// The events of an explanation, or its lines of text.
pub(super) fn told(explanation: &Explanation, bundle: &Bundle, kind: Explain, pretty: bool) -> Value {
    let mut events: Vec<Event<'_>> = Vec::new();
    for file in &explanation.coverage {
        let text = bundle.policies().iter().find(|source| source.path() == file.path).map_or("", SourceFile::text);
        let event = |op: &'static str, line: u32| Event { op, file: &file.path, line, text: line_of(text, line) };
        if matches!(kind, Explain::Full) {
            events.extend(file.covered.iter().map(|line| event("eval", *line)));
        }
        if matches!(kind, Explain::Full | Explain::Fails) {
            events.extend(explanation.skipped(file).map(|line| event("skip", line)));
        }
    }
    events.sort_by_key(|event| (event.file, event.line));
    let notes = explanation.prints.iter().map(|text| Event { op: "note", file: "", line: 0, text });
    let events = events.into_iter().chain(notes);
    if pretty { events.map(|event| event.pretty()).collect() } else { events.map(|event| event.raw()).collect() }
}

struct Event<'a> {
    op: &'static str,
    file: &'a str,
    line: u32,
    text: &'a str,
}

impl Event<'_> {
    fn raw(&self) -> Value {
        if self.op == "note" {
            return json!({"op": self.op, "query_id": 0, "parent_id": 0, "locals": [], "message": self.text});
        }
        let location = json!({"file": self.file, "row": self.line, "col": 1});
        json!({
            "op": self.op, "query_id": 0, "parent_id": 0, "locals": [], "type": "line", "node": self.text,
            "location": location
        })
    }

    fn pretty(&self) -> Value {
        let op = match self.op {
            "eval" => "Eval",
            "skip" => "Skip",
            _ => return format!("Note {}", self.text).into(),
        };
        format!("{}:{:<5} | {op} {}", self.file, self.line, self.text).into()
    }
}

/// A line of a file, from 1, without the space around it.
fn line_of(text: &str, line: u32) -> &str {
    let position = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    text.lines().nth(position).map_or("", str::trim)
}
