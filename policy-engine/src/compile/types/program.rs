//! The rules of all policies, and what each may be worth.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead};
use serde_json::Value;

use super::super::graph;
use super::super::names::{Names, RulePath, Scope};
use super::schema;
use super::shape::{Kinds, Shape};
use super::typing::{Node, Origin, Typed, Typing, static_text};

/// All that types are derived from.
pub(crate) struct Program<'a> {
    names: &'a Names,
    input: Typed,
    data: &'a Value,
    definitions: BTreeMap<RulePath, Vec<Definition<'a>>>,
    /// The types of rules that were asked for; `None` while one is being found out.
    types: RefCell<BTreeMap<RulePath, Option<Typed>>>,
    /// What was found out of data.
    shapes: RefCell<BTreeMap<RulePath, Arc<Shape>>>,
}

struct Definition<'a> {
    module: &'a Module,
    rule: &'a Rule,
}

impl<'a> Program<'a> {
    /// The rules of parsed policies, with the bundle's data and the schema of the input.
    pub(crate) fn new(modules: &'a [Ref<Module>], names: &'a Names, input_schema: &Value, data: &'a Value) -> Self {
        let input = schema::shape(input_schema);
        let mut definitions: BTreeMap<RulePath, Vec<Definition<'a>>> = BTreeMap::new();
        for module in modules {
            let scope = names.scope(module);
            for rule in &module.policy {
                let definition = Definition { module, rule };
                definitions.entry(scope.rule_path(rule)).or_default().push(definition);
            }
        }
        let input = Typed { origin: Origin::Input, ..Typed::of(input) }.placed("input");
        Self { names, input, data, definitions, types: RefCell::default(), shapes: RefCell::default() }
    }

    pub(crate) fn names(&self) -> &'a Names {
        self.names
    }

    /// What is decided over.
    pub(crate) fn input(&self) -> Typed {
        self.input.clone()
    }

    pub(crate) fn is_rule(&self, path: &RulePath) -> bool {
        self.definitions.contains_key(path)
    }

    /// Whether a rule lies there or below.
    pub(crate) fn is_or_holds_rules(&self, path: &RulePath) -> bool {
        self.definitions.range(path.clone()..).next().is_some_and(|(rule, _)| rule.starts_with(path))
    }

    /// What lies at a place below `data`.
    pub(crate) fn at(&self, path: RulePath) -> Node {
        if self.is_rule(&path) {
            return Node::Value(self.rule(&path));
        }
        // What is beside rules is not looked at: their values are there as well.
        let value = self.data_at(&path).filter(|_| !self.is_or_holds_rules(&path));
        let known = self.shapes.borrow().get(&path).cloned();
        let shape = known.unwrap_or_else(|| {
            let shape = Arc::new(value.map_or_else(Shape::unknown, Shape::of_json));
            self.shapes.borrow_mut().insert(path.clone(), Arc::clone(&shape));
            shape
        });
        let typed = Typed { shape, origin: Origin::Data, optional: value.is_none(), place: Some(graph::name(&path)) };
        Node::Place(path, typed)
    }

    fn data_at(&self, path: &[String]) -> Option<&'a Value> {
        path.iter().try_fold(self.data, |value, step| value.get(step))
    }

    /// Whether the bundle's data says anything of a place.
    pub(crate) fn has_data(&self, path: &[String]) -> bool {
        self.data_at(path).is_some()
    }

    /// What a rule may be worth.
    pub(crate) fn rule(&self, path: &RulePath) -> Typed {
        let known = self.types.borrow().get(path).cloned();
        let unknown = || Typed { optional: true, ..Typed::unknown() };
        match known {
            Some(Some(typed)) => typed,
            Some(None) => unknown(),
            None => {
                self.types.borrow_mut().insert(path.clone(), None);
                let typed = self.definitions.get(path).map_or_else(unknown, |definitions| self.found_out(definitions));
                let typed = typed.placed(graph::name(path));
                self.types.borrow_mut().insert(path.clone(), Some(typed.clone()));
                typed
            }
        }
    }

    fn found_out(&self, definitions: &[Definition<'_>]) -> Typed {
        let always = |definition: &Definition<'_>| match definition.rule {
            Rule::Default { .. } => true,
            Rule::Spec { head, bodies, .. } => match head {
                RuleHead::Set { .. } => true,
                RuleHead::Compr { refr, .. } => bodies.is_empty() || is_partial_object(refr),
                // What is passed may be otherwise than a parameter is written.
                RuleHead::Func { args, .. } => {
                    bodies.is_empty() && args.iter().all(|argument| matches!(argument.as_ref(), Expr::Var { .. }))
                }
            },
        };
        let (mut shape, mut origin, mut optional) = (None::<Shape>, Origin::Policy, true);
        for definition in definitions {
            let values = self.values(definition);
            optional &= !always(definition) || values.iter().any(|value| value.optional);
            for value in values {
                origin = origin.max(value.origin);
                shape = Some(shape.map_or_else(|| (*value.shape).clone(), |shape| shape.union(&value.shape)));
            }
        }
        Typed { origin, optional, ..Typed::of(shape.unwrap_or_else(Shape::unknown)) }
    }

    /// What each body of a definition may be worth.
    fn values(&self, definition: &Definition<'_>) -> Vec<Typed> {
        let scope = self.names.scope(definition.module);
        let typing = Typing::new(self, &scope);
        match definition.rule {
            Rule::Default { value, .. } => vec![typing.expression(value)],
            Rule::Spec { head, bodies, .. } => {
                let typing = with_parameters(typing, head);
                let first = head_value(head);
                let mut values = Vec::new();
                for (number, body) in bodies.iter().enumerate() {
                    let own = body.assign.as_ref().map(|assign| assign.value.as_ref());
                    let value = own.or(first.filter(|_| number == 0 || !body.is_else));
                    values.push(valued(&typing.inside(&body.query), value));
                }
                if bodies.is_empty() {
                    values.push(valued(&typing, first));
                }
                values.into_iter().map(|value| as_rule(head, value)).collect()
            }
        }
    }
}

