//! `Release`, `Packages` and lists of packages: what is read stays below the repository.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_packages::debian::{Index, PackageList, Release, compare_versions};

fuzz_target!(|text: &str| {
    let _ = Release::parse(text);
    let _ = PackageList::parse(text);
    if let Ok(index) = Index::parse(text) {
        for entry in &index.entries {
            assert!(!entry.path.starts_with('/') && !entry.path.split('/').any(|part| part == ".."));
        }
    }
    if let Some((one, other)) = text.split_once('\n') {
        assert_eq!(compare_versions(one, other), compare_versions(other, one).reverse());
    }
});
