//! Goes through rules, and tells for every expression what is known where it stands.

use regorus::unstable::{Expr, Literal, LiteralStmt, Query, Rule, RuleBody, RuleHead};

use super::super::names::Scope;
use super::facts::Facts;
use super::program::{Program, typing_of};
use super::typing::{Typed, Typing};

/// A place in a rule.
#[derive(Clone)]
pub(crate) struct Here<'a> {
    pub(crate) typing: Typing<'a>,
    facts: Facts,
    /// Inside a negation, a comprehension or an `every`: something may come of it that an expression has no value.
    pub(crate) tolerates_nothing: bool,
    /// Directly inside the body of an `every`.
    pub(crate) is_every: bool,
}

impl<'a> Here<'a> {
    /// In a file, outside of every rule.
    pub(crate) fn outside(program: &'a Program<'a>, scope: &'a Scope<'a>) -> Self {
        let typing = Typing::new(program, scope);
        Self { typing, facts: Facts::default(), tolerates_nothing: false, is_every: false }
    }

    /// What an expression may be worth here.
    pub(crate) fn typed(&self, expression: &Expr) -> Typed {
        self.facts.narrow(self.typing.expression(expression))
    }

    /// Whether there may be no value here, if an assignment of nothing holds.
    pub(crate) fn may_be_nothing(&self, expression: &Expr) -> bool {
        let typed = self.typing.expression(expression);
        typed.optional && !typed.place.is_some_and(|place| self.facts.is_present(&place, true))
    }

    /// The same place, inside a query.
    fn inside(&self, query: &Query) -> Self {
        let typing = self.typing.inside(query);
        let facts = self.facts.with(&typing, query);
        Self { typing, facts, ..*self }
    }

    fn tolerating(self) -> Self {
        Self { tolerates_nothing: true, ..self }
    }
}

/// What is done on the way.
pub(crate) trait Visit {
    /// An expression, before what it is made of. Statements that replace input or data are passed over.
    fn expression(&mut self, here: &Here<'_>, expression: &Expr);

    /// The query of an `every`.
    fn every(&mut self, _here: &Here<'_>, _query: &Query) {}

    /// A statement, before its expressions; also one that replaces input or data.
    fn statement(&mut self, _here: &Here<'_>, _statement: &LiteralStmt) {}

    /// The key and the value of a comprehension, where its query holds.
    fn comprehension(&mut self, _here: &Here<'_>, _comprehension: &Expr) {}

    /// The head of a rule where one of its bodies holds, and that body.
    fn head(&mut self, _here: &Here<'_>, _head: &RuleHead, _body: Option<&RuleBody>) {}
}

/// Goes through one rule.
pub(crate) fn rule<'a>(program: &'a Program<'a>, scope: &'a Scope<'a>, rule: &Rule, visit: &mut impl Visit) {
    let here = Here { typing: typing_of(program, scope, rule), ..Here::outside(program, scope) };
    let mut walk = Walk { visit };
    match rule {
        Rule::Default { value, .. } => walk.expression(&here, value),
        Rule::Spec { head, bodies, .. } => {
            for (number, body) in bodies.iter().enumerate() {
                let inside = here.inside(&body.query);
                walk.query(&inside, &body.query);
                walk.visit.head(&inside, head, Some(body));
                if number == 0 {
                    walk.head(&inside, head);
                }
                body.assign.iter().for_each(|assign| walk.expression(&inside, &assign.value));
            }
            if bodies.is_empty() {
                walk.visit.head(&here, head, None);
                walk.head(&here, head);
            }
        }
    }
}

struct Walk<'v, V> {
    visit: &'v mut V,
}

impl<V: Visit> Walk<'_, V> {
    fn query(&mut self, inside: &Here<'_>, query: &Query) {
        query.stmts.iter().for_each(|statement| self.statement(inside, statement));
    }

    fn statement(&mut self, here: &Here<'_>, statement: &LiteralStmt) {
        self.visit.statement(here, statement);
        if !statement.with_mods.is_empty() {
            // Another input, other data: nothing is known of them.
            return;
        }
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| self.expression(here, part));
            }
            Literal::Expr { expr, .. } => self.expression(here, expr),
            Literal::NotExpr { expr, .. } => self.expression(&here.clone().tolerating(), expr),
            Literal::Every { key, value, domain, query, .. } => {
                self.expression(here, domain);
                let domain = here.typing.expression(domain);
                let mut every = Here { is_every: true, ..here.clone().tolerating() };
                if let Some(name) = key {
                    every.typing.declare(name.text(), Typed::unknown().placed(name.text()));
                }
                let item = Typed { optional: false, ..domain.item("") }.placed(value.text());
                every.typing.declare(value.text(), item);
                let inside = every.inside(query);
                self.visit.every(&inside, query);
                self.query(&inside, query);
            }
        }
    }

    fn head(&mut self, here: &Here<'_>, head: &RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.indices(here, refr);
                assign.iter().for_each(|assign| self.expression(here, &assign.value));
            }
            RuleHead::Set { refr, key, .. } => {
                self.indices(here, refr);
                key.iter().for_each(|key| self.expression(here, key));
            }
            RuleHead::Func { assign, .. } => assign.iter().for_each(|assign| self.expression(here, &assign.value)),
        }
    }

    fn expression(&mut self, here: &Here<'_>, expression: &Expr) {
        self.visit.expression(here, expression);
        match expression {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.indices(here, expression),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                items.iter().for_each(|item| self.expression(here, item));
            }
            Expr::Object { fields, .. } => {
                fields.iter().flat_map(|(_, key, value)| [key, value]).for_each(|part| self.expression(here, part));
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.comprehension(here, expression, query, &[term]);
            }
            Expr::ObjectCompr { key, value, query, .. } => self.comprehension(here, expression, query, &[key, value]),
            Expr::Call { params, .. } => params.iter().for_each(|argument| self.expression(here, argument)),
            Expr::UnaryExpr { expr, .. } => self.expression(here, expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                [lhs, rhs].into_iter().for_each(|side| self.expression(here, side));
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| self.expression(here, part));
            }
        }
    }

    fn comprehension(&mut self, here: &Here<'_>, comprehension: &Expr, query: &Query, terms: &[&Expr]) {
        let inside = Here { is_every: false, ..here.inside(query).tolerating() };
        self.query(&inside, query);
        self.visit.comprehension(&inside, comprehension);
        terms.iter().for_each(|term| self.expression(&inside, term));
    }

    /// The expressions in the brackets of a reference, and what it begins with if that is no name.
    fn indices(&mut self, here: &Here<'_>, reference: &Expr) {
        match reference {
            Expr::Var { .. } => {}
            Expr::RefDot { refr, .. } => self.indices(here, refr),
            Expr::RefBrack { refr, index, .. } => {
                self.expression(here, index);
                self.indices(here, refr);
            }
            other => self.expression(here, other),
        }
    }
}
