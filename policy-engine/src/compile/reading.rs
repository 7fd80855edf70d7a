//! How much work a text makes for the parser, seen before it is parsed.
//!
//! The parser takes every bracket for a comprehension first. When it is none, it goes back and reads what was first in the
//! bracket once more, and what is first in that twice more, so that twenty brackets in each other take minutes. Nothing
//! there can be interrupted. So the tokens are counted beforehand, each as often as it will be read.

use std::num::{NonZeroU32, NonZeroUsize};

use regorus::unstable::{Lexer, Source, Token, TokenKind};

use super::gate::{GateError, Location, MAX_EXPRESSION_DEPTH};

/// How many tokens may be read in any case, each counted as often as it is read.
const MAX_READS: u64 = 1 << 18;
/// How often tokens may be read on the average, where that is more.
const MAX_READS_PER_TOKEN: u64 = 16;

/// How often what comes first in a bracket is read.
const READS_OF_FIRST: u64 = 2;
/// How often at most all is read that is in a bracket with a query.
const READS_OF_QUERY: u64 = 3;

/// Words that no bracket behind them is an index of.
const KEYWORDS: [&str; 12] =
    ["as", "contains", "default", "else", "every", "if", "import", "in", "not", "package", "some", "with"];
/// What is written in queries and not between the items of an array, a set or an object.
const OF_QUERIES: [&str; 7] = [";", "|", "=", ":=", "every", "not", "some"];

/// What the parser will have read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    tokens: u64,
    reads: u64,
}

/// A bracket that is open.
struct Bracket {
    /// How often it is read itself.
    reads: u64,
    /// Whether it is read but once each time that it is: the brackets of an index, of a call or of a sum.
    is_read_once: bool,
    is_behind_comma: bool,
    has_query: bool,
}

impl Bracket {
    /// How often that is read which comes next in it.
    fn reads_inside(&self) -> u64 {
        let times = match self {
            Self { is_read_once: true, .. } => 1,
            Self { has_query: true, .. } => READS_OF_QUERY,
            Self { is_behind_comma: true, .. } => 1,
            _ => READS_OF_FIRST,
        };
        self.reads.saturating_mul(times)
    }
}

impl Reading {
    /// Counts what another text adds.
    ///
    /// # Errors
    /// When it is more than may be, or when brackets nest deeper than expressions may.
    pub(super) fn add(&mut self, path: &str, text: &str) -> Result<(), GateError> {
        // A text that has no tokens is refused by the parser, which knows better to say why.
        let source =
            Source::from_contents_with_limits(path.to_owned(), text.to_owned(), NonZeroUsize::MAX, NonZeroUsize::MAX);
        let Ok(source) = source else { return Ok(()) };
        let mut lexer = Lexer::new(&source);
        lexer.set_max_col(NonZeroU32::MAX);
        let mut open: Vec<Bracket> = Vec::new();
        let mut before: Option<Token> = None;
        while let Ok(token) = lexer.next_token() {
            if token.0 == TokenKind::Eof {
                break;
            }
            let reads = open.last().map_or(1, Bracket::reads_inside);
            self.count(&token, reads)?;
            follow(&mut open, &token, before.as_ref(), reads);
            if open.len() > MAX_EXPRESSION_DEPTH {
                return Err(GateError::ExpressionsTooDeep { location: Location::of(&token.1) });
            }
            before = Some(token);
        }
        Ok(())
    }

    fn count(&mut self, token: &Token, reads: u64) -> Result<(), GateError> {
        self.tokens += 1;
        self.reads = self.reads.saturating_add(reads);
        if self.reads > MAX_READS.max(self.tokens.saturating_mul(MAX_READS_PER_TOKEN)) {
            return Err(GateError::ReadTooOften { times: reads, location: Location::of(&token.1) });
        }
        Ok(())
    }
}

/// Follows the brackets over one token.
fn follow(open: &mut Vec<Bracket>, token: &Token, before: Option<&Token>, reads: u64) {
    if matches!(token.0, TokenKind::String | TokenKind::RawString) {
        return;
    }
    match token.1.text() {
        "(" | "set(" => open.push(bracket(reads, true)),
        "[" => open.push(bracket(reads, before.is_some_and(|before| is_indexed(before, token)))),
        "{" => open.push(bracket(reads, false)),
        ")" | "]" | "}" => drop(open.pop()),
        text => {
            if let Some(bracket) = open.last_mut() {
                bracket.is_behind_comma |= text == ",";
                bracket.has_query |= OF_QUERIES.contains(&text);
            }
        }
    }
}

