//! The part of the machine before the device has a name.

use super::event::{Action, Failure, FailureKind, Now, Stop};
use super::{Machine, Request};

/// How many enrolments in a row may end after their first message. The second one fails for good when a ticket is too old
/// or was made before the engine lost its keys, and a new first message mends that.
const MAX_ROUNDS: u32 = 3;

impl Machine {
    pub(super) fn next_of_enrolment(&mut self, now: Now) -> Action {
        if self.state.pending.is_none() && !self.may_enrol {
            self.stopped = Some(Stop::NotEnrolled);
            return Action::Stop(Stop::NotEnrolled);
        }
        if self.gate > now.boot {
            return Action::SleepUntil(self.gate);
        }
        match (&self.state.pending, &self.state.keys) {
            (Some(pending), _) => {
                let action = Action::CompleteEnrolment(pending.clone());
                self.request(Request::Complete, action)
            }
            (None, Some(_)) => self.request(Request::Begin, Action::BeginEnrolment),
            (None, None) => self.request(Request::MakeKeys, Action::MakeKeys),
        }
    }

    /// Whether the state changed.
    pub(super) fn enrolment_failed(&mut self, request: &Request, failure: Failure, now: Now, entropy: u64) -> bool {
        let refused = failure.kind.is_refusal() || failure.kind == FailureKind::CredentialRefused;
        if refused && *request == Request::Begin {
            self.stopped = Some(Stop::EnrolmentRefused(failure.text));
            return false;
        }
        self.gate = now.boot + self.backoff.failed(failure.retry_after, entropy);
        if !refused {
            return false;
        }
        // The ticket is of no use, or the credential is not for us: begin anew, if that is possible.
        self.rounds += 1;
        if self.rounds >= MAX_ROUNDS || !self.may_enrol {
            self.stopped = Some(Stop::EnrolmentRefused(failure.text));
        }
        self.state.pending = None;
        true
    }
}
