//! What the documentation says of the tree, held against the tree: who may import whom (docs/ARCHITECTURE.md, against what
//! cargo says), which tests show which threat (docs/threats.md), and what is counted (docs/operating.md).
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Each crate and the crates of ours that it may import. Development dependencies are not held against it, except where
/// they would pull in a TPM library.
const LAYERS: &[(&str, &[&str])] = &[
    ("vouchsafe-model", &[]),
    ("vouchsafe-wire", &["vouchsafe-model"]),
    ("vouchsafe-attest", &["vouchsafe-model"]),
    ("vouchsafe-packages", &["vouchsafe-model"]),
    ("vouchsafe-pki", &["vouchsafe-model"]),
    ("vouchsafe-store", &["vouchsafe-model"]),
    ("vouchsafe-journal", &["vouchsafe-model"]),
    ("vouchsafe-policies", &["vouchsafe-model"]),
    ("vouchsafe-http", &["vouchsafe-model", "vouchsafe-wire", "vouchsafe-pki"]),
    ("vouchsafe-agent", &["vouchsafe-model", "vouchsafe-wire"]),
    (
        "vouchsafe-trust-engine",
        &[
            "vouchsafe-model",
            "vouchsafe-wire",
            "vouchsafe-attest",
            "vouchsafe-pki",
            "vouchsafe-store",
            "vouchsafe-http",
        ],
    ),
    (
        "vouchsafe-policy-engine",
        &["vouchsafe-model", "vouchsafe-wire", "vouchsafe-policies", "vouchsafe-journal", "vouchsafe-http"],
    ),
    // An example for people who write points of their own, who have none of our crates.
    ("vouchsafe-ws-point", &[]),
    (
        "vouchsafe-cli",
        &[
            "vouchsafe-model",
            "vouchsafe-wire",
            "vouchsafe-attest",
            "vouchsafe-packages",
            "vouchsafe-pki",
            "vouchsafe-store",
            "vouchsafe-journal",
            "vouchsafe-http",
            "vouchsafe-policies",
            "vouchsafe-trust-engine",
            "vouchsafe-policy-engine",
        ],
    ),
];

/// Libraries that only some crates may name, and which.
const RESERVED: &[(&str, &[&str])] = &[
    ("tss-esapi", &["vouchsafe-agent", "vouchsafe-swtpm-tests"]),
    ("sqlx", &["vouchsafe-store"]),
    ("pgp", &["vouchsafe-packages"]),
    ("regorus", &["vouchsafe-policy-engine", "vouchsafe-policies"]),
];

fn metadata() -> Metadata {
    MetadataCommand::new().other_options(vec!["--locked".to_owned()]).exec().expect("cargo metadata answers")
}

fn imports(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
}

#[test]
fn no_crate_imports_what_it_must_not_know() {
    let metadata = metadata();
    let layers: BTreeMap<_, BTreeSet<_>> =
        LAYERS.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    for package in metadata.workspace_packages() {
        let Some(may) = layers.get(package.name.as_str()) else {
            assert_eq!(package.name.as_str(), "vouchsafe-swtpm-tests", "{} has no line in the table", package.name);
            continue;
        };
        for import in imports(package).filter(|name| name.starts_with("vouchsafe-")) {
            assert!(may.contains(import), "{} must not import {import}", package.name);
        }
    }
}

#[test]
fn libraries_with_one_home_are_named_nowhere_else() {
    for package in metadata().workspace_packages() {
        for dependency in &package.dependencies {
            let reserved = RESERVED.iter().find(|(library, _)| *library == dependency.name);
            if let Some((library, homes)) = reserved {
                assert!(homes.contains(&package.name.as_str()), "{} must not name {library}", package.name);
            }
        }
    }
}

