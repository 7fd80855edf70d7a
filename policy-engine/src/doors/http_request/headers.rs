//! The fields of a header.

use std::collections::BTreeMap;

use vouchsafe_wire::v1::agent::HttpRequest;

use super::ambiguity::{Ambiguity, HeaderFault};
use super::{RawRequest, host, secret, shown};

/// The most fields of one request, each time that one stands there.
pub const MAX_FIELDS: usize = 128;

/// The names of the fields by which servers behind a point learn what was decided. Whatever clients send under such a name
/// is neither decided over nor passed on.
pub const IDENTITY_PREFIX: &str = "x-vouchsafe-";

/// The most of a name that is told, in bytes.
const MAX_SHOWN_LEN: usize = 64;

/// Fields that may stand once. Of two, some servers take the first and some the last.
const ONCE: [&str; 21] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "content-location",
    "authorization",
    "proxy-authorization",
    "date",
    "expect",
    "from",
    "max-forwards",
    "origin",
    "referer",
    "user-agent",
    "range",
    "if-modified-since",
    "if-range",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-client-cert",
];

/// Fields by which some frameworks replace the path that was asked for.
const PATH_OVERRIDES: [&str; 3] = ["x-original-url", "x-rewrite-url", "x-override-url"];
/// Fields by which some frameworks replace the method.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Names that mean something to servers behind a point, besides those above: a twin of one is refused even when it is alone.
const MEANINGFUL: [&str; 6] =
    ["transfer-encoding", "connection", "upgrade", "forwarded", "x-real-ip", "x-forwarded-for"];

/// What `Connection` may name: what it names is dropped by the next server, and might have been ours.
const CONNECTION_OPTIONS: [&str; 6] = ["close", "keep-alive", "upgrade", "te", "http2-settings", ""];