fn valued(typing: &Typing<'_>, value: Option<&Expr>) -> Typed {
    value.map_or_else(|| Typed::of(Shape::of(Kinds::BOOLEAN)), |value| typing.expression(value))
}

/// The expression that a rule's head gives: its value, or its element.
fn head_value(head: &RuleHead) -> Option<&Expr> {
    match head {
        RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => {
            assign.as_ref().map(|assign| assign.value.as_ref())
        }
        RuleHead::Set { key, .. } => key.as_ref().map(AsRef::as_ref),
    }
}

/// What the rule is worth as a whole when its head says so of one element.
fn as_rule(head: &RuleHead, value: Typed) -> Typed {
    let kind = match head {
        RuleHead::Set { .. } => Kinds::SET,
        RuleHead::Compr { refr, .. } if is_partial_object(refr) => Kinds::OBJECT,
        RuleHead::Compr { .. } | RuleHead::Func { .. } => return Typed { place: None, ..value },
    };
    // What has no value is no element.
    let shape = Shape::collection(kind, Arc::clone(&value.shape));
    Typed { origin: value.origin, ..Typed::of(shape) }
}

/// Whether a head gives one field of an object, whose name it works out: `p[key] := value`.
pub(crate) fn is_partial_object(head: &Expr) -> bool {
    match head {
        Expr::RefBrack { index, refr, .. } => static_text(index).is_none() || is_partial_object(refr),
        Expr::RefDot { refr, .. } => is_partial_object(refr),
        _ => false,
    }
}

/// Types in a rule: its parameters may be anything.
pub(crate) fn with_parameters<'a>(mut typing: Typing<'a>, head: &RuleHead) -> Typing<'a> {
    if let RuleHead::Func { args, .. } = head {
        for argument in args {
            if let Expr::Var { span, .. } = argument.as_ref() {
                typing.declare(span.text(), Typed::unknown().placed(span.text()));
            }
        }
    }
    typing
}

/// Types in a rule of a module.
pub(crate) fn typing_of<'a>(program: &'a Program<'a>, scope: &'a Scope<'a>, rule: &Rule) -> Typing<'a> {
    let typing = Typing::new(program, scope);
    match rule {
        Rule::Spec { head, .. } => with_parameters(typing, head),
        Rule::Default { .. } => typing,
    }
}
