//! IMA lists, ASCII and binary: what is read is counted and bounded, whatever the bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::ima::{Entries, ListReport, MAX_PATH_LEN};

fuzz_target!(|bytes: &[u8]| {
    let mut entries = Entries::new(bytes);
    let mut count = 0;
    for entry in entries.by_ref().map_while(Result::ok) {
        count += 1;
        assert_eq!(entry.number(), count);
        assert!(entry.fields().is_none_or(|fields| fields.name.len() <= MAX_PATH_LEN));
        let _ = entry.recomputes();
    }
    assert_eq!(entries.consumed() + entries.remaining(), bytes.len());
    if let Ok(report) = ListReport::of(bytes, &[], None) {
        let signatures = &report.signatures;
        let invalid = u64::try_from(signatures.invalid.len()).expect("a short list");
        assert_eq!(signatures.valid + invalid + signatures.unsigned + signatures.unknown_key, report.entries);
        assert_eq!(report.templates.values().sum::<u64>(), report.entries);
        let ascii = report.findings.iter().filter_map(|finding| finding.path.as_ref());
        assert!(ascii.into_iter().all(|path| !path.contains(char::is_control)));
    }
});
