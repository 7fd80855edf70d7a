//! What a policy leaves out of the log: nothing that it names is written, and what it cannot say is not answered.

use std::error::Error;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::log::mask::{MAX_MASKS, MAX_POINTER_LEN};
use vouchsafe_policy_engine::log::{DecisionLog, LogEntry, LogError, MaskError, MaskedLog};

use crate::fixtures::{ALLOW_ALL, engine_with, good_ask, limits};
use crate::log::{Kept, entry_of};

#[derive(Default)]
struct MemoryLog(Mutex<Vec<LogEntry>>);

#[async_trait]
impl DecisionLog for MemoryLog {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        self.0.lock().unwrap().push(entry);
        Ok(())
    }
}

/// A bundle that allows all and says this of the log.
fn bundle(rules: &str) -> Bundle {
    let decides = format!("package vouchsafe\n\n{ALLOW_ALL}\n");
    let logs = format!("package vouchsafe.log\n\n{rules}\n");
    let data = json!({"private_users": ["alice"]}).to_string();
    let files = [("policy.rego", decides), ("log.rego", logs), ("data.json", data)];
    Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap()
}

/// What is logged of one decision by these rules.
async fn logged(rules: &str) -> Result<Option<Value>, LogError> {
    let engine = Arc::new(engine_with(&bundle(rules), limits()));
    let log = Arc::new(MemoryLog::default());
    let masked = MaskedLog::new(engine, log.clone());
    masked.append(entry_of(1, good_ask(1))).await?;
    let entries = log.0.lock().unwrap();
    Ok(entries[0].json().map(|json| serde_json::from_slice(json).unwrap()))
}

fn unmasked() -> Value {
    serde_json::from_slice(entry_of(1, good_ask(1)).json().unwrap()).unwrap()
}

