//! The command lines of a boot against those that are allowed.

use std::borrow::Cow;
use std::collections::HashMap;

use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm};

use super::super::document::{AllowedCommandLine, CommandText};
use super::super::read::loader_name;
use crate::digest::{algorithm, digest_of};
use crate::eventlog::facts::{CommandLine, Loader};

/// What was handed to a kernel, or run by GRUB, and is not allowed.
///
/// An image that allows command lines expects one: a boot that tells none is not told to be good. GRUB's own commands are
/// looked at when the image lists some of them.
pub(super) fn compare(seen: &[CommandLine], allowed: &[AllowedCommandLine], bank: HashAlgorithm) -> Vec<Finding> {
    let speaks_of_grub = allowed.iter().any(is_of_grub);
    let speaks_of_kernel = allowed.is_empty() || !allowed.iter().all(is_of_grub);
    let texts = Texts::new(seen, allowed, bank);
    let mut findings = Vec::new();
    if speaks_of_kernel && !allowed.is_empty() && !seen.iter().any(is_of_kernel) {
        let finding = Finding::new(FindingCode::CommandLineMismatch);
        findings.push(finding.with(expected(None, "", allowed), "no command line of a kernel was measured"));
    }
    for line in seen.iter().filter(|line| if is_of_kernel(line) { speaks_of_kernel } else { speaks_of_grub }) {
        let text = texts.of(line, bank);
        if allowed.iter().any(|allowed| allows(allowed, line, text, bank)) {
            continue;
        }
        let finding = Finding::new(FindingCode::CommandLineMismatch).at_pcr(bank, line.pcr).at_event(line.event);
        let found = text.map_or_else(|| unknown_text(line, bank), Cow::Borrowed);
        let expected = expected(Some(line), text.unwrap_or_default(), allowed);
        findings.push(finding.about(loader_name(line.loader)).with(expected, found));
    }
    findings
}

/// Whether a kernel got it, unlike the commands that GRUB runs itself.
pub(in super::super) fn is_of_kernel(line: &CommandLine) -> bool {
    line.loader != Loader::Grub
}

/// Whether it allows a command of GRUB.
pub(super) fn is_of_grub(allowed: &AllowedCommandLine) -> bool {
    allowed.loader == Some(Loader::Grub)
}

/// The texts of lines of which the log holds the digest alone: the kernel's EFI stub and systemd-stub measure a command
/// line and do not write it down, but a loader before them may have, and an image says which to expect.
pub(in super::super) struct Texts {
    by_digest: HashMap<PcrValue, String>,
}

/// What GRUB writes before the file name of the kernel, when it hands the line on.
const BOOT_IMAGE: &str = "BOOT_IMAGE=";

impl Texts {
    pub(in super::super) fn new(seen: &[CommandLine], allowed: &[AllowedCommandLine], bank: HashAlgorithm) -> Self {
        let mut texts = Self { by_digest: HashMap::new() };
        let Some(hash) = algorithm(bank).filter(|_| seen.iter().any(|line| !line.digests.is_empty())) else {
            return texts;
        };
        let expected = allowed.iter().filter_map(|allowed| match &allowed.text {
            CommandText::Exact(text) => Some(text.as_str()),
            CommandText::Pattern(_) | CommandText::Measured(_) => None,
        });
        let told = seen.iter().filter(|line| is_of_kernel(line) && line.digests.is_empty());
        for text in expected.chain(told.map(|line| line.text.as_str())) {
            for text in [text.to_owned(), format!("{BOOT_IMAGE}{text}")] {
                for bytes in encodings(&text) {
                    let digest = PcrValue::new(digest_of(hash, [bytes.as_slice()]).as_ref().to_vec());
                    texts.by_digest.extend(digest.map(|digest| (digest, text.clone())));
                }
            }
        }
        texts
    }

    /// The text of a line, if it is known.
    pub(in super::super) fn of<'a>(&'a self, line: &'a CommandLine, bank: HashAlgorithm) -> Option<&'a str> {
        if line.digests.is_empty() {
            return Some(&line.text);
        }
        line.digests.get(&bank).and_then(|digest| self.by_digest.get(digest)).map(String::as_str)
    }
}

/// How a text may have been measured: in UTF-16 as load options are, with and without the NUL at their end, or as it
/// stands in a section of a unified kernel image.
fn encodings(text: &str) -> [Vec<u8>; 5] {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with = |bytes: &[u8], end: &[u8]| [bytes, end].concat();
    let narrow = text.as_bytes();
    [with(&wide, &[0, 0]), with(narrow, &[0]), with(narrow, b"\n"), narrow.to_vec(), wide]
}

fn allows(allowed: &AllowedCommandLine, line: &CommandLine, text: Option<&str>, bank: HashAlgorithm) -> bool {
    applies(allowed, line)
        && match (&allowed.text, text) {
            (CommandText::Exact(wanted), Some(text)) => wanted == text,
            (CommandText::Pattern(pattern), Some(text)) => pattern.matches(text),
            (CommandText::Measured(digests), _) => line
                .digests
                .get(&bank)
                .is_some_and(|digest| digests.get(&bank).is_some_and(|wanted| wanted.contains(digest))),
            (CommandText::Exact(_) | CommandText::Pattern(_), None) => false,
        }
}

fn applies(allowed: &AllowedCommandLine, line: &CommandLine) -> bool {
    allowed.loader.map_or_else(|| is_of_kernel(line), |loader| loader == line.loader)
}

/// The allowed text that shares the longest beginning with what was found: most often the one that it was before.
fn expected(line: Option<&CommandLine>, found: &str, allowed: &[AllowedCommandLine]) -> String {
    let of_loader = allowed.iter().filter(|allowed| line.map_or(!is_of_grub(allowed), |line| applies(allowed, line)));
    let shared = |text: &str| text.bytes().zip(found.bytes()).take_while(|(one, other)| one == other).count();
    let closest = of_loader.map(|allowed| text(&allowed.text)).rev().max_by_key(|text| shared(text));
    closest.map_or_else(|| "none of this loader".to_owned(), Cow::into_owned)
}

fn text(text: &CommandText) -> Cow<'_, str> {
    match text {
        CommandText::Exact(text) => text.into(),
        CommandText::Pattern(pattern) => pattern.as_str().into(),
        CommandText::Measured(digests) => {
            let known = digests.iter().flat_map(|(algorithm, digests)| {
                digests.iter().map(move |digest| format!("one measured as {algorithm} {digest}"))
            });
            known.collect::<Vec<_>>().join(" or ").into()
        }
    }
}

fn unknown_text(line: &CommandLine, bank: HashAlgorithm) -> Cow<'static, str> {
    match line.digests.get(&bank) {
        Some(digest) => format!("a text that the log does not hold, measured as {bank} {digest}").into(),
        None => format!("a text that the log does not hold, and no {bank} digest of it").into(),
    }
}
