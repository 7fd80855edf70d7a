//! Patterns of command lines: a wildcard never reaches across a word.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::image::Pattern;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    let Ok(parsed) = Pattern::parse(pattern) else { return };
    if parsed.matches(text) {
        let blanks = |text: &str| text.chars().filter(|character| !('!'..='~').contains(character)).collect::<String>();
        assert_eq!(blanks(pattern), blanks(text), "{pattern:?} {text:?}");
        assert_eq!(pattern.matches('"').count(), text.matches('"').count());
    }
});
