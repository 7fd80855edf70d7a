//! What is a credential, and so never passed on.

/// What stands in the place of a secret value.
pub const MASK: &str = "***";

/// Fields that carry nothing but credentials.
const NAMES: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
    "cookie",
    "cookie2",
    "set-cookie",
    "dpop",
];

/// What the names of credentials are made of, without separators: `X-API-Key`, `x-amz-security-token`, `client_secret`.
const PARTS: [&str; 16] = [
    "apikey",
    "accesskey",
    "authkey",
    "privatekey",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "session",
    "cookie",
    "jwt",
    "assertion",
    "signature",
    "authorization",
];

/// Names of a query's parameters that are credentials whole: parts of other names would be too many.
const PARAMETERS: [&str; 7] = ["code", "sig", "pwd", "pass", "auth", "key", "otp"];

/// Fields of almost every request that carry none: to look into their names would be most of the work.
const PLAIN_NAMES: [&str; 30] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "dnt",
    "if-modified-since",
    "if-none-match",
    "origin",
    "pragma",
    "priority",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "te",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-envoy-internal",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
    "x-requested-with",
];

/// Whether a field of this name carries a credential, or may.
pub fn is_credential(name: &str) -> bool {
    if PLAIN_NAMES.contains(&name) {
        return false;
    }
    NAMES.contains(&name) || {
        let plain = without_separators(name.as_bytes());
        PARTS.iter().any(|part| plain.contains(part))
    }
}

/// A value with the credentials masked of the query that is in it, if it is a URL as in `Referer`.
pub(super) fn mask_url(value: &str) -> String {
    match value.split_once('?') {
        Some((before, query)) => [before, "?", &mask_query(query)].concat(),
        None => value.to_owned(),
    }
}

/// The query with the values of credentials masked (RFC 6750, 2.3, and what else people put there).
pub(super) fn mask_query(query: impl AsRef<str>) -> String {
    let mut masked = String::with_capacity(query.as_ref().len());
    // Some servers take ';' for a separator too.
    for parameter in query.as_ref().split_inclusive(['&', ';']) {
        let (parameter, separator) = match parameter.strip_suffix(['&', ';']) {
            Some(text) => (text, parameter.get(text.len()..).unwrap_or_default()),
            None => (parameter, ""),
        };
        match parameter.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret_parameter(name) => {
                masked.extend([name, "=", MASK, separator]);
            }
            _ => masked.extend([parameter, separator]),
        }
    }
    masked
}

fn is_secret_parameter(name: &str) -> bool {
    let plain = without_separators(&decoded(name.as_bytes()));
    PARAMETERS.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part))
}

/// Letters and digits alone, in lower case.
fn without_separators(name: &[u8]) -> String {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

/// Decodes what is encoded, and leaves the rest.
fn decoded(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        let hex = match rest {
            [b'%', high, low, ..] => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        decoded.push(hex.unwrap_or(*byte));
        rest = if hex.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded
}
