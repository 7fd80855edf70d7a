//! One normal form of HTTP requests, whoever forwards them: what policies decide over.
//!
//! What has one meaning to all servers is brought into one spelling. What servers are known to read differently is refused
//! and never guessed: a policy that reads `/public/..;/admin` in one way guards nothing when the server behind it reads it in
//! another. A request that is refused is denied by a decision like any other, with a reason that says what was ambiguous.
//!
//! Credentials end here. They are in no [`HttpRequest`], and so in no policy, log or answer: whoever asks has verified them.
//!
//! Sources: RFC 3986 (URIs), RFC 9110 and 9112 (HTTP), RFC 9113 (HTTP/2), and the ways in which servers differ from them.

mod ambiguity;
mod headers;
mod host;
mod path;
mod secret;

use vouchsafe_wire::v1::agent::HttpRequest;

pub use ambiguity::{Ambiguity, HeaderFault, HostFault, MethodFault, PathFault, QueryFault};
pub use headers::{IDENTITY_PREFIX, MAX_FIELDS};
pub use secret::{MASK, is_credential};

use headers::Fields;

/// An HTTP request as an enforcement point received it. Nothing about it has been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRequest<'a> {
    /// The method.
    pub method: &'a [u8],
    /// `http` or `https`, if that is known.
    pub scheme: Option<&'a [u8]>,
    /// The value of `Host` or `:authority`.
    pub authority: &'a [u8],
    /// The request target, undecoded and with its query (RFC 9112, 3.2).
    pub target: &'a [u8],
    /// The fields of the header, in their order. Pseudo-fields may be among them.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
    /// The body, or its beginning, where the point was set up to pass it on.
    pub body: Option<&'a [u8]>,
    /// Whether the body goes on beyond that.
    pub body_is_partial: bool,
}

impl RawRequest<'_> {
    /// Brings the request into its normal form.
    ///
    /// # Errors
    /// The first thing about it that servers read differently.
    pub fn normalise(&self) -> Result<HttpRequest, Ambiguity> {
        let method = method(self.method)?;
        let scheme = self.scheme.map(scheme).transpose()?;
        let host = host::normalise(self.authority, scheme)?;
        let (raw_path, query) = split_target(self.target);
        let path = path::normalise(raw_path, &method)?;
        let query = query.map(path::check_query).transpose()?.map(secret::mask_query);
        if query.as_ref().is_some_and(|query| query.len() > HttpRequest::MAX_PATH_LEN) {
            return Err(Ambiguity::TooLarge { part: "query", max: HttpRequest::MAX_PATH_LEN });
        }
        let fields = Fields::read(&self.fields)?;
        fields.agree_with(self, &host, scheme)?;
        let (body, cut) = self.body.map_or((None, false), text_of);
        Ok(HttpRequest {
            method,
            scheme: scheme.map(str::to_owned),
            host,
            path,
            // It has been found to be ASCII without control characters.
            raw_path: String::from_utf8_lossy(raw_path).into_owned(),
            query,
            headers: fields.into_headers()?,
            body,
            body_is_partial: self.body_is_partial || cut,
        })
    }

    /// The request as it may be shown and logged when it has no normal form: without its fields and body, each text cut at
    /// its longest, and each byte that could do harm there as `\xNN`. Nothing of this is ever decided over.
    pub fn as_refused(&self) -> HttpRequest {
        let (raw_path, query) = split_target(self.target);
        let raw_path = shown(raw_path, HttpRequest::MAX_PATH_LEN / 2, "-");
        HttpRequest {
            method: shown(self.method, HttpRequest::MAX_METHOD_LEN, "-"),
            scheme: self.scheme.and_then(|text| scheme(text).ok()).map(str::to_owned),
            host: shown(self.authority, HttpRequest::MAX_HOST_LEN, ""),
            path: raw_path.clone(),
            raw_path,
            query: query.map(|query| secret::mask_query(shown(query, HttpRequest::MAX_PATH_LEN / 2, ""))),
            ..HttpRequest::default()
        }
    }
}

/// What an HTTP request asks for, as policies name resources: `https://wiki.example.org/a`. The query is not part of it.
///
/// `None` when that is longer than a resource may be.
pub fn resource_of(http: &HttpRequest) -> Option<String> {
    let HttpRequest { scheme, host, path, .. } = http;
    let resource = match scheme {
        Some(scheme) => format!("{scheme}://{host}{path}"),
        None => format!("//{host}{path}"),
    };
    (resource.len() <= vouchsafe_wire::v1::agent::Request::MAX_RESOURCE_LEN).then_some(resource)
}

/// Path and query: the query begins after the first `?` (RFC 3986, 3.4).
fn split_target(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (target.get(..mark).unwrap_or_default(), target.get(mark + 1..)),
        None => (target, None),
    }
}

/// A method is case-sensitive (RFC 9110, 9.1), and some servers do not know it.
fn method(method: &[u8]) -> Result<String, Ambiguity> {
    if method.len() > HttpRequest::MAX_METHOD_LEN {
        return Err(Ambiguity::TooLarge { part: "method", max: HttpRequest::MAX_METHOD_LEN });
    }
    let is_plain = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    match method {
        [] => Err(MethodFault::Empty.into()),
        _ if method.iter().any(u8::is_ascii_lowercase) => Err(MethodFault::LowerCase.into()),
        _ if !method.iter().all(is_plain) => Err(MethodFault::Malformed.into()),
        _ => Ok(String::from_utf8_lossy(method).into_owned()),
    }
}

fn scheme(scheme: &[u8]) -> Result<&'static str, Ambiguity> {
    ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known.as_bytes())).ok_or(Ambiguity::Scheme)
}

/// The body as far as it is text, and whether it had to be cut.
fn text_of(body: &[u8]) -> (Option<String>, bool) {
    let cut = body.len() > HttpRequest::MAX_BODY_LEN;
    let kept = body.get(..HttpRequest::MAX_BODY_LEN).unwrap_or(body);
    match std::str::from_utf8(kept) {
        Ok(text) => (Some(text.to_owned()), cut),
        // A character that the cut went through is no fault of the text.
        Err(error) if cut && error.error_len().is_none() => {
            (kept.get(..error.valid_up_to()).map(|text| String::from_utf8_lossy(text).into_owned()), cut)
        }
        Err(_) => (None, cut),
    }
}

/// Bytes of strangers as they may be shown, in at most so many bytes.
fn shown(bytes: &[u8], max: usize, if_empty: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes {
        let from = text.len();
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "\\x{byte:02X}")),
        }
        if text.len() > max {
            text.truncate(from);
            break;
        }
    }
    if text.is_empty() { if_empty.to_owned() } else { text }
}

#[cfg(test)]
mod tests;
