//! Decides every request anew, by Rego, over the whole network agent: device, user, application and network together.
//!
//! A question becomes a [`question::Question`] when its bounds are checked, is joined with the device's record and its
//! score at that instant ([`input`]), evaluated within limits ([`evaluate`]), and read as a ruling ([`ruling`]), which is an
//! allow only for an explicit true. The decision is on record ([`log`]) before anybody is told ([`Decider`]), whatever the
//! door ([`doors`]) that the question came through.
//!
//! It never judges evidence, never keeps a decision for a second request, and denies whatever it does not understand.

pub mod candidates;
pub mod changes;
mod charge;
mod comparison;
mod compile;
pub mod confined;
pub mod decide;
pub mod decider;
pub mod doors;
mod entry_points;
pub mod evaluate;
pub mod explain;
pub mod gate;
pub mod input;
pub mod known;
pub mod log;
pub mod metrics;
pub mod query;
pub mod question;
pub mod records;
pub mod replay;
pub mod ruling;
mod shadow;
pub mod testing;
pub mod trial;
pub mod wanted;
pub mod written;

pub use charge::{ActivateError, Gate, ReplaceError};
pub use compile::evaluator_of;
pub use compile::{
    Choose, CompileError, EvaluatorKind, Finding, FindingKind, GateError, Inexact, Location, RegoVersion, Severity,
};
pub use decide::{EngineSettings, PolicyEngine};
pub use decider::{Answer, Decider, NotDecided, QueryAnswer};
pub use known::{KnownDevice, Seen};
pub use query::{DataApi, EntryPoint, Query, QueryError};
pub use question::{Question, QuestionError};
pub use records::RecordTable;
pub use shadow::ShadowResults;
