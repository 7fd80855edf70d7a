//! One watch: when to look again, and what to tell.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::{Outcome, Timestamp, TrustScore};
use vouchsafe_wire::v1::watch::{Alive, WatchEnd, Watched};

use super::bounds::Place;
use crate::changes::Subscription;
use crate::decider::{Decider, NotDecided};
use crate::known::KnownDevice;
use crate::metrics;
use crate::question::Question;

/// What a watch tells.
pub(super) enum Told {
    /// The answer.
    Answer(Box<Watched>),
    /// The answer is what it was.
    Alive(Alive),
    /// There are no more answers.
    End(WatchEnd),
}

/// One watch.
pub(super) struct Watcher {
    decider: Arc<Decider>,
    question: Question,
    asked_by: SpiffeId,
    place: Place,
    changes: Subscription,
    /// The score that was asked for.
    asked: Option<TrustScore>,
    /// The score that the policy says is needed.
    required: Option<TrustScore>,
    /// Until when the caller's certificate is valid, that second included.
    until: Option<Timestamp>,
    /// What was told last.
    outcome: Outcome,
    below_minimum: bool,
    next_alive: Instant,
}

impl Watcher {
    /// Begins to listen for changes: none from here on is missed, however long it takes until the first answer.
    pub(super) fn new(
        decider: Arc<Decider>,
        question: Question,
        asked_by: SpiffeId,
        place: Place,
        asked: Option<TrustScore>,
        until: Option<Timestamp>,
    ) -> Self {
        let changes = decider.engine.records().changes().subscribe(question.ask().device);
        let next_alive = Instant::now() + place.settings().alive_interval;
        let (required, outcome, below_minimum) = (None, Outcome::Deny, false);
        Self { decider, question, asked_by, place, changes, asked, required, until, outcome, below_minimum, next_alive }
    }

    /// Decides now, and puts the decision on record.
    pub(super) async fn decide(&mut self) -> Result<Told, NotDecided> {
        let answer = self.decider.decide(self.question.clone(), Some(self.asked_by.clone())).await?;
        let decision = answer.decision().clone();
        self.outcome = decision.outcome();
        self.required = decision.required_score();
        self.below_minimum = self.is_below(decision.decided_at());
        self.next_alive = Instant::now() + self.place.settings().alive_interval;
        metrics::watch_told(self.outcome);
        Ok(Told::Answer(Box::new(Watched {
            minimum_score: self.minimum(),
            below_minimum: self.below_minimum,
            crosses_at: self.crossing(decision.decided_at()),
            decision,
        })))
    }

    /// Waits until there is something to tell.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            let now = self.decider.clock.now();
            if self.until.is_some_and(|until| now.unix_secs() > until.unix_secs()) {
                let detail = "The caller's certificate has expired. Renew it and watch anew.";
                return end("peer.certificate_expired", detail);
            }
            let ruling = self.decider.engine.foresee(&self.question, now);
            self.required = ruling.required_score();
            if ruling.outcome() != self.outcome || self.is_below(now) != self.below_minimum {
                return match self.decide().await {
                    Ok(told) => told,
                    // It was decided, and may not be told: the answer that was told before is not the answer any more.
                    Err(error) => {
                        tracing::error!(error = %error, peer.identity = %self.asked_by, "watch ended");
                        end("decision.not_logged", "The answer could not be put on record. Treat this as a deny.")
                    }
                };
            }
            let pause = self.next_look(now).since(now) + Duration::from_millis(1);
            let next_alive = self.next_alive;
            tokio::select! {
                biased;
                () = self.place.closed() => return end("engine.stopping", "The engine stops. Watch anew."),
                () = self.changes.changed() => {}
                () = sleep_until(next_alive) => {
                    self.next_alive = Instant::now() + self.place.settings().alive_interval;
                    return Told::Alive(Alive { at: self.decider.clock.now() });
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// The next instant at which the answer may change by itself; it is never more than the look-ahead away.
    fn next_look(&self, now: Timestamp) -> Timestamp {
        let (mut same, mut other) = (now, now.plus(self.place.settings().look_ahead));
        let foresee = |at| self.decider.engine.foresee(&self.question, at).outcome();
        if foresee(other) != self.outcome {
            // To the millisecond, as a score's crossing is.
            while other.since(same) > Duration::from_millis(1) {
                let middle = same.plus(other.since(same) / 2);
                if foresee(middle) == self.outcome { same = middle } else { other = middle }
            }
        }
        let after_expiry = self.until.map(|until| until.plus(Duration::from_secs(1)));
        [self.crossing(now), after_expiry].into_iter().flatten().filter(|at| *at > now).fold(other, Timestamp::min)
    }

    /// The score that is watched for: the one that was asked for, or else the one that the policy says is needed.
    fn minimum(&self) -> Option<TrustScore> {
        self.asked.or(self.required)
    }

    fn is_below(&self, at: Timestamp) -> bool {
        let score = || self.known().map(|known| known.record().curve.score_at(at));
        // Of a device that is not known nothing is known to be enough.
        self.minimum().is_some_and(|minimum| score().is_none_or(|score| score < minimum))
    }

    /// When the score falls below the one that is watched for, if it is not below already.
    fn crossing(&self, now: Timestamp) -> Option<Timestamp> {
        self.known()?.crossing(self.minimum()?, now)
    }

    fn known(&self) -> Option<Arc<KnownDevice>> {
        self.decider.engine.records().get(&self.question.ask().device?)
    }
}

fn end(code: &str, detail: &str) -> Told {
    Told::End(WatchEnd { code: code.to_owned(), detail: detail.to_owned() })
}
