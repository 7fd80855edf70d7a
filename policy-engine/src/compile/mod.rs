//! From a bundle to programs: parse, inspect, compile.
//!
//! All of it happens before a policy is put in charge, and all of it may fail; none of it may end the process. Parsing and
//! compiling recurse over the policy's text, so they run on a thread with a deep stack, and a panic there is an error here.

mod exact;
mod finding;
mod gate;
mod graph;
mod lint;
mod names;
mod scan;
mod types;

use std::any::Any;
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, LazyLock};
use std::thread;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, PolicyLengthConfig, Value};
use serde::{Deserialize, Serialize};
use vouchsafe_policies::{Bundle, ENTRY_POINT, SourceFile};

pub(crate) use graph::name as rule_name;
pub(crate) use names::Names;

pub use exact::Inexact;
pub use finding::{Finding, FindingKind, Severity};
pub use gate::{GateError, Location};

use crate::evaluate::Document;
use crate::query::TooMany;
use crate::wanted::Wanted;
use gate::Inspected;
use names::RulePath;

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
    pub(crate) inspected: Inspected,
}

/// Which evaluator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatorKind {
    /// The bytecode machine.
    Fast,
    /// The interpreter, of policies that the fast one would not do as they are written.
    Reference,
}

impl EvaluatorKind {
    /// Its name: `fast`, `reference`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Reference => "reference",
        }
    }
}

/// Which evaluator shall decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choose {
    /// The fast one, if nothing is known that it would not do as it is written.
    #[default]
    ByThePolicy,
    /// The reference one: a test has shown a difference.
    Reference,
}

/// A policy that can be run.
pub(crate) struct Runnable {
    pub(crate) program: Executable,
    /// What of the input the policy may look at.
    pub(crate) wanted: Wanted,
    /// Why the fast evaluator does not decide; empty when it does, or when it was not asked for.
    pub(crate) because: Vec<Inexact>,
}

/// What an evaluator runs.
pub(crate) enum Executable {
    /// One policy, compiled over and over for evaluators that share nothing: shared reference counts cost a third of the
    /// throughput of two threads.
    Fast {
        /// One for whoever comes unexpected.
        spare: Compiled,
        /// One for each thread.
        own: Vec<Compiled>,
    },
    /// Policies and data, parsed.
    Reference(Box<Engine>),
}

impl Executable {
    pub(crate) fn kind(&self) -> EvaluatorKind {
        match self {
            Self::Fast { .. } => EvaluatorKind::Fast,
            Self::Reference(_) => EvaluatorKind::Reference,
        }
    }
}

/// Compiles the bundle for so many threads of the evaluator that does it as it is written.
pub(crate) fn compile(bundle: &Bundle, threads: usize, choose: Choose) -> Result<Runnable, CompileError> {
    apart(|| {
        let Parsed { mut engine, inspected } = parse(bundle.policies())?;
        if inspected.decides.is_empty() {
            return Err(CompileError::NoEntryPoint);
        }
        let mut because = inexact(&engine, bundle, &inspected.decides);
        let mut program = None;
        if because.is_empty() && choose == Choose::ByThePolicy {
            match compile_fast(bundle, threads) {
                Err(CompileError::Compile { message }) => {
                    let (location, message) = told(&message);
                    because.push(Inexact::new(location, format!("it cannot run it: {message}")));
                }
                compiled => program = Some(compiled?),
            }
        }
        let program = if let Some(program) = program {
            program
        } else {
            crate::evaluate::add_data(&mut engine, bundle)?;
            Executable::Reference(Box::new(engine))
        };
        Ok(Runnable { program, wanted: inspected.wanted, because })
    })
}

/// Which evaluator does a bundle as it is written, as far as can be seen without running it.
///
/// # Errors
/// When neither can run it.
pub fn evaluator_of(bundle: &Bundle) -> Result<EvaluatorKind, CompileError> {
    compile(bundle, 0, Choose::ByThePolicy).map(|runnable| runnable.program.kind())
}