#[test]
fn the_server_needs_no_tpm_library() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("cargo resolves the workspace");
    let named = |name: &str| {
        metadata.packages.iter().find(|package| package.name.as_str() == name).map(|package| package.id.clone())
    };
    let mut open = vec![named("vouchsafe-cli").expect("the server is a member")];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == id).expect("every package is resolved");
        open.extend(
            node.deps
                .iter()
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal))
                .map(|dependency| dependency.pkg.clone()),
        );
    }
    for library in ["tss-esapi", "tss-esapi-sys"] {
        let id = named(library).expect("the agent links it");
        assert!(!seen.contains(&id), "the server links {library}");
    }
}

/// How many threats there are.
const THREATS: u32 = 31;

#[test]
fn every_threat_names_tests_and_these_exist() {
    let root = metadata().workspace_root;
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let mut tests: BTreeMap<u32, usize> = BTreeMap::new();
    for line in read("docs/threats.md").lines() {
        if let Some((number, _)) = line.strip_prefix("### ").and_then(|title| title.split_once(". ")) {
            tests.insert(number.parse().expect("a threat has a number"), 0);
        }
        let named = line.strip_prefix("- `").and_then(|line| line.strip_suffix('`'));
        let Some((file, name)) = named.and_then(|named| named.split_once("::")) else { continue };
        let source = read(file);
        let (before, _) = source.split_once(&format!("fn {name}(")).unwrap_or_default();
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        assert!(attributes.contains("test]") || attributes.contains("test("), "there is no test {file}::{name}");
        let threat = tests.last_entry().expect("a test is named below a threat");
        *threat.into_mut() += 1;
    }
    assert_eq!(tests.keys().copied().collect::<Vec<_>>(), (1..=THREATS).collect::<Vec<_>>());
    let without: Vec<_> = tests.iter().filter(|(_, count)| **count == 0).collect();
    assert!(without.is_empty(), "threats without a test: {without:?}");
}

/// The sources of our crates, without their tests.
fn sources(metadata: &Metadata) -> Vec<String> {
    let packages = metadata.workspace_packages();
    let mut folders: Vec<_> = packages
        .iter()
        .filter_map(|package| package.manifest_path.parent())
        .map(|folder| folder.join("src").into_std_path_buf())
        .collect();
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder is read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(std::fs::read_to_string(&path).expect("a source is text"));
            }
        }
    }
    texts
}

/// The constant texts of a source, by their names.
fn constants(text: &str) -> BTreeMap<&str, &str> {
    let definitions = text.lines().filter_map(|line| line.split_once("const ")?.1.split_once(": &str = \""));
    definitions.filter_map(|(name, rest)| Some((name, rest.split_once('"')?.0))).collect()
}

/// The metrics that the sources name where they count or measure.
fn metrics(texts: &[String]) -> BTreeSet<&str> {
    let everywhere: BTreeMap<_, _> = texts.iter().flat_map(|text| constants(text)).collect();
    let mut names = BTreeSet::new();
    for text in texts {
        let here = constants(text);
        let uses = ["counter!(", "gauge!(", "histogram!("].into_iter().flat_map(|of| text.split(of).skip(1));
        for first in uses.filter_map(|rest| rest.split([',', ')']).next()) {
            let constant = first.rsplit("::").next().unwrap_or_default();
            let constant = here.get(constant).or_else(|| everywhere.get(constant)).copied();
            let literal = first.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            names.insert(constant.or(literal).unwrap_or_else(|| panic!("what is counted by {first} has no name here")));
        }
    }
    names
}

#[test]
fn every_metric_is_told_to_operators_and_none_that_there_is_not() {
    let metadata = metadata();
    let sources = sources(&metadata);
    let counted = metrics(&sources);
    assert!(counted.len() > 20 && counted.contains("decisions_total"), "{counted:?}");
    let guide = std::fs::read_to_string(metadata.workspace_root.join("docs/operating.md")).expect("there is a guide");
    let (_, table) = guide.split_once("| metric |").expect("the guide has a table of metrics");
    let names = table.lines().skip(2).take_while(|line| line.starts_with('|')).filter_map(|row| row.split('|').nth(1));
    let told: BTreeSet<_> = names.flat_map(|cell| cell.split('`')).filter(|name| name.contains('_')).collect();
    assert_eq!(told, counted);
}