/// The fields of a header, each known to be of one meaning by itself.
pub(super) struct Fields<'a> {
    fields: Vec<(String, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Reads the fields.
    pub(super) fn read(raw: &[(&'a [u8], &'a [u8])]) -> Result<Self, Ambiguity> {
        if raw.len() > MAX_FIELDS {
            return Err(Ambiguity::TooLarge { part: "number of header fields", max: MAX_FIELDS });
        }
        let fields = raw.iter().map(|(name, value)| read_field(name, value)).collect::<Result<Vec<_>, _>>()?;
        let fields = Self { fields };
        fields.check_twins()?;
        fields.check_repeated()?;
        fields.check_framing()?;
        Ok(fields)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| *value)
    }

    /// Names that are one where `-`, `_` and the like are one character, as in CGI, WSGI and their kin.
    fn check_twins(&self) -> Result<(), HeaderFault> {
        let is_odd = |byte: u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b':');
        if !self.fields.iter().any(|(name, _)| name.bytes().any(is_odd)) {
            return Ok(());
        }
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for (name, _) in self.fields.iter().filter(|(name, _)| !name.starts_with(':')) {
            let folded: String =
                name.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect();
            if folded != *name && is_meaningful(&folded) {
                return Err(HeaderFault::Twin(shown_name(name)));
            }
            match seen.get(&folded) {
                Some(twin) if twin != name => return Err(HeaderFault::Twin(shown_name(name))),
                _ => drop(seen.insert(folded, name)),
            }
        }
        Ok(())
    }

    fn check_repeated(&self) -> Result<(), HeaderFault> {
        let pseudo = [":method", ":scheme", ":authority", ":path"];
        match ONCE.iter().chain(&pseudo).find(|name| self.values(name).nth(1).is_some()) {
            Some(name) => Err(HeaderFault::Twice((*name).to_owned())),
            None => Ok(()),
        }
    }

    fn check_framing(&self) -> Result<(), HeaderFault> {
        let length = self.values("content-length").next();
        let is_number = |text: &str| (1..20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if length.is_some_and(|length| !is_number(length)) {
            return Err(HeaderFault::Framing);
        }
        let mut codings = self.values("transfer-encoding");
        match (codings.next(), codings.next()) {
            (None, _) => {}
            (Some(coding), None) if length.is_none() && coding.eq_ignore_ascii_case("chunked") => {}
            _ => return Err(HeaderFault::Framing),
        }
        let mut options = self.values("connection").flat_map(|value| value.split(',')).map(str::trim);
        let is_known = |option: &str| CONNECTION_OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known));
        if options.all(is_known) { Ok(()) } else { Err(HeaderFault::Connection) }
    }

    /// Whether the fields say the same as the rest of the request.
    pub(super) fn agree_with(
        &self,
        request: &RawRequest<'_>,
        host: &str,
        scheme: Option<&str>,
    ) -> Result<(), Ambiguity> {
        let conflict = |name: &str| Ambiguity::from(HeaderFault::Conflict(name.to_owned()));
        for name in ["host", ":authority"] {
            if self.values(name).any(|value| host::normalise(value.as_bytes(), scheme).as_deref() != Ok(host)) {
                return Err(conflict(name));
            }
        }
        for (name, expected) in [(":method", request.method), (":path", request.target)] {
            if self.values(name).any(|value| value.as_bytes() != expected) {
                return Err(conflict(name));
            }
        }
        if self.values(":scheme").any(|value| scheme.is_some_and(|scheme| !value.eq_ignore_ascii_case(scheme))) {
            return Err(conflict(":scheme"));
        }
        if let Some(name) = PATH_OVERRIDES.iter().find(|name| self.values(name).next().is_some()) {
            return Err(HeaderFault::Override((*name).to_owned()).into());
        }
        let other =
            |name: &&&str| self.values(name).any(|value| !value.as_bytes().eq_ignore_ascii_case(request.method));
        match METHOD_OVERRIDES.iter().find(other) {
            Some(name) => Err(HeaderFault::Override((*name).to_owned()).into()),
            None => Ok(()),
        }
    }

    /// What is passed on: neither credentials, nor identities, nor what is told elsewhere.
    pub(super) fn into_headers(self) -> Result<BTreeMap<String, Vec<String>>, Ambiguity> {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.fields {
            let told_elsewhere = name.starts_with(':') || name == "host" || name == "x-forwarded-client-cert";
            if told_elsewhere || name.starts_with(IDENTITY_PREFIX) || secret::is_credential(&name) {
                continue;
            }
            if name.len() > HttpRequest::MAX_HEADER_NAME_LEN {
                return Err(Ambiguity::TooLarge {
                    part: "name of a header field",
                    max: HttpRequest::MAX_HEADER_NAME_LEN,
                });
            }
            headers.entry(name).or_default().push(secret::mask_url(value).replace('\t', " "));
        }
        if headers.len() > HttpRequest::MAX_HEADERS {
            return Err(Ambiguity::TooLarge { part: "number of header fields", max: HttpRequest::MAX_HEADERS });
        }
        Ok(headers)
    }
}

/// A name in lower case and a value without the blanks around it.
fn read_field<'a>(name: &[u8], value: &'a [u8]) -> Result<(String, &'a str), HeaderFault> {
    let token = name.strip_prefix(b":").unwrap_or(name);
    // RFC 9110, 5.6.2.
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if token.is_empty() || !token.iter().all(fits) {
        return Err(HeaderFault::Name);
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let Ok(value) = std::str::from_utf8(value) else { return Err(HeaderFault::NotUtf8(shown_name(&name))) };
    if value.chars().any(|character| character.is_control() && character != '\t') {
        return Err(HeaderFault::Control(shown_name(&name)));
    }
    Ok((name, value.trim_matches([' ', '\t'])))
}

fn is_meaningful(name: &str) -> bool {
    name.starts_with(IDENTITY_PREFIX)
        || name.starts_with("x-forwarded-")
        || name.starts_with("x-original-")
        || [&ONCE[..], &PATH_OVERRIDES, &METHOD_OVERRIDES, &MEANINGFUL].concat().contains(&name)
        || secret::is_credential(name)
}

fn shown_name(name: &str) -> String {
    shown(name.as_bytes(), MAX_SHOWN_LEN, "-")
}