/// Compiles the bundle for the fast evaluator, whatever it makes of it.
pub(crate) fn compile_for_fast(bundle: &Bundle) -> Result<Compiled, CompileError> {
    apart(|| {
        if parse(bundle.policies())?.inspected.decides.is_empty() {
            return Err(CompileError::NoEntryPoint);
        }
        compile_one(bundle)
    })
}

fn compile_fast(bundle: &Bundle, threads: usize) -> Result<Executable, CompileError> {
    let own = (0..threads).map(|_| compile_one(bundle)).collect::<Result<_, _>>()?;
    Ok(Executable::Fast { spare: compile_one(bundle)?, own })
}

/// Which edition of the language a policy is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegoVersion {
    /// The one that is in use.
    #[default]
    V1,
    /// The one before.
    V0,
}

/// A rule that the fast evaluator does as it is written over any input, if it is one.
pub(crate) fn compile_exactly(engine: &Engine, rule: &[String], data: &serde_json::Value) -> Option<Arc<Program>> {
    let mut engine = engine.clone();
    let modules = engine.get_modules();
    let names = Names::of(modules);
    if !names.has(rule) {
        return None;
    }
    let decides = gate::inspect(modules, rule).ok()?.decides;
    let program = types::Program::new(modules, &names, &anything(), data);
    if !exact::inexact(modules, &program, &decides).is_empty() {
        return None;
    }
    compile_rule(&mut engine, &graph::name(&rule.to_vec())).ok()
}

/// Whether policies could end the process.
pub(crate) fn inspect(engine: &Engine) -> Result<(), GateError> {
    gate::inspect(engine.clone().get_modules(), &[]).map(drop)
}

/// What the fast evaluator would not do as it is written.
fn inexact(engine: &Engine, bundle: &Bundle, decides: &BTreeSet<RulePath>) -> Vec<Inexact> {
    // Modules are shared, not copied.
    let mut engine = engine.clone();
    let modules = engine.get_modules();
    let names = Names::of(modules);
    exact::inexact(modules, &types::Program::new(modules, &names, input_schema(), bundle.data()), decides)
}

/// Looks through policies that were found harmless for what is surely or probably not meant.
pub(crate) fn lint(bundle: &Bundle) -> Result<Vec<Finding>, CompileError> {
    apart(|| {
        let Parsed { mut engine, inspected } = parse(bundle.policies())?;
        let modules = engine.get_modules();
        let names = Names::of(modules);
        let of_input = |schema| types::Program::new(modules, &names, schema, bundle.data());
        let (decision, log) = (of_input(input_schema()), of_input(&anything()));
        Ok(lint::lint(modules, &lint::Programs { decision: &decision, log: &log }, &inspected.decides))
    })
}

/// The schema of an input of which nothing is known.
fn anything() -> serde_json::Value {
    serde_json::json!({})
}

/// The schema of what is decided over.
fn input_schema() -> &'static serde_json::Value {
    static SCHEMA: LazyLock<serde_json::Value> =
        // The schema is a part of the program. Were it unreadable, nothing would be known of the input.
        LazyLock::new(|| serde_json::from_str(vouchsafe_policies::INPUT_SCHEMA).unwrap_or_default());
    &SCHEMA
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

fn compile_one(bundle: &Bundle) -> Result<Compiled, CompileError> {
    let Parsed { mut engine, .. } = parse(bundle.policies())?;
    let program = compile_rule(&mut engine, ENTRY_POINT)?;
    let data = data_of(bundle);
    let mut machine = RegoVM::new();
    machine.load_program(program.clone());
    machine.set_data(data.clone()).map_err(|error| CompileError::Data { message: error.to_string() })?;
    Ok(Compiled { program, data })
}

/// The bundle's data as a document of its own.
pub(crate) fn data_of(bundle: &Bundle) -> Value {
    Document::of(bundle.data()).into_value()
}

