//! The fast evaluator: regorus' bytecode machine.

use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use regorus::MemoryBudgetConfig;
use regorus::rvm::vm::{RegoVM, VmError};
use vouchsafe_policies::Bundle;

use super::{Document, Evaluate, EvaluationError, EvaluationLimits};
use crate::compile::{self, CompileError, Compiled, last_words};

/// Evaluates bytecode: a fifth of the time of the reference evaluator.
///
/// Owned by one thread at a time. After any error its machine is thrown away: the next evaluation begins with a new one.
pub struct FastEvaluator {
    compiled: Compiled,
    limits: EvaluationLimits,
    machine: Option<RegoVM>,
}

impl FastEvaluator {
    /// An evaluator of the rule that decides, whether or not it would do the policy as it is written.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge, or not be run by this evaluator.
    pub fn compile(bundle: &Bundle, limits: EvaluationLimits) -> Result<Self, CompileError> {
        Ok(Self::new(compile::compile_for_fast(bundle)?, limits))
    }

    pub(crate) fn new(compiled: Compiled, limits: EvaluationLimits) -> Self {
        Self { compiled, limits, machine: None }
    }

    /// Another one of the same program, which it shares.
    pub(crate) fn sharing(&self) -> Self {
        Self::new(self.compiled.clone(), self.limits)
    }

    fn new_machine(&self) -> Result<RegoVM, VmError> {
        let mut machine = RegoVM::new();
        machine.set_max_instructions(self.limits.instructions);
        machine.set_execution_timer_config(Some(self.limits.timer()));
        machine.set_memory_budget_config(Some(MemoryBudgetConfig { limit: self.limits.memory }));
        machine.load_program(self.compiled.program.clone());
        machine.set_data(self.compiled.data.clone())?;
        Ok(machine)
    }
}

impl Evaluate for FastEvaluator {
    fn evaluate(&mut self, input: &Document) -> Result<Document, EvaluationError> {
        let machine = self.machine.take();
        let started = Instant::now();
        // What a panic leaves behind is the machine, which is dropped, and values, which nobody changes in place.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut machine = machine.map_or_else(|| self.new_machine(), Ok)?;
            machine.set_input(input.value().clone());
            let value = machine.execute_entry_point_by_index(0)?;
            Ok((machine, value))
        }));
        match outcome {
            Ok(Ok(_)) if started.elapsed() > self.limits.time => {
                Err(EvaluationError::TimeLimit { limit: self.limits.time })
            }
            Ok(Ok((machine, value))) => {
                self.machine = Some(machine);
                Ok(Document::new(value))
            }
            Ok(Err(error)) => Err(self.classify(&error)),
            Err(payload) => Err(EvaluationError::Panicked { message: last_words(&*payload) }),
        }
    }
}

impl FastEvaluator {
    fn classify(&self, error: &VmError) -> EvaluationError {
        match error {
            VmError::TimeLimitExceeded { .. } => EvaluationError::TimeLimit { limit: self.limits.time },
            VmError::InstructionLimitExceeded { .. } => {
                EvaluationError::InstructionLimit { limit: self.limits.instructions }
            }
            VmError::MemoryBudgetExceeded { .. } | VmError::MemoryLimitExceeded { .. } => {
                EvaluationError::MemoryLimit { limit: self.limits.memory.get() }
            }
            other => EvaluationError::Failed { message: other.to_string() },
        }
    }
}
