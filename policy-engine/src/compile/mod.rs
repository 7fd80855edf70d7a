//! From a bundle to programs: parse, inspect, compile.
//!
//! All of it happens before a policy is put in charge, and all of it may fail; none of it may end the process. Parsing and
//! compiling recurse over the policy's text, so they run on a thread with a deep stack, and a panic there is an error here.

mod exact;
mod executable;
mod finding;
mod gate;
mod graph;
mod lint;
mod names;
mod reading;
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
pub use executable::{Choose, EvaluatorKind};
pub(crate) use executable::{Executable, Runnable};
pub use finding::{Finding, FindingKind, Severity};
pub use gate::{GateError, Location};

use crate::evaluate::Document;
use crate::query::TooMany;
use gate::Inspected;
use names::RulePath;
use reading::Reading;

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
        Ok(Runnable { program, wanted: inspected.wanted, is_repeatable: inspected.is_repeatable, because })
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

/// Reads policies, whatever is in them, unless reading them would take too long.
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
    let mut reading = Reading::default();
    for (path, text) in files {
        reading.add(path, text)?;
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
mod tests;
