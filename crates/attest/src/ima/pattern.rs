//! Patterns that whole paths match.
//!
//! An exclusion is a hole in the policy, so that what a pattern matches must be plain to see: it is held against the whole
//! path and never a part of it; `*` and `?` stay within one component; only `**`, alone between slashes, goes deeper; and
//! a path that is not in its plain form (see [`super::path`]) matches nothing (threat 22).

use super::path::{as_listed, is_plain};

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    /// It could match what is no plain path, or never match.
    #[error(
        "it is no absolute path in its plain form: it begins with '/', and has no '//', '.', '..' or control character"
    )]
    NotPlain,
    /// `**` is part of a component.
    #[error("'**' stands alone between slashes")]
    StarsInComponent,
    /// It matches every path of the host.
    #[error("it matches every path; leave the runtime section out instead")]
    Everything,
    /// `**` where one component at a time is meant.
    #[error("'**' has no place here")]
    DeepStars,
}

/// A pattern, ready to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`: components in any number.
    AnyDepth,
    /// One component.
    Component(Vec<u8>),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternProblem> {
        let listed = as_listed(text);
        if !is_plain(&listed) {
            return Err(PatternProblem::NotPlain);
        }
        let mut parts = Vec::new();
        for component in listed.split(|byte| *byte == b'/').skip(1) {
            if component == b"**" {
                parts.push(Part::AnyDepth);
            } else if component.windows(2).any(|pair| pair == b"**") {
                return Err(PatternProblem::StarsInComponent);
            } else {
                parts.push(Part::Component(component.to_vec()));
            }
        }
        let says_nothing = |part: &Part| match part {
            Part::AnyDepth => true,
            Part::Component(component) => component.iter().all(|byte| *byte == b'*'),
        };
        if parts.iter().all(says_nothing) {
            return Err(PatternProblem::Everything);
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The same, of a prefix: `**` has no place in it.
    pub(super) fn parse_prefix(text: &str) -> Result<Self, PatternProblem> {
        let pattern = Self::parse(text)?;
        if pattern.parts.contains(&Part::AnyDepth) { Err(PatternProblem::DeepStars) } else { Ok(pattern) }
    }

    /// Whether the whole path matches. The path is plain, and in its components.
    pub(super) fn matches(&self, path: &[&[u8]]) -> bool {
        let (mut part, mut component) = (0usize, 0usize);
        // Where the last `**` stood, and the first component that it has not swallowed yet. Only the last one is ever gone
        // back to, so that no pattern takes more than parts times components.
        let mut back: Option<(usize, usize)> = None;
        while component < path.len() {
            match (self.parts.get(part), path.get(component)) {
                (Some(Part::AnyDepth), _) => {
                    // At the end, it is for what lies within a folder, not for the folder.
                    if part.saturating_add(1) == self.parts.len() {
                        return true;
                    }
                    back = Some((part, component));
                    part = part.saturating_add(1);
                    continue;
                }
                (Some(Part::Component(glob)), Some(name)) if glob_matches(glob, name) => {
                    part = part.saturating_add(1);
                    component = component.saturating_add(1);
                    continue;
                }
                _ => {}
            }
            let Some((stars, swallowed)) = back else { return false };
            back = Some((stars, swallowed.saturating_add(1)));
            part = stars.saturating_add(1);
            component = swallowed.saturating_add(1);
        }
        part == self.parts.len()
    }

    /// What of the path lies behind a prefix that matches; `None` when it does not, or nothing lies behind it.
    pub(super) fn strip_from<'p>(&self, path: &'p [&'p [u8]]) -> Option<&'p [&'p [u8]]> {
        let (prefix, rest) = path.split_at_checked(self.parts.len())?;
        let fits = self.parts.iter().zip(prefix).all(|(part, name)| match part {
            Part::AnyDepth => false,
            Part::Component(glob) => glob_matches(glob, name),
        });
        (fits && !rest.is_empty()).then_some(rest)
    }
}

/// The components of a plain path; `None` of any other.
pub(super) fn components(path: &[u8]) -> Option<Vec<&[u8]>> {
    is_plain(path).then(|| path.split(|byte| *byte == b'/').skip(1).collect())
}

/// Whether the whole text matches: `*` is any bytes, `?` any one.
pub(super) fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0usize, 0usize);
    let mut back: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(from) {
        match glob.get(at) {
            Some(b'*') => {
                back = Some((at, from));
                at = at.saturating_add(1);
                continue;
            }
            Some(expected) if *expected == b'?' || expected == byte => {
                at = at.saturating_add(1);
                from = from.saturating_add(1);
                continue;
            }
            _ => {}
        }
        let Some((star, swallowed)) = back else { return false };
        back = Some((star, swallowed.saturating_add(1)));
        at = star.saturating_add(1);
        from = swallowed.saturating_add(1);
    }
    glob.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, path: &[u8]) -> bool {
        let pattern = Pattern::parse(pattern).unwrap();
        components(path).is_some_and(|path| pattern.matches(&path))
    }

    #[test]
    fn a_pattern_is_held_against_the_whole_path() {
        assert!(matches("/tmp/**", b"/tmp/a") && matches("/tmp/**", b"/tmp/a/b/c"));
        for path in [&b"/tmp"[..], b"/tmp2/a", b"/var/tmp/a", b"/x/tmp/a"] {
            assert!(!matches("/tmp/**", path), "{path:?}");
        }
        assert!(matches("/a/**/b", b"/a/b") && matches("/a/**/b", b"/a/x/y/b"));
        assert!(matches("/a/**/b/**/c", b"/a/1/b/b/2/c") && !matches("/a/**/b/**/c", b"/a/1/c"));
        assert!(!matches("/a/**/b", b"/a/x/b/c"));
    }

    #[test]
    fn a_star_stays_within_its_component() {
        assert!(matches("/var/log/*.log", b"/var/log/a.log") && matches("/var/log/*.log", b"/var/log/.log"));
        assert!(!matches("/var/log/*.log", b"/var/log/a/b.log"));
        assert!(matches("/home/?/x*y*z", b"/home/a/x1y2z") && !matches("/home/?/x", b"/home/ab/x"));
        assert!(matches("/my files/*", b"/my_files/a"), "the kernel writes blanks as underscores");
    }

    #[test]
    fn nothing_but_a_plain_path_matches() {
        for path in [&b"/tmp/../usr/bin/ls"[..], b"/tmp//a", b"/tmp/./a", b"/tmp/a\n", b"/tmp/a\0b", b"tmp/a", b"/tmp/"]
        {
            assert!(!matches("/tmp/**", path), "{path:?}");
        }
        let long = [b"/tmp/".as_slice(), &[b'a'; 5000]].concat();
        assert!(!matches("/tmp/**", &long));
    }

    #[test]
    fn a_pattern_that_is_not_plain_or_too_wide_is_refused() {
        for (text, problem) in [
            ("tmp/**", PatternProblem::NotPlain),
            ("/tmp/../**", PatternProblem::NotPlain),
            ("/tmp//a", PatternProblem::NotPlain),
            ("/tmp/", PatternProblem::NotPlain),
            ("", PatternProblem::NotPlain),
            ("/tmp/a**", PatternProblem::StarsInComponent),
            ("/tmp/***", PatternProblem::StarsInComponent),
            ("/**", PatternProblem::Everything),
            ("/*/**", PatternProblem::Everything),
        ] {
            assert_eq!(Pattern::parse(text), Err(problem), "{text}");
        }
        assert_eq!(Pattern::parse_prefix("/a/**/b"), Err(PatternProblem::DeepStars));
    }

    /// The same by trying everything.
    fn slow(parts: &[Part], path: &[&[u8]]) -> bool {
        match (parts.split_first(), path.split_first()) {
            (None, None) => true,
            (Some((Part::AnyDepth, [])), _) => !path.is_empty(),
            (Some((Part::AnyDepth, rest)), _) => (0..=path.len()).any(|skip| slow(rest, &path[skip..])),
            (Some((Part::Component(glob), rest)), Some((name, names))) => glob_matches(glob, name) && slow(rest, names),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_trying_everything(pattern in "(/(\\*\\*|[ab*?]{1,3})){1,5}", path in "(/[ab]{1,3}){1,6}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let path = components(path.as_bytes()).unwrap();
                prop_assert_eq!(pattern.matches(&path), slow(&pattern.parts, &path));
            }
        }
    }
}
