//! Lists that a kernel could write, bent and cut into parts: any split comes to the same, and what is taken in at a quoted
//! value is what was measured.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::forge::{ImaList, ImaSigner};
use vouchsafe_attest::ima::{ImaContext, ImaState, RuntimePolicy, RuntimeSection};
use vouchsafe_model::HashAlgorithm;

#[derive(Arbitrary, Debug)]
enum Measured {
    File(String, Vec<u8>),
    Signed(String, Vec<u8>, bool),
    Buffer(String, Vec<u8>),
    Violation(String),
    Any(String, Vec<Vec<u8>>),
}

#[derive(Arbitrary, Debug)]
struct Bent {
    entries: Vec<Measured>,
    edits: Vec<(u16, u8)>,
    cuts: Vec<u16>,
}

static WORLD: LazyLock<(ImaSigner, RuntimePolicy)> = LazyLock::new(|| {
    let signer = ImaSigner::generate();
    let section = RuntimeSection {
        keys: vec![signer.public_pem()],
        exclude: vec!["/tmp/**".into(), "/a/*/b?".into()],
        rules: vec!["memfd".into(), "initramfs=/etc/fstab".into(), "overlay=/l/* -> /".into()],
        ..RuntimeSection::default()
    };
    let policy = RuntimePolicy::compile(&section).expect("a good section");
    (signer, policy)
});

fn name(text: &str) -> String {
    text.chars().filter(|character| *character != '\0').take(200).collect()
}

fuzz_target!(|bent: Bent| {
    let (signer, policy) = &*WORLD;
    let mut list = ImaList::new();
    for measured in bent.entries.iter().take(32) {
        match measured {
            Measured::File(path, content) => list.file(&name(path), content),
            Measured::Signed(path, content, true) => list.signed(&name(path), content, &signer.sign(content)),
            Measured::Signed(path, content, false) => list.signed(&name(path), b"content", content),
            Measured::Buffer(of, bytes) => list.buffer(&name(of), bytes),
            Measured::Violation(path) => list.violation(&name(path)),
            Measured::Any(template, values) if !template.is_empty() && template != "ima" && template.len() < 200 => {
                list.entry(template, &values.iter().take(16).map(Vec::as_slice).collect::<Vec<_>>())
            }
            Measured::Any(..) => &mut list,
        };
    }
    let quoted = list.pcr10(HashAlgorithm::Sha256);
    let mut bytes = list.bytes().to_vec();
    for (index, mask) in &bent.edits {
        let len = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(usize::from(*index) % len) {
            *byte ^= mask;
        }
    }
    let context = ImaContext { policy: Some(policy), boot_aggregate: None };
    let start = ImaState::new(HashAlgorithm::Sha256);
    let Ok(whole) = start.advance(&bytes, None, context) else { return };
    let mut cuts: Vec<usize> = bent.cuts.iter().map(|cut| usize::from(*cut) % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut state = start.clone();
    for end in cuts {
        let from = usize::try_from(state.bytes()).expect("a short list");
        state = state.advance(&bytes[from..end.max(from)], None, context).expect("it was read as a whole").state;
    }
    assert_eq!(state, whole.state);
    let at_quote = start.advance(&bytes, Some(&quoted), context).expect("it was read as a whole");
    assert_eq!(at_quote.is_quoted, *at_quote.state.pcr10() == quoted);
    if bytes == list.bytes() {
        assert!(at_quote.is_quoted);
    }
});
