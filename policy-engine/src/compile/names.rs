//! What names mean in a policy: packages, imports and rules.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Module, Ref, Rule, RuleHead};

/// A place below `data`, one step each.
pub(crate) type RulePath = Vec<String>;

/// The rules of all policies.
pub(crate) struct Names {
    rules: BTreeSet<RulePath>,
}

/// What names mean in one file.
pub(crate) struct Scope<'a> {
    names: &'a Names,
    package: RulePath,
    /// Names that stand for a place, which begins with `data` or `input`.
    imports: BTreeMap<String, RulePath>,
}

impl Names {
    pub(crate) fn of(modules: &[Ref<Module>]) -> Self {
        let mut rules = BTreeSet::new();
        for module in modules {
            let package = static_path(&module.package.refr);
            rules.extend(module.policy.iter().map(|rule| [package.clone(), static_path(head(rule))].concat()));
        }
        Self { rules }
    }

    /// Whether a rule lies just there.
    pub(crate) fn has(&self, path: &[String]) -> bool {
        self.rules.contains(path)
    }

    pub(crate) fn scope(&self, module: &Module) -> Scope<'_> {
        let imports = module.imports.iter().filter_map(|import| {
            let path = static_path(&import.refr);
            let name = import.r#as.as_ref().map(|alias| alias.text().to_owned()).or_else(|| path.last().cloned())?;
            matches!(path.first()?.as_str(), "data" | "input").then_some((name, path))
        });
        Scope { names: self, package: static_path(&module.package.refr), imports: imports.collect() }
    }

    /// The rules that looking at this place may evaluate: those at and below it, and those whose value holds it.
    pub(crate) fn related<'a>(&'a self, place: &'a [String]) -> impl Iterator<Item = &'a RulePath> {
        let below = self.rules.range(place.to_vec()..).take_while(move |rule| rule.starts_with(place));
        let above =
            (1..place.len()).filter_map(|length| place.get(..length)).filter_map(|prefix| self.rules.get(prefix));
        below.chain(above)
    }
}

impl Scope<'_> {
    /// Where a rule's value lies, as far as its head says without being evaluated.
    pub(crate) fn rule_path(&self, rule: &Rule) -> RulePath {
        [self.package.clone(), static_path(head(rule))].concat()
    }

    /// The place that an imported name stands for, which begins with `data` or `input`.
    pub(crate) fn import(&self, name: &str) -> Option<&RulePath> {
        self.imports.get(name)
    }

    /// Whether the package has a rule of this name, or rules below it.
    pub(crate) fn is_own_rule(&self, name: &str) -> bool {
        self.names.related(&self.rule_in_package(name)).next().is_some()
    }

    /// Where a rule of this name would lie.
    pub(crate) fn rule_in_package(&self, name: &str) -> RulePath {
        [self.package.as_slice(), &[name.to_owned()]].concat()
    }

    /// The places below `data` that a reference may mean, and whether one of them is a rule here. `steps` begins with the
    /// reference's variable.
    ///
    /// A variable with the name of a rule counts as the rule, for whether it is one depends on how the evaluator orders
    /// the statements.
    pub(crate) fn places(&self, steps: &[String]) -> Vec<RulePath> {
        let mut places = Vec::new();
        if steps.is_empty() {
            return places;
        }
        places.extend(self.below("data", steps));
        let own = [self.package.as_slice(), steps].concat();
        if self.names.related(own.get(..=self.package.len()).unwrap_or_default()).next().is_some() {
            places.push(own);
        }
        places
    }

    /// The places below `input` that a reference may mean.
    pub(crate) fn inputs(&self, steps: &[String]) -> Vec<RulePath> {
        self.below("input", steps)
    }

    /// The places below a root document that a reference may mean, by its own name or an imported one.
    fn below(&self, root: &str, steps: &[String]) -> Vec<RulePath> {
        let Some((first, rest)) = steps.split_first() else { return Vec::new() };
        let imported = self.imports.get(first).filter(|path| path.first().is_some_and(|step| step == root));
        let imported = imported.and_then(|path| path.get(1..)).map(|path| [path, rest].concat());
        imported.into_iter().chain((first == root).then(|| rest.to_vec())).collect()
    }
}

fn head(rule: &Rule) -> &Expr {
    match rule {
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
        Rule::Default { refr, .. } => refr,
    }
}

/// The steps of a reference up to the first that is not written as a name or a string.
pub(crate) fn static_path(reference: &Expr) -> RulePath {
    let mut steps = Vec::new();
    let mut here = reference;
    loop {
        here = match here {
            Expr::Var { span, .. } => {
                steps.push(span.text().to_owned());
                break;
            }
            Expr::RefDot { refr, field, .. } => {
                steps.push(text(&field.1).unwrap_or_else(|| field.0.text().to_owned()));
                refr
            }
            Expr::RefBrack { refr, index, .. } => {
                match index.as_ref() {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => {
                        steps.push(text(value).unwrap_or_default());
                    }
                    // What follows this step cannot be told, so only what leads to it counts.
                    _ => steps.clear(),
                }
                refr
            }
            _ => return Vec::new(),
        };
    }
    steps.reverse();
    steps
}

fn text(value: &regorus::Value) -> Option<String> {
    value.as_string().ok().map(|text| text.as_ref().to_owned())
}
