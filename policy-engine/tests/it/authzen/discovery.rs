//! Scenario, section "Discovery Certification": the metadata.

use axum::http::{Request, StatusCode};
use serde_json::json;

use super::world;
use crate::doors::{Caller, World};

async fn metadata(base: Option<&str>) -> crate::doors::Answer {
    let World { doors, log, clock } = world();
    let world = World { doors: doors.at(base.map(str::to_owned)), log, clock };
    world.send(Caller::Nobody, Request::get("/.well-known/authzen-configuration"), "").await
}

#[tokio::test]
async fn the_metadata_names_every_endpoint_and_may_be_kept_for_a_while() {
    for base in ["https://pdp.example.com:8443", "https://pdp.example.com:8443/"] {
        let answer = metadata(Some(base)).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
        assert_eq!(answer.header("cache-control"), "max-age=3600");
        assert_eq!(
            answer.json(),
            json!({
                "policy_decision_point": "https://pdp.example.com:8443",
                "access_evaluation_endpoint": "https://pdp.example.com:8443/access/v1/evaluation",
                "access_evaluations_endpoint": "https://pdp.example.com:8443/access/v1/evaluations",
                "search_subject_endpoint": "https://pdp.example.com:8443/access/v1/search/subject",
                "search_resource_endpoint": "https://pdp.example.com:8443/access/v1/search/resource",
                "search_action_endpoint": "https://pdp.example.com:8443/access/v1/search/action"
            })
        );
    }
}

#[tokio::test]
async fn a_door_that_is_not_reached_over_https_has_none() {
    for base in
        [None, Some("http://127.0.0.1:8445"), Some("https://pdp.example.com/?a=b"), Some("https://pdp.example.com/#x")]
    {
        assert_eq!(metadata(base).await.status, StatusCode::NOT_FOUND, "{base:?}");
    }
}
