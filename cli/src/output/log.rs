//! The decision log.

use serde::Serialize;
use serde_json::Value;
use vouchsafe_journal::{Proof, Verification};
use vouchsafe_wire::v1::decide::RecordedDecision;

use super::quote::Reason;
use super::table::{Columns, Facts};
use super::{clean, instant, line};

/// Whether a log is as it was written, and what is in it.
#[derive(Debug, Serialize)]
pub(crate) struct LogReport {
    pub(crate) verified: bool,
    /// Why it is not.
    reason: Option<Reason>,
    /// What is in it; `null` when it is not as it was written.
    log: Option<Verification>,
}

/// Whether the proof of a decision proves it, and of what.
#[derive(Debug, Serialize)]
pub(crate) struct ProofReport {
    pub(crate) verified: bool,
    /// Why it does not.
    reason: Option<Reason>,
    /// The decision as the log has it; `null` when it is not proven: nothing of it is to be believed then.
    decision: Option<RecordedDecision>,
    /// The log, by its name.
    log: Option<String>,
}

impl LogReport {
    /// A log that was verified.
    pub(crate) fn verified(log: Verification) -> Self {
        Self { verified: true, reason: None, log: Some(log) }
    }

    /// A log that was not.
    pub(crate) fn refused(reason: Reason) -> Self {
        Self { verified: false, reason: Some(reason), log: None }
    }
}

impl ProofReport {
    /// A proof that was verified.
    pub(crate) fn verified(proof: &Proof) -> Self {
        let record = proof.record();
        let entry = record.body().and_then(|body| serde_json::from_str(body).ok());
        let decision = RecordedDecision { number: record.number, id: record.id, decided_at: record.at, entry };
        let log = proof.checkpoint().checkpoint().origin.to_string();
        Self { verified: true, reason: None, decision: Some(decision), log: Some(log) }
    }

    /// A proof that was not.
    pub(crate) fn refused(reason: Reason) -> Self {
        Self { verified: false, reason: Some(reason), decision: None, log: None }
    }
}

/// The first lines of either report.
fn verdict(reason: Option<&Reason>) -> String {
    match reason {
        None => "verified: yes\n".to_owned(),
        Some(reason) => format!("verified: no\nreason: {} ({})\n", clean(&reason.message), reason.code),
    }
}

/// What was found in a log.
pub(crate) fn report(report: &LogReport) -> String {
    let mut text = verdict(report.reason.as_ref());
    let Some(log) = &report.log else { return text };
    if !log.signatures_verified {
        text.push_str("note: --key was not given, so that the log may be another one, written by somebody else\n");
    }
    text.push('\n');
    let removed = (log.first > 0).then(|| format!("0 to {}, by retention", log.first - 1));
    let dropped = (log.dropped > 0).then(|| format!("{}, by the policy: id and time alone are kept", log.dropped));
    let times = log.times.map(|(from, until)| format!("{} to {}", instant::plain(from), instant::plain(until)));
    let unfinished =
        (log.unfinished_bytes > 0).then(|| format!("{} bytes, of which nobody was told", log.unfinished_bytes));
    let facts = Facts::default()
        .with("log", &log.origin)
        .with("decisions", range(log.first, log.entries))
        .with_some("removed", removed)
        .with_some("dropped", dropped)
        .with_some("made", times)
        .with("files", log.segments)
        .with("checkpoints", log.checkpoints)
        .with_some("signed last", log.signed_at.map(instant::plain))
        .with("not signed yet", log.unsigned)
        .with_some("half-written", unfinished);
    text.push_str(&facts.text());
    text
}

fn range(first: u64, entries: u64) -> String {
    if entries == 0 { "none".to_owned() } else { format!("{entries}: {first} to {}", first + entries - 1) }
}

