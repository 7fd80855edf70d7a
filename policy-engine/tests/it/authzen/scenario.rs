//! The certification scenario as it is written: every request in it, put to the endpoint of its section.

use axum::http::StatusCode;
use serde_json::Value;

use super::{ask, data, world};
use crate::doors::World;

/// A request in the scenario, with what is said to be expected of it.
struct Step {
    section: String,
    /// The words before it.
    heading: String,
    request: Value,
    expected: String,
    answer: Option<Value>,
}

/// The requests of the scenario: each stands in a block after a line that begins with `**Request` or names a search.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut section, mut heading, mut block) = (String::new(), None::<String>, None::<(Option<String>, String)>);
    for line in text.lines() {
        match block.take() {
            Some((heading, body)) if line == "~~~" => match (heading, serde_json::from_str(&body)) {
                (Some(heading), Ok(request)) => {
                    let section = section.clone();
                    steps.push(Step { section, heading, request, expected: String::new(), answer: None });
                }
                (None, Ok(answer)) => drop(steps.last_mut().map(|step| step.answer = Some(answer))),
                (_, Err(_)) => {}
            },
            Some((heading, body)) => block = Some((heading, body + line)),
            None if line.starts_with("~~~") => block = Some((heading.take(), String::new())),
            None => {
                if let Some((_, id)) = line.split_once("{#") {
                    id.trim_end_matches('}').clone_into(&mut section);
                } else if line.starts_with("**Request") || line.contains("Search (") && line.starts_with("**") {
                    heading = Some(line.to_owned());
                } else if let (true, Some(step)) = (line.starts_with("**Expected"), steps.last_mut()) {
                    line.clone_into(&mut step.expected);
                }
            }
        }
    }
    steps
}

/// The endpoint that a request is for, by its section or the words before it.
fn endpoint(step: &Step) -> &'static str {
    let is_about = |section: &str, words: &str| step.section.starts_with(section) || step.heading.contains(words);
    if step.section.starts_with("c-2") {
        "evaluation"
    } else if step.section.starts_with("c-3") {
        "evaluations"
    } else if is_about("c-4-2", "Subject Search") || step.section.starts_with("c-4-5") {
        "search/subject"
    } else if is_about("c-4-3", "Resource Search") {
        "search/resource"
    } else if is_about("c-4-4", "Action Search") {
        "search/action"
    } else {
        panic!("no endpoint is known for {}: {}", step.section, step.heading)
    }
}

/// Whether all of what is expected is there. Of results, more may be; evaluations are in their order.
fn includes(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(answer), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| answer.get(key).is_some_and(|found| includes(found, value)))
        }
        (Value::Array(answer), Value::Array(expected))
            if expected.iter().any(|value| value.get("decision").is_some()) =>
        {
            expected.iter().zip(answer).all(|(value, found)| includes(found, value))
        }
        (Value::Array(answer), Value::Array(expected)) => {
            expected.iter().all(|value| answer.iter().any(|found| includes(found, value)))
        }
        (answer, expected) => answer == expected,
    }
}

async fn check(world: &World, step: &Step) {
    let Step { section, heading: _, request, expected, answer: known } = step;
    let answer = ask(world, endpoint(step), request).await;
    if expected.contains("400") {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{section}: {request}");
        return;
    }
    assert_eq!(answer.status, StatusCode::OK, "{section}: {request}: {}", answer.body);
    let body = answer.json();
    if expected.contains("\"decision\": true") {
        assert_eq!(body["decision"], true, "{section}");
    }
    if let Some(known) = known {
        assert!(includes(&body, known), "{section}: {body} lacks something of {known}");
    }
    if let (Some(known), Some(evaluations)) = (known, body.get("evaluations")) {
        assert_eq!(evaluations.as_array().map(Vec::len), known["evaluations"].as_array().map(Vec::len), "{section}");
    }
    if let Some(wanted) = request.get("evaluations").and_then(Value::as_array).filter(|wanted| !wanted.is_empty()) {
        assert_eq!(body["evaluations"].as_array().unwrap().len(), wanted.len(), "{section}");
    }
}

#[tokio::test]
async fn every_request_of_the_certification_scenario_is_answered_as_it_says() {
    let Some(path) = data("authorization-api-1_0-scenario.md") else { return };
    let steps = steps(&std::fs::read_to_string(path).unwrap());
    assert!(steps.len() >= 45, "only {} requests were found", steps.len());
    assert!(steps.iter().all(|step| !step.expected.is_empty()), "what is expected is not found");
    let world = world();
    for step in &steps {
        // A token that nobody gave stands for one there; pages have tests of their own.
        if step.request.pointer("/page/token").is_none() {
            check(&world, step).await;
        }
    }
}
