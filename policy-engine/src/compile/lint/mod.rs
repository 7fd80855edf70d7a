//! What of a policy is surely or probably not meant: fields that the input does not have, orders of things that are no
//! numbers, negations that are true of nothing, lines that are read as the end of others, functions that do not exist.
//!
//! Each of them compiles and runs, and decides otherwise than it reads.

mod check;
mod compare;
mod functions;
mod negate;
mod suggest;

use std::collections::BTreeSet;

use regorus::unstable::{Module, Ref};

use super::finding::Finding;
use super::names::{RulePath, static_path};
use super::types::Program;
use check::Said;
pub(super) use functions::is_nondeterministic;

/// The package whose rules say what of the decision log is masked. Their input is an entry of it.
const LOG_PACKAGE: [&str; 2] = ["vouchsafe", "log"];

/// The same rules over each of the inputs that they are asked over.
pub(crate) struct Programs<'a> {
    /// Over what is decided over.
    pub(crate) decision: &'a Program<'a>,
    /// Over an entry of the decision log.
    pub(crate) log: &'a Program<'a>,
}

/// Looks through policies that were found harmless. `decides` are the rules that the decision needs.
pub(crate) fn lint(modules: &[Ref<Module>], programs: &Programs<'_>, decides: &BTreeSet<RulePath>) -> Vec<Finding> {
    let mut findings = BTreeSet::new();
    for module in modules {
        let scope = programs.decision.names().scope(module);
        let is_of_log = static_path(&module.package.refr).iter().eq(LOG_PACKAGE.iter());
        let of_others = if is_of_log { programs.log } else { programs.decision };
        findings.extend(check::imports(of_others, &scope, module));
        for rule in &module.policy {
            let is_decided_by = decides.contains(&scope.rule_path(rule));
            let program = if is_decided_by { programs.decision } else { of_others };
            findings.extend(check::rule(program, &scope, rule, is_decided_by));
        }
    }
    findings.into_iter().collect()
}

#[cfg(test)]
mod tests;
