//! Named rules for names that no list of paths can hold.

use super::path::{as_listed, is_plain};
use super::pattern::{Pattern, PatternProblem, glob_matches};

/// How many entries of a boot an `initramfs` rule may cover, whatever its marker: what an initramfs holds is known, and a
/// marker that never comes must not keep the rule open.
pub const MAX_INITRAMFS_ENTRIES: u64 = 4096;

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// No rule has this name.
    #[error("no such rule: they are memfd, initramfs, overlay and buffers")]
    Unknown,
    /// An `initramfs` without its end.
    #[error(
        "it needs the path whose first entry ends it, one that only the real root file system has, such as initramfs=/etc/fstab"
    )]
    NoMarker,
    /// An `overlay` without its two folders.
    #[error("it needs two folders, such as overlay=/var/lib/docker/overlay2/*/diff -> /")]
    NoMapping,
    /// A rule that takes nothing was given something.
    #[error("it takes nothing behind its name")]
    TakesNothing,
    /// Something is no plain path.
    #[error("what should be a path is no absolute path in its plain form")]
    NotPlain,
    /// The name of a memfd is empty.
    #[error("the name is empty")]
    EmptyName,
    /// The folder to map from.
    #[error("the folder before the arrow: {0}")]
    From(PatternProblem),
}

/// A rule that an image turns on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// As it is written, by which its use is told.
    pub(super) text: String,
    pub(super) kind: RuleKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleKind {
    /// Files in memory, whose only name is the one that the program gave (`memfd_create`).
    Memfd {
        /// The names, with `*` and `?`; `None` is every one.
        name: Option<Vec<u8>>,
        /// The path whose digests the content must have; `None` takes any content.
        like: Option<Vec<u8>>,
    },
    /// Files of the initramfs, whose paths look like those of the root file system, and which the boot log vouches for.
    Initramfs {
        /// Its first entry ends it.
        marker: Vec<u8>,
    },
    /// Files of the layers of an overlay file system, which have the digests of other paths.
    Overlay {
        /// The layers.
        from: Pattern,
        /// Where their files are listed: empty for the root folder.
        to: Vec<u8>,
    },
    /// What the kernel measures besides files and keys (`ima-buf`): command lines, states of subsystems.
    Buffers,
}

impl Rule {
    pub(super) fn parse(text: &str) -> Result<Self, RuleProblem> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name.trim(), Some(argument.trim())),
            None => (text.trim(), None),
        };
        let kind = match (name, argument) {
            ("memfd", None) => RuleKind::Memfd { name: None, like: None },
            ("memfd", Some(argument)) => {
                let (name, like) = match argument.split_once(" -> ") {
                    Some((name, like)) => (name, Some(plain(like)?)),
                    None => (argument, None),
                };
                if name.trim().is_empty() {
                    return Err(RuleProblem::EmptyName);
                }
                RuleKind::Memfd { name: Some(as_listed(name.trim()).into_owned()), like }
            }
            ("initramfs", None) => return Err(RuleProblem::NoMarker),
            ("initramfs", Some(marker)) => RuleKind::Initramfs { marker: plain(marker)? },
            ("overlay", argument) => {
                let (from, to) =
                    argument.and_then(|argument| argument.split_once(" -> ")).ok_or(RuleProblem::NoMapping)?;
                let from = Pattern::parse_prefix(from.trim()).map_err(RuleProblem::From)?;
                RuleKind::Overlay { from, to: if to.trim() == "/" { Vec::new() } else { plain(to)? } }
            }
            ("buffers", None) => RuleKind::Buffers,
            ("buffers", Some(_)) => return Err(RuleProblem::TakesNothing),
            _ => return Err(RuleProblem::Unknown),
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl RuleKind {
    /// Whether this is the name of a memfd that the rule is for.
    pub(super) fn names_memfd(&self, name: &[u8]) -> bool {
        match (self, name.strip_prefix(b"memfd:")) {
            (Self::Memfd { name: None, .. }, Some(_)) => true,
            (Self::Memfd { name: Some(glob), .. }, Some(name)) => glob_matches(glob, name),
            _ => false,
        }
    }

    /// The path under which a file of an overlay's layer is listed.
    pub(super) fn mapped(&self, path: &[&[u8]]) -> Option<Vec<u8>> {
        let Self::Overlay { from, to } = self else { return None };
        let mut mapped = to.clone();
        for component in from.strip_from(path)? {
            mapped.push(b'/');
            mapped.extend_from_slice(component);
        }
        Some(mapped)
    }
}

fn plain(path: &str) -> Result<Vec<u8>, RuleProblem> {
    let path = as_listed(path.trim()).into_owned();
    if is_plain(&path) { Ok(path) } else { Err(RuleProblem::NotPlain) }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::components;
    use super::*;

    fn kind(text: &str) -> RuleKind {
        Rule::parse(text).unwrap().kind
    }

    #[test]
    fn rules_are_read_with_what_they_need() {
        assert_eq!(kind("memfd"), RuleKind::Memfd { name: None, like: None });
        let runc = RuleKind::Memfd { name: Some(b"runc_cloned:*".to_vec()), like: Some(b"/usr/bin/runc".to_vec()) };
        assert_eq!(kind("memfd=runc_cloned:* -> /usr/bin/runc"), runc);
        assert_eq!(kind("initramfs=/etc/fstab"), RuleKind::Initramfs { marker: b"/etc/fstab".to_vec() });
        for (text, problem) in [
            ("initramfs", RuleProblem::NoMarker),
            ("initramfs=etc", RuleProblem::NotPlain),
            ("overlay", RuleProblem::NoMapping),
            ("overlay=/a", RuleProblem::NoMapping),
            ("overlay=/a/** -> /", RuleProblem::From(PatternProblem::DeepStars)),
            ("overlay=/a -> b", RuleProblem::NotPlain),
            ("memfd=", RuleProblem::EmptyName),
            ("memfd=x -> ../y", RuleProblem::NotPlain),
            ("buffers=all", RuleProblem::TakesNothing),
            ("everything", RuleProblem::Unknown),
            ("", RuleProblem::Unknown),
        ] {
            assert_eq!(Rule::parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn a_memfd_is_known_by_its_prefix_and_its_name() {
        assert!(kind("memfd").names_memfd(b"memfd:x") && !kind("memfd").names_memfd(b"/memfd:x"));
        let runc = kind("memfd=runc_cloned:*");
        assert!(runc.names_memfd(b"memfd:runc_cloned:/proc/self/exe") && !runc.names_memfd(b"memfd:evil"));
    }

    #[test]
    fn a_layer_is_mapped_component_by_component() {
        let mapped = |rule: &str, path: &[u8]| kind(rule).mapped(&components(path).unwrap());
        let docker = "overlay=/var/lib/docker/overlay2/*/diff -> /";
        assert_eq!(mapped(docker, b"/var/lib/docker/overlay2/0a/diff/usr/bin/ls").unwrap(), b"/usr/bin/ls");
        assert_eq!(mapped(docker, b"/var/lib/docker/overlay2/0a/diff"), None);
        assert_eq!(mapped(docker, b"/var/lib/docker/overlay2/0a/1b/diff/usr/bin/ls"), None);
        assert_eq!(mapped("overlay=/layers/* -> /base", b"/layers/1/bin/ls").unwrap(), b"/base/bin/ls");
    }
}
