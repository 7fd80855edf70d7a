//! Names of files as the kernel writes them.

use std::borrow::Cow;

/// The longest path, in bytes: `PATH_MAX` without its NUL.
pub const MAX_PATH_LEN: usize = 4095;

/// A path with what cannot be printed escaped: control characters and bytes that are not UTF-8. A path is what an attacker
/// likes to choose, and it ends in terminals and logs.
pub fn printable(path: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(path)
        && !text.chars().any(needs_escape)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if needs_escape(character) {
                text.extend(character.escape_unicode());
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    Cow::Owned(text)
}

/// Control characters, and those that turn the direction of writing.
fn needs_escape(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// A name as the kernel writes it into a list: blanks become underscores (`ima_write_template_field_data`), in the binary
/// list as in the ASCII one.
pub(super) fn as_listed(name: &str) -> Cow<'_, [u8]> {
    if name.contains(' ') { Cow::Owned(name.replace(' ', "_").into_bytes()) } else { Cow::Borrowed(name.as_bytes()) }
}

/// Whether it is an absolute path in its one plain form: no empty, `.` or `..` component, no slash at its end and no
/// control character. Nothing else ever matches a pattern or a rule: what looks like a path and may mean another one is
/// how exclusions become a bypass.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let Some(relative) = path.strip_prefix(b"/") else { return false };
    path.len() <= MAX_PATH_LEN
        && !path.iter().any(u8::is_ascii_control)
        && relative.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_escaped() {
        assert_eq!(printable("/usr/bin/é".as_bytes()), "/usr/bin/é");
        assert_eq!(printable(b"/a\x1b[2J\nb"), "/a\\u{1b}[2J\\u{a}b");
        assert_eq!(printable(b"/a\xFF"), "/a\\xff");
        assert_eq!(printable("/\u{202E}sl".as_bytes()), "/\\u{202e}sl");
    }

    #[test]
    fn plain_paths_are_absolute_and_mean_one_file() {
        assert!(is_plain(b"/usr/bin/ls") && is_plain(b"/.a/..b"));
        for path in
            [&b""[..], b"/", b"usr", b"/usr/", b"//usr", b"/usr/../bin", b"/usr/.", b"/a\nb", b"/a\0", b"/a\x7f"]
        {
            assert!(!is_plain(path), "{path:?}");
        }
        let long = |len: usize| [b"/".as_slice(), &vec![b'x'; len - 1]].concat();
        assert!(is_plain(&long(MAX_PATH_LEN)) && !is_plain(&long(MAX_PATH_LEN + 1)));
    }
}
