//! Patterns of command lines.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::MAX_COMMAND_LINE_LEN;

/// What a command line must look like, from its first character to its last.
///
/// It is the text itself, in which `*` stands for any run of characters and `?` for one, **within one word**: `\*`, `\?`
/// and `\\` stand for themselves. `root=UUID=* ro quiet` allows another disk, and nothing else.
///
/// These are globs and no regular expressions, because a command line is full of dots and the one mistake that everybody
/// makes, `.*`, lets `init=/bin/sh` pass. A wildcard never stands for a blank, so no parameter can slip in; nor for a double
/// quote, which to the kernel joins the words that follow (`x="a lockdown=integrity` is one word); nor for anything
/// outside printable ASCII, of which the kernel takes the byte 0xA0 for a blank (lib/ctype.c).
///
/// Matching takes time linear in the text: patterns become finite automata.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is longer than any command line.
    #[error("a pattern of {len} bytes; at most {MAX_COMMAND_LINE_LEN} are read")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It holds no wildcard, so that it is a text.
    #[error("the pattern has no wildcard: give it as text")]
    NoWildcard,
    /// A backslash stands before something that needs none, or at the end.
    #[error("the backslash at byte {offset} of the pattern escapes nothing: write \\\\ for a backslash")]
    StrayBackslash {
        /// Where it is.
        offset: usize,
    },
    /// It takes too much memory as an automaton.
    #[error("the pattern is too large")]
    TooLarge,
}

/// What a wildcard stands for: printable ASCII without blank and double quote.
const WORD_CHARACTER: &str = r"[!\x23-~]";
/// The most memory that one pattern may take, in bytes.
const MAX_AUTOMATON_LEN: usize = 4 * 1024 * 1024;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is too long, has no wildcard, or escapes what needs no escape.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_COMMAND_LINE_LEN {
            return Err(PatternError::TooLong { len: text.len() });
        }
        let regex = RegexBuilder::new(&to_regex(text)?)
            .size_limit(MAX_AUTOMATON_LEN)
            .dfa_size_limit(MAX_AUTOMATON_LEN)
            .build()
            .map_err(|_| PatternError::TooLarge)?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Whether the whole text is of this form.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// How it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The words of it that stand for any word at all: each lets one parameter of any kind pass.
    pub fn open_words(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').filter(|word| !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'*' | b'?')))
    }
}

fn to_regex(text: &str) -> Result<String, PatternError> {
    let mut regex = String::from(r"\A");
    let mut has_wildcard = false;
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '*' | '?' => {
                has_wildcard = true;
                regex.push_str(WORD_CHARACTER);
                if character == '*' {
                    regex.push('*');
                }
            }
            '\\' => match characters.next() {
                Some((_, escaped @ ('*' | '?' | '\\'))) => push_literal(&mut regex, escaped),
                _ => return Err(PatternError::StrayBackslash { offset }),
            },
            literal => push_literal(&mut regex, literal),
        }
    }
    regex.push_str(r"\z");
    if has_wildcard { Ok(regex) } else { Err(PatternError::NoWildcard) }
}

fn push_literal(regex: &mut String, literal: char) {
    regex.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_wildcard_stays_within_its_word() {
        let root = pattern("root=UUID=* ro quiet");
        assert!(root.matches("root=UUID=1a2b-3c ro quiet") && root.matches("root=UUID= ro quiet"));
        for text in [
            "root=UUID=1 init=/bin/sh ro quiet",
            "root=UUID=1\tinit=/bin/sh ro quiet",
            "root=UUID=1\u{a0}init=/bin/sh ro quiet",
            "root=UUID=1\u{2003}init=/bin/sh ro quiet",
            "root=UUID=\"1 ro quiet",
            "root=UUID=1 ro quiet ",
            " root=UUID=1 ro quiet",
            "root=UUID=1 ro quiet\n",
            "root=UUID=1 ro quietly",
            "root=UUID=1\0 ro quiet",
        ] {
            assert!(!root.matches(text), "{text:?}");
        }
    }

    #[test]
    fn everything_but_wildcards_stands_for_itself() {
        let dots = pattern("a.b (c) [d] ^$ + é|x=*");
        assert!(dots.matches("a.b (c) [d] ^$ + é|x=1"));
        assert!(!dots.matches("a-b (c) [d] ^$ + é|x=1") && !dots.matches("x=1"));
        let escaped = pattern(r"a\*b\?c\\d?");
        assert!(escaped.matches(r"a*b?c\d1") && !escaped.matches(r"axb?c\d1") && !escaped.matches(r"a*b?c\d"));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        assert_eq!(Pattern::parse("quiet").unwrap_err(), PatternError::NoWildcard);
        assert_eq!(Pattern::parse(r"a\.*").unwrap_err(), PatternError::StrayBackslash { offset: 1 });
        assert_eq!(Pattern::parse("*\\").unwrap_err(), PatternError::StrayBackslash { offset: 1 });
        let longest = "*".repeat(MAX_COMMAND_LINE_LEN);
        assert!(Pattern::parse(&longest).is_ok());
        let len = MAX_COMMAND_LINE_LEN + 1;
        assert_eq!(Pattern::parse(&format!("{longest}*")).unwrap_err(), PatternError::TooLong { len });
    }

    #[test]
    fn open_words_are_told() {
        assert_eq!(pattern("root=* * ?? quiet").open_words().collect::<Vec<_>>(), ["*", "??"]);
        assert_eq!(pattern("root=*").open_words().count(), 0);
    }

    #[test]
    fn many_wildcards_take_no_longer_than_few() {
        let many = pattern(&format!("{}b", "*a".repeat(500)));
        assert!(!many.matches(&"a".repeat(MAX_COMMAND_LINE_LEN)));
    }
}
