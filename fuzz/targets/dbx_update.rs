//! Updates of dbx: what is read lists something, and a boot can be held against it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::eventlog::facts::{Authority, BootFacts};
use vouchsafe_attest::secure_boot::{DbxUpdate, revoked};

fuzz_target!(|bytes: &[u8]| {
    let Ok(update) = DbxUpdate::parse(bytes) else { return };
    assert!(!update.entries.is_empty());
    let mut facts = BootFacts::default();
    let authority = |entry| Authority { event: 1, variable: "db".to_owned(), entry: Some(entry) };
    facts.secure_boot.authorities = update.entries.iter().take(16).cloned().map(authority).collect();
    facts.secure_boot.db = update.entries.iter().take(16).cloned().collect();
    let _ = revoked(&facts, &update.dbx());
});
