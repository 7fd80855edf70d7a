//! In what two images differ, fact by fact.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::document::{BootItem, BootSection, CommandText, EnrolledKeys, GoldenImage, RequiredDbx};
use super::read::loader_name;
use crate::ima::RuntimeSection;
use crate::secure_boot::SbatLevel;

/// One fact in which two images differ. A fact that has several values changes by adding and taking away values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Of what: `pcrs.sha256.7`, `boot.image 'vmlinuz'`, `runtime.digests '/usr/bin/ls'`.
    pub fact: String,
    /// What only the old image says; nothing when it was added.
    pub old: Vec<String>,
    /// What only the new image says; nothing when it was taken away.
    pub new: Vec<String>,
}

/// The facts in which two images differ, in the order of the document. Name and time are not among them.
pub fn diff(old: &GoldenImage, new: &GoldenImage) -> Vec<Change> {
    let (old, new) = (facts(old), facts(new));
    let (before, after) = (by_name(&old), by_name(&new));
    let mut changes: Vec<Change> = old
        .iter()
        .filter_map(|(name, values)| change(name, values, after.get(name.as_str()).map_or(&[], |values| *values)))
        .collect();
    let added = new.iter().filter(|(name, _)| !before.contains_key(name.as_str()));
    changes.extend(added.filter_map(|(name, values)| change(name, &[], values)));
    let places: BTreeMap<&str, usize> =
        old.iter().chain(&new).map(|(name, _)| name.as_str()).map(|name| (name, section(name))).collect();
    // Within a section in the order of the old document, then that of the new one: the sort is stable.
    changes.sort_by_key(|change| places.get(change.fact.as_str()).copied());
    changes
}

type Fact = (String, Vec<String>);

fn by_name(facts: &[Fact]) -> BTreeMap<&str, &[String]> {
    facts.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect()
}

/// The order of sections.
fn section(fact: &str) -> usize {
    let sections = ["pcrs.", "boot.", "runtime"];
    sections.iter().position(|section| fact.starts_with(section)).map_or(0, |place| place.saturating_add(1))
}

fn change(fact: &str, before: &[String], after: &[String]) -> Option<Change> {
    if before == after {
        return None;
    }
    let only = |these: &[String], those: &[String]| {
        let those: BTreeSet<&String> = those.iter().collect();
        these.iter().filter(|value| !those.contains(value)).cloned().collect::<Vec<_>>()
    };
    let (mut old, mut new) = (only(before, after), only(after, before));
    // The same values in another order.
    if old.is_empty() && new.is_empty() {
        (old, new) = (before.to_vec(), after.to_vec());
    }
    Some(Change { fact: fact.to_owned(), old, new })
}

fn facts(image: &GoldenImage) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name: String, values: Vec<String>| facts.push((name, values));
    add("supersedes".to_owned(), texts(&image.supersedes));
    add("overlap".to_owned(), texts(image.overlap));
    add("max_age".to_owned(), texts(image.max_age));
    add("ignored_pcrs".to_owned(), image.ignored_pcrs.iter().map(|pcr| pcr.to_string()).collect());
    for (bank, values) in &image.pcrs {
        values.iter().for_each(|(pcr, values)| add(format!("pcrs.{bank}.{pcr}"), texts(values)));
    }
    if let Some(boot) = &image.boot {
        add_boot(boot, &mut add);
    }
    if let Some(runtime) = &image.runtime {
        add_runtime(runtime, &mut add);
    }
    facts
}

fn add_boot(boot: &BootSection, add: &mut impl FnMut(String, Vec<String>)) {
    add("boot.secure_boot".to_owned(), vec![format!("{:?}", boot.secure_boot).to_lowercase()]);
    add("boot.ordered".to_owned(), vec![boot.ordered.to_string()]);
    add("boot.accept".to_owned(), texts(&boot.accept));
    if let Some(lines) = &boot.command_lines {
        add(
            "boot.command_line".to_owned(),
            listed(lines.iter().map(|line| {
                let loader = line.loader.map_or("any kernel", loader_name);
                match &line.text {
                    CommandText::Exact(text) => format!("{loader}: {text}"),
                    CommandText::Pattern(pattern) => format!("{loader}, pattern: {pattern}"),
                    CommandText::Measured(digests) => {
                        format!("{loader}, measured as {}", digests_text(digests).join(" or "))
                    }
                }
            })),
        );
    }
    for (list, items) in boot.lists() {
        let Some(items) = items else { continue };
        let names = items.iter().map(|item| item.name.clone());
        add(format!("boot.{list}"), listed(names));
        items.iter().for_each(|item| add(format!("boot.{list} '{}'", item.name), item_texts(item)));
    }
    add_keys(&boot.keys, boot.dbx.as_ref(), add);
    for (name, number) in boot.sbat_level.iter().flat_map(SbatLevel::entries) {
        add(format!("boot.sbat_level '{name}'"), vec![number.to_string()]);
    }
}

fn add_keys(keys: &EnrolledKeys, dbx: Option<&RequiredDbx>, add: &mut impl FnMut(String, Vec<String>)) {
    for (variable, enrolment) in keys.lists() {
        let Some(enrolment) = enrolment else { continue };
        add(
            format!("boot.keys.{variable}"),
            listed(enrolment.iter().map(|(key, subject)| format!("{subject} ({key})"))),
        );
    }
    let Some(dbx) = dbx else { return };
    add("boot.dbx.sha256".to_owned(), texts(&dbx.images));
    add("boot.dbx.x509_sha256".to_owned(), texts(&dbx.to_be_signed));
    let certificates = dbx.certificates.iter().map(|(digest, subject)| format!("{subject} ({digest})"));
    add("boot.dbx.certificates".to_owned(), certificates.collect());
}

fn add_runtime(runtime: &RuntimeSection, add: &mut impl FnMut(String, Vec<String>)) {
    add("runtime".to_owned(), vec!["checked".to_owned()]);
    add("runtime.keys".to_owned(), runtime.keys.clone());
    add("runtime.keyring_keys".to_owned(), runtime.keyring_keys.clone());
    add("runtime.exclude".to_owned(), runtime.exclude.clone());
    add("runtime.rules".to_owned(), runtime.rules.clone());
    runtime.digests.iter().for_each(|(path, digests)| add(format!("runtime.digests '{path}'"), digests.clone()));
}

fn item_texts(item: &BootItem) -> Vec<String> {
    let signers = item.signers.iter().map(|signer| format!("signed by {signer}"));
    let required = item.required.then(|| "required".to_owned());
    digests_text(&item.digests).into_iter().chain(signers).chain(required).collect()
}

fn digests_text(digests: &super::Digests) -> Vec<String> {
    let of_algorithm = digests
        .iter()
        .flat_map(|(algorithm, digests)| digests.iter().map(move |digest| format!("{algorithm} {digest}")));
    of_algorithm.collect()
}

/// A list that is there although it is empty says something.
fn listed(items: impl Iterator<Item = String>) -> Vec<String> {
    let items: Vec<String> = items.collect();
    if items.is_empty() { vec!["none at all".to_owned()] } else { items }
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fact)?;
        self.old.iter().try_for_each(|value| write!(f, "\n  - {value}"))?;
        self.new.iter().try_for_each(|value| write!(f, "\n  + {value}"))
    }
}
