//! Why a call came to nothing, and what to do about it.

use std::error::Error as StdError;
use std::io;

use reqwest::Url;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use vouchsafe_wire::v1::problem::Problem;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallFailed {
    /// No connection came about, or it broke.
    ///
    /// It shows the root cause alone: the library's path to it ("client error", "connect error") says nothing more.
    #[error("cannot reach the server at {url}: {}", root_cause(cause))]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        cause: reqwest::Error,
    },
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Something answers that is not our server.
    #[error("{url} answered with status {status} and without an explanation")]
    Unexpected {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is longer than is read.
    #[error("the answer of {url} is longer than is read")]
    TooLong {
        /// What was asked.
        url: String,
    },
    /// The answer is not what was expected.
    #[error("the answer of {url} cannot be understood")]
    Unreadable {
        /// What was asked.
        url: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The answer is no text.
    #[error("the answer of {url} is no text")]
    NoText {
        /// What was asked.
        url: String,
    },
}

impl CallFailed {
    /// A connection that did not come about, without the parts of its URL that do not matter to that.
    pub(crate) fn unreachable(url: &Url, error: reqwest::Error) -> Self {
        Self::Unreachable { url: url.origin().ascii_serialization(), cause: error.without_url() }
    }

    /// What an operator can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { url, cause } => unreachable_hint(url, cause),
            Self::Refused(problem) => refused_hint(problem),
            Self::Unexpected { .. } => {
                Some("is the profile's url that of `vouchsafe serve`, or of something in front of it?".into())
            }
            Self::TooLong { .. } => Some("ask for less: --limit".into()),
            Self::Unreadable { .. } | Self::NoText { .. } => {
                Some("are server and operator's tool of the same version? see vouchsafe --version".into())
            }
        }
    }
}

fn unreachable_hint(url: &str, error: &reqwest::Error) -> Option<String> {
    if let Some(tls) = find_cause::<TlsError>(error) {
        return tls_hint(url, tls);
    }
    match find_cause::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => Some(format!("is `vouchsafe serve` running at {url}?")),
        _ if error.is_timeout() => Some(format!("is {url} the right address, and does a firewall let you through?")),
        _ if error.is_connect() => Some(format!("is {url} the right address? The profile names it")),
        _ => Some("the connection broke off; the server's log may say why".into()),
    }
}

fn tls_hint(url: &str, error: &TlsError) -> Option<String> {
    match error {
        // Another server's authority has the same name as ours, so that its signature is tried, and fails.
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Some(format!(
            "the server at {url} is not vouched for by the profile's trust bundle: is this the server that the profile is for?"
        )),
        TlsError::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Some("the server's certificate has ended: restart `vouchsafe serve`, which renews it, and check both clocks".into()),
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some("the server's certificate is for another name: use the url that `vouchsafe init` was given with --host or --ip".into()),
        TlsError::AlertReceived(alert) if is_about_us(*alert) => Some(
            "the server does not accept the operator's certificate: let an operator issue a new one, and check both clocks".into(),
        ),
        _ => None,
    }
}

/// Alerts by which a server refuses a client's certificate (RFC 8446, 6.2).
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

fn refused_hint(problem: &Problem) -> Option<String> {
    if ["device.no_ima_list", "device.ima_list_not_kept"].contains(&problem.code.as_str()) {
        return Some(
            "give a copy of the device's list with --ima FILE, or leave out what runs with --boot-only".into(),
        );
    }
    let hint = match problem.status {
        401 | 403 => "the certificate of your profile does not allow this: operators' commands need the role operator",
        404 => "list what there is: vouchsafe device list, image list or token list",
        409 => "look at what is there already; nothing was changed",
        412 => "nothing was changed; do it again, and compare with what is there now",
        429 => "the server holds callers to a rate: wait a little, then ask again",
        500..=599 => return Some(server_hint(problem)),
        _ => return None,
    };
    Some(hint.into())
}

fn server_hint(problem: &Problem) -> String {
    match &problem.instance {
        Some(instance) => format!("the server's log tells more: look for {instance}"),
        None => "the server's log tells more".into(),
    }
}

/// The first cause of this kind. What an `io::Error` wraps is looked into as well: TLS errors travel in there, at times
/// in two of them.
fn find_cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    if let Some(found) = error.downcast_ref::<E>() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.and_then(|inner| find_cause(inner)).or_else(|| error.source().and_then(find_cause))
}

/// What it all began with, in words.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
