//! The JSON Schema of the policy input, as customers get it.

use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use schemars::generate::SchemaSettings;
use vouchsafe_policies::{Bundle, INPUT_SCHEMA};
use vouchsafe_policy_engine::evaluate::{Document, Evaluate, ReferenceEvaluator};
use vouchsafe_wire::v1::agent::PolicyInput;

use crate::default_policy::any_input;
use crate::fixtures::limits;

#[test]
fn the_committed_schema_is_that_of_the_types() {
    // As it is written: every field is there, `null` if need be.
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = generator.into_root_schema_for::<PolicyInput>();
    let generated = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/input.schema.json");
    if std::env::var_os("VOUCHSAFE_UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(committed, generated, "run this test with VOUCHSAFE_UPDATE=1 to write the schema anew");
}

/// A policy that compares its input with the schema.
fn checker() -> ReferenceEvaluator {
    let schema: serde_json::Value = serde_json::from_str(INPUT_SCHEMA).unwrap();
    let files = [
        ("data.json", serde_json::json!({"schema": schema}).to_string()),
        ("policy.rego", "package vouchsafe\n\ndecision := json.match_schema(input, data.schema)[0]\n".to_owned()),
    ];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    ReferenceEvaluator::new(&bundle, limits()).unwrap()
}

fn matches(checker: &mut ReferenceEvaluator, input: &serde_json::Value) -> bool {
    checker.evaluate(&Document::of(input)).unwrap().to_json() == serde_json::json!(true)
}

#[test]
fn what_is_no_input_does_not_match_the_schema() {
    let mut checker = checker();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = any_input().new_tree(&mut runner).unwrap().current();
    let good = serde_json::to_value(good).unwrap();
    assert!(matches(&mut checker, &good));
    assert!(!matches(&mut checker, &serde_json::json!({})));
    for field in ["now", "device", "user", "application", "network", "request"] {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(field);
        assert!(!matches(&mut checker, &less), "{field}");
    }
    let mut more = good;
    more["extra"] = true.into();
    assert!(!matches(&mut checker, &more));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_input_matches_the_schema(input in any_input()) {
        prop_assert!(matches(&mut checker(), &serde_json::to_value(input).unwrap()));
    }
}
