//! Paths out of packages.

use crate::limits::MAX_PATH_LEN;

/// Why a path in a package is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    /// A part of it is `..`: it could mean any other file.
    #[error("it has a part '..'")]
    Parent,
    /// It has a control character. A newline would make one line of a measurement list into two.
    #[error("it has a control character")]
    Control,
    /// It is longer than Linux takes.
    #[error("it is longer than {MAX_PATH_LEN} bytes")]
    TooLong,
    /// It is no UTF-8.
    #[error("it is no UTF-8")]
    NotUtf8,
}

/// The absolute path without empty parts and `.`: `./usr//bin/ls` is `/usr/bin/ls`. The root is `/`.
///
/// # Errors
/// When it could name another file than it seems to, or no file at all.
pub(crate) fn normalise(raw: &[u8]) -> Result<String, PathRefused> {
    if raw.len() >= MAX_PATH_LEN {
        return Err(PathRefused::TooLong);
    }
    if raw.iter().any(u8::is_ascii_control) {
        return Err(PathRefused::Control);
    }
    if raw.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return Err(PathRefused::Parent);
    }
    let text = str::from_utf8(raw).map_err(|_| PathRefused::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathRefused::Control);
    }
    let mut path = String::with_capacity(text.len().saturating_add(1));
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        path.push('/');
        path.push_str(part);
    }
    if path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

/// The folders above a path, the nearest first, the root left out.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_path_gives_one() {
        for raw in ["usr/bin/ls", "./usr/bin/ls", "/usr/bin/ls", "//usr/./bin//ls/", "././usr/bin/./ls"] {
            assert_eq!(normalise(raw.as_bytes()).as_deref(), Ok("/usr/bin/ls"), "{raw}");
        }
        for raw in ["", ".", "./", "/"] {
            assert_eq!(normalise(raw.as_bytes()).as_deref(), Ok("/"), "{raw}");
        }
        assert_eq!(normalise(b"a/..b/c..").as_deref(), Ok("/a/..b/c.."), "dots are letters, too");
    }

    #[test]
    fn a_path_that_could_be_another_is_refused() {
        for raw in ["..", "../etc/passwd", "a/../b", "./a/..", "/../x"] {
            assert_eq!(normalise(raw.as_bytes()), Err(PathRefused::Parent), "{raw}");
        }
        for raw in ["a\nb", "a\0b", "a\x7fb", "a\u{85}b"] {
            assert_eq!(normalise(raw.as_bytes()), Err(PathRefused::Control), "{raw:?}");
        }
        assert_eq!(normalise(b"a/\xE9"), Err(PathRefused::NotUtf8));
    }

    #[test]
    fn paths_are_as_long_as_linux_takes_them() {
        assert_eq!(normalise("a".repeat(MAX_PATH_LEN - 1).as_bytes()).unwrap().len(), MAX_PATH_LEN);
        assert_eq!(normalise("a".repeat(MAX_PATH_LEN).as_bytes()), Err(PathRefused::TooLong));
    }

    #[test]
    fn ancestors_go_up_to_the_root() {
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(ancestors("/a").count(), 0);
    }
}
