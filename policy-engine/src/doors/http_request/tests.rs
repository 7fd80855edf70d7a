use proptest::prelude::*;
use vouchsafe_wire::v1::agent::{HttpRequest, Request};
use vouchsafe_wire::v1::decide::AskDecision;

use super::*;
use crate::question::Question;

fn raw(target: &[u8]) -> RawRequest<'_> {
    RawRequest {
        method: b"GET",
        scheme: Some(b"https"),
        authority: b"wiki.example.org",
        target,
        ..RawRequest::default()
    }
}

fn path(target: impl AsRef<[u8]>) -> Result<String, Ambiguity> {
    raw(target.as_ref()).normalise().map(|http| http.path)
}

#[test]
fn what_all_servers_take_for_one_path_is_one_path() {
    for (sent, normal) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%7Euser/%61%2d%2E%5f", "/~user/a-._"),
        ("/%7euser", "/~user"),
        ("/a%21%24%26%27%28%29%2a%2B%2C%3d%3A%40", "/a!$&'()*+,=:@"),
        ("/a!$&'()*+,=:@", "/a!$&'()*+,=:@"),
        ("/%c3%a4", "/%C3%A4"),
        ("/a%20b", "/a%20b"),
        ("/what%3f", "/what%3F"),
        ("/%23top", "/%23top"),
        ("/100%25", "/100%25"),
        ("/{a}|[b]^\"<>`", "/%7Ba%7D%7C%5Bb%5D%5E%22%3C%3E%60"),
        ("/%7Ba%7d", "/%7Ba%7D"),
        ("/.well-known/a..b/...c", "/.well-known/a..b/...c"),
        ("/a?b=//../%2F;x", "/a"),
    ] {
        assert_eq!(path(sent).as_deref(), Ok(normal), "{sent}");
    }
}

#[test]
fn what_servers_read_differently_is_refused_by_what_it_is() {
    use PathFault::*;
    for (sent, fault) in [
        ("", NotOrigin),
        ("a", NotOrigin),
        ("*", NotOrigin),
        ("http://wiki.example.org/a", NotOrigin),
        ("/..", DotSegment),
        ("/a/../b", DotSegment),
        ("/a/./b", DotSegment),
        ("/a/.", DotSegment),
        ("/a/%2e%2E/b", DotSegment),
        ("/a/.%2e", DotSegment),
        ("/a/..%20/b", DotSegment),
        ("/a/.../b", DotSegment),
        ("//", EmptySegment),
        ("//evil.example.org/a", EmptySegment),
        ("/a//b", EmptySegment),
        ("/a%2Fb", EncodedSlash),
        ("/a%2fb", EncodedSlash),
        ("/a%5Cb", Backslash),
        ("/a\\b", Backslash),
        ("/a;jsessionid=1", Parameter),
        ("/a/..;/b", Parameter),
        ("/a%3Bb", Parameter),
        ("/a#b", Fragment),
        ("/a%252Fb", DoubleEncoding),
        ("/a%25%32%46b", DoubleEncoding),
        ("/%252e%252e/", DoubleEncoding),
        ("/a%", Malformed),
        ("/a%2", Malformed),
        ("/a%zz", Malformed),
        ("/a%u002f", Malformed),
        ("/a%00b", Control),
        ("/a%0d%0ab", Control),
        ("/a%7F", Control),
        ("/a b", Control),
        ("/a\0", Control),
        ("/a\tb", Control),
        ("/%C2%85", Control),
        ("/ä", NotAscii),
        ("/%C0%AF", NotUtf8),
        ("/%C0%2E", NotUtf8),
        ("/%E0%80%AF", NotUtf8),
        ("/%F0%80%80%AF", NotUtf8),
        ("/%ED%A0%80", NotUtf8),
        ("/%FF", NotUtf8),
        ("/%EF%BC%8F", LookAlike),
        ("/%EF%BC%8E%EF%BC%8E", LookAlike),
        ("/%E2%88%95", LookAlike),
    ] {
        let refused = path(sent).unwrap_err();
        assert_eq!(refused, Ambiguity::Path(fault), "{sent}");
        assert_eq!(refused.code(), "request.path_ambiguous");
    }
}

