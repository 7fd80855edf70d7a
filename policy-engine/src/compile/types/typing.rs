//! What expressions may be worth, as far as the schema of the input, the bundle's data and the rules themselves tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::unstable::{ArithOp, AssignOp, Expr, Literal, LiteralStmt, Query};

use super::super::names::{RulePath, Scope, static_path};
use super::builtins;
use super::program::Program;
use super::shape::{Kinds, Shape};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The policy itself, or nobody knows.
    Policy,
    /// The bundle's data.
    Data,
    /// The input.
    Input,
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) shape: Arc<Shape>,
    pub(crate) origin: Origin,
    /// Whether there may be none.
    pub(crate) optional: bool,
    /// The one way in which the value is referred to, if there is one: `input.device.score`.
    pub(crate) place: Option<String>,
}

impl Typed {
    pub(crate) fn of(shape: Shape) -> Self {
        Self { shape: Arc::new(shape), origin: Origin::Policy, optional: false, place: None }
    }

    pub(crate) fn unknown() -> Self {
        Self::of(Shape::unknown())
    }

    pub(crate) fn placed(self, place: impl Into<String>) -> Self {
        Self { place: Some(place.into()), ..self }
    }

    /// A value that was made of others.
    fn made_of<'a>(shape: Shape, parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let made = Self::of(shape);
        parts.into_iter().fold(made, |made, part| Self {
            origin: made.origin.max(part.origin),
            optional: made.optional || part.optional,
            ..made
        })
    }

    /// A field of it; `None` when it cannot have such a field.
    pub(crate) fn field(&self, name: &str) -> Option<Self> {
        let shape = self.shape.field(name)?;
        let certain = self.shape.kinds.is_only(Kinds::OBJECT) && self.shape.fields.contains_key(name);
        let place = self.place.as_ref().map(|place| format!("{place}.{name}"));
        Some(Self { shape, origin: self.origin, optional: self.optional || !certain, place })
    }

    /// Some element of it.
    pub(crate) fn item(&self, index: &str) -> Self {
        let place = self.place.as_ref().map(|place| format!("{place}[{index}]"));
        Self { shape: self.shape.any_item(), origin: self.origin, optional: true, place }
    }
}

/// What a reference leads to.
pub(crate) enum Node {
    /// A value.
    Value(Typed),
    /// A place below `data` that is no rule, and what the bundle's data has there.
    Place(RulePath, Typed),
}

impl Node {
    pub(crate) fn typed(self) -> Typed {
        match self {
            Self::Value(typed) | Self::Place(_, typed) => typed,
        }
    }
}

/// Types in one place of one rule: what its names mean there.
#[derive(Clone)]
pub(crate) struct Typing<'a> {
    pub(crate) program: &'a Program<'a>,
    pub(crate) scope: &'a Scope<'a>,
    locals: Vec<BTreeMap<String, Typed>>,
}

impl<'a> Typing<'a> {
    pub(crate) fn new(program: &'a Program<'a>, scope: &'a Scope<'a>) -> Self {
        Self { program, scope, locals: vec![BTreeMap::new()] }
    }

    /// Gives a name a meaning from here on.
    pub(crate) fn declare(&mut self, name: &str, typed: Typed) {
        if let Some(innermost) = self.locals.last_mut() {
            innermost.insert(name.to_owned(), typed);
        }
    }

    /// Types inside a query: with the names that its statements give a meaning. Statements have no order, so they are
    /// gone through until each can be known by what the others say.
    pub(crate) fn inside(&self, query: &Query) -> Self {
        const PASSES: usize = 3;
        let mut inside = self.clone();
        inside.locals.push(BTreeMap::new());
        for _ in 0..PASSES {
            query.stmts.iter().for_each(|statement| inside.bind(statement));
        }
        inside
    }

