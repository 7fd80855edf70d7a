//! The digest of a file, as OPA computes it.
//!
//! Rego is hashed as it is. `data.json` and `.manifest` are hashed by what they say, not by how they are written: objects by
//! their sorted names, without spaces, numbers as they are written (OPA, v1/bundle/hash.go).

use std::collections::BTreeMap;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};

/// Digests that count. OPA knows weaker ones, too.
pub(super) const ALGORITHMS: [(&str, &digest::Algorithm); 3] =
    [("SHA-256", &SHA256), ("SHA-384", &SHA384), ("SHA-512", &SHA512)];

/// The digest of a file, by a digest's name; `None` when that does not count or the file is no JSON where it has to be.
pub(super) fn digest_of(path: &str, content: &[u8], algorithm: &str) -> Option<Vec<u8>> {
    let (_, algorithm) = ALGORITHMS.iter().find(|(name, _)| *name == algorithm)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let canonical;
    let bytes = if matches!(name, "data.json" | ".manifest") {
        canonical = canonical_json(content)?;
        canonical.as_bytes()
    } else {
        content
    };
    Some(digest::digest(algorithm, bytes).as_ref().to_vec())
}

/// JSON in the one form in which it is hashed.
fn canonical_json(content: &[u8]) -> Option<String> {
    // Whether it is JSON at all, and not too deep, is for somebody else to say; what follows may then be simple.
    serde_json::from_slice::<serde::de::IgnoredAny>(content).ok()?;
    let text = std::str::from_utf8(content).ok()?;
    let mut reader = Reader { rest: text };
    let mut written = String::with_capacity(text.len());
    reader.value(&mut written, 0)?;
    Some(written)
}

/// Values in values that are followed: as many as `serde_json` follows.
const MAX_DEPTH: usize = 128;

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, to: &mut String, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(to, depth),
            b'[' => self.array(to, depth),
            b'"' => {
                let text = self.string()?;
                write_string(&text, to)
            }
            _ => {
                let end = self.rest.find(|character: char| ",]} \t\r\n".contains(character)).unwrap_or(self.rest.len());
                let (literal, rest) = self.rest.split_at_checked(end)?;
                to.push_str(literal);
                self.rest = rest;
                Some(())
            }
        }
    }

    fn object(&mut self, to: &mut String, depth: usize) -> Option<()> {
        let mut fields = BTreeMap::new();
        self.list(b'}', |reader| {
            let name = reader.string()?;
            reader.take(b':')?;
            let mut value = String::new();
            reader.value(&mut value, depth + 1)?;
            fields.insert(name, value);
            Some(())
        })?;
        to.push('{');
        for (number, (name, value)) in fields.iter().enumerate() {
            if number > 0 {
                to.push(',');
            }
            write_string(name, to)?;
            to.push(':');
            to.push_str(value);
        }
        to.push('}');
        Some(())
    }

    fn array(&mut self, to: &mut String, depth: usize) -> Option<()> {
        let mut is_first = true;
        to.push('[');
        self.list(b']', |reader| {
            if !std::mem::take(&mut is_first) {
                to.push(',');
            }
            reader.value(to, depth + 1)
        })?;
        to.push(']');
        Some(())
    }

    /// What stands between an opening bracket and its closing one, separated by commas.
    fn list(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.rest = self.rest.get(1..)?;
        if self.peek()? == end {
            return self.take(end);
        }
        loop {
            self.peek()?;
            item(self)?;
            if self.peek()? == end {
                return self.take(end);
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.peek()?;
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text = values.next()?.ok()?;
        let end = values.byte_offset();
        self.rest = self.rest.get(end..)?;
        Some(text)
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.bytes().next()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let is_there = self.peek()? == byte;
        self.rest = self.rest.get(1..)?;
        is_there.then_some(())
    }
}

/// A text as Go writes it: two characters that JavaScript takes for ends of lines are escaped as well.
fn write_string(text: &str, to: &mut String) -> Option<()> {
    let written = serde_json::to_string(text).ok()?;
    to.push_str(&written.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_json_is_written_does_not_matter() {
        let text = "{ \"b\" : [1.0, 2e3,-0, {\"y\":null , \"x\":\"\\u00e9\\n\\u2028/\"}],\n\t\"a\":{}, \"c\":[] , \"d\": true}";
        let canonical = canonical_json(text.as_bytes()).unwrap();
        assert_eq!(canonical, "{\"a\":{},\"b\":[1.0,2e3,-0,{\"x\":\"é\\n\\u2028/\",\"y\":null}],\"c\":[],\"d\":true}");
        assert_eq!(canonical_json(canonical.as_bytes()).unwrap(), canonical);
    }

    #[test]
    fn what_is_no_json_has_no_digest() {
        for text in ["", "{", "{} x", "[1,]", "nul", "{\"a\":1,}", "\u{feff}{}"] {
            assert_eq!(canonical_json(text.as_bytes()), None, "{text}");
        }
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(canonical_json(deep.as_bytes()), None);
        assert!(digest_of("a/data.json", b"{", "SHA-256").is_none());
        assert!(digest_of("a/policy.rego", b"{", "SHA-256").is_some());
        for weak in ["MD5", "SHA-1", "SHA-224", "sha-256", ""] {
            assert!(digest_of("a/policy.rego", b"x", weak).is_none(), "{weak}");
        }
    }
}
