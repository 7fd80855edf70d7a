//! The decisions of the AuthZEN interop scenario about todo lists.

use serde_json::{Map, Value, json};
use vouchsafe_policies::Bundle;

use super::{data, decision, decisions};
use crate::doors::World;
use crate::fixtures::{engine_with, limits};

/// Who the subjects of the scenario are, in the order in which they turn up in it.
const PEOPLE: [(&str, &[&str]); 5] = [
    ("rick@the-citadel.com", &["admin", "evil_genius"]),
    ("morty@the-citadel.com", &["editor"]),
    ("summer@the-smiths.com", &["editor"]),
    ("beth@the-smiths.com", &["viewer"]),
    ("jerry@the-smiths.com", &["viewer"]),
];

/// Everybody reads; editors create, and change and delete what is theirs; admins create and delete everything, and an evil
/// genius changes everything.
const POLICY: &str = r#"package vouchsafe

decision := {"allow": allow}

access := input.request.access

person := data.people[access.subject.id]

default allow := false

allow if {
	person
	access.action.name in {"can_read_user", "can_read_todos"}
}

allow if {
	access.action.name == "can_create_todo"
	some role in person.roles
	role in {"admin", "editor"}
}

allow if {
	access.action.name in {"can_update_todo", "can_delete_todo"}
	"editor" in person.roles
	access.resource.properties.ownerID == person.email
}

allow if {
	access.action.name == "can_update_todo"
	"evil_genius" in person.roles
}

allow if {
	access.action.name == "can_delete_todo"
	"admin" in person.roles
}
"#;

/// The known decisions, and an engine that knows their people.
fn known() -> Option<(Value, World)> {
    let known = std::fs::read(data("decisions-authorization-api-1_0-02.json")?).unwrap();
    let known: Value = serde_json::from_slice(&known).unwrap();
    let mut subjects: Vec<String> = Vec::new();
    for one in known["evaluation"].as_array().unwrap() {
        let id = one["request"]["subject"]["id"].as_str().unwrap();
        if !subjects.iter().any(|known| known == id) {
            subjects.push(id.to_owned());
        }
    }
    assert_eq!(subjects.len(), PEOPLE.len());
    let people = subjects.into_iter().zip(PEOPLE);
    let people: Map<_, _> = people.map(|(id, (email, roles))| (id, json!({"email": email, "roles": roles}))).collect();
    let files = [("todo.rego", POLICY.to_owned()), ("data.json", json!({"people": people}).to_string())];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    Some((known, World::new(engine_with(&bundle, limits()))))
}

#[tokio::test]
async fn all_single_decisions_of_the_interop_scenario_are_as_known() {
    let Some((known, world)) = known() else { return };
    let evaluations = known["evaluation"].as_array().unwrap();
    assert_eq!(evaluations.len(), 40);
    for one in evaluations {
        assert_eq!(decision(&world, &one["request"]).await, one["expected"].as_bool().unwrap(), "{}", one["request"]);
    }
}

#[tokio::test]
async fn all_batches_of_the_interop_scenario_are_as_known() {
    let Some((known, world)) = known() else { return };
    let batches = known["evaluations"].as_array().unwrap();
    assert!(!batches.is_empty());
    for batch in batches {
        let expected = batch["expected"].as_array().unwrap().iter().map(|one| one["decision"].as_bool().unwrap());
        assert_eq!(decisions(&world, &batch["request"]).await, expected.collect::<Vec<_>>(), "{}", batch["request"]);
    }
}
