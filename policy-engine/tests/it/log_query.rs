//! Decisions that were logged: found again, shown to operators alone, proven.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vouchsafe_http::Peer;
use vouchsafe_journal::Proof;
use vouchsafe_model::{Outcome, Sha256Digest};
use vouchsafe_policy_engine::log::query::{DecisionFilter, Order, page};
use vouchsafe_policy_engine::log::{DecisionLog, LogState, event, routes};
use vouchsafe_wire::v1::decide::{AskDecision, RecordedDecision};
use vouchsafe_wire::v1::operate::Page;

use crate::fixtures::{NOW, device, good_ask};
use crate::log::{Kept, entry_of};

/// Decisions about devices 1 to 3 and users 0 to 3, of which every second one is a deny.
fn ask(number: u32) -> AskDecision {
    let mut ask = good_ask(u8::try_from(number % 3 + 1).unwrap());
    ask.user.as_mut().unwrap().id = format!("user \"{}\"", number % 4);
    ask.request.resource = format!("db:{}", number % 5);
    ask
}

async fn filled(count: u32) -> Kept {
    let kept = Kept::new();
    let log = kept.log();
    for number in 0..count {
        log.append(entry_of(number, ask(number))).await.unwrap();
    }
    kept
}

/// The numbers that a filter finds, page by page.
fn found(kept: &Kept, filter: &DecisionFilter, order: Order, limit: usize) -> Vec<u64> {
    let (mut cursor, mut numbers) = (None, Vec::new());
    loop {
        let page = page(&kept.journal.view(), filter, order, cursor, limit).unwrap();
        assert!(page.rows.len() <= limit);
        let rows = page.rows.iter().map(|row| serde_json::from_str::<RecordedDecision>(row).unwrap().number);
        numbers.extend(rows);
        if page.next.is_none() {
            return numbers;
        }
        cursor = page.next;
    }
}

/// A filter, and the numbers of the decisions that it finds.
type Sought = (DecisionFilter, fn(u64) -> bool);

#[tokio::test]
async fn decisions_are_found_by_all_that_they_are_about() {
    let kept = filled(60).await;
    let all = DecisionFilter::default();
    let numbers = |wanted: fn(u64) -> bool| (0..60).rev().filter(|number| wanted(*number)).collect::<Vec<_>>();
    let filters: [Sought; 8] = [
        (all.clone(), |_| true),
        (DecisionFilter { device: Some(device(2)), ..all.clone() }, |n| n % 3 == 1),
        (DecisionFilter { user: Some("user \"3\"".to_owned()), ..all.clone() }, |n| n % 4 == 3),
        (DecisionFilter { user: Some("user".to_owned()), ..all.clone() }, |_| false),
        (DecisionFilter { resource: Some("db:4".to_owned()), ..all.clone() }, |n| n % 5 == 4),
        (DecisionFilter { resource: Some("db:*".to_owned()), ..all.clone() }, |_| true),
        (DecisionFilter { outcome: Some(Outcome::Deny), ..all.clone() }, |n| n % 2 == 1),
        (DecisionFilter { outcome: Some(Outcome::Allow), device: Some(device(1)), ..all.clone() }, |n| {
            n % 2 == 0 && n % 3 == 0
        }),
    ];
    for (filter, wanted) in filters {
        for limit in [1, 7, 500] {
            assert_eq!(found(&kept, &filter, Order::NewestFirst, limit), numbers(wanted), "{filter:?}");
            let mut oldest_first = numbers(wanted);
            oldest_first.reverse();
            assert_eq!(found(&kept, &filter, Order::OldestFirst, limit), oldest_first, "{filter:?}");
        }
    }
    let at = |secs: u64| Some(NOW.plus(std::time::Duration::from_secs(secs)));
    let between = DecisionFilter { since: at(10), until: at(13), ..all };
    assert_eq!(found(&kept, &between, Order::NewestFirst, 500), [12, 11, 10]);
}

fn state(kept: &Kept) -> LogState {
    LogState::new(kept.journal.clone(), "-----BEGIN PUBLIC KEY-----\n")
}