    fn bind(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                for variable in vars {
                    if !self.is_innermost(variable.text()) {
                        self.declare(variable.text(), Typed::unknown());
                    }
                }
            }
            Literal::SomeIn { key, value, collection, .. } => {
                let collection = self.expression(collection);
                if let Some(key) = key {
                    self.bind_pattern(key, &Typed::of(key_shape(&collection.shape)));
                }
                let item = Typed { optional: false, place: None, ..collection.item("") };
                self.bind_pattern(value, &item);
            }
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { op, lhs, rhs, .. } = expr.as_ref() {
                    self.bind_assignment(op, lhs, rhs);
                }
            }
            Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }

    fn bind_assignment(&mut self, op: &AssignOp, lhs: &Expr, rhs: &Expr) {
        match (op, lhs, rhs) {
            (AssignOp::ColEq, _, _) => {
                let value = self.expression(rhs);
                self.bind_pattern(lhs, &value);
            }
            // A unification gives a name a meaning only when it has none yet.
            (AssignOp::Eq, Expr::Var { span, .. }, _) if self.is_free(span.text()) => {
                let value = self.expression(rhs);
                self.bind_pattern(lhs, &value);
            }
            (AssignOp::Eq, _, Expr::Var { span, .. }) if self.is_free(span.text()) => {
                let value = self.expression(lhs);
                self.bind_pattern(rhs, &value);
            }
            (AssignOp::Eq, _, _) => {}
        }
    }

    /// Gives the names in a pattern the meaning that the value has. Once bound, a value is there.
    fn bind_pattern(&mut self, pattern: &Expr, value: &Typed) {
        match pattern {
            Expr::Var { span, .. } => {
                let place = value.place.clone().unwrap_or_else(|| span.text().to_owned());
                self.declare(span.text(), Typed { optional: false, ..value.clone() }.placed(place));
            }
            Expr::Array { items, .. } => {
                items.iter().for_each(|item| self.bind_pattern(item, &Typed { place: None, ..value.item("") }));
            }
            Expr::Object { fields, .. } => {
                fields.iter().for_each(|(_, _, field)| self.bind_pattern(field, &Typed::unknown()));
            }
            _ => {}
        }
    }

    /// Whether a name is a parameter of the function.
    pub(crate) fn is_parameter(&self, name: &str) -> bool {
        self.locals.first().is_some_and(|parameters| parameters.contains_key(name))
    }

    /// Whether a name is a variable here.
    pub(crate) fn is_local(&self, name: &str) -> bool {
        self.local(name).is_some()
    }

    fn is_innermost(&self, name: &str) -> bool {
        self.locals.last().is_some_and(|locals| locals.contains_key(name))
    }

    /// Whether a name has no meaning but the one that this query gives it.
    fn is_free(&self, name: &str) -> bool {
        self.is_innermost(name) || (self.local(name).is_none() && self.outer(name).is_none())
    }

    fn local(&self, name: &str) -> Option<&Typed> {
        self.locals.iter().rev().find_map(|locals| locals.get(name))
    }

    /// What a name means that is no variable.
    fn outer(&self, name: &str) -> Option<Node> {
        if let Some(path) = self.scope.import(name) {
            let (root, steps) = path.split_first()?;
            let root = self.root(root)?;
            return Some(steps.iter().fold(root, |node, step| self.field(node, step)));
        }
        if let Some(root) = self.root(name) {
            return Some(root);
        }
        let own = self.scope.rule_in_package(name);
        self.program.is_or_holds_rules(&own).then(|| self.program.at(own))
    }

    fn root(&self, name: &str) -> Option<Node> {
        match name {
            "input" => Some(Node::Value(self.program.input())),
            "data" => Some(self.program.at(Vec::new())),
            _ => None,
        }
    }

    /// What a reference leads to.
    pub(crate) fn node(&self, reference: &Expr) -> Node {
        match reference {
            Expr::Var { span, .. } => {
                let name = span.text();
                let local = self.local(name).cloned().map(Node::Value);
                local.or_else(|| self.outer(name)).unwrap_or_else(|| Node::Value(Typed::unknown().placed(name)))
            }
            Expr::RefDot { refr, field, .. } => {
                let name = field.1.as_string().map_or_else(|_| field.0.text().to_owned(), ToString::to_string);
                self.field(self.node(refr), &name)
            }
            Expr::RefBrack { refr, index, .. } => match static_text(index) {
                Some(name) => self.field(self.node(refr), &name),
                None => Node::Value(self.node(refr).typed().item(index.span().text())),
            },
            other => Node::Value(self.expression(other)),
        }
    }

    fn field(&self, node: Node, name: &str) -> Node {
        match node {
            Node::Place(mut path, _) => {
                path.push(name.to_owned());
                self.program.at(path)
            }
            Node::Value(value) => Node::Value(value.field(name).unwrap_or_else(|| Typed {
                optional: true,
                place: value.place.as_ref().map(|place| format!("{place}.{name}")),
                origin: value.origin,
                ..Typed::unknown()
            })),
        }
    }

    /// What an expression may be worth.
    pub(crate) fn expression(&self, expression: &Expr) -> Typed {
        match expression {
            Expr::String { value, .. } | Expr::RawString { value, .. } => {
                Typed::of(value.as_string().map_or_else(|_| Shape::of(Kinds::STRING), |text| Shape::word(text)))
            }
            Expr::Number { .. } | Expr::UnaryExpr { .. } => Typed::of(Shape::of(Kinds::NUMBER)),
            Expr::Bool { .. } => Typed::of(Shape::of(Kinds::BOOLEAN)),
            Expr::Null { .. } => Typed::of(Shape::of(Kinds::NULL)),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.node(expression).typed(),
            Expr::Array { items, .. } => self.literal(Kinds::ARRAY, items.iter().map(AsRef::as_ref)),
            Expr::Set { items, .. } => self.literal(Kinds::SET, items.iter().map(AsRef::as_ref)),
            Expr::Object { fields, .. } => self.object(fields.iter().map(|(_, key, value)| (&**key, &**value))),
            Expr::ArrayCompr { term, query, .. } => self.comprehension(Kinds::ARRAY, term, query),
            Expr::SetCompr { term, query, .. } => self.comprehension(Kinds::SET, term, query),
            Expr::ObjectCompr { value, query, .. } => self.comprehension(Kinds::OBJECT, value, query),
            Expr::Call { fcn, params, .. } => self.call(fcn, params.iter().map(AsRef::as_ref)),
            Expr::BinExpr { lhs, rhs, .. } => self.operation(Kinds::SET, lhs, rhs),
            Expr::ArithExpr { op, lhs, rhs, .. } => self.arithmetic(op, lhs, rhs),
            Expr::BoolExpr { lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                self.operation(Kinds::BOOLEAN, lhs, rhs)
            }
            Expr::Membership { value, collection, .. } => self.operation(Kinds::BOOLEAN, value, collection),
        }
    }

    fn operation(&self, kinds: Kinds, lhs: &Expr, rhs: &Expr) -> Typed {
        Typed::made_of(Shape::of(kinds), [&self.expression(lhs), &self.expression(rhs)])
    }

    /// Arithmetic has a value for numbers, and sets for sets; a division has none by zero.
    fn arithmetic(&self, op: &ArithOp, lhs: &Expr, rhs: &Expr) -> Typed {
        let (left, right) = (self.expression(lhs), self.expression(rhs));
        let both = |kinds: Kinds| left.shape.kinds.is_only(kinds) && right.shape.kinds.is_only(kinds);
        let divides = matches!(op, ArithOp::Div | ArithOp::Mod) && !is_nonzero(rhs);
        let kinds = if *op == ArithOp::Sub && !both(Kinds::NUMBER) && left.shape.kinds.may_be(Kinds::SET) {
            left.shape.kinds.and(Kinds::SET.or(Kinds::NUMBER))
        } else {
            Kinds::NUMBER
        };
        let made = Typed::made_of(Shape::of(kinds), [&left, &right]);
        Typed { optional: made.optional || divides || !(both(Kinds::NUMBER) || both(Kinds::SET)), ..made }
    }

    fn literal<'e>(&self, kind: Kinds, items: impl Iterator<Item = &'e Expr>) -> Typed {
        let items: Vec<Typed> = items.map(|item| self.expression(item)).collect();
        let union = items.iter().map(|item| (*item.shape).clone()).reduce(|one, other| one.union(&other));
        Typed::made_of(Shape { items: union.map(Arc::new), ..Shape::of(kind) }, &items)
    }

    fn object<'e>(&self, fields: impl Iterator<Item = (&'e Expr, &'e Expr)>) -> Typed {
        let mut shape = Shape { open: false, ..Shape::of(Kinds::OBJECT) };
        let mut parts = Vec::new();
        for (key, value) in fields {
            let value = self.expression(value);
            match static_text(key) {
                Some(name) => drop(shape.fields.insert(name, Arc::clone(&value.shape))),
                None => shape.open = true,
            }
            parts.push(value);
        }
        Typed::made_of(shape, &parts)
    }

    fn comprehension(&self, kind: Kinds, term: &Expr, query: &Query) -> Typed {
        let item = self.inside(query).expression(term);
        let shape = Shape::collection(kind, Arc::clone(&item.shape));
        Typed { optional: false, ..Typed::made_of(shape, [&item]) }
    }

    fn call<'e>(&self, function: &Expr, arguments: impl Iterator<Item = &'e Expr>) -> Typed {
        let arguments: Vec<Typed> = arguments.map(|argument| self.expression(argument)).collect();
        let steps = static_path(function);
        let own = self.scope.places(&steps).into_iter().find(|place| self.program.is_rule(place));
        if let Some(rule) = own {
            let value = self.program.rule(&rule);
            Typed { place: None, ..Typed::made_of((*value.shape).clone(), arguments.iter().chain([&value])) }
        } else {
            let name = steps.join(".");
            let made = Typed::made_of(builtins::result(&name, &arguments), &arguments);
            Typed { optional: made.optional || !builtins::is_total(&name, &arguments), ..made }
        }
    }
}

/// What the keys of a collection are.
fn key_shape(collection: &Shape) -> Shape {
    let mut kinds = Kinds::NONE;
    if collection.kinds.may_be(Kinds::ARRAY) {
        kinds = kinds.or(Kinds::NUMBER);
    }
    if collection.kinds.may_be(Kinds::OBJECT) {
        kinds = kinds.or(Kinds::STRING);
    }
    if collection.kinds.may_be(Kinds::SET) || kinds == Kinds::NONE { Shape::unknown() } else { Shape::of(kinds) }
}

/// Whether a number is written there that is not zero.
fn is_nonzero(expression: &Expr) -> bool {
    matches!(expression, Expr::Number { value, .. } if value.as_f64().is_ok_and(|number| number != 0.0))
}

/// The text that is written there, if one is.
pub(crate) fn static_text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            value.as_string().ok().map(|text| text.as_ref().to_owned())
        }
        _ => None,
    }
}
