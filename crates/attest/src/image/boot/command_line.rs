//! The command lines of a boot against those that are allowed.

use vouchsafe_model::{Finding, FindingCode, HashAlgorithm};

use super::super::document::{AllowedCommandLine, CommandText};
use crate::eventlog::facts::{CommandLine, Loader};

/// What was handed to a kernel, or run by GRUB, and is not allowed.
///
/// An image that allows command lines expects one: a boot that tells none is not told to be good. GRUB's own commands are
/// looked at when the image lists some of them.
pub(super) fn compare(
    seen: &[CommandLine],
    allowed: &[AllowedCommandLine],
    bank: HashAlgorithm,
) -> impl Iterator<Item = Finding> {
    let speaks_of_grub = allowed.iter().any(is_of_grub);
    let unmeasured = !allowed.is_empty() && !seen.iter().any(is_of_kernel) && !allowed.iter().all(is_of_grub);
    let missing = unmeasured.then(|| {
        let expected = expected(None, allowed);
        Finding::new(FindingCode::CommandLineMismatch).with(expected, "no command line of a kernel was measured")
    });
    let unknown = seen
        .iter()
        .filter(move |line| is_of_kernel(line) || speaks_of_grub)
        .filter(|line| !allowed.iter().any(|allowed| allows(allowed, line)))
        .map(move |line| {
            let finding = Finding::new(FindingCode::CommandLineMismatch).at_pcr(bank, line.pcr).at_event(line.event);
            finding.about(name(line.loader)).with(expected(Some(line), allowed), &line.text)
        });
    missing.into_iter().chain(unknown)
}

/// Whether a kernel got it, unlike the commands that GRUB runs itself.
pub(super) fn is_of_kernel(line: &CommandLine) -> bool {
    line.loader != Loader::Grub
}

/// Whether it allows a command of GRUB.
pub(super) fn is_of_grub(allowed: &AllowedCommandLine) -> bool {
    allowed.loader == Some(Loader::Grub)
}

fn allows(allowed: &AllowedCommandLine, line: &CommandLine) -> bool {
    applies(allowed, line)
        && match &allowed.text {
            CommandText::Exact(text) => *text == line.text,
            CommandText::Pattern(pattern) => pattern.matches(&line.text),
        }
}

fn applies(allowed: &AllowedCommandLine, line: &CommandLine) -> bool {
    allowed.loader.map_or_else(|| is_of_kernel(line), |loader| loader == line.loader)
}

/// The allowed text that shares the longest beginning with what was found: most often the one that it was before.
fn expected(line: Option<&CommandLine>, allowed: &[AllowedCommandLine]) -> String {
    let of_loader = allowed.iter().filter(|allowed| line.map_or(!is_of_grub(allowed), |line| applies(allowed, line)));
    let found = line.map_or("", |line| line.text.as_str());
    let shared = |text: &str| text.bytes().zip(found.bytes()).take_while(|(one, other)| one == other).count();
    let closest = of_loader.map(|allowed| text(&allowed.text)).rev().max_by_key(|text| shared(text));
    closest.map_or_else(|| "none of this loader".to_owned(), str::to_owned)
}

fn text(text: &CommandText) -> &str {
    match text {
        CommandText::Exact(text) => text,
        CommandText::Pattern(pattern) => pattern.as_str(),
    }
}

fn name(loader: Loader) -> &'static str {
    match loader {
        Loader::Grub => "grub",
        Loader::GrubKernel => "grub_kernel",
        Loader::Systemd => "systemd",
        Loader::LinuxStub => "linux_stub",
        Loader::Firmware => "firmware",
    }
}
