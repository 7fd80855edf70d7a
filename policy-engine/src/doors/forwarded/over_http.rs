//! What doors share whose points ask by an HTTP request of their own, made of that of the client.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use vouchsafe_http::HttpProblem;
use vouchsafe_model::Outcome;

use super::{ASK_FOR_A_LOGIN, NotAnswered, Told};

/// Fields that are about the request of the point and not about that of its client; or that proxies write for each other.
const OF_THE_POINT: [&str; 14] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "upgrade",
    "x-real-ip",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
];

/// The fields that are the client's: all but those that are known to be the point's.
pub(crate) fn clients_fields<'a>(headers: &'a HeaderMap, of_the_point: &[&str]) -> Vec<(&'a [u8], &'a [u8])> {
    let is_clients =
        |name: &HeaderName| !OF_THE_POINT.contains(&name.as_str()) && !of_the_point.contains(&name.as_str());
    let clients = headers.iter().filter(|(name, _)| is_clients(name));
    clients.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

/// The value of a field of the point's; none if it is empty.
///
/// # Errors
/// When it stands twice: one of them is not the point's.
pub(crate) fn points_field<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, HttpProblem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() {
        let detail = format!("The field {name} is there twice. Set up the point to replace what its clients send.");
        return Err(HttpProblem::unacceptable("forwarded.field_twice", detail));
    }
    Ok(value.filter(|value| !value.is_empty()))
}

/// The same, for one that has to be there.
///
/// # Errors
/// When it is not, or stands twice.
pub(crate) fn needed_field<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], HttpProblem> {
    points_field(headers, name)?.ok_or_else(|| {
        let detail = format!("The field {name} is missing. Set up the point to send it.");
        HttpProblem::unacceptable("forwarded.field_missing", detail)
    })
}

/// The address at the end of a list: the one that the point itself has seen.
pub(crate) fn last_address(list: Option<&[u8]>) -> Option<IpAddr> {
    std::str::from_utf8(list?).ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// A decision as the answer: 200, 401 or 403. At an allow it carries every identity, the value of one that is not known is
/// empty, so that a point that copies them replaces what a client sent; `also` goes with it.
pub(crate) fn respond(told: Told, also: &[(HeaderName, HeaderValue)]) -> Response {
    let Told { outcome, id, status, identity, body } = told;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match outcome {
        Outcome::Allow => {
            for (name, value) in identity {
                // Each was written of visible characters alone.
                let value = HeaderValue::try_from(value.unwrap_or_default()).unwrap_or(HeaderValue::from_static(""));
                headers.insert(HeaderName::from_static(name), value);
            }
            headers.extend(also.iter().cloned());
        }
        Outcome::Deny => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Ok(id) = HeaderValue::try_from(id.to_string()) {
                headers.insert("x-vouchsafe-decision-id", id);
            }
            if status == axum::http::StatusCode::UNAUTHORIZED {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(ASK_FOR_A_LOGIN));
            }
        }
    }
    response
}

impl From<NotAnswered> for HttpProblem {
    fn from(error: NotAnswered) -> Self {
        match error {
            NotAnswered::NotBelieved(not_believed) => not_believed.into(),
            NotAnswered::NotDecided(not_decided) => crate::doors::native::not_decided(not_decided),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_list_is_the_points_own_word() {
        let last = |list: &str| last_address(Some(list.as_bytes())).map(|address| address.to_string());
        assert_eq!(last("192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(last("10.0.0.1, 2001:db8::1").as_deref(), Some("2001:db8::1"));
        assert_eq!(last("192.0.2.1, unknown"), None);
        assert_eq!(last_address(None), None);
    }
}
