//! From a bundle to programs: parse, inspect, compile.
//!
//! All of it happens before a policy is put in charge, and all of it may fail; none of it may end the process. Parsing and
//! compiling recurse over the policy's text, so they run on a thread with a deep stack, and a panic there is an error here.

mod gate;
mod graph;
mod names;
mod scan;

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};
use vouchsafe_policies::{Bundle, ENTRY_POINT, SourceFile};

pub(crate) use graph::name as rule_name;
pub(crate) use names::Names;

pub use gate::{GateError, Location};

use crate::evaluate::Document;
use crate::input::InputUse;
use crate::query::TooMany;

/// The stack on which policies are parsed and compiled, in bytes. A file of the greatest size, one sum from end to end,
/// nests half a million expressions before the gate can refuse it; only what is used is ever committed.
const COMPILER_STACK: usize = 512 * 1024 * 1024;

/// Why a bundle cannot be put in charge.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A file is no Rego.
    #[error("{path} cannot be parsed: {message}")]
    Parse {
        /// The file.
        path: String,
        /// What the parser says, with line and column.
        message: String,
    },
    /// The policy could harm the engine.
    #[error("the policy cannot be run safely")]
    Gate(#[from] GateError),
    /// The rule that decides is not there.
    #[error("no policy defines {ENTRY_POINT}")]
    NoEntryPoint,
    /// More is listed for the Data API than may be.
    #[error(transparent)]
    DataApi(#[from] TooMany),
    /// A rule that may be asked about is not there.
    #[error("no policy defines {rule}, which the settings list as an entry point")]
    NoSuchRule {
        /// The rule.
        rule: String,
    },
    /// The compiler refuses it.
    #[error("the policy cannot be compiled: {message}")]
    Compile {
        /// What the compiler says.
        message: String,
    },
    /// A data document lies where a rule is.
    #[error("the data does not go together with the policy: {message}")]
    Data {
        /// What the machine says.
        message: String,
    },
    /// The compiler failed in a way that it should not.
    #[error("the compiler panicked: {message}")]
    Panicked {
        /// Its last words.
        message: String,
    },
    /// No thread could be made.
    #[error("no thread could be made to compile the policy")]
    Thread(#[source] std::io::Error),
}

/// One compiled policy with its data: what one evaluator owns and shares with no other.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) program: Arc<Program>,
    pub(crate) data: Value,
}

/// Parsed policies, found harmless.
pub(crate) struct Parsed {
    pub(crate) engine: Engine,
    pub(crate) uses: InputUse,
}

/// One policy, compiled over and over for evaluators that share nothing: shared reference counts cost a third of the
/// throughput of two threads.
pub(crate) struct Copies {
    /// One for whoever comes unexpected.
    pub(crate) spare: Compiled,
    /// One for each thread.
    pub(crate) own: Vec<Compiled>,
    /// What of the input the policy may look at.
    pub(crate) uses: InputUse,
}

/// Compiles the bundle for so many threads.
pub(crate) fn compile(bundle: &Bundle, threads: usize) -> Result<Copies, CompileError> {
    apart(|| {
        let (spare, uses) = compile_one(bundle)?;
        let own = (0..threads).map(|_| compile_one(bundle).map(|(own, _)| own)).collect::<Result<_, _>>()?;
        Ok(Copies { spare, own, uses })
    })
}

/// Parses policies and tests together, for the reference evaluator.
pub(crate) fn parse_with_tests(bundle: &Bundle) -> Result<Engine, CompileError> {
    apart(|| parse(bundle.policies().iter().chain(bundle.tests()))).map(|parsed| parsed.engine)
}

/// Parses the policies alone, for the reference evaluator.
pub(crate) fn parse_policies(bundle: &Bundle) -> Result<Engine, CompileError> {
    apart(|| parse(bundle.policies())).map(|parsed| parsed.engine)
}

/// Compiles one rule of parsed policies to bytecode.
pub(crate) fn compile_rule(engine: &mut Engine, rule: &str) -> Result<Arc<Program>, CompileError> {
    let compile_error = |message: String| CompileError::Compile { message };
    let policy = engine.compile_with_entrypoint(&rule.into()).map_err(|error| compile_error(error.to_string()))?;
    Compiler::compile_from_policy(&policy, &[rule]).map_err(|error| compile_error(error.to_string()))
}

fn compile_one(bundle: &Bundle) -> Result<(Compiled, InputUse), CompileError> {
    let Parsed { mut engine, uses } = parse(bundle.policies())?;
    if !defines(&mut engine, ENTRY_POINT) {
        return Err(CompileError::NoEntryPoint);
    }
    let program = compile_rule(&mut engine, ENTRY_POINT)?;
    let data = data_of(bundle);
    let mut machine = RegoVM::new();
    machine.load_program(program.clone());
    machine.set_data(data.clone()).map_err(|error| CompileError::Data { message: error.to_string() })?;
    Ok((Compiled { program, data }, uses))
}

/// The bundle's data as a document of its own.
pub(crate) fn data_of(bundle: &Bundle) -> Value {
    Document::of(bundle.data()).into_value()
}

fn parse<'a>(files: impl IntoIterator<Item = &'a SourceFile>) -> Result<Parsed, CompileError> {
    let mut engine = Engine::new();
    // As OPA has it: a builtin that fails is undefined, and so denies.
    engine.set_strict_builtin_errors(false);
    for file in files {
        engine
            .add_policy(file.path().to_owned(), file.text().to_owned())
            .map_err(|error| CompileError::Parse { path: file.path().to_owned(), message: error.to_string() })?;
    }
    let uses = gate::inspect(engine.get_modules())?;
    Ok(Parsed { engine, uses })
}

