//! Segments of the decision log: whatever lies in the folder is verified, or the first thing that is wrong is named.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_journal::verify;

/// A folder of this process, in memory where there is one.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = base.join(format!("vouchsafe-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the segment");
    folder
});

fuzz_target!(|bytes: &[u8]| {
    fs::write(FOLDER.join("00000000000000000000.vjl"), bytes).expect("the segment is written");
    match verify(&FOLDER, &[], None, &mut |_| ()) {
        Ok(found) => assert!(found.entries <= bytes.len() as u64),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
