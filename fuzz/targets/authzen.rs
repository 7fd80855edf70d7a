//! AuthZEN requests: whatever is read names what it asks about, and can be asked or is refused as a question.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vouchsafe_policy_engine::Question;
use vouchsafe_wire::v1::agent::{Access, Request};
use vouchsafe_wire::v1::authzen::{EvaluationsRequest, Searched, read_evaluation, read_evaluations, read_search};
use vouchsafe_wire::v1::decide::AskDecision;

/// What was read whole has the three parts that AuthZEN asks for.
fn is_whole(access: &Access) {
    assert!(!access.subject.r#type.is_empty() || !access.subject.id.is_empty() || !access.action.name.is_empty());
    let request = Request { access: Some(access.clone()), ..Request::new("a".to_owned(), "b".to_owned()) };
    let _ = Question::check(AskDecision::about(request));
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    let _ = read_evaluation(&body).map(|access| is_whole(&access));
    for searched in [Searched::Subject, Searched::Resource, Searched::Action] {
        if let Ok(search) = read_search(searched, &body) {
            assert_eq!(search.searched, searched);
        }
    }
    if let Ok(EvaluationsRequest::Many { evaluations, .. }) = read_evaluations(&body) {
        assert!(!evaluations.is_empty());
        evaluations.iter().flatten().for_each(is_whole);
    }
});
