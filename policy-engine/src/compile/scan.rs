//! What a rule looks at and what it calls.
//!
//! Walks the syntax tree with a list of its own instead of recursing, because how deep the tree is is one of the questions.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, Query, Ref, Rule, RuleAssign, RuleHead, Span};

use super::gate::{GateError, Location, MAX_EXPRESSION_DEPTH};
use super::names::{RulePath, Scope, static_path};

/// What a rule uses.
pub(crate) struct Uses<'a> {
    /// Places below `data` that it may look at.
    pub(crate) references: BTreeSet<RulePath>,
    /// Places below `input` that it may look at.
    pub(crate) inputs: BTreeSet<RulePath>,
    /// What it calls: builtins, and functions of the policies' own.
    pub(crate) calls: Vec<Call<'a>>,
}

/// A call.
pub(crate) struct Call<'a> {
    /// Its name.
    pub(crate) function: String,
    /// What it is given.
    pub(crate) arguments: &'a [Ref<Expr>],
    /// Where.
    pub(crate) span: &'a Span,
}

/// A step that leads to no field.
const NO_FIELD: &str = "";

/// Scans one rule.
pub(crate) fn scan<'a>(rule: &'a Rule, scope: &Scope<'_>) -> Result<Uses<'a>, GateError> {
    let mut scan = Scan { pending: Vec::new(), parameters: BTreeSet::new() };
    scan.rule(rule);
    let mut uses = Uses { references: BTreeSet::new(), inputs: BTreeSet::new(), calls: Vec::new() };
    while let Some((expression, depth)) = scan.pending.pop() {
        if depth > MAX_EXPRESSION_DEPTH {
            return Err(GateError::ExpressionsTooDeep { location: Location::of(expression.span()) });
        }
        scan.expression(expression, depth, scope, &mut uses);
    }
    Ok(uses)
}

struct Scan<'a> {
    pending: Vec<(&'a Expr, usize)>,
    /// The parameters of a function: names that mean no rule.
    parameters: BTreeSet<&'a str>,
}

impl<'a> Scan<'a> {
    fn rule(&mut self, rule: &'a Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                self.head(head);
                for body in bodies {
                    self.assignment(body.assign.as_ref());
                    self.query(&body.query, 1);
                }
            }
            Rule::Default { refr, value, .. } => {
                self.indices(refr, 1);
                self.push(value, 1);
            }
        }
    }

    fn head(&mut self, head: &'a RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.indices(refr, 1);
                self.assignment(assign.as_ref());
            }
            RuleHead::Set { refr, key, .. } => {
                self.indices(refr, 1);
                key.iter().for_each(|key| self.push(key, 1));
            }
            RuleHead::Func { args, assign, .. } => {
                for argument in args {
                    if let Expr::Var { span, .. } = argument.as_ref() {
                        self.parameters.insert(span.text());
                    } else {
                        self.push(argument, 1);
                    }
                }
                self.assignment(assign.as_ref());
            }
        }
    }

    fn assignment(&mut self, assign: Option<&'a RuleAssign>) {
        if let Some(assign) = assign {
            self.push(&assign.value, 1);
        }
    }

    fn query(&mut self, query: &'a Query, depth: usize) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().chain([value, collection]).for_each(|part| self.push(part, depth));
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.push(expr, depth),
                Literal::Every { domain, query, .. } => {
                    self.push(domain, depth);
                    self.query(query, depth + 1);
                }
            }
            for replaced in &statement.with_mods {
                self.push(&replaced.refr, depth);
                self.push(&replaced.r#as, depth);
            }
        }
    }

    fn expression(&mut self, expression: &'a Expr, depth: usize, scope: &Scope<'_>, uses: &mut Uses<'a>) {
        let below = depth + 1;
        match expression {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(expression, None, scope, uses);
                self.indices(expression, below);
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.push(item, below)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.push(key, below);
                self.push(value, below);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.push(term, below);
                self.query(query, below);
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.push(key, below);
                self.push(value, below);
                self.query(query, below);
            }
            Expr::Call { span, fcn, params, .. } => {
                self.reference(fcn, None, scope, uses);
                uses.calls.push(Call { function: static_path(fcn).join("."), arguments: params, span });
                params.iter().for_each(|argument| self.push(argument, below));
            }
            Expr::UnaryExpr { expr, .. } => self.push(expr, below),
            Expr::BoolExpr { lhs, rhs, .. } if is_scalar(lhs) => self.compared(rhs, below, scope, uses),
            Expr::BoolExpr { lhs, rhs, .. } if is_scalar(rhs) => self.compared(lhs, below, scope, uses),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => [lhs, rhs].into_iter().for_each(|side| self.push(side, below)),
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| self.push(part, below));
            }
        }
    }

    /// What is compared with a number, a text, true, false or null: of an object, only that it is one.
    fn compared(&mut self, side: &'a Expr, depth: usize, scope: &Scope<'_>, uses: &mut Uses<'a>) {
        if matches!(side, Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }) {
            self.reference(side, Some(NO_FIELD), scope, uses);
            self.indices(side, depth);
        } else {
            self.push(side, depth);
        }
    }

    /// Notes what a reference may mean, and that of an input no more is looked at than a field of it, if only that is.
    fn reference(&self, reference: &Expr, field: Option<&str>, scope: &Scope<'_>, uses: &mut Uses<'a>) {
        let steps = static_path(reference);
        if !steps.first().is_some_and(|first| self.parameters.contains(first.as_str())) {
            uses.references.extend(scope.places(&steps));
            let field = field.map(str::to_owned);
            uses.inputs.extend(
                scope.inputs(&steps).into_iter().map(|place| [place, field.iter().cloned().collect()].concat()),
            );
        }
    }

    /// The expressions in the brackets of a reference, and what it begins with if that is no name.
    fn indices(&mut self, reference: &'a Expr, depth: usize) {
        let mut here = reference;
        loop {
            here = match here {
                Expr::RefDot { refr, .. } => refr,
                Expr::RefBrack { refr, index, .. } => {
                    self.push(index, depth);
                    refr
                }
                Expr::Var { .. } => return,
                other => {
                    self.pending.push((other, depth));
                    return;
                }
            }
        }
    }

    fn push(&mut self, expression: &'a Expr, depth: usize) {
        self.pending.push((expression, depth));
    }
}

fn is_scalar(expression: &Expr) -> bool {
    matches!(
        expression,
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. }
    )
}
