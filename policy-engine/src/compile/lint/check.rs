//! Holds every expression against what is known where it stands.

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Rule, Span};

use super::super::finding::{Finding, FindingKind, Severity};
use super::super::gate::Location;
use super::super::graph;
use super::super::names::{Scope, static_path};
use super::super::types::{Here, Node, Origin, Program, Typed, Visit, static_text, walk_rule};
use super::{compare, functions, negate, suggest};

/// Checks one rule.
pub(super) fn rule(program: &Program<'_>, scope: &Scope<'_>, rule: &Rule, is_decided_by: bool) -> Vec<Finding> {
    let mut said = Said { findings: Vec::new(), is_decided_by };
    walk_rule(program, scope, rule, &mut said);
    said.findings
}

/// Checks what a file imports.
pub(super) fn imports(program: &Program<'_>, scope: &Scope<'_>, module: &Module) -> Vec<Finding> {
    let mut said = Said { findings: Vec::new(), is_decided_by: true };
    let here = Here::outside(program, scope);
    module.imports.iter().for_each(|import| said.reference(&here, &import.refr));
    said.findings
}

/// What is found in one rule.
pub(super) struct Said {
    findings: Vec<Finding>,
    /// Whether the rule that decides needs this rule. What other rules are asked over may be another input.
    is_decided_by: bool,
}

impl Visit for Said {
    fn expression(&mut self, here: &Here<'_>, expression: &Expr) {
        match expression {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(here, expression),
            Expr::Call { fcn, params, .. } => {
                functions::check(self, here, fcn, params);
                self.layout(expression, fcn);
            }
            Expr::BoolExpr { op, lhs, rhs, .. } => compare::check(self, here, op, (lhs, rhs), expression.span()),
            Expr::Membership { value, collection, .. } => compare::membership(self, here, value, collection),
            _ => {}
        }
    }

    fn statement(&mut self, here: &Here<'_>, statement: &LiteralStmt) {
        if let (Literal::NotExpr { expr, .. }, true) = (&statement.literal, statement.with_mods.is_empty()) {
            negate::check(self, here, expr);
        }
    }
}

impl Said {
    pub(super) fn error(&mut self, code: FindingKind, at: &Span, message: String, instead: String) {
        let severity = if self.is_decided_by { Severity::Error } else { Severity::Warning };
        self.findings.push(Finding { severity, ..Finding::error(code, Location::of(at), message, instead) });
    }

    pub(super) fn warning(&mut self, code: FindingKind, at: &Span, message: String, instead: String) {
        self.findings.push(Finding::warning(code, Location::of(at), message, instead));
    }

    /// Something that is wrong whatever the input is.
    pub(super) fn always(&mut self, code: FindingKind, at: &Span, message: String, instead: String) {
        self.findings.push(Finding::error(code, Location::of(at), message, instead));
    }

    /// Holds every step of a reference against what is there.
    fn reference(&mut self, here: &Here<'_>, reference: &Expr) {
        let (refr, name, at) = match reference {
            Expr::RefDot { refr, field, .. } => {
                let name = field.1.as_string().map_or_else(|_| field.0.text().to_owned(), ToString::to_string);
                (refr, Some(name), &field.0)
            }
            Expr::RefBrack { refr, index, .. } => (refr, static_text(index), index.span()),
            _ => return,
        };
        let before = self.findings.len();
        self.reference(here, refr);
        // Of what is nowhere, one step is told.
        if self.findings.len() > before {
            return;
        }
        let Some(name) = name else { return };
        match here.typing.node(refr) {
            Node::Value(parent) => self.field(&parent, &name, at),
            Node::Place(mut path, _) => {
                path.push(name);
                let program = here.typing.program;
                if !program.is_or_holds_rules(&path) && !program.has_data(&path) {
                    self.warning(
                        FindingKind::UnknownData,
                        at,
                        format!("nothing in the bundle gives {}", graph::name(&path)),
                        "give it in a data.json, or check how it is written".to_owned(),
                    );
                }
            }
        }
    }

    /// Refuses a field that the input never has.
    pub(super) fn field(&mut self, parent: &Typed, name: &str, at: &Span) {
        if parent.origin != Origin::Input || parent.shape.field(name).is_some() || parent.shape.is_unknown() {
            return;
        }
        let place = parent.place.as_deref().unwrap_or("this part of the input");
        let known = &parent.shape.fields;
        let (message, instead) = if known.is_empty() {
            (format!("{place} is {} and has no '{name}'", parent.shape.kinds), "see input.schema.json".to_owned())
        } else {
            let instead = match suggest::nearest(name, known.keys().map(String::as_str)) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None => format!("it has: {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            (format!("{place} has no '{name}'"), instead)
        };
        self.error(FindingKind::UnknownField, at, message, instead);
    }

    /// Refuses arguments that begin on a line of their own: a statement that begins with a parenthesis is read as those.
    fn layout(&mut self, call: &Expr, function: &Expr) {
        let source = call.span().source.contents();
        let after = usize::try_from(function.span().end).ok().and_then(|end| source.get(end..)).unwrap_or_default();
        if after.split('(').next().unwrap_or_default().contains('\n') {
            self.always(
                FindingKind::JoinedLine,
                function.span(),
                format!(
                    "the line below begins with a parenthesis, and is read as the arguments of '{}'",
                    static_path(function).join(".")
                ),
                "turn the statement below round, so that it does not begin with a parenthesis".to_owned(),
            );
        }
    }
}
