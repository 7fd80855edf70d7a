//! The help of every command, as people read it.

use crate::support::vouchsafe;

/// Every command and the commands below it, found by what the help itself lists.
pub(crate) fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let help = vouchsafe(path.iter().map(String::as_str).chain(["--help"])).stdout;
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        for name in listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned)) {
            if name != "help" && !name.is_empty() {
                open.push(path.iter().cloned().chain([name]).collect());
            }
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn every_command_explains_itself() {
    let commands = commands();
    assert!(commands.len() >= 28, "{commands:?}");
    for path in commands {
        let ran = vouchsafe(path.iter().map(String::as_str).chain(["--help"]));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{path:?}");
        insta::assert_snapshot!(format!("help {}", path.join(" ")).trim().replace(' ', "-"), ran.stdout);
    }
}

#[test]
fn every_command_that_does_something_has_an_example_and_a_short_help() {
    for path in commands() {
        let arguments = |help| path.iter().map(String::as_str).chain([help]).collect::<Vec<_>>();
        let (long, short) = (vouchsafe(arguments("--help")).stdout, vouchsafe(arguments("-h")).stdout);
        let is_family = long.contains("\nCommands:\n");
        assert!(is_family || long.contains("\nExamples:\n"), "{path:?} has no example");
        let about = short.lines().next().unwrap_or_default();
        assert!(about.len() > 20 && about.len() <= 130, "{path:?}: {about}");
    }
}

#[test]
fn the_version_is_an_answer() {
    let ran = vouchsafe(["--version"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, concat!("vouchsafe ", env!("CARGO_PKG_VERSION"), "\n")));
}
