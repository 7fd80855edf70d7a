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
use super::names::RulePath;
use super::types::Program;
use check::Said;

/// Looks through policies that were found harmless. `decides` are the rules that the decision needs.
pub(crate) fn lint(modules: &[Ref<Module>], program: &Program<'_>, decides: &BTreeSet<RulePath>) -> Vec<Finding> {
    let mut findings = BTreeSet::new();
    for module in modules {
        let scope = program.names().scope(module);
        findings.extend(check::imports(program, &scope, module));
        for rule in &module.policy {
            let is_decided_by = decides.contains(&scope.rule_path(rule));
            findings.extend(check::rule(program, &scope, rule, is_decided_by));
        }
    }
    findings.into_iter().collect()
}

#[cfg(test)]
mod tests;
