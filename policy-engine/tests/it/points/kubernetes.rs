//! The authorization webhook, as an API server sees it.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use vouchsafe_model::Outcome;

use super::support::{EDGE, PLAIN, World, spiffe, text};
use crate::fixtures::{ALLOW_ALL, device, policy};

const PATH: &str = "/v1/kubernetes/authorize";

pub(super) async fn post_as(world: &World, identity: &str, path: &str, review: &Value) -> (u16, Value) {
    let request = Request::post(path).header("content-type", "application/json").body(Body::from(review.to_string()));
    let answer = world.send(identity, request.unwrap()).await;
    (answer.status().as_u16(), serde_json::from_str(&text(answer).await).unwrap())
}

async fn status(world: &World, path: &str, review: &Value) -> (bool, bool, String) {
    let (status, answer) = post_as(world, EDGE, path, review).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["kind"], "SubjectAccessReview");
    assert_eq!(answer["apiVersion"], review["apiVersion"]);
    let status = &answer["status"];
    let flag = |name: &str| status[name].as_bool().unwrap();
    (flag("allowed"), flag("denied"), status["reason"].as_str().unwrap().to_owned())
}

/// As an API server sends it, fields that are not read among it.
pub(super) fn review() -> Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {"creationTimestamp": null},
        "spec": {
            "resourceAttributes": {
                "namespace": "default", "verb": "get", "group": "apps", "version": "v1", "resource": "deployments",
                "name": "web", "fieldSelector": {"rawSelector": "a=b"}
            },
            "user": "ada", "groups": ["ops", "system:authenticated"], "uid": "1", "extra": {"scopes": ["a"]}
        },
        "status": {"allowed": false}
    })
}

#[tokio::test]
async fn an_object_of_the_api_is_asked_about_by_name() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let (allowed, denied, reason) = status(&world, PATH, &review()).await;
    assert!(allowed && !denied && reason.contains(&world.logged()[0].id.to_string()), "{reason}");
    let question = world.logged()[0].question.clone();
    assert_eq!(question.request.action, "get");
    assert_eq!(question.request.resource, "kubernetes:default/deployments.apps/web");
    let user = question.user.unwrap();
    assert_eq!((user.id.as_str(), user.roles), ("ada", vec!["ops".to_owned(), "system:authenticated".to_owned()]));
    let access = question.request.access.unwrap();
    assert_eq!((access.resource.r#type.as_str(), access.subject.id.as_str()), ("deployments.apps", "ada"));
    assert_eq!(access.resource.properties["namespace"], "default");
}

#[tokio::test]
async fn another_path_of_the_server_is_never_mistaken_for_an_object() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let spec = json!({"nonResourceAttributes": {"path": "/healthz", "verb": "get"}, "user": "ada"});
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
    assert!(status(&world, PATH, &review).await.0);
    let request = world.logged()[0].question.request.clone();
    assert_eq!((request.action.as_str(), request.resource.as_str()), ("get", "kubernetes-url:/healthz"));
    assert_eq!(request.access.unwrap().resource.r#type, "url");
}

#[tokio::test]
async fn the_older_version_names_groups_otherwise() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let mut review = review();
    review["apiVersion"] = "authorization.k8s.io/v1beta1".into();
    let groups = review["spec"].as_object_mut().unwrap().remove("groups").unwrap();
    review["spec"]["group"] = groups;
    assert!(status(&world, PATH, &review).await.0);
    assert_eq!(world.logged()[0].question.user.as_ref().unwrap().roles.len(), 2);
}

#[tokio::test]
async fn a_deny_is_a_deny_whatever_other_authorizers_say() {
    let world = World::new();
    let (allowed, denied, reason) = status(&world, PATH, &review()).await;
    assert!(!allowed && denied && reason.contains("device.unknown: "), "{reason}");
}

#[tokio::test]
async fn what_the_policy_has_no_answer_to_is_denied_unless_no_opinion_was_asked_for() {
    let world = World::with_policy(&policy("decision := {\"allow\": true} if input.request.action == \"other\""));
    let (allowed, denied, _) = status(&world, PATH, &review()).await;
    assert!(!allowed && denied);
    let (allowed, denied, reason) = status(&world, "/v1/kubernetes/authorize/no-opinion", &review()).await;
    assert!(!allowed && !denied && reason.contains("policy.undefined"), "{reason}");
    // A deny stays one.
    let world = World::new();
    assert!(status(&world, "/v1/kubernetes/authorize/no-opinion", &review()).await.1);
}

#[tokio::test]
async fn a_user_that_is_a_device_is_joined_with_its_record() {
    let world = World::new();
    let mut review = review();
    review["spec"]["user"] = spiffe(1).into();
    assert!(status(&world, PATH, &review).await.0);
    assert_eq!(world.logged()[0].question.device, Some(device(1)));
    review["spec"]["user"] = spiffe(1).replace("example.org", "example.net").into();
    assert!(!status(&world, PATH, &review).await.0);
    assert_eq!(world.logged()[1].question.device, None);
}

#[tokio::test]
async fn what_is_out_of_bounds_is_denied_on_record_and_no_error() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    for (groups, allowed) in [(64, true), (65, false)] {
        let mut review = review();
        review["spec"]["groups"] = vec!["g"; groups].into();
        assert_eq!(status(&world, PATH, &review).await.0, allowed, "{groups}");
    }
    let mut nobody = review();
    nobody["spec"]["user"] = "".into();
    let (allowed, denied, reason) = status(&world, PATH, &nobody).await;
    assert!(!allowed && denied && reason.contains("request.too_large"), "{reason}");
    assert_eq!(world.logged().iter().filter(|logged| logged.outcome == Outcome::Deny).count(), 2);
}

#[tokio::test]
async fn what_is_no_review_is_refused() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let change = |field: &str, value: Value| {
        let mut review = review();
        review[field] = value;
        review
    };
    for review in [
        change("kind", "TokenReview".into()),
        change("apiVersion", "authorization.k8s.io/v2".into()),
        change("spec", json!({"user": "ada"})),
        change("spec", json!({"user": "ada", "resourceAttributes": {}, "nonResourceAttributes": {}})),
    ] {
        assert_eq!(post_as(&world, EDGE, PATH, &review).await.0, 422, "{review}");
    }
    assert_eq!(post_as(&world, PLAIN, PATH, &review()).await.0, 403);
    assert!(world.logged().is_empty());
}
