//! What servers read differently, each with the reason that is told.

use vouchsafe_model::Reason;

/// Why an HTTP request has no normal form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// The method.
    #[error("The method {0}.")]
    Method(#[from] MethodFault),
    /// The scheme.
    #[error("The scheme is neither http nor https.")]
    Scheme,
    /// The host.
    #[error("The host {0}.")]
    Host(#[from] HostFault),
    /// The path.
    #[error("The path {0}.")]
    Path(#[from] PathFault),
    /// The query.
    #[error("The query {0}.")]
    Query(#[from] QueryFault),
    /// The fields of the header.
    #[error("The header {0}.")]
    Headers(#[from] HeaderFault),
    /// It is larger than is decided over.
    #[error("The {part} is larger than the {max} that are decided over.")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// How large it may be.
        max: usize,
    },
}

/// What is wrong with a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodFault {
    /// There is none.
    #[error("is missing")]
    Empty,
    /// Methods are case-sensitive, and not every server knows it.
    #[error("has letters in lower case, which some servers take for capitals")]
    LowerCase,
    /// It is no token.
    #[error("has a character that a method does not have")]
    Malformed,
}

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// There is none.
    #[error("is missing")]
    Empty,
    /// `user@host`.
    #[error("has user information before an '@', which is no part of it to some servers")]
    UserInfo,
    /// `example.org.`
    #[error("ends in a dot, which names the same host to some servers and none to others")]
    TrailingDot,
    /// Something that no name has.
    #[error("has a character that a host does not have")]
    Character,
    /// A part of the name is empty or too long.
    #[error("has a part that is empty or too long")]
    Label,
    /// `127.1`, `0x7f.0.0.1`, `[::1%eth0]`.
    #[error("is an address in a form that is read differently")]
    Address,
    /// `example.org:`, `example.org:0`, `example.org:+80`.
    #[error("has a port that is no port")]
    Port,
}

/// What is wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It is not in origin form (RFC 9112, 3.2.1).
    #[error("does not begin with '/'")]
    NotOrigin,
    /// `/./`, `/../`, encoded or not.
    #[error("has a segment of dots, which some servers resolve and others do not")]
    DotSegment,
    /// `//`.
    #[error("has an empty segment ('//'), which some servers take for none")]
    EmptySegment,
    /// `%2F`.
    #[error("has an encoded '/' (%2F), which ends a segment for some servers and is part of it for others")]
    EncodedSlash,
    /// A backslash, encoded or not.
    #[error("has a '\\', which is a '/' to some servers")]
    Backslash,
    /// `;`, encoded or not.
    #[error("has a ';', behind which some servers read parameters that others take for the name")]
    Parameter,
    /// `#`.
    #[error("has a '#', at which it ends for some servers")]
    Fragment,
    /// `%252F`.
    #[error("is encoded twice, and some servers decode it twice")]
    DoubleEncoding,
    /// `%`, `%2`, `%ZZ`.
    #[error("has a '%' that is no encoding")]
    Malformed,
    /// NUL, controls, blanks; encoded or not, but for the blank.
    #[error("has a control character or a blank")]
    Control,
    /// Bytes beyond ASCII that are not encoded.
    #[error("has a character beyond ASCII that is not encoded")]
    NotAscii,
    /// Overlong forms, surrogates, and whatever else is no UTF-8.
    #[error("encodes what is no UTF-8, and so read as anything")]
    NotUtf8,
    /// A character that some servers take for one that separates.
    #[error("has a character that some servers turn into '/', '\\', '.', ';' or '%'")]
    LookAlike,
}

/// What is wrong with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// `#`.
    #[error("has a '#', at which it ends for some servers")]
    Fragment,
    /// NUL, controls, blanks.
    #[error("has a control character or a blank")]
    Control,
    /// Bytes beyond ASCII that are not encoded.
    #[error("has a character beyond ASCII that is not encoded")]
    NotAscii,
}

/// What is wrong with the fields of a header, with the name of one where it helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// A name that is no token.
    #[error("has a field whose name is no name")]
    Name,
    /// A value with a line break (obs-fold), a NUL or another control character.
    #[error("has a control character or a line break in the field '{0}'")]
    Control(String),
    /// A value that is no text.
    #[error("has bytes that are no UTF-8 in the field '{0}'")]
    NotUtf8(String),
    /// A field that may stand once stands twice.
    #[error("has the field '{0}' twice")]
    Twice(String),
    /// Two names that become one where `-` and `_` are one character.
    #[error("has the field '{0}', which many servers take for one of another name")]
    Twin(String),
    /// Two fields contradict each other.
    #[error("has a field '{0}' that contradicts the request")]
    Conflict(String),
    /// A field that makes some servers read another request.
    #[error("has the field '{0}', by which some servers replace method or path")]
    Override(String),
    /// `Connection` names a field, which the next server would drop.
    #[error("names fields in Connection that the next server would drop")]
    Connection,
    /// Two ways to tell the length of the body (RFC 9112, 6.3).
    #[error("tells the length of the body in two ways, or in none that is one")]
    Framing,
}

impl Ambiguity {
    /// The code of the reason that is told.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Method(_) => "request.method_ambiguous",
            Self::Scheme => "request.scheme_unknown",
            Self::Host(_) => "request.host_ambiguous",
            Self::Path(_) => "request.path_ambiguous",
            Self::Query(_) => "request.query_ambiguous",
            Self::Headers(_) => "request.headers_ambiguous",
            Self::TooLarge { .. } => "request.too_large",
        }
    }

    /// The reason that is told.
    pub fn reason(&self) -> Reason {
        let fix = match self {
            Self::TooLarge { .. } => "Send a smaller request.",
            _ => "Send the request in the one form that all servers read alike.",
        };
        Reason { code: self.code().to_owned(), message: self.to_string(), fix: Some(fix.to_owned()) }
    }
}