fn bracket(reads: u64, is_read_once: bool) -> Bracket {
    Bracket { reads, is_read_once, is_behind_comma: false, has_query: false }
}

/// Whether a bracket is the index of what stands before it, without a space between them.
fn is_indexed(before: &Token, bracket: &Token) -> bool {
    let text = before.1.text();
    let is_value = match before.0 {
        TokenKind::Ident => !KEYWORDS.contains(&text),
        TokenKind::Symbol => matches!(text, ")" | "]" | "}"),
        _ => false,
    };
    is_value && before.1.end == bracket.1.start
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// How much time the parser may take for all that may be read. Without optimization it takes two seconds.
    const MAX_PARSING: Duration = Duration::from_secs(30);

    fn read(value: &str) -> Result<u64, GateError> {
        let mut reading = Reading::default();
        reading.add("p.rego", &format!("package p\n\nx := {value}\n")).map(|()| reading.reads)
    }

    fn nested(open: &str, inside: &str, close: &str, depth: usize) -> String {
        format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn brackets_that_are_read_again_and_again_are_refused() {
        for (open, inside, close) in [
            ("[", "0", "][0]"),
            ("[", "0", "]"),
            ("{", "0", "}"),
            ("{\"a\": ", "0", "}"),
            ("[y | y := ", "0", "]"),
            ("{y | y := ", "0", "}"),
            ("{\"k\": y | y := ", "0", "}"),
            ("[0 | ", "0", ", 1]"),
            ("[(", "0", ")]"),
            ("[f(", "0", ")]"),
            ("[-", "0", "]"),
            ("[x[", "0", "]]"),
            ("[1 in", "[0]", "]"),
        ] {
            let text = nested(open, inside, close, 22);
            let error = read(&text).unwrap_err();
            assert!(matches!(error, GateError::ReadTooOften { .. }), "{text}: {error:?}");
        }
    }

    #[test]
    fn brackets_that_are_read_once_may_nest_as_deep_as_expressions() {
        for (open, close) in
            [("(", ")"), ("input.a[", "]"), ("count(", ")"), ("[1, ", "]"), ("{1, ", "}"), ("set(", ")")]
        {
            assert!(read(&nested(open, "0", close, MAX_EXPRESSION_DEPTH)).is_ok(), "{open}");
            let error = read(&nested(open, "0", close, MAX_EXPRESSION_DEPTH + 1)).unwrap_err();
            assert!(matches!(error, GateError::ExpressionsTooDeep { .. }), "{open}: {error:?}");
        }
    }

    #[test]
    fn brackets_in_texts_and_remarks_are_none() {
        for text in ["\"[[[[[[\"", "`{{{\n{{{`", "1 # [[[[[[[", r#""\"[[[[[[""#] {
            assert!(read(text).unwrap() < 10, "{text}");
        }
    }

    #[test]
    fn a_long_policy_that_nests_as_policies_do_is_read() {
        let rule = "x if {\n\ty := [z | some z in input.a[0]; z.b == {\"c\": {\"d\": [1, 2]}}]\n\tcount(y) > 1\n}\n";
        let mut reading = Reading::default();
        reading.add("p.rego", &format!("package p\n\n{}", rule.repeat(12_000))).unwrap();
    }

    #[test]
    fn one_read_more_than_may_be_is_refused_with_its_place() {
        let mut reading = Reading { tokens: 0, reads: MAX_READS - 2 };
        assert_eq!(reading.add("p.rego", "package p"), Ok(()));
        let location = Location { file: "q.rego".to_owned(), line: 1, column: 1 };
        assert_eq!(reading.add("q.rego", "package q"), Err(GateError::ReadTooOften { times: 1, location }));
    }

    #[test]
    fn what_is_just_not_refused_is_parsed_in_time() {
        let read_thrice = |depth| nested("[0 | ", "0", ", 1]", depth);
        let deepest = (1..MAX_EXPRESSION_DEPTH).take_while(|depth| read(&read_thrice(*depth)).is_ok()).last().unwrap();
        let mut engine = regorus::Engine::new();
        let started = Instant::now();
        engine.add_policy("p.rego".to_owned(), format!("package p\n\nx := {}\n", read_thrice(deepest))).unwrap();
        assert!(deepest > 5 && started.elapsed() < MAX_PARSING, "{deepest}: {:?}", started.elapsed());
    }
}
