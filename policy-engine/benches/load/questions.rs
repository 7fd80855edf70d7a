//! What is asked, in each protocol. Everything is allowed, which is what a policy has most to do for.

use std::time::Duration;

use envoy_types::ext_authz::v3::pb::{Address, CheckRequest, HeaderValue};
use envoy_types::pb::envoy::config::core::v3::{self as core, HeaderMap, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use prost::Message as _;
use serde_json::json;
use vouchsafe_policy_engine::input::assemble;
use vouchsafe_policy_engine::wanted::Wanted;

use super::fixtures::{NOW, device, question, record};

/// The device that everything is asked about, among those on record.
const DEVICE: u32 = 7;

/// Our own door's.
pub(crate) fn native() -> Vec<u8> {
    serde_json::to_vec(question(DEVICE, true).ask()).unwrap()
}

/// The same as OPA's clients ask it.
pub(crate) fn data_api() -> Vec<u8> {
    serde_json::to_vec(&json!({ "input": question(DEVICE, true).ask() })).unwrap()
}

/// The same for those who keep no records, and have to be told what is on record.
pub(crate) fn with_record() -> Vec<u8> {
    let input =
        assemble(&question(DEVICE, true), Some(&record(DEVICE)), NOW.plus(Duration::from_secs(1)), &Wanted::All);
    serde_json::to_vec(&json!({ "input": input.input })).unwrap()
}

/// A browser's request for a page, as Envoy asks about it, in the frame of a gRPC message.
pub(crate) fn envoy() -> Vec<u8> {
    let field = |(key, value): (&str, &str)| HeaderValue {
        key: key.to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    let fields = [
        (":authority", "wiki.example.org"),
        (":method", "GET"),
        (":path", "/pages/start?version=3"),
        (":scheme", "https"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("x-request-id", "6b6dbdb2-7a06-4b29-9d10-0f2a8c5b6c11"),
    ];
    let http = HttpRequest {
        method: "GET".into(),
        host: "wiki.example.org".into(),
        path: "/pages/start?version=3".into(),
        scheme: "https".into(),
        header_map: Some(HeaderMap { headers: fields.into_iter().map(field).collect() }),
        ..HttpRequest::default()
    };
    let socket = SocketAddress { address: "192.0.2.7".into(), ..SocketAddress::default() };
    let source = Peer {
        address: Some(core::Address { address: Some(Address::SocketAddress(socket)) }),
        principal: format!("spiffe://example.org/device/{}", device(DEVICE)),
        ..Peer::default()
    };
    let attributes = AttributeContext {
        source: Some(source),
        request: Some(Request { http: Some(http), ..Request::default() }),
        ..AttributeContext::default()
    };
    let message = CheckRequest { attributes: Some(attributes) }.encode_to_vec();
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &len[..], &message].concat()
}