/// Why nothing is logged by these rules.
async fn refusal(rules: &str) -> String {
    let Err(error @ LogError::Masking(_)) = logged(rules).await else { panic!("{rules} was followed") };
    let cause = error.source().unwrap();
    std::iter::successors(Some(cause), |cause| (*cause).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[tokio::test]
async fn without_rules_all_is_logged_as_it_is() {
    assert_eq!(logged("other := 1").await.unwrap(), Some(unmasked()));
    assert_eq!(
        logged("mask contains \"/question/user\" if input.question.user.id == \"bob\"").await.unwrap(),
        Some(unmasked())
    );
    assert_eq!(logged("drop := false").await.unwrap(), Some(unmasked()));
    assert_eq!(logged("drop if input.decision.outcome == \"allow\"").await.unwrap(), Some(unmasked()));
}

#[tokio::test]
async fn what_the_policy_names_is_removed_or_replaced_and_noted() {
    let rules = r#"
mask contains "/question/user/id" if input.question.user.id in data.private_users
mask contains "/question/user/roles/0"
mask contains "/question/nothing/there"
mask contains "/asked_by"
mask contains {"op": "remove", "path": "/decision/reasons"}
mask contains {"op": "upsert", "path": "/question/request/resource", "value": "hidden"}
"#;
    let mut expected = unmasked();
    expected["question"]["user"].as_object_mut().unwrap().remove("id");
    expected["question"]["user"]["roles"][0] = Value::Null;
    expected["question"]["request"]["resource"] = "hidden".into();
    expected["decision"].as_object_mut().unwrap().remove("reasons");
    expected.as_object_mut().unwrap().remove("asked_by");
    expected["erased"] = json!(["/asked_by", "/decision/reasons", "/question/user/id", "/question/user/roles/0"]);
    expected["masked"] = json!(["/question/request/resource"]);
    assert_eq!(logged(rules).await.unwrap(), Some(expected));
}

#[tokio::test]
async fn what_the_policy_drops_leaves_its_name_and_its_instant() {
    let rules = "drop if input.decision.outcome == \"deny\"";
    assert_eq!(logged(rules).await.unwrap(), None);
    let kept = Kept::new();
    let engine = Arc::new(engine_with(&bundle(rules), limits()));
    let masked = MaskedLog::new(engine, Arc::new(kept.log()));
    for number in 0..3 {
        masked.append(entry_of(number, good_ask(1))).await.unwrap();
    }
    let entry = entry_of(1, good_ask(1));
    let record = kept.journal.view().find(entry.id()).unwrap().unwrap();
    assert_eq!((record.number, record.at, record.body()), (1, entry.decided_at(), None));
    assert_eq!(kept.journal.view().entries(), 0..3);
}

#[tokio::test]
async fn what_a_decision_is_cannot_be_masked() {
    for pointer in [
        "",
        "/",
        "/decision",
        "/decision/id",
        "/decision/outcome",
        "/decision/decided_at",
        "/decision/policy",
        "/decision/reasonsx",
        "/decision/obligationsx",
        "/devices",
        "/questions",
        "question",
        "/number",
        "/erased",
        "/masked",
    ] {
        let told = refusal(&format!("mask contains {pointer:?}")).await;
        assert_eq!(told, format!("data.vouchsafe.log.mask names {pointer:?}, which is not to be masked"));
    }
}

#[tokio::test]
async fn rules_that_cannot_be_followed_are_not_passed_over() {
    for (rules, expected) in [
        ("drop := 1", "data.vouchsafe.log.drop is neither true nor false"),
        ("drop := \"true\"", "data.vouchsafe.log.drop is neither true nor false"),
        ("mask := true", "data.vouchsafe.log.mask is no set of JSON pointers and replacements: it is of another kind"),
        ("mask := {\"/question\": 1}", "it is of another kind"),
        ("mask contains 1", "data.vouchsafe.log.mask is no set of JSON pointers and replacements: invalid type"),
        ("mask contains {\"op\": \"add\", \"path\": \"/question\"}", "unknown variant `add`"),
        ("mask contains {\"op\": \"remove\"}", "missing field `path`"),
        ("mask contains {\"op\": \"remove\", \"path\": \"/question\", \"x\": 1}", "unknown field `x`"),
        ("mask := \"/a\"\n\nmask := \"/b\"", "data.vouchsafe.log.mask failed: the policy failed: "),
    ] {
        let told = refusal(rules).await;
        assert!(told.contains(expected), "{rules}: {told}");
    }
}

#[tokio::test]
async fn there_is_a_bound_on_what_is_masked() {
    let many =
        |count: usize| format!("mask contains sprintf(\"/question/%d\", [n]) if some n in numbers.range(1, {count})");
    assert!(logged(&many(MAX_MASKS)).await.is_ok());
    assert!(refusal(&many(MAX_MASKS + 1)).await.contains("it has 257 entries"));
    // A line of a policy is shorter than the longest pointer.
    let long = |len: usize| {
        let (half, rest) = ("x".repeat(500), "x".repeat(len - "/question/".len() - 500));
        format!("mask contains concat(\"\", [\"/question/\", \"{half}\",\n\"{rest}\"])")
    };
    assert!(logged(&long(MAX_POINTER_LEN)).await.is_ok());
    assert!(refusal(&long(MAX_POINTER_LEN + 1)).await.contains("a pointer has more than 1024 bytes"));
}

#[tokio::test]
async fn another_policy_masks_from_the_next_decision_on() {
    let engine = engine_with(&bundle("drop := true"), limits());
    let entry = || entry_of(1, good_ask(1));
    assert!(engine.mask(entry()).unwrap().json().is_none());
    engine.activate(&bundle("other := 1")).unwrap();
    assert_eq!(engine.mask(entry()).unwrap(), entry());
    let error = engine_with(&bundle("drop := 1"), limits()).mask(entry()).unwrap_err();
    assert!(matches!(error, MaskError::Drop));
}
