//! Scenario, section "Batch Certification": several decisions, defaults, semantics and errors of single ones.

use serde_json::{Value, json};

use super::{access, action, admin, archived, ask, decided, decisions, record, refused, user, world};

#[tokio::test]
async fn evaluations_are_answered_each_with_a_boolean() {
    let body = json!({
        "subject": user("alice"), "action": action("read"),
        "evaluations": [{"resource": record("record-1")}, {"resource": record("record-2")}]
    });
    assert_eq!(decisions(&world(), &body).await.len(), 2);
}

#[tokio::test]
async fn answers_are_in_the_order_of_the_questions() {
    let body = json!({
        "subject": user("bob"), "resource": record("record-1"),
        "evaluations": [{"action": action("read")}, {"action": action("write")}]
    });
    assert_eq!(decisions(&world(), &body).await, [true, false]);
}

#[tokio::test]
async fn properties_count_for_each_evaluation() {
    let world = world();
    let active = json!({"type": "record", "id": "record-1", "properties": {"status": "active"}});
    let body = json!({
        "subject": user("alice"), "action": action("write"),
        "evaluations": [{"resource": active}, {"resource": archived("record-2")}]
    });
    assert_eq!(decisions(&world, &body).await, [true, false]);
    let body = json!({
        "action": action("write"), "resource": archived("record-2"),
        "evaluations": [{"subject": user("alice")}, {"subject": admin("bob")}]
    });
    assert_eq!(decisions(&world, &body).await, [false, true]);
}

#[tokio::test]
async fn evaluations_may_be_whole_by_themselves() {
    let body = json!({"evaluations": [
        access(user("alice"), action("read"), record("record-1")), access(user("bob"), action("write"), record("record-1"))
    ]});
    assert_eq!(decisions(&world(), &body).await, [true, false]);
}

#[tokio::test]
async fn the_context_is_that_of_the_top_unless_there_is_another() {
    let world = world();
    let body = json!({
        "subject": user("alice"), "action": action("read"), "context": {"time": "18:03"},
        "evaluations": [
            {"resource": record("record-1")},
            {"resource": record("record-2"), "context": {"time": "19:00", "source": "batch-override"}}
        ]
    });
    assert_eq!(decisions(&world, &body).await.len(), 2);
    let contexts: Vec<_> = world
        .log
        .views()
        .into_iter()
        .map(|view| Value::Object(view.question.request.access.unwrap().context))
        .collect();
    assert_eq!(contexts, [json!({"time": "18:03"}), json!({"time": "19:00", "source": "batch-override"})]);
}

#[tokio::test]
async fn defaults_are_taken_whole_or_not_at_all() {
    let body = json!({
        "subject": user("alice"), "action": action("write"),
        "resource": {"type": "record", "id": "record-1", "properties": {"status": "active"}},
        "evaluations": [{}, {"resource": archived("record-2")}]
    });
    assert_eq!(decisions(&world(), &body).await, [true, false]);
}

#[tokio::test]
async fn an_evaluation_that_lacks_something_is_a_no_among_the_others() {
    let world = world();
    let body = json!({
        "subject": user("alice"), "action": action("read"), "options": {"evaluations_semantic": "execute_all"},
        "evaluations": [{"resource": record("record-1")}, {}, {"resource": record("record-1"), "subject": {"id": "alice"}}]
    });
    let answer = ask(&world, "evaluations", &body).await.json();
    let answers = answer["evaluations"].as_array().unwrap();
    assert_eq!(answers.iter().map(|one| one["decision"].clone()).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(
        answers[1]["context"]["error"],
        json!({"status": 400, "message": "evaluations[1].resource is missing."})
    );
    assert_eq!(answers[2]["context"]["error"]["message"], "evaluations[2].subject.type is missing.");
    assert_eq!(world.log.views().len(), 1);
}

#[tokio::test]
async fn without_evaluations_it_is_a_single_one() {
    let world = world();
    let mut body = access(user("alice"), action("read"), record("record-1"));
    assert!(decided(&ask(&world, "evaluations", &body).await));
    body["evaluations"] = json!([]);
    assert!(decided(&ask(&world, "evaluations", &body).await));
}

#[tokio::test]
async fn what_is_wrong_at_the_top_is_refused_as_a_whole() {
    let world = world();
    let evaluations = json!([access(user("alice"), action("read"), record("record-1"))]);
    for (body, said) in [
        (json!({"subject": "alice", "evaluations": evaluations}), "subject is no object."),
        (json!({"subject": {"id": "alice"}, "evaluations": evaluations}), "subject.type is missing."),
        (json!({"evaluations": {}}), "evaluations is no array."),
        (json!({"options": "all", "evaluations": evaluations}), "options is no object."),
        (json!({}), "subject is missing."),
        (
            json!({"options": {"evaluations_semantic": "any"}, "evaluations": evaluations}),
            "options.evaluations_semantic is none that is known.",
        ),
        (json!({"evaluations": vec![evaluations[0].clone(); 101]}), "evaluations has more than 100 entries."),
    ] {
        refused(&world, "evaluations", &body, said).await;
    }
    assert!(world.log.views().is_empty());
    let most = json!({"evaluations": vec![evaluations[0].clone(); 100]});
    assert_eq!(decisions(&world, &most).await, vec![true; 100]);
}

/// alice reads, bob writes (which he may not), something is missing, alice reads.
fn mixed(semantic: &str) -> Value {
    json!({
        "resource": record("record-1"), "options": {"evaluations_semantic": semantic, "another_option": 1},
        "evaluations": [
            {"subject": user("alice"), "action": action("read")},
            {"subject": user("bob"), "action": action("write")},
            {"subject": user("alice")},
            {"subject": user("alice"), "action": action("read")}
        ]
    })
}

#[tokio::test]
async fn the_three_semantics_stop_where_they_say() {
    for (semantic, expected, logged) in [
        ("execute_all", vec![true, false, false, true], 3),
        ("deny_on_first_deny", vec![true, false], 2),
        ("permit_on_first_permit", vec![true], 1),
    ] {
        let world = world();
        assert_eq!(decisions(&world, &mixed(semantic)).await, expected, "{semantic}");
        assert_eq!(world.log.views().len(), logged, "{semantic}: what is not run is not decided");
    }
}

#[tokio::test]
async fn a_failure_is_a_deny_to_every_semantic() {
    let world = world();
    let of = |semantic: &str| {
        let mut body = mixed(semantic);
        body["evaluations"].as_array_mut().unwrap().drain(..2);
        body
    };
    assert_eq!(decisions(&world, &of("deny_on_first_deny")).await, [false]);
    assert_eq!(decisions(&world, &of("permit_on_first_permit")).await, [false, true]);
    let answer = ask(&world, "evaluations", &of("deny_on_first_deny")).await.json();
    assert_eq!(answer["evaluations"][0]["context"]["reason"], "deny_on_first_deny");
}