/// What a proof proves.
pub(crate) fn proof(report: &ProofReport) -> anyhow::Result<String> {
    let mut text = verdict(report.reason.as_ref());
    let (Some(decision), Some(log)) = (&report.decision, &report.log) else { return Ok(text) };
    line(&mut text, format_args!("\ndecision {} of {}:", decision.number, clean(log)));
    text.push_str(&super::json(decision)?);
    Ok(text)
}

/// Decisions as a table.
pub(crate) fn list(decisions: &[RecordedDecision]) -> String {
    if decisions.is_empty() {
        return "No decision is so in the log.\n".to_owned();
    }
    let mut columns = Columns::new(["DECIDED", "OUTCOME", "DEVICE", "USER", "ACTION", "RESOURCE", "REASONS", "ID"]);
    for decision in decisions {
        let of = |pointer| text_at(decision.entry.as_ref(), pointer);
        let device = of("/decision/device");
        columns.row([
            instant::plain(decision.decided_at),
            if decision.entry.is_none() { "(dropped)".to_owned() } else { of("/decision/outcome") },
            device.chars().take(8).collect(),
            of("/question/user/id"),
            of("/question/request/action"),
            of("/question/request/resource"),
            reasons(decision.entry.as_ref()),
            decision.id.to_string(),
        ]);
    }
    columns.text("")
}

/// A text of an entry; `-` where there is none, or the policy left it out.
fn text_at(entry: Option<&Value>, pointer: &str) -> String {
    entry.and_then(|entry| entry.pointer(pointer)?.as_str()).unwrap_or("-").to_owned()
}

/// The codes of all reasons.
fn reasons(entry: Option<&Value>) -> String {
    let reasons = entry.and_then(|entry| entry.pointer("/decision/reasons")?.as_array());
    let codes = reasons.into_iter().flatten().filter_map(|reason| reason.get("code")?.as_str());
    let codes: Vec<&str> = codes.collect();
    if codes.is_empty() { "-".to_owned() } else { codes.join(",") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vouchsafe_model::{DecisionId, Timestamp};

    use super::*;

    fn recorded(number: u8, entry: Option<Value>) -> RecordedDecision {
        let at = Timestamp::from_unix_secs(1_769_860_800);
        RecordedDecision { number: number.into(), id: DecisionId::new(at, &[number; 10]), decided_at: at, entry }
    }

    #[test]
    fn decisions_are_a_table_in_which_nothing_drives_the_terminal() {
        let whole = json!({
            "decision": {
                "outcome": "deny", "device": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf",
                "reasons": [{"code": "device.pcr_mismatch", "message": "m"}, {"code": "user.unknown\u{1b}[2J"}]
            },
            "question": {"user": {"id": "alice"}, "request": {"action": "read", "resource": "db:orders"}}
        });
        let masked =
            json!({"decision": {"outcome": "allow", "reasons": []}, "question": {"request": {"action": "read"}}});
        let decisions = [recorded(2, Some(whole)), recorded(1, Some(masked)), recorded(0, None)];
        insta::assert_snapshot!(list(&decisions));
        assert_eq!(list(&[]), "No decision is so in the log.\n");
    }

    #[test]
    fn a_log_that_was_verified_says_what_is_in_it() {
        let at = Timestamp::from_unix_secs(1_769_860_800);
        let found = Verification {
            origin: "example.org/decisions/0123456789abcdef".to_owned(),
            segments: 3,
            first: 1_000,
            entries: 2_345,
            dropped: 2,
            checkpoints: 17,
            signatures_verified: false,
            unsigned: 4,
            signed_at: Some(at),
            times: Some((at.minus(std::time::Duration::from_secs(86_400)), at)),
            unfinished_bytes: 120,
        };
        insta::assert_snapshot!(report(&LogReport::verified(found)));
        let reason = Reason { code: "log.changed", message: "00000000000000000000.vjl, line 3: bad".to_owned() };
        assert_eq!(
            report(&LogReport::refused(reason)),
            "verified: no\nreason: 00000000000000000000.vjl, line 3: bad (log.changed)\n"
        );
    }
}
