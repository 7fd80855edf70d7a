//! Evaluators of the rules that may be asked about besides the one that decides.
//!
//! The reference evaluator runs them: what the fast one makes of a rule is compared with it for the rule that decides and
//! for no other. It recurses on the native stack, as deep as a policy may nest, so it has threads of its own with room for
//! that; and a rule that takes its time takes none of the threads that answer everybody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot};
use vouchsafe_policies::Bundle;

use crate::compile::{self, CompileError};
use crate::evaluate::{Document, Evaluate, EvaluationError, EvaluationLimits, ReferenceEvaluator, add_data};
use crate::query::EntryPoint;

/// The stack of an evaluating thread, in bytes: some 30 KiB for each of 32 rules of 64 expressions. Only what is used is
/// ever committed.
pub(crate) const STACK: usize = 64 * 1024 * 1024;
/// The most questions that wait for a thread. Further ones wait outside, within their time.
const MAX_QUEUE: usize = 256;

/// The rule by which a policy says what there is to be found, if it has it. Callers cannot ask about it.
const SEARCH: &str = "data.vouchsafe.search";

/// The rules of one policy that may be asked about. Its threads end when the last question is answered and this is dropped.
pub(crate) struct EntryPoints {
    rules: Vec<EntryPoint>,
    /// The rule that says what there is to be found; it is among them.
    search: Option<EntryPoint>,
    /// None when there is no rule, and so no thread.
    queue: Option<mpsc::Sender<Job>>,
}

struct Job {
    rule: usize,
    input: Document,
    answer: oneshot::Sender<Result<Document, EvaluationError>>,
}

impl EntryPoints {
    /// Prepares these rules of a bundle, for so many threads.
    pub(crate) fn compile(
        bundle: &Bundle,
        rules: &[EntryPoint],
        limits: EvaluationLimits,
        threads: usize,
    ) -> Result<Self, CompileError> {
        let mut engine = compile::parse_policies(bundle)?;
        if let Some(absent) = rules.iter().find(|rule| !compile::defines(&mut engine, &rule.rule())) {
            return Err(CompileError::NoSuchRule { rule: absent.rule() });
        }
        let search = SEARCH.parse().ok().filter(|_| compile::defines(&mut engine, SEARCH));
        let rules: Vec<EntryPoint> = rules.iter().chain(&search).cloned().collect();
        if rules.is_empty() {
            return Ok(Self { rules, search, queue: None });
        }
        add_data(&mut engine, bundle)?;
        // Whoever prints means it for a test or an explanation, not for the standard error of a server.
        engine.set_gather_prints(true);
        let (queue, jobs) = mpsc::channel(MAX_QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..threads.max(1) {
            let evaluator = |rule: &EntryPoint| ReferenceEvaluator::of_rule(engine.clone(), &rule.rule(), limits);
            let evaluators = rules.iter().map(evaluator).collect();
            let jobs = jobs.clone();
            let thread = thread::Builder::new().name("policy-rules".to_owned()).stack_size(STACK);
            thread.spawn(move || work(evaluators, &jobs)).map_err(CompileError::Thread)?;
        }
        Ok(Self { rules, search, queue: Some(queue) })
    }

    /// The rule that says what there is to be found, if the policy has one.
    pub(crate) fn search(&self) -> Option<&EntryPoint> {
        self.search.as_ref()
    }

    /// The value of a rule for an input; undefined when the rule may not be asked about.
    pub(crate) async fn evaluate(
        &self,
        rule: Option<&EntryPoint>,
        input: Document,
    ) -> Result<Document, EvaluationError> {
        let known = rule.and_then(|rule| self.rules.iter().position(|known| known == rule));
        let (Some(rule), Some(queue)) = (known, &self.queue) else {
            return Ok(Document::new(regorus::Value::Undefined));
        };
        let (answer, answered) = oneshot::channel();
        let gone = || EvaluationError::Failed { message: "no thread evaluates any more".to_owned() };
        queue.send(Job { rule, input, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Evaluates until nobody can ask any more.
fn work(mut evaluators: Vec<ReferenceEvaluator>, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // Nothing that can panic runs under the lock.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Job { rule, input, answer }) = job else { return };
        // Whoever no longer waits needs no answer.
        let asked = Some(rule).filter(|_| !answer.is_closed());
        if let Some(evaluator) = asked.and_then(|rule| evaluators.get_mut(rule)) {
            let value = evaluator.evaluate(&input);
            evaluator.take_prints();
            drop(answer.send(value));
        }
    }
}
