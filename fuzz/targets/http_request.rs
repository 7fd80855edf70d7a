//! HTTP requests: whatever comes is refused or has a normal form, which is its own normal form and can be asked about.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use vouchsafe_policy_engine::Question;
use vouchsafe_policy_engine::doors::http_request::{RawRequest, is_credential, resource_of};
use vouchsafe_policy_engine::question::QuestionError;
use vouchsafe_wire::v1::agent::{HttpRequest, Request};
use vouchsafe_wire::v1::decide::AskDecision;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    target: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
    body: Option<&'a [u8]>,
}

fn can_be_asked(http: &HttpRequest) {
    let Some(resource) = resource_of(http) else { return };
    let request = Request { http: Some(http.clone()), ..Request::new(http.method.clone(), resource) };
    let ask = AskDecision::about(request);
    match Question::check(ask) {
        Ok(_) | Err(QuestionError::TooLongTogether { .. }) => {}
        Err(error) => panic!("{error}: {http:?}"),
    }
}

fuzz_target!(|input: Input<'_>| {
    let raw = RawRequest {
        method: input.method.unwrap_or(b"GET"),
        scheme: input.scheme,
        authority: input.authority.unwrap_or(b"example.org"),
        target: input.target,
        fields: input.fields,
        body: input.body,
        body_is_partial: false,
    };
    can_be_asked(&raw.as_refused());
    let Ok(http) = raw.normalise() else { return };
    can_be_asked(&http);
    assert!(http.headers.keys().all(|name| !is_credential(name) && !name.starts_with("x-vouchsafe-")));
    assert!(http.path == "*" || http.path.split('/').skip(1).all(|segment| !matches!(segment, "." | "..")));
    let upper = http.path.to_ascii_uppercase();
    assert!(!["//", "%2F", "%5C", "%00", "%2E", "\\", ";", "#", "?"].iter().any(|taboo| upper.contains(taboo)));
    let again = RawRequest {
        method: http.method.as_bytes(),
        scheme: http.scheme.as_deref().map(str::as_bytes),
        authority: http.host.as_bytes(),
        target: http.path.as_bytes(),
        ..RawRequest::default()
    };
    let again = again.normalise().expect("a normal form has a normal form");
    assert!((again.path, again.host, again.method) == (http.path, http.host, http.method));
});