/// Whether the policies have a rule of this name, which begins with `data` and has a dot between its steps.
pub(crate) fn defines(engine: &mut Engine, rule: &str) -> bool {
    let path: Vec<&str> = rule.split('.').skip(1).collect();
    Names::of(engine.get_modules()).rules().any(|rule| *rule == path)
}

/// Runs on a thread with a deep stack, and turns a panic into an error.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> Result<T, CompileError> + Send) -> Result<T, CompileError> {
    let guarded = || panic::catch_unwind(AssertUnwindSafe(work));
    let outcome = thread::scope(|scope| {
        let thread = thread::Builder::new().name("policy-compiler".to_owned()).stack_size(COMPILER_STACK);
        let handle = thread.spawn_scoped(scope, guarded);
        handle.map(|handle| handle.join().and_then(|outcome| outcome))
    });
    match outcome {
        Ok(Ok(result)) => result,
        Ok(Err(payload)) => Err(CompileError::Panicked { message: last_words(&*payload) }),
        Err(error) => Err(CompileError::Thread(error)),
    }
}

/// What a panic said.
pub(crate) fn last_words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_policies::limits;

    fn bundle(policy: &str, data: &str) -> Bundle {
        let files = [("policy.rego", policy), ("data.json", data)];
        Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))).unwrap()
    }

    fn refusal(policy: &str) -> String {
        match compile(&bundle(policy, "{}"), 1) {
            Ok(_) => panic!("compiled"),
            Err(error) => format!("{:#}", anyhow_like(&error)),
        }
    }

    /// An error and its causes in one line.
    fn anyhow_like(error: &dyn std::error::Error) -> String {
        let causes = std::iter::successors(Some(error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    #[test]
    fn the_default_policy_compiles_to_programs_that_share_nothing() {
        let compiled = compile(&vouchsafe_policies::default_bundle().unwrap(), 2).unwrap();
        assert_eq!(compiled.own.len(), 2);
        assert!(!Arc::ptr_eq(&compiled.own[0].program, &compiled.own[1].program));
        assert!(!Arc::ptr_eq(&compiled.own[0].program, &compiled.spare.program));
    }

    #[test]
    fn what_is_no_rego_is_refused_with_its_place() {
        let error = refusal("package vouchsafe\n\ndecision := {");
        assert!(error.starts_with("policy.rego cannot be parsed: "), "{error}");
        assert!(error.contains("policy.rego:3:"), "{error}");
    }

    #[test]
    fn a_policy_that_decides_nothing_is_refused() {
        assert_eq!(refusal("package other\n\ndecision := 1"), "no policy defines data.vouchsafe.decision");
    }

    #[test]
    fn data_in_the_place_of_a_rule_is_refused() {
        let bundle = bundle("package vouchsafe\n\ndecision := 1", r#"{"vouchsafe": {"decision": {"allow": true}}}"#);
        assert!(matches!(compile(&bundle, 1), Err(CompileError::Data { .. })));
    }

    #[test]
    fn what_the_machine_cannot_run_is_refused() {
        let error = refusal("package vouchsafe\n\ndecision := x if x := input.y with input.y as 1");
        assert!(error.starts_with("the policy cannot be compiled: "), "{error}");
    }

    #[test]
    fn a_sum_of_half_a_million_terms_is_refused_and_not_the_end() {
        // As many as a file has room for.
        let line = format!("{}\n", "1+".repeat(510));
        let sum = line.repeat(limits::FILE_BYTES / line.len() - 1);
        let error = refusal(&format!("package vouchsafe\n\ndecision := 1 +\n{sum} 1"));
        assert!(error.contains("nested deeper than"), "{error}");
    }

    #[test]
    fn a_panic_while_compiling_is_an_error() {
        let outcome: Result<(), _> = apart(|| panic!("no such opcode"));
        assert!(matches!(outcome, Err(CompileError::Panicked { message }) if message == "no such opcode"));
    }
}