#[test]
fn a_question_about_the_server_itself_has_no_path() {
    let http = RawRequest { method: b"OPTIONS", ..raw(b"*") }.normalise().unwrap();
    assert_eq!((http.path.as_str(), http.raw_path.as_str()), ("*", "*"));
}

#[test]
fn both_forms_of_a_path_are_told_and_the_query_is_as_it_was_sent() {
    let http = raw(b"/%7Ea?b=%2F..&a=1?&b=2").normalise().unwrap();
    assert_eq!((http.raw_path.as_str(), http.path.as_str()), ("/%7Ea", "/~a"));
    assert_eq!(http.query.as_deref(), Some("b=%2F..&a=1?&b=2"));
    assert_eq!(raw(b"/a").normalise().unwrap().query, None);
    assert_eq!(raw(b"/a?").normalise().unwrap().query.as_deref(), Some(""));
    for (query, fault) in [
        (&b"/?a#b"[..], QueryFault::Fragment),
        (b"/?a b", QueryFault::Control),
        (b"/?a\0", QueryFault::Control),
        ("/?ä".as_bytes(), QueryFault::NotAscii),
    ] {
        assert_eq!(raw(query).normalise(), Err(Ambiguity::Query(fault)));
    }
}

#[test]
fn a_path_and_a_query_are_taken_at_their_longest_and_refused_one_byte_later() {
    let max = HttpRequest::MAX_PATH_LEN;
    for (begin, part) in [("/", "path"), ("/?", "query")] {
        let of_length = |length: usize| {
            let filled = begin.len() - usize::from(part == "query");
            raw(format!("{begin}{}", "x".repeat(length - filled)).as_bytes()).normalise().map(drop)
        };
        let length = if part == "query" { max + 1 } else { max };
        assert_eq!(of_length(length), Ok(()), "{part}");
        assert_eq!(of_length(length + 1), Err(Ambiguity::TooLarge { part, max }));
    }
    // Three bytes for each that was sent plainly.
    let plain = |count: usize| path(format!("/{}", "|".repeat(count)));
    assert!(plain((max - 1) / 3).is_ok());
    assert_eq!(plain((max - 1) / 3 + 1), Err(Ambiguity::TooLarge { part: "path", max }));
}

fn host(authority: &str) -> Result<String, Ambiguity> {
    RawRequest { authority: authority.as_bytes(), ..raw(b"/") }.normalise().map(|http| http.host)
}

#[test]
fn hosts_have_one_spelling() {
    for (sent, normal) in [
        ("Wiki.Example.ORG", "wiki.example.org"),
        ("wiki.example.org:443", "wiki.example.org"),
        ("wiki.example.org:80", "wiki.example.org:80"),
        ("wiki.example.org:8443", "wiki.example.org:8443"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]:8443"),
        ("localhost", "localhost"),
        ("a_b.internal", "a_b.internal"),
    ] {
        assert_eq!(host(sent).as_deref(), Ok(normal), "{sent}");
    }
    let plain = RawRequest { scheme: Some(b"HTTP"), authority: b"a:80", ..raw(b"/") }.normalise().unwrap();
    assert_eq!((plain.host.as_str(), plain.scheme.as_deref()), ("a", Some("http")));
    let unknown = RawRequest { scheme: None, authority: b"a:80", ..raw(b"/") }.normalise().unwrap();
    assert_eq!((unknown.host.as_str(), unknown.scheme), ("a:80", None));
    let other = RawRequest { scheme: Some(b"gopher"), ..raw(b"/") }.normalise();
    assert_eq!(other.map_err(|error| error.code()), Err("request.scheme_unknown"));
}