async fn get(kept: &Kept, identity: Option<&str>, path: &str) -> Response {
    let mut request = Request::get(path);
    if let Some(identity) = identity {
        request = request.extension(Peer {
            identity: identity.parse().unwrap(),
            certificate_digest: Sha256Digest::new([0; 32]),
            spki_der: Vec::new(),
            not_after: NOW,
        });
    }
    routes(state(kept)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn body(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

const OPERATOR: Option<&str> = Some("spiffe://example.org/operator/ops");

#[tokio::test]
async fn operators_alone_are_shown_what_is_in_the_log() {
    let kept = filled(3).await;
    let id = entry_of(1, ask(1)).id();
    let strangers =
        [(Some("spiffe://example.org/enforcement/edge-1"), StatusCode::FORBIDDEN), (None, StatusCode::UNAUTHORIZED)];
    for path in ["/v1/decisions", &format!("/v1/decisions/{id}"), "/v1/decision-log/key"] {
        for (identity, status) in strangers {
            assert_eq!(get(&kept, identity, path).await.status(), status, "{path}");
        }
        let answer = get(&kept, OPERATOR, path).await;
        assert_eq!(
            (answer.status(), &answer.headers()["cache-control"]),
            (StatusCode::OK, &"no-store".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_page_says_where_the_next_one_begins() {
    let kept = filled(5).await;
    let page =
        |path: &'static str| async { serde_json::from_str(&body(get(&kept, OPERATOR, path).await).await).unwrap() };
    let first: Page<RecordedDecision> = page("/v1/decisions?limit=2").await;
    assert_eq!((first.items[0].number, first.items[1].number, first.next.as_deref()), (4, 3, Some("3")));
    let last: Page<RecordedDecision> = page("/v1/decisions?limit=500&after=3").await;
    assert_eq!((last.items.len(), last.next), (3, None));
    let denied: Page<RecordedDecision> = page("/v1/decisions?outcome=deny&oldest_first=true&user=user%20%221%22").await;
    assert_eq!(denied.items.len(), 1);
    assert_eq!(denied.items[0].entry.as_ref().unwrap()["question"]["request"]["resource"], "db:1");
    for path in ["/v1/decisions?limit=0", "/v1/decisions?limit=501"] {
        assert_eq!(get(&kept, OPERATOR, path).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    for path in ["/v1/decisions?limit=x", "/v1/decisions?device=x", "/v1/decisions?colour=red", "/v1/decisions/x"] {
        assert_eq!(get(&kept, OPERATOR, path).await.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn one_decision_is_shown_and_proven() {
    let kept = filled(40).await;
    // Until a checkpoint covers them all.
    while kept.journal.checkpoint().is_none_or(|signed| signed.checkpoint().size < 40) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let entry = entry_of(17, ask(17));
    let shown = body(get(&kept, OPERATOR, &format!("/v1/decisions/{}", entry.id())).await).await;
    let shown: RecordedDecision = serde_json::from_str(&shown).unwrap();
    let json: serde_json::Value = serde_json::from_slice(entry.json().unwrap()).unwrap();
    assert_eq!(
        (shown.number, shown.id, shown.decided_at, shown.entry),
        (17, entry.id(), entry.decided_at(), Some(json))
    );

    let proof = body(get(&kept, OPERATOR, &format!("/v1/decisions/{}/proof", entry.id())).await).await;
    let proof = Proof::parse(&proof).unwrap();
    proof.verify(&[kept.journal.key().clone()]).unwrap();
    assert_eq!(proof.record().body().unwrap().as_bytes(), entry.json().unwrap());
    let checkpoint = body(get(&kept, OPERATOR, "/v1/decision-log/checkpoint").await).await;
    assert!(checkpoint.starts_with("example.org/decisions/test\n40\n"), "{checkpoint}");

    let unknown = entry_of(99, ask(99)).id();
    for path in [format!("/v1/decisions/{unknown}"), format!("/v1/decisions/{unknown}/proof")] {
        assert_eq!(get(&kept, OPERATOR, &path).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn an_event_is_as_opa_writes_it() {
    let kept = filled(2).await;
    let record = kept.journal.view().find(entry_of(1, ask(1)).id()).unwrap().unwrap();
    let labels = serde_json::json!({"app": "vouchsafe"});
    let event = event::of(&record, labels.as_object().unwrap()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap(), @r#"
    {
      "bundles": {
        "vouchsafe": {
          "revision": "0505050505050505050505050505050505050505050505050505050505050505"
        }
      },
      "decision_id": "019c13ec-a1e8-7000-8001-070707070707",
      "input": {
        "application": {
          "id": "psql",
          "version": "16.3"
        },
        "device": "aibaeaqcaibaeaqcaibaeaqcaibaeaqc",
        "network": {
          "authenticated": true,
          "encrypted": true,
          "source_ip": "192.0.2.1"
        },
        "request": {
          "access": null,
          "action": "read",
          "http": null,
          "resource": "db:1"
        },
        "user": {
          "authenticated_at": "2026-01-31T11:50:00.000Z",
          "factors": [
            "know",
            "have"
          ],
          "id": "user \"1\"",
          "roles": [
            "ops"
          ]
        }
      },
      "labels": {
        "app": "vouchsafe"
      },
      "path": "vouchsafe/decision",
      "req_id": 1,
      "requested_by": "spiffe://example.org/enforcement/edge-1",
      "result": {
        "decided_at": "2026-01-31T12:00:01.000Z",
        "device": "aibaeaqcaibaeaqcaibaeaqcaibaeaqc",
        "id": "019c13ec-a1e8-7000-8001-070707070707",
        "outcome": "deny",
        "policy": "0505050505050505050505050505050505050505050505050505050505050505",
        "reasons": [
          {
            "code": "test.odd",
            "message": "It is odd."
          }
        ],
        "score": null
      },
      "timestamp": "2026-01-31T12:00:01.000Z"
    }
    "#);
}
