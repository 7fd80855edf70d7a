//! `status`: what the agent remembers and what it last did, read from its directory.

use serde::Serialize;
use vouchsafe_model::{DeviceId, Timestamp};

use super::{CommandError, say};
use crate::cli::StatusFormat;
use crate::clock;
use crate::config::Config;
use crate::logs::{FoundLogs, LogPaths};
use crate::run::{LastAttestation, LastFailure, Status};
use crate::state::State;
use crate::state_directory::peek;

/// What is known of this host's agent.
#[derive(Debug, Serialize)]
struct Report {
    enrolled: bool,
    enrolment_pending: bool,
    device: Option<DeviceId>,
    engine: Option<String>,
    certificate_expires_at: Option<Timestamp>,
    certificate_renew_at: Option<Timestamp>,
    last_attestation: Option<LastAttestation>,
    next_due_at: Option<Timestamp>,
    last_failure: Option<LastFailure>,
    logs: FoundLogs,
}

/// Says what is known.
pub(super) fn show(config: &Config, format: StatusFormat) -> Result<(), CommandError> {
    let report = Report::new(peek(&config.state_dir)?, Status::read(&config.state_dir), &config.logs());
    match format {
        StatusFormat::Json => say(&serde_json::to_string_pretty(&report).unwrap_or_default())?,
        StatusFormat::Text => say(&report.text(clock::now().wall))?,
    }
    if report.enrolled { Ok(()) } else { Err(CommandError::NotEnrolled) }
}

impl Report {
    fn new(state: State, status: Status, paths: &LogPaths) -> Self {
        let certificate = state.membership.as_ref().map(|membership| &membership.certificate);
        let challenge = state.membership.as_ref().and_then(|membership| membership.challenge.as_ref());
        Self {
            logs: FoundLogs::look(paths, challenge.map(|challenge| &challenge.logs)),
            enrolled: state.membership.is_some(),
            enrolment_pending: state.pending.is_some(),
            certificate_expires_at: certificate.map(|certificate| certificate.expires_at),
            certificate_renew_at: certificate.map(|certificate| certificate.renew_at),
            device: state.membership.map(|membership| membership.device),
            engine: state.engine.map(|engine| engine.attest_url),
            last_attestation: status.last_attestation,
            next_due_at: status.next_due_at,
            last_failure: status.last_failure,
        }
    }

    fn text(&self, now: Timestamp) -> String {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: String| lines.push(format!("{name:<14} {value}"));
        line(
            "enrolled",
            match (self.enrolled, self.enrolment_pending) {
                (true, _) => "yes".to_owned(),
                (false, true) => "no, but begun".to_owned(),
                (false, false) => "no".to_owned(),
            },
        );
        if let Some(device) = &self.device {
            line("device", device.to_string());
        }
        if let Some(engine) = &self.engine {
            line("engine", engine.clone());
        }
        if let (Some(ends), Some(renewed)) = (self.certificate_expires_at, self.certificate_renew_at) {
            let state = if ends <= now { "expired at" } else { "good until" };
            line("certificate", format!("{state} {ends}, to be renewed from {renewed}"));
        }
        if let Some(last) = &self.last_attestation {
            line("last verdict", format!("{} at {}, score {}", last.verdict, last.appraised_at, last.score));
        }
        if let Some(due) = self.next_due_at {
            line("next evidence", due.to_string());
        }
        if let Some(failure) = &self.last_failure {
            line("last failure", format!("{} at {}", failure.text, failure.at));
        }
        line("event log", self.logs.event_log.to_string());
        line("ima log", self.logs.ima.to_string());
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing;
    use std::path::Path;

    /// A host with an event log and without an IMA list.
    fn host(scratch: &Path) -> LogPaths {
        std::fs::write(scratch.join("log"), "measured").unwrap();
        LogPaths { event_log: scratch.join("log"), ima: "/nonexistent/list".into(), boot_id: "/nonexistent/id".into() }
    }

    #[test]
    fn a_member_is_shown_with_what_it_last_did() {
        let failure = LastFailure { at: testing::ENGINE_BOOT, text: "no route".to_owned() };
        let status =
            Status { next_due_at: Some(testing::ENGINE_BOOT), last_failure: Some(failure), ..Status::default() };
        let scratch = tempfile::tempdir().unwrap();
        let report = Report::new(testing::member(), status, &host(scratch.path()));
        let text = report.text(testing::ENGINE_BOOT).replace(&scratch.path().display().to_string(), "TMP");
        let digest = crate::tls::sha256(b"measured");
        let expected = format!(
            "\
enrolled       yes
device         uws2ljnfuws2ljnfuws2ljnfuws2ljnf
engine         https://engine:8443
certificate    good until 2026-02-03T02:40:00.000Z, to be renewed from 2026-02-02T14:40:00.000Z
next evidence  2026-02-02T02:40:00.000Z
last failure   no route at 2026-02-02T02:40:00.000Z
event log      TMP/log: 8 bytes, SHA-256 {digest}
ima log        none: there is no /nonexistent/list"
        );
        assert_eq!(text, expected);
        assert!(report.text(testing::ENGINE_BOOT.plus(testing::DAY)).contains("expired at"));
    }

    #[test]
    fn a_stranger_is_shown_as_one() {
        let scratch = tempfile::tempdir().unwrap();
        let first_line = |state: State| {
            let report = Report::new(state, Status::default(), &host(scratch.path()));
            report.text(testing::ENGINE_BOOT).lines().next().unwrap().to_owned()
        };
        assert_eq!(first_line(State::default()), "enrolled       no");
        let begun = State { pending: Some(testing::pending()), ..State::default() };
        assert_eq!(first_line(begun), "enrolled       no, but begun");
    }
}