#[test]
fn hosts_that_servers_read_differently_are_refused() {
    use HostFault::*;
    let long = "a".repeat(64);
    for (sent, fault) in [
        ("", Empty),
        (":443", Empty),
        ("wiki.example.org.", TrailingDot),
        ("user@wiki.example.org", UserInfo),
        ("wiki.example.org:443@evil.example.org", UserInfo),
        ("wiki.example.org/a", Character),
        ("wiki.example.org,evil.example.org", Character),
        ("wiki.example.org evil", Character),
        ("wiki\0", Character),
        ("wiki%2eexample.org", Character),
        ("wïki.example.org", Character),
        (".example.org", Label),
        ("wiki..example.org", Label),
        (long.as_str(), Label),
        ("127.1", Address),
        ("2130706433", Address),
        ("0x7f.0.0.1", Address),
        ("127.0.0.0x1", Address),
        ("010.0.0.1", Address),
        ("[::1", Port),
        ("[::1%25eth0]", Address),
        ("[192.0.2.1]", Address),
        ("wiki.example.org:", Port),
        ("wiki.example.org:0", Port),
        ("wiki.example.org:0443", Port),
        ("wiki.example.org:+443", Port),
        ("wiki.example.org:65536", Port),
        ("wiki.example.org:80:80", Port),
    ] {
        assert_eq!(host(sent), Err(Ambiguity::Host(fault)), "{sent}");
    }
    let max = HttpRequest::MAX_HOST_LEN;
    assert_eq!(host(&"a".repeat(max + 1)), Err(Ambiguity::TooLarge { part: "host", max }));
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(host(&format!("{longest}:8443")), Ok(format!("{longest}:8443")));
    assert_eq!(host(&format!("{longest}e:8443")), Err(Ambiguity::Host(Label)));
}

#[test]
fn methods_are_tokens_in_capitals() {
    let method =
        |method: &str| RawRequest { method: method.as_bytes(), ..raw(b"/") }.normalise().map(|http| http.method);
    assert_eq!(method("M-SEARCH").as_deref(), Ok("M-SEARCH"));
    assert_eq!(method(&"X".repeat(HttpRequest::MAX_METHOD_LEN)).map(|method| method.len()), Ok(32));
    for (sent, refused) in [
        ("", MethodFault::Empty.into()),
        ("get", MethodFault::LowerCase.into()),
        ("GET /", MethodFault::Malformed.into()),
        ("G\0T", MethodFault::Malformed.into()),
        ("X".repeat(33).as_str(), Ambiguity::TooLarge { part: "method", max: 32 }),
    ] {
        assert_eq!(method(sent), Err(refused), "{sent}");
    }
}

fn with_fields(fields: &[(&str, &str)]) -> Result<HttpRequest, Ambiguity> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    RawRequest { fields, ..raw(b"/a?b") }.normalise()
}