fn parse<'a>(files: impl IntoIterator<Item = &'a SourceFile>) -> Result<Parsed, CompileError> {
    let files = files.into_iter().map(|file| (file.path(), file.text()));
    let mut engine = read(files, RegoVersion::V1)?;
    let inspected = gate::inspect(engine.get_modules(), &entry_point())?;
    Ok(Parsed { engine, inspected })
}

/// Whether the policies have a rule of this name, which begins with `data` and has a dot between its steps.
pub(crate) fn defines(engine: &mut Engine, rule: &str) -> bool {
    Names::of(engine.get_modules()).has(&path_of(rule))
}

/// Reads policies, whatever is in them.
pub(crate) fn read<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    version: RegoVersion,
) -> Result<Engine, CompileError> {
    // How long a file may be is for others to say, and a line may be as long.
    const LENGTHS: PolicyLengthConfig = PolicyLengthConfig {
        max_col: NonZeroU32::MAX,
        max_file_bytes: NonZeroUsize::MAX,
        max_lines: NonZeroUsize::MAX,
    };
    let mut engine = Engine::new();
    engine.set_policy_length_config(LENGTHS);
    engine.set_rego_v0(version == RegoVersion::V0);
    // As OPA has it: a builtin that fails is undefined, and so denies.
    engine.set_strict_builtin_errors(false);
    for (path, text) in files {
        engine
            .add_policy(path.to_owned(), text.to_owned())
            .map_err(|error| CompileError::Parse { path: path.to_owned(), message: error.to_string() })?;
    }
    Ok(engine)
}

/// Where the rule that decides lies.
fn entry_point() -> RulePath {
    path_of(ENTRY_POINT)
}

/// Where a rule lies whose name begins with `data` and has a dot between its steps.
fn path_of(rule: &str) -> RulePath {
    rule.split('.').skip(1).map(str::to_owned).collect()
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

/// Takes apart what regorus says: it names the place, draws the line with an arrow below, and then says what is wrong.
pub(crate) fn told(message: &str) -> (Option<Location>, String) {
    let message = message.trim();
    let location = message.find("--> ").and_then(|begin| {
        let mut place = message.get(begin + 4..)?.lines().next()?.rsplitn(3, ':');
        let (column, line) = (place.next()?.parse().ok()?, place.next()?.parse().ok()?);
        Some(Location { file: place.next()?.to_owned(), line, column })
    });
    let words = message.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
    (location, words.unwrap_or(message).to_owned())
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
        match compile(&bundle(policy, "{}"), 1, Choose::ByThePolicy) {
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
        let bundle = vouchsafe_policies::default_bundle().unwrap();
        let runnable = compile(&bundle, 2, Choose::ByThePolicy).unwrap();
        assert_eq!(runnable.because, []);
        let Executable::Fast { spare, own } = runnable.program else { panic!("not compiled") };
        assert_eq!(own.len(), 2);
        assert!(!Arc::ptr_eq(&own[0].program, &own[1].program));
        assert!(!Arc::ptr_eq(&own[0].program, &spare.program));
        let reference = compile(&bundle, 2, Choose::Reference).unwrap();
        assert_eq!(reference.program.kind(), EvaluatorKind::Reference);
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
        assert!(matches!(compile(&bundle, 1, Choose::ByThePolicy), Err(CompileError::Data { .. })));
    }

    #[test]
    fn what_the_machine_cannot_run_the_interpreter_runs() {
        let bundle = bundle("package vouchsafe\n\ndecision := x if x := input.y with input.y as 1", "{}");
        let runnable = compile(&bundle, 1, Choose::ByThePolicy).unwrap();
        assert_eq!(runnable.program.kind(), EvaluatorKind::Reference);
        assert_eq!(runnable.because[0].message, "it does not know 'with'");
        assert!(matches!(compile_for_fast(&bundle), Err(CompileError::Compile { .. })));
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
