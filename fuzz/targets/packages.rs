//! `.deb` and `.rpm`: whatever they hold, no path leads elsewhere and no bound is passed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_packages::archive::Deb;
use vouchsafe_packages::rpm::Rpm;
use vouchsafe_packages::{Algorithms, Contents, Limits};

const LIMITS: Limits = Limits { package_len: 1 << 16, unpacked_len: 1 << 20, files: 64 };

fn check(contents: &Contents) {
    assert!(contents.files.len() <= LIMITS.files);
    assert!(contents.files.iter().map(|file| file.size).sum::<u64>() <= LIMITS.unpacked_len * LIMITS.files as u64);
    for file in &contents.files {
        assert!(file.path.starts_with('/') && !file.path.split('/').any(|part| part == ".."));
        assert!(!file.path.chars().any(char::is_control) && file.digests.len() == 1);
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(deb) = Deb::open(bytes)
        && let Ok(contents) = deb.read(&Algorithms::default(), LIMITS)
    {
        check(&contents);
    }
    if let Ok(rpm) = Rpm::open(bytes)
        && let Ok(contents) = rpm.read(&Algorithms::default(), LIMITS)
    {
        check(&contents);
    }
});
