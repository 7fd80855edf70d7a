//! The side that may die: reads a task from standard input, and answers what came of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use vouchsafe_policies::{Bundle, BundleError, limits};

use super::{ChildLimits, TrialOutcome};
use crate::evaluate::EvaluationLimits;
use crate::gate;
use crate::trial::{self, Trial, TrialError};

/// The longest task that is read, in bytes: a bundle whose every character has to be escaped.
const MAX_TASK_LEN: u64 = (limits::BUNDLE_BYTES as u64) * 6 + 1024 * 1024;

/// What the child is told.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    work: Work,
    evaluation: EvaluationLimits,
    child: ChildLimits,
}

/// What it is to do.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Work {
    Examine(Examination),
    Evaluate(Trial),
}

/// A bundle, by the text of its files.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Examination {
    files: BTreeMap<String, String>,
}

/// Why the child has nothing to say.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The limits cannot be set.
    #[error("the limits cannot be set")]
    Limits(#[source] rustix::io::Errno),
    /// The task cannot be read, or the report not be written.
    #[error("the task cannot be read or answered")]
    Io(#[from] std::io::Error),
    /// The task is not what a gatekeeper tells.
    #[error("the task cannot be understood")]
    Task(#[from] serde_json::Error),
    /// The files are no bundle.
    #[error("the files are no bundle")]
    Bundle(#[from] BundleError),
}

impl Examination {
    pub(super) fn of(bundle: &Bundle) -> Self {
        let rego = bundle.policies().iter().chain(bundle.tests());
        let mut files: BTreeMap<String, String> =
            rego.map(|file| (file.path().to_owned(), file.text().to_owned())).collect();
        files.insert("data.json".to_owned(), bundle.data().to_string());
        Self { files }
    }

    fn bundle(&self) -> Result<Bundle, BundleError> {
        Bundle::from_files(self.files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())))
    }
}

impl Task {
    pub(super) fn new(work: Work, evaluation: EvaluationLimits, child: ChildLimits) -> Self {
        Self { work, evaluation, child }
    }

    /// Takes on the limits. They can be lowered by anybody and raised by nobody.
    fn limit(&self) -> Result<(), ChildError> {
        let set = |resource, most: u64| {
            let limit = Rlimit { current: Some(most), maximum: Some(most) };
            setrlimit(resource, limit).map_err(ChildError::Limits)
        };
        set(Resource::Core, 0)?;
        set(Resource::As, self.child.address_space)?;
        set(Resource::Cpu, self.child.cpu.as_secs().max(1))?;
        regorus::set_global_memory_limit(Some(self.child.memory));
        Ok(())
    }
}

/// Does the one task that comes in, within the limits that come with it, and says what came of it. The process should end
/// then: its limits are for good.
///
/// # Errors
/// When nothing can be read or written, or what comes in is no task.
pub fn answer(input: impl Read, mut output: impl Write) -> Result<(), ChildError> {
    let mut text = Vec::new();
    input.take(MAX_TASK_LEN).read_to_end(&mut text)?;
    let task: Task = serde_json::from_slice(&text)?;
    drop(text);
    task.limit()?;
    match &task.work {
        Work::Examine(examination) => {
            let report = gate::examine(&examination.bundle()?, task.evaluation);
            serde_json::to_writer(&mut output, &report)?;
        }
        Work::Evaluate(trial) => evaluate(trial, task.evaluation, &mut output)?,
    }
    output.flush()?;
    Ok(())
}

fn evaluate(trial: &Trial, limits: EvaluationLimits, output: &mut impl Write) -> Result<(), ChildError> {
    let failed = |error: &TrialError| {
        let (location, message) = error.told();
        TrialOutcome::Failed { code: error.code().to_owned(), message, location }
    };
    if let Ok(Some(warning)) = trial::may_not_end(trial) {
        serde_json::to_writer(&mut *output, &warning)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    let outcome = match trial::answer(trial, limits) {
        Ok(answer) => TrialOutcome::Answered(answer),
        Err(error) => failed(&error),
    };
    Ok(serde_json::to_writer(output, &outcome)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_policies::default_bundle;

    #[test]
    fn a_task_holds_the_whole_bundle() {
        let bundle = default_bundle().unwrap();
        let work = Work::Examine(Examination::of(&bundle));
        let task = Task::new(work, EvaluationLimits::default(), ChildLimits::default());
        let read: Task = serde_json::from_slice(&serde_json::to_vec(&task).unwrap()).unwrap();
        assert_eq!(read, task);
        let Work::Examine(examination) = &read.work else { panic!("another task") };
        let report = gate::examine(&examination.bundle().unwrap(), read.evaluation);
        assert!(report.passed, "{report:#?}");
        assert!(report.tests.passed > 20 && report.tests.inputs_compared > 20, "{report:?}");
    }
}
