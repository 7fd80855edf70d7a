//! Whom and what there is to be searched among.
//!
//! A policy that lets itself be searched says so in one of two ways: by a rule `data.vouchsafe.search`, which sees what is
//! searched for and answers with a list, or by the lists `data.authzen.subjects`, `.resources` and `.actions`. Entries have
//! `type` and `id`, actions `name`, and all of them `properties` if they like. Without either there is nothing to be found.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use serde_json::{Map, Value};
use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::agent::{Access, Action, Entity};
use vouchsafe_wire::v1::authzen::{SearchRequest, Searched};

/// The most candidates that are looked at, by their names. Further ones are never found.
pub const MAX_CANDIDATES: usize = 10_000;

/// Candidates of one kind, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidates(BTreeMap<String, Map<String, Value>>);

/// What the rule sees.
#[derive(Serialize)]
pub(crate) struct SearchInput<'a> {
    now: Timestamp,
    search: Searched,
    subject: &'a Entity,
    action: &'a Action,
    resource: &'a Entity,
    context: &'a Map<String, Value>,
}

impl<'a> SearchInput<'a> {
    pub(crate) fn of(search: &'a SearchRequest, now: Timestamp) -> Self {
        let Access { subject, action, resource, context } = &search.access;
        Self { now, search: search.searched, subject, action, resource, context }
    }
}

impl Candidates {
    /// Those in the data of a bundle.
    pub(crate) fn in_data(data: &Value, search: &SearchRequest) -> Self {
        let list = match search.searched {
            Searched::Subject => "subjects",
            Searched::Resource => "resources",
            Searched::Action => "actions",
        };
        Self::listed(data.pointer(&format!("/authzen/{list}")), search)
    }

    /// Those in a list. Entries of another type or shape are none; of two with one name the first counts.
    pub(crate) fn listed(list: Option<&Value>, search: &SearchRequest) -> Self {
        let entries = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut candidates = BTreeMap::new();
        for (name, properties) in entries.iter().filter_map(|entry| candidate(entry, search)) {
            candidates.entry(name).or_insert(properties);
            if candidates.len() >= MAX_CANDIDATES {
                tracing::warn!(max = MAX_CANDIDATES, "a search has more candidates than are looked at");
                break;
            }
        }
        Self(candidates)
    }

    /// Those whose names come after another, in order.
    pub(crate) fn after(&self, name: &str) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        let range = self.0.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
        range.map(|(name, properties)| (name.as_str(), properties))
    }
}

fn candidate(entry: &Value, search: &SearchRequest) -> Option<(String, Map<String, Value>)> {
    let text = |field: &str| entry.get(field)?.as_str().filter(|text| !text.is_empty());
    let name = match search.searched {
        Searched::Subject if text("type") == Some(&search.access.subject.r#type) => text("id")?,
        Searched::Resource if text("type") == Some(&search.access.resource.r#type) => text("id")?,
        Searched::Action => text("name")?,
        Searched::Subject | Searched::Resource => return None,
    };
    let properties = match entry.get("properties") {
        None | Some(Value::Null) => Map::new(),
        Some(properties) => properties.as_object()?.clone(),
    };
    Some((name.to_owned(), properties))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vouchsafe_wire::v1::authzen::read_search;

    use super::*;

    fn search(searched: Searched) -> SearchRequest {
        let body = json!({
            "subject": {"type": "user", "id": "x"}, "action": {"name": "x"}, "resource": {"type": "record", "id": "x"}
        });
        read_search(searched, &body).unwrap()
    }

    fn names(candidates: &Candidates) -> Vec<&str> {
        candidates.after("").map(|(name, _)| name).collect()
    }

    #[test]
    fn candidates_are_those_of_the_kind_in_the_order_of_their_names() {
        let data = json!({"authzen": {
            "subjects": [
                {"type": "user", "id": "bob", "properties": {"role": "admin"}}, {"type": "user", "id": "alice"},
                {"type": "device", "id": "carol"}, {"type": "user", "id": ""}, {"type": "user"}, {"id": "dave"}, "eve", null,
                {"type": "user", "id": 7}, {"type": "user", "id": "frank", "properties": []},
                {"type": "user", "id": "bob", "properties": {"role": "none"}}
            ],
            "actions": [{"name": "write"}, {"name": "read"}, {"id": "x"}]
        }});
        let subjects = Candidates::in_data(&data, &search(Searched::Subject));
        assert_eq!(names(&subjects), ["alice", "bob"]);
        assert_eq!(subjects.after("alice").next().unwrap().1["role"], "admin");
        assert_eq!(names(&Candidates::in_data(&data, &search(Searched::Action))), ["read", "write"]);
        assert_eq!(names(&Candidates::in_data(&data, &search(Searched::Resource))), Vec::<&str>::new());
        for data in [json!({}), json!({"authzen": 1}), json!({"authzen": {"subjects": {"a": 1}}})] {
            assert_eq!(Candidates::in_data(&data, &search(Searched::Subject)), Candidates::default());
        }
    }

    #[test]
    fn one_candidate_more_than_the_most_is_not_looked_at() {
        let list =
            |count: usize| -> Value { (0..count).map(|number| json!({"name": format!("a{number:05}")})).collect() };
        let count =
            |candidates: usize| names(&Candidates::listed(Some(&list(candidates)), &search(Searched::Action))).len();
        assert_eq!((count(MAX_CANDIDATES), count(MAX_CANDIDATES + 1)), (MAX_CANDIDATES, MAX_CANDIDATES));
    }
}
