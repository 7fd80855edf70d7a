//! Which rule needs which.

use std::collections::{BTreeMap, BTreeSet};

use super::gate::{GateError, Location, MAX_RULE_DEPTH};
use super::names::RulePath;

/// The rules and what they need.
#[derive(Default)]
pub(crate) struct RuleGraph {
    rules: BTreeMap<RulePath, Node>,
}

struct Node {
    location: Location,
    needs: BTreeSet<RulePath>,
}

impl RuleGraph {
    /// Adds a definition of a rule: several definitions of one rule need what each of them needs.
    pub(crate) fn add<'a>(&mut self, rule: RulePath, location: &Location, needs: impl Iterator<Item = &'a RulePath>) {
        let node =
            self.rules.entry(rule).or_insert_with(|| Node { location: location.clone(), needs: BTreeSet::new() });
        node.needs.extend(needs.cloned());
    }

    /// A rule and all that it needs, directly or through others; nothing if there is no such rule.
    pub(crate) fn reached_from(&self, rule: &[String]) -> BTreeSet<RulePath> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&RulePath> = self.rules.get_key_value(rule).map(|(rule, _)| rule).into_iter().collect();
        while let Some(rule) = open.pop() {
            if reached.insert(rule.clone()) {
                open.extend(self.rules.get(rule).into_iter().flat_map(|node| &node.needs));
            }
        }
        reached
    }

    /// Refuses rules that need themselves and chains that are too long.
    pub(crate) fn check(&self) -> Result<(), GateError> {
        let depths = self.depths();
        let deepest = depths.iter().max_by_key(|(_, depth)| **depth);
        if let Some((rule, _)) = deepest.filter(|(_, depth)| **depth > MAX_RULE_DEPTH) {
            let location = self.location(rule);
            return Err(GateError::RulesTooDeep { rule: name(rule), location });
        }
        match self.rules.keys().find(|rule| !depths.contains_key(*rule)) {
            None => Ok(()),
            Some(rule) => {
                let cycle = self.cycle(rule, &depths);
                let location = cycle.first().map_or_else(|| self.location(rule), |first| self.location(first));
                Err(GateError::Recursion { chain: cycle.into_iter().map(name).collect(), location })
            }
        }
    }

    /// How long the chain is that begins at each rule. Rules that lead into a cycle have no entry.
    fn depths(&self) -> BTreeMap<&RulePath, usize> {
        let mut needed_by: BTreeMap<&RulePath, Vec<&RulePath>> = BTreeMap::new();
        let mut open: BTreeMap<&RulePath, usize> = BTreeMap::new();
        for (rule, node) in &self.rules {
            open.insert(rule, node.needs.len());
            node.needs.iter().for_each(|needed| needed_by.entry(needed).or_default().push(rule));
        }
        let mut ready: Vec<&RulePath> = open.iter().filter(|(_, open)| **open == 0).map(|(rule, _)| *rule).collect();
        let mut depths = BTreeMap::new();
        while let Some(rule) = ready.pop() {
            let needs = self.rules.get(rule).into_iter().flat_map(|node| &node.needs);
            let below = needs.filter_map(|needed| depths.get(needed)).max().copied().unwrap_or(0);
            depths.insert(rule, below + 1);
            for dependent in needed_by.get(rule).into_iter().flatten() {
                if let Some(count) = open.get_mut(dependent) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(dependent);
                    }
                }
            }
        }
        depths
    }

    /// A cycle that is reached from a rule which leads into one.
    fn cycle<'a>(&'a self, from: &'a RulePath, acyclic: &BTreeMap<&RulePath, usize>) -> Vec<&'a RulePath> {
        let mut walked: Vec<&RulePath> = Vec::new();
        let mut here = from;
        loop {
            if let Some(position) = walked.iter().position(|rule| *rule == here) {
                let mut cycle = walked.split_off(position);
                cycle.push(here);
                return cycle;
            }
            walked.push(here);
            let next =
                self.rules.get(here).and_then(|node| node.needs.iter().find(|needed| !acyclic.contains_key(needed)));
            match next {
                Some(next) => here = next,
                None => return walked,
            }
        }
    }

    fn location(&self, rule: &RulePath) -> Location {
        let known = self.rules.get(rule).map(|node| node.location.clone());
        known.unwrap_or_else(|| Location { file: String::new(), line: 0, column: 0 })
    }
}

/// A rule as policies refer to it: `data.lib["1.0"].allow`.
pub(crate) fn name(rule: &RulePath) -> String {
    rule.iter().fold("data".to_owned(), |name, step| {
        let mut characters = step.chars();
        let is_identifier = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && characters.all(|character| character.is_ascii_alphanumeric() || character == '_');
        if is_identifier { format!("{name}.{step}") } else { format!("{name}[{step:?}]") }
    })
}
