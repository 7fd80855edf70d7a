//! Recorded decisions against another policy: which of them it would change.
//!
//! Everything that changes by itself, the time and the score among it, is taken from the record. What the record does not hold
//! whole is not guessed at: it is counted, by why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::{DecisionId, Outcome, Sha256Digest};
use vouchsafe_policies::Bundle;

use crate::compile::{Choose, CompileError, EvaluatorKind};
use crate::doors::DENIED_UNASKED;
use crate::evaluate::{Document, EvaluationLimits, Pool};
use crate::log::{NotReplayable, Replay, replay_input};
use crate::ruling;

/// The group of decisions for which no reason is given.
const NO_REASON: &str = "(no reason)";

/// A policy that is tried on decisions of the past.
pub struct Candidate {
    pool: Pool,
    hash: Sha256Digest,
}

/// What another policy would have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// How many decisions were made again.
    pub compared: u64,
    /// How many of them came out the same.
    pub same: u64,
    /// Those that were allowed and would be denied, by the candidate's reasons: a decision is in the group of each.
    pub allow_to_deny: BTreeMap<String, Vec<DecisionId>>,
    /// Those that were denied and would be allowed, by the reasons for which they were denied.
    pub deny_to_allow: BTreeMap<String, Vec<DecisionId>>,
    /// How many could not be made again, by why.
    pub not_compared: BTreeMap<Skipped, u64>,
}

/// Why a decision is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// The policy dropped it from the log, or left out a part that decides.
    LeftOut,
    /// It is about another rule than the one that decides.
    AnotherRule,
    /// The policy was not asked.
    NotAsked,
    /// It cannot be read.
    Unreadable,
}

/// The reasons of an entry.
#[derive(Deserialize)]
struct Reasons {
    decision: Decided,
}

#[derive(Deserialize)]
struct Decided {
    #[serde(default)]
    reasons: Vec<Code>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

impl Candidate {
    /// Compiles a policy for so many threads.
    ///
    /// # Errors
    /// When it cannot be put in charge.
    pub fn compile(
        bundle: &Bundle,
        choose: Choose,
        limits: EvaluationLimits,
        threads: usize,
    ) -> Result<Self, CompileError> {
        Ok(Self { pool: Pool::compile(bundle, limits, threads, choose)?, hash: bundle.hash() })
    }

    /// Its hash.
    pub fn hash(&self) -> Sha256Digest {
        self.hash
    }

    /// Which evaluator it runs on.
    pub fn evaluator(&self) -> EvaluatorKind {
        self.pool.kind()
    }

    /// What it says to what was asked then.
    pub fn rule(&self, replay: &Replay) -> Ruling {
        let input = Document::of_wanted(&replay.input, self.pool.wanted());
        ruling::for_asker(ruling::read(self.pool.evaluate(&input)), &replay.understands)
    }

    /// Makes the decision of an entry again, and notes what comes of it.
    pub fn try_on(&self, entry: Option<&str>, found: &mut Replayed) {
        let skipped = match entry.ok_or(Skipped::LeftOut).and_then(|entry| self.compare(entry, found)) {
            Ok(()) => return,
            Err(skipped) => skipped,
        };
        *found.not_compared.entry(skipped).or_default() += 1;
    }

    fn compare(&self, entry: &str, found: &mut Replayed) -> Result<(), Skipped> {
        let replay = replay_input(entry).map_err(|error| Skipped::from(&error))?;
        let reasons = reasons_of(entry)?;
        if reasons.iter().any(|code| DENIED_UNASKED.contains(&code.as_str())) {
            return Err(Skipped::NotAsked);
        }
        let ruling = self.rule(&replay);
        found.compared += 1;
        match (replay.outcome, ruling.outcome()) {
            (Outcome::Allow, Outcome::Deny) => {
                let codes = ruling.reasons().iter().map(|reason| reason.code.clone());
                note(&mut found.allow_to_deny, codes, replay.id);
            }
            (Outcome::Deny, Outcome::Allow) => note(&mut found.deny_to_allow, reasons.into_iter(), replay.id),
            (Outcome::Allow, Outcome::Allow) | (Outcome::Deny, Outcome::Deny) => found.same += 1,
        }
        Ok(())
    }
}

impl Replayed {
    /// How many decisions come out otherwise.
    pub fn changed(&self) -> u64 {
        self.compared - self.same
    }

    /// The same with what was found elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.compared += other.compared;
        self.same += other.same;
        for (mine, theirs) in
            [(&mut self.allow_to_deny, other.allow_to_deny), (&mut self.deny_to_allow, other.deny_to_allow)]
        {
            theirs.into_iter().for_each(|(code, ids)| mine.entry(code).or_default().extend(ids));
        }
        other.not_compared.into_iter().for_each(|(why, count)| *self.not_compared.entry(why).or_default() += count);
    }
}

impl Skipped {
    /// In words, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::LeftOut => "left out of the log by the policy, wholly or in a part that decides",
            Self::AnotherRule => "about another rule",
            Self::NotAsked => "denied without asking the policy",
            Self::Unreadable => "not readable",
        }
    }
}

impl From<&NotReplayable> for Skipped {
    fn from(error: &NotReplayable) -> Self {
        match error {
            NotReplayable::Unreadable(_) => Self::Unreadable,
            NotReplayable::AnotherRule => Self::AnotherRule,
            NotReplayable::Unseen => Self::NotAsked,
            NotReplayable::LeftOut { .. } => Self::LeftOut,
        }
    }
}

/// The codes for which a decision was made; those that the log does not hold are none.
fn reasons_of(entry: &str) -> Result<Vec<String>, Skipped> {
    let Reasons { decision } = serde_json::from_str(entry).map_err(|_| Skipped::LeftOut)?;
    Ok(decision.reasons.into_iter().map(|reason| reason.code).collect())
}

fn note(groups: &mut BTreeMap<String, Vec<DecisionId>>, codes: impl Iterator<Item = String>, id: DecisionId) {
    let mut codes = codes.peekable();
    if codes.peek().is_none() {
        groups.entry(NO_REASON.to_owned()).or_default().push(id);
    }
    codes.for_each(|code| groups.entry(code).or_default().push(id));
}
