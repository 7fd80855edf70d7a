//! What is allowed in an image and seldom meant.

use serde::Serialize;

use super::document::{AllowedCommandLine, BootSection, CommandText, GoldenImage, SecureBootRule};
use crate::ima::RuntimeSection;

/// Something that opens more than its author may think.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// Where: `boot.command_line`, `runtime.exclude`.
    pub field: String,
    /// What it opens, and what to write instead.
    pub message: String,
}

/// Folders below which an exclusion lets whatever is started pass.
const PROGRAM_FOLDERS: [&str; 8] = ["/bin", "/sbin", "/usr", "/lib", "/lib64", "/opt", "/etc", "/boot"];

/// Looks for what an image allows by accident. It may be meant all the same: a lint refuses nothing.
pub fn lint(image: &GoldenImage) -> Vec<Lint> {
    let mut lints = Vec::new();
    let mut say = |field: &str, message: &str| {
        lints.push(Lint { field: field.to_owned(), message: message.to_owned() });
    };
    if !image.expects_something() {
        say("image", "it expects nothing, so that no device passes it: give PCR values, a boot or a runtime section");
    }
    if image.max_age.is_none() {
        say("max_age", "it never grows old: without updates its devices keep their trust for ever");
    }
    if !image.supersedes.is_empty() && image.overlap.is_none() {
        say("overlap", "the images that it supersedes are invalid at once: hosts that did not reboot yet fail");
    }
    if image.pcrs.contains_key(&vouchsafe_model::HashAlgorithm::Sha1) {
        say("pcrs.sha1", "values of the SHA-1 bank can be forged by collisions");
    }
    if let Some(boot) = &image.boot {
        lint_boot(image, boot, &mut say);
    }
    if let Some(runtime) = &image.runtime {
        lint_runtime(runtime, &mut say);
    }
    lints
}

fn lint_boot(image: &GoldenImage, boot: &BootSection, say: &mut impl FnMut(&str, &str)) {
    let is_held = |pcr: u8| image.held_pcrs().iter().any(|held| held.get() == pcr);
    if boot.images.is_none() && !is_held(4) {
        say("boot.image", "any boot loader and kernel passes: list images, or hold the value of PCR 4");
    }
    let has_kernel_line =
        boot.command_lines.iter().flatten().any(|line| line.loader != Some(crate::eventlog::facts::Loader::Grub));
    if !has_kernel_line {
        say("boot.command_line", "any command line passes, init=/bin/sh among them: list those that are allowed");
    }
    if boot.initrds.is_none() && !is_held(9) {
        say("boot.initrd", "any initrd passes: list them, or hold the value of PCR 9");
    }
    boot.command_lines.iter().flatten().for_each(|line| lint_command_line(line, say));
    let signed = [&boot.images, &boot.option_roms].into_iter().flatten().flatten();
    for item in signed.filter(|item| !item.signers.is_empty()) {
        let by_name = format!("boot '{}'", item.name);
        if boot.secure_boot != SecureBootRule::On {
            say(
                &by_name,
                "it is known by its signer, which counts only with Secure Boot on: write secure_boot = \"on\"",
            );
        }
        if item.signers.iter().any(|signer| matches!(signer, super::Signer::Subject(_))) && boot.keys.db.is_none() {
            say(
                &by_name,
                "anyone can make a certificate of this subject: list the keys of boot.keys.db, or give its SHA-256",
            );
        }
        if item.digests.is_empty() {
            say(
                &by_name,
                "whatever its signer ever signed passes, old and vulnerable versions too: ask for a dbx and an sbat_level, or list digests",
            );
        }
    }
    if boot.sbat_level.is_some() && boot.secure_boot != SecureBootRule::On {
        say("boot.sbat_level", "shim refuses nothing by it while Secure Boot is off: write secure_boot = \"on\"");
    }
    for deviation in &boot.accept {
        if deviation.pcr().is_none() {
            say("boot.accept", &format!("{deviation} is accepted in every PCR: name the one that it is known for"));
        }
    }
}

fn lint_command_line(line: &AllowedCommandLine, say: &mut impl FnMut(&str, &str)) {
    let CommandText::Pattern(pattern) = &line.text else { return };
    for word in pattern.open_words() {
        let message = format!("'{word}' in '{pattern}' stands for any one parameter, init=/bin/sh among them");
        say("boot.command_line", &message);
    }
}

fn lint_runtime(runtime: &RuntimeSection, say: &mut impl FnMut(&str, &str)) {
    if runtime.digests.is_empty() && runtime.keys.is_empty() {
        say("runtime", "it lists neither digests nor keys: every file that is measured fails, unless it is excluded");
    }
    for exclusion in &runtime.exclude {
        let fixed = exclusion.split(['*', '?']).next().unwrap_or_default();
        let is_in = |folder: &str| {
            fixed.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || folder.starts_with(fixed.trim_end_matches('/'))
        };
        if exclusion.ends_with("/**") && fixed.matches('/').count() <= 3 {
            let message = format!("'{exclusion}' leaves out a whole tree, in which any program may be put and run");
            say("runtime.exclude", &message);
        } else if exclusion.contains(['*', '?']) && PROGRAM_FOLDERS.iter().any(|folder| is_in(folder)) {
            let message = format!("'{exclusion}' leaves out files where programs, libraries or settings are");
            say("runtime.exclude", &message);
        }
    }
    for rule in runtime.rules.iter().filter(|rule| rule.trim() == "memfd") {
        let message =
            format!("'{rule}' lets any program run that is written to memory first: name it, memfd=NAME -> PATH");
        say("runtime.rules", &message);
    }
}
