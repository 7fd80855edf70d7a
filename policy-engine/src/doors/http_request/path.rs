//! Paths and queries.
//!
//! The normal form of a path: every character that may stand for itself does, and all others are encoded in UTF-8 with
//! upper-case hexadecimal digits. So `/%7ea%21` and `/~a!` are one path, as they are to every server that decodes. To bring
//! a normal form into its normal form changes nothing.

use vouchsafe_wire::v1::agent::HttpRequest;

use super::ambiguity::{Ambiguity, PathFault, QueryFault};

/// Characters that some servers turn into those that separate, when they make a path of their own character set of it:
/// U+2024, U+2025, U+2044, U+2215, U+29F5, U+29F8, small and full-width forms.
const LOOK_ALIKES: [char; 15] = [
    '\u{2024}', '\u{2025}', '\u{2044}', '\u{2215}', '\u{29F5}', '\u{29F8}', '\u{FE52}', '\u{FE54}', '\u{FE68}',
    '\u{FE6A}', '\u{FF05}', '\u{FF0E}', '\u{FF0F}', '\u{FF1B}', '\u{FF3C}',
];

/// The normal form of a path.
pub(super) fn normalise(raw: &[u8], method: &str) -> Result<String, Ambiguity> {
    let too_large = Ambiguity::TooLarge { part: "path", max: HttpRequest::MAX_PATH_LEN };
    if raw.len() > HttpRequest::MAX_PATH_LEN {
        return Err(too_large);
    }
    // About the server and not about anything on it (RFC 9112, 3.2.4).
    if raw == b"*" && method == "OPTIONS" {
        return Ok("*".to_owned());
    }
    if raw.first() != Some(&b'/') {
        return Err(PathFault::NotOrigin.into());
    }
    let decoded = decode(raw)?;
    check_text(&decoded)?;
    check_segments(&decoded)?;
    let path = encode(&decoded);
    // What was sent plainly and is encoded here takes more room.
    if path.len() > HttpRequest::MAX_PATH_LEN { Err(too_large) } else { Ok(path) }
}

/// Decodes once. Each `/` of the result was one before.
fn decode(raw: &[u8]) -> Result<Vec<u8>, PathFault> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(plain(*byte)?);
            continue;
        }
        let [high, low, after @ ..] = after else { return Err(PathFault::Malformed) };
        rest = after;
        let (high, low) = (digit(*high).ok_or(PathFault::Malformed)?, digit(*low).ok_or(PathFault::Malformed)?);
        match high << 4 | low {
            b'/' => return Err(PathFault::EncodedSlash),
            b' ' => decoded.push(b' '),
            // A '#' that is encoded is part of the path to everybody.
            b'#' => decoded.push(b'#'),
            byte @ 0x80.. => decoded.push(byte),
            byte => decoded.push(plain(byte)?),
        }
    }
    Ok(decoded)
}

/// A byte that stands for itself, unless servers differ over it.
fn plain(byte: u8) -> Result<u8, PathFault> {
    match byte {
        0..=b' ' | 0x7F => Err(PathFault::Control),
        b'\\' => Err(PathFault::Backslash),
        b';' => Err(PathFault::Parameter),
        b'#' => Err(PathFault::Fragment),
        0x80.. => Err(PathFault::NotAscii),
        _ => Ok(byte),
    }
}

fn check_text(decoded: &[u8]) -> Result<(), PathFault> {
    let text = std::str::from_utf8(decoded).map_err(|_| PathFault::NotUtf8)?;
    for character in text.chars() {
        match character {
            _ if character.is_ascii() => {}
            _ if character.is_control() => return Err(PathFault::Control),
            _ if LOOK_ALIKES.contains(&character) => return Err(PathFault::LookAlike),
            _ => {}
        }
    }
    let is_encoded = |window: &[u8]| match window {
        [b'%', high, low] => digit(*high).is_some() && digit(*low).is_some(),
        _ => false,
    };
    if decoded.windows(3).any(is_encoded) { Err(PathFault::DoubleEncoding) } else { Ok(()) }
}

fn check_segments(decoded: &[u8]) -> Result<(), PathFault> {
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // Some file systems drop the dots and blanks at the end of a name.
        let is_dots = segment.iter().all(|byte| matches!(byte, b'.' | b' '));
        match segment {
            // The last one is what follows the last '/'.
            [] if segments.peek().is_some() => return Err(PathFault::EmptySegment),
            [] => {}
            _ if is_dots => return Err(PathFault::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

fn encode(decoded: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    let mut path = String::with_capacity(decoded.len());
    for byte in decoded {
        if stands_for_itself(*byte) {
            path.push(char::from(*byte));
        } else {
            path.extend(['%', digit(byte >> 4), digit(byte & 0xF)]);
        }
    }
    path
}

/// Unreserved characters, and the reserved ones that mean nothing in a path (RFC 3986, 3.3), besides its `/`.
const fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
        )
        || matches!(byte, b'=' | b':' | b'@')
}

const fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

/// A query stays as it was sent: what its parts mean, and what it means when one stands twice, is for servers alone to say.
pub(super) fn check_query(query: &[u8]) -> Result<&str, Ambiguity> {
    if query.len() > HttpRequest::MAX_PATH_LEN {
        return Err(Ambiguity::TooLarge { part: "query", max: HttpRequest::MAX_PATH_LEN });
    }
    let fault = query.iter().find_map(|byte| match byte {
        0..=b' ' | 0x7F => Some(QueryFault::Control),
        b'#' => Some(QueryFault::Fragment),
        0x80.. => Some(QueryFault::NotAscii),
        _ => None,
    });
    match fault {
        Some(fault) => Err(fault.into()),
        None => std::str::from_utf8(query).map_err(|_| QueryFault::NotAscii.into()),
    }
}