#[test]
fn fields_are_passed_on_by_their_names_in_lower_case_but_for_credentials_and_identities() {
    let http = with_fields(&[
        (":authority", "WIKI.example.org:443"),
        (":method", "GET"),
        (":path", "/a?b"),
        (":scheme", "https"),
        ("Host", "wiki.example.org"),
        ("Accept", " text/html \t"),
        ("accept", "text/plain"),
        ("Authorization", "Bearer secret"),
        ("Proxy-Authorization", "Basic secret"),
        ("Cookie", "a=secret"),
        ("cookie", "b=secret"),
        ("X-API-Key", "secret"),
        ("X-Auth-Token", "secret"),
        ("X-Amz-Security-Token", "secret"),
        ("X-Goog-IAP-JWT-Assertion", "secret"),
        ("X-CSRF-Token", "secret"),
        ("X-Client-Secret", "secret"),
        ("X-Vouchsafe-Device", "secret"),
        ("X-Forwarded-Client-Cert", "Hash=secret"),
        ("x-http-method-override", "get"),
        ("X-Tab", "a\tb"),
    ])
    .unwrap();
    assert!(!format!("{http:?}").contains("secret"), "{http:?}");
    let shown: Vec<_> = http.headers.iter().map(|(name, values)| (name.as_str(), values.join("|"))).collect();
    let expected = [("accept", "text/html|text/plain"), ("x-http-method-override", "get"), ("x-tab", "a b")];
    assert_eq!(shown, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn fields_that_servers_read_differently_are_refused() {
    let twin = |name: &str| HeaderFault::Twin(name.to_owned());
    let twice = |name: &str| HeaderFault::Twice(name.to_owned());
    let conflict = |name: &str| HeaderFault::Conflict(name.to_owned());
    let replaced = |name: &str| HeaderFault::Override(name.to_owned());
    let control = |name: &str| HeaderFault::Control(name.to_owned());
    let cases: [(&[(&str, &str)], HeaderFault); 29] = [
        (&[("host", "wiki.example.org"), ("Host", "wiki.example.org")], twice("host")),
        (&[("content-length", "1"), ("content-length", "1")], twice("content-length")),
        (&[("authorization", "a"), ("Authorization", "b")], twice("authorization")),
        (&[(":path", "/a?b"), (":path", "/a?b")], twice(":path")),
        (&[("host", "evil.example.org")], conflict("host")),
        (&[("host", "")], conflict("host")),
        (&[(":authority", "evil.example.org")], conflict(":authority")),
        (&[(":path", "/b")], conflict(":path")),
        (&[(":path", "/A?b")], conflict(":path")),
        (&[(":method", "POST")], conflict(":method")),
        (&[(":scheme", "http")], conflict(":scheme")),
        (&[("x-a-b", "1"), ("x_a_b", "2")], twin("x_a_b")),
        (&[("x_a_b", "1"), ("x-a-b", "2")], twin("x-a-b")),
        (&[("x_a-b", "1"), ("x.a-b", "2")], twin("x.a-b")),
        (&[("x_vouchsafe_device", "1")], twin("x_vouchsafe_device")),
        (&[("X-Vouchsafe_Score", "100")], twin("x-vouchsafe_score")),
        (&[("content_length", "1")], twin("content_length")),
        (&[("x_forwarded_for", "192.0.2.1")], twin("x_forwarded_for")),
        (&[("x_real_ip", "192.0.2.1")], twin("x_real_ip")),
        (&[("x-a", "b\r\n c")], control("x-a")),
        (&[("x-a", "b\n\tc")], control("x-a")),
        (&[("x-a", "b\0")], control("x-a")),
        (&[("x-a ", "b")], HeaderFault::Name),
        (&[("", "b")], HeaderFault::Name),
        (&[("content-length", "1"), ("transfer-encoding", "chunked")], HeaderFault::Framing),
        (&[("transfer-encoding", "identity, chunked")], HeaderFault::Framing),
        (&[("connection", "close, X-Vouchsafe-Device")], HeaderFault::Connection),
        (&[("x-original-url", "/admin")], replaced("x-original-url")),
        (&[("x-http-method-override", "DELETE")], replaced("x-http-method-override")),
    ];
    for (fields, fault) in cases {
        let refused = with_fields(fields).unwrap_err();
        assert_eq!(refused, Ambiguity::Headers(fault), "{fields:?}");
        assert_eq!(refused.code(), "request.headers_ambiguous");
    }
    for length in ["", "-1", "+1", "1,1", "1 ", "0x1", "99999999999999999999"] {
        let expected = if length == "1 " { Ok(()) } else { Err(Ambiguity::Headers(HeaderFault::Framing)) };
        assert_eq!(with_fields(&[("content-length", length)]).map(drop), expected, "{length}");
    }
    let bytes: &[u8] = b"\xFF";
    let no_text = RawRequest { fields: vec![(b"x-a", bytes)], ..raw(b"/") }.normalise();
    assert_eq!(no_text, Err(Ambiguity::Headers(HeaderFault::NotUtf8("x-a".into()))));
    assert!(
        with_fields(&[("x_own", "1"), ("connection", "Keep-Alive, Upgrade"), ("transfer-encoding", "chunked")]).is_ok()
    );
}

#[test]
fn fields_are_taken_at_their_most_and_refused_one_later() {
    let names: Vec<_> = (0..=MAX_FIELDS).map(|number| format!("x-{number}")).collect();
    let different = |count: usize| {
        let fields: Vec<_> = names.iter().take(count).map(|name| (name.as_str(), "1")).collect();
        with_fields(&fields).map(drop)
    };
    let part = "number of header fields";
    assert_eq!(different(HttpRequest::MAX_HEADERS), Ok(()));
    let max = HttpRequest::MAX_HEADERS;
    assert_eq!(different(HttpRequest::MAX_HEADERS + 1), Err(Ambiguity::TooLarge { part, max }));
    let same = |count: usize| with_fields(&vec![("x-a", "1"); count]).map(drop);
    assert_eq!(same(MAX_FIELDS), Ok(()));
    assert_eq!(same(MAX_FIELDS + 1), Err(Ambiguity::TooLarge { part, max: MAX_FIELDS }));
    let of_length = |length: usize| with_fields(&[("x".repeat(length).as_str(), "1")]).map(drop);
    let (part, max) = ("name of a header field", HttpRequest::MAX_HEADER_NAME_LEN);
    assert_eq!(of_length(max), Ok(()));
    assert_eq!(of_length(max + 1), Err(Ambiguity::TooLarge { part, max }));
}

#[test]
fn credentials_in_a_query_are_masked_however_they_are_spelled() {
    for (sent, masked) in [
        ("a=1&access_token=abc&b=2", "a=1&access_token=***&b=2"),
        ("access%5Ftoken=abc", "access%5Ftoken=***"),
        ("%41PI-Key=abc;x=1", "%41PI-Key=***;x=1"),
        ("X-Amz-Signature=abc&X-Amz-Date=1", "X-Amz-Signature=***&X-Amz-Date=1"),
        ("code=abc&client_secret=d=e", "code=***&client_secret=***"),
        ("token", "token"),
        ("token=", "token="),
        ("monkey=1&postcode=2", "monkey=1&postcode=2"),
        ("", ""),
    ] {
        assert_eq!(raw(format!("/?{sent}").as_bytes()).normalise().unwrap().query.as_deref(), Some(masked), "{sent}");
    }
}

#[test]
fn credentials_in_the_url_that_a_request_came_from_are_masked() {
    let http = with_fields(&[("referer", "https://a.example/b?token=secret&c=d#e"), ("x-note", "why?")]).unwrap();
    assert_eq!(http.headers["referer"], ["https://a.example/b?token=***&c=d#e"]);
    assert_eq!(http.headers["x-note"], ["why?"]);
}

#[test]
fn a_body_is_text_and_cut_at_its_longest() {
    let read = |body: &[u8]| {
        let http = RawRequest { body: Some(body), ..raw(b"/") }.normalise().unwrap();
        (http.body, http.body_is_partial)
    };
    assert_eq!(read(b"{}"), (Some("{}".into()), false));
    assert_eq!(read(b"\xFF"), (None, false));
    let max = HttpRequest::MAX_BODY_LEN;
    assert_eq!(read("x".repeat(max).as_bytes()), (Some("x".repeat(max)), false));
    assert_eq!(read("x".repeat(max + 1).as_bytes()), (Some("x".repeat(max)), true));
    let in_a_character = format!("{}ä", "x".repeat(max - 1));
    assert_eq!(read(in_a_character.as_bytes()), (Some("x".repeat(max - 1)), true));
    let partial = RawRequest { body: Some(b"a"), body_is_partial: true, ..raw(b"/") }.normalise().unwrap();
    assert!(partial.body_is_partial);
}

#[test]
fn what_is_refused_can_be_shown_and_logged() {
    let refused = RawRequest {
        method: b"g\x1B[2J",
        authority: b"a\0b\\",
        target: b"/a\r\n\xFF?token=secret",
        fields: vec![(b"cookie", b"secret")],
        body: Some(b"secret"),
        ..raw(b"")
    }
    .as_refused();
    assert_eq!(refused.method, r"g\x1B[2J");
    assert_eq!((refused.host.as_str(), refused.path.as_str()), (r"a\x00b\\", r"/a\x0D\x0A\xFF"));
    assert!(!format!("{refused:?}").contains("secret"));
    let nothing = RawRequest::default().as_refused();
    assert_eq!((nothing.method.as_str(), nothing.path.as_str()), ("-", "-"));
}

/// Whether a question about this request is within bounds.
fn is_askable(http: HttpRequest) -> bool {
    let resource = resource_of(&http);
    resource.is_none_or(|resource| {
        let request = Request { http: Some(http.clone()), ..Request::new(http.method.clone(), resource) };
        let ask = AskDecision::about(request);
        // Together they may be more than is taken; each by itself is not.
        match Question::check(ask) {
            Ok(_) | Err(crate::question::QuestionError::TooLongTogether { .. }) => true,
            Err(_) => false,
        }
    })
}

/// Targets that look like what attackers send.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => "[a-z]{1,3}".prop_map(String::into_bytes),
        3 => Just(b"/".to_vec()),
        1 => prop::sample::select(vec![".", "..", "%2e", "%2F", "%5c", ";", "#", "%25", "%00", "%c0%af", "%7E", "%", "|", "?"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => any::<u8>().prop_map(|byte| format!("%{byte:02x}").into_bytes()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| [b"/".to_vec(), pieces.concat()].concat())
}

proptest! {
    #[test]
    fn a_normal_form_is_its_own_normal_form(target in target()) {
        if let Ok(path) = path(&target) {
            prop_assert_eq!(self::path(&path), Ok(path.clone()));
        }
    }

    #[test]
    fn a_normal_form_holds_nothing_that_servers_read_differently(target in target()) {
        if let Ok(path) = path(&target) {
            prop_assert!(path.starts_with('/') && !path.contains("//"), "{}", path);
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\;#?<>\"".contains(&byte)), "{}", path);
            let upper = path.to_ascii_uppercase();
            prop_assert!(["%2F", "%5C", "%00", "%2E", "%3B", "%252"].iter().all(|taboo| !upper.contains(taboo)), "{}", path);
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", path);
        }
    }

    #[test]
    fn encoding_more_than_is_needed_changes_nothing(target in target(), encoded in any::<u64>()) {
        if let Ok(path) = path(&target) {
            let spelled: String = path.bytes().enumerate().map(|(place, byte)| {
                // What stands for itself may as well be encoded, unless it is what separates or encodes.
                let plain = matches!(byte, b'/' | b'%') || path.as_bytes().get(place.wrapping_sub(1)) == Some(&b'%')
                    || path.as_bytes().get(place.wrapping_sub(2)) == Some(&b'%');
                if plain || encoded >> (place % 64) & 1 == 0 { char::from(byte).to_string() } else { format!("%{byte:02x}") }
            }).collect();
            if spelled.len() <= HttpRequest::MAX_PATH_LEN {
                prop_assert_eq!(self::path(&spelled), Ok(path), "{}", spelled);
            }
        }
    }

    #[test]
    fn whatever_comes_is_either_refused_or_can_be_asked(
        method in prop::collection::vec(any::<u8>(), 0..4),
        authority in prop::collection::vec(any::<u8>(), 0..8),
        target in target(),
        fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..4), prop::collection::vec(any::<u8>(), 0..4)), 0..4),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..16)),
        is_plain: bool,
    ) {
        let fields = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let plain = raw(&target);
        let request = RawRequest {
            method: if is_plain { plain.method } else { &method },
            authority: if is_plain { plain.authority } else { &authority },
            fields,
            body: body.as_deref(),
            ..plain
        };
        if let Ok(http) = request.normalise() {
            prop_assert!(is_askable(http));
        }
        prop_assert!(is_askable(request.as_refused()));
    }
}
