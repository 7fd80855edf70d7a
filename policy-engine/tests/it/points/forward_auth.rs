//! Forward authentication, as nginx, Traefik and Caddy ask.

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use vouchsafe_model::DeviceState;

use super::support::{EDGE, PLAIN, STRANGER, World, base64, escaped_pem, field, text};
use crate::fixtures::{ALLOW_ALL, device, policy};

pub(super) type Fields<'a> = Vec<(&'a str, String)>;

/// What each proxy sends of a request of device 1, and the name of the field that has the path.
pub(super) fn proxies(world: &World) -> [(&'static str, &'static str, Fields<'static>); 3] {
    let own = |value: &str| value.to_owned();
    let forwarded = || {
        vec![
            ("x-forwarded-method", own("GET")),
            ("x-forwarded-host", own("wiki.example.org")),
            ("x-forwarded-uri", own("/a%7Eb?c=d")),
            ("x-forwarded-for", own("198.51.100.1, 192.0.2.7")),
            ("x-forwarded-proto", own("https")),
        ]
    };
    let nginx = vec![
        ("x-original-method", own("GET")),
        ("x-original-host", own("wiki.example.org")),
        ("x-original-uri", own("/a%7Eb?c=d")),
        ("x-real-ip", own("192.0.2.7")),
        ("x-forwarded-proto", own("https")),
        ("x-client-verify", own("SUCCESS")),
        ("x-client-cert", escaped_pem(&world.certificate)),
    ];
    let chain = format!("{},{}", base64(&world.certificate), base64(b"an intermediate"));
    let traefik = [forwarded(), vec![("x-forwarded-tls-client-cert", chain)]].concat();
    let caddy = [forwarded(), vec![("x-client-cert", base64(&world.certificate))]].concat();
    [("nginx", "x-original-uri", nginx), ("traefik", "x-forwarded-uri", traefik), ("caddy", "x-forwarded-uri", caddy)]
}

pub(super) async fn ask_as(world: &World, identity: &str, dialect: &str, fields: &[(&str, String)]) -> Response {
    let request = Request::get(format!("/v1/forward-auth/{dialect}")).header("host", "engine.example.org");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, value));
    world.send(identity, request.header("cookie", "a=hunter2").body(Body::empty()).unwrap()).await
}

async fn ask(world: &World, dialect: &str, fields: &[(&str, String)]) -> Response {
    ask_as(world, EDGE, dialect, fields).await
}

#[tokio::test]
async fn each_proxy_is_understood_in_its_own_dialect() {
    for (number, dialect) in ["nginx", "traefik", "caddy"].into_iter().enumerate() {
        let world = World::new();
        let (_, _, fields) = &proxies(&world)[number];
        let answer = ask(&world, dialect, fields).await;
        assert_eq!(answer.status(), 200, "{dialect}: {}", text(answer).await);
        let logged = &world.logged()[0];
        assert_eq!(field(answer.headers(), "x-vouchsafe-decision-id"), logged.id.to_string());
        assert_eq!(field(answer.headers(), "x-vouchsafe-device"), device(1).to_string());
        assert_eq!(field(answer.headers(), "x-vouchsafe-score"), "79.5");
        // What is not known is there and empty, so that it replaces what a client sent.
        assert_eq!(field(answer.headers(), "x-vouchsafe-user"), "");
        assert_eq!(field(answer.headers(), "x-vouchsafe-roles"), "");
        assert_eq!(field(answer.headers(), "cache-control"), "no-store");
        let question = &logged.question;
        assert_eq!(question.request.resource, "https://wiki.example.org/a~b");
        let http = question.request.http.as_ref().unwrap();
        assert_eq!((http.raw_path.as_str(), http.query.as_deref()), ("/a%7Eb", Some("c=d")));
        assert!(http.headers.is_empty(), "{dialect}: {:?}", http.headers);
        let network = question.network.as_ref().unwrap();
        assert_eq!(
            (network.source_ip, network.authenticated, network.encrypted),
            ("192.0.2.7".parse().ok(), true, true)
        );
        assert!(!world.log_text().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_deny_is_a_403_with_its_reasons() {
    let world = World::new();
    world.change(|record| record.state = DeviceState::Revoked);
    for (dialect, _, fields) in proxies(&world) {
        let answer = ask(&world, dialect, &fields).await;
        assert_eq!(answer.status(), 403, "{dialect}");
        assert_ne!(field(answer.headers(), "x-vouchsafe-decision-id"), "-");
        assert_eq!(field(answer.headers(), "x-vouchsafe-device"), "-");
        assert!(text(answer).await.contains("device.not_active"), "{dialect}");
    }
}

#[tokio::test]
async fn a_policy_that_wants_a_login_is_answered_by_401() {
    let bundle =
        policy(r#"decision := {"allow": false, "reasons": [{"code": "user.unauthenticated", "message": "Log in."}]}"#);
    let world = World::with_policy(&bundle);
    for (dialect, _, fields) in proxies(&world) {
        let answer = ask(&world, dialect, &fields).await;
        assert_eq!((answer.status().as_u16(), field(answer.headers(), "www-authenticate")), (401, "Bearer".to_owned()));
    }
}

#[tokio::test]
async fn what_servers_read_differently_is_denied() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    for (dialect, target, fields) in proxies(&world) {
        for path in ["/a/../b", "/a%2Fb", "//a", "/a;b", "/a#b", "/a%00"] {
            let fields: Fields<'_> = fields
                .iter()
                .map(|(name, value)| (*name, if *name == target { path.to_owned() } else { value.clone() }))
                .collect();
            let answer = ask(&world, dialect, &fields).await;
            assert_eq!(answer.status(), 403, "{dialect}: {path}");
            assert!(text(answer).await.contains("request.path_ambiguous"), "{dialect}: {path}");
        }
        let twin = [fields.clone(), vec![("x_vouchsafe_user", "root".to_owned())]].concat();
        assert!(text(ask(&world, dialect, &twin).await).await.contains("request.headers_ambiguous"));
    }
    assert_eq!(world.logged().len(), 21);
}

#[tokio::test]
async fn a_field_of_the_point_that_is_missing_or_there_twice_is_no_question() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    for (dialect, _, fields) in proxies(&world) {
        for (place, (name, value)) in fields.iter().enumerate() {
            let twice = [fields.clone(), vec![(*name, value.clone())]].concat();
            assert_eq!(ask(&world, dialect, &twice).await.status(), 422, "{dialect}: {name}");
            let mut missing = fields.clone();
            missing.remove(place);
            let optional =
                ["x-real-ip", "x-forwarded-for", "x-client-cert", "x-forwarded-tls-client-cert"].contains(name);
            let expected = if optional { 200 } else { 422 };
            assert_eq!(ask(&world, dialect, &missing).await.status(), expected, "{dialect}: {name}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_the_proxy_has_not_verified_is_none() {
    let world = World::new();
    let (_, _, fields) = proxies(&world).into_iter().next().unwrap();
    for verdict in ["FAILED:certificate has expired", "NONE", "success"] {
        let fields: Fields<'_> = fields
            .iter()
            .map(|(name, value)| (*name, if *name == "x-client-verify" { verdict.to_owned() } else { value.clone() }))
            .collect();
        let answer = ask(&world, "nginx", &fields).await;
        assert_eq!(answer.status(), 403, "{verdict}");
        assert!(text(answer).await.contains("device.unknown"));
        assert!(!world.logged().last().unwrap().question.network.as_ref().unwrap().authenticated);
    }
}

#[tokio::test]
async fn fields_of_another_proxy_mean_nothing() {
    let world = World::new();
    let [nginx, traefik, _] = proxies(&world);
    // A client of Traefik that claims what nginx would say.
    let claims =
        [traefik.2.clone(), vec![("x-client-cert", "forged".to_owned()), ("x-original-uri", "/public".to_owned())]];
    let answer = ask(&world, "traefik", &claims.concat()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(world.logged()[0].question.request.resource, "https://wiki.example.org/a~b");
    assert_eq!(ask(&world, "traefik", &nginx.2).await.status(), 422);
    assert_eq!(ask(&world, "apache", &nginx.2).await.status(), 400);
}

#[tokio::test]
async fn only_a_point_that_is_registered_for_it_is_believed() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    for (dialect, _, fields) in proxies(&world) {
        for identity in [PLAIN, STRANGER] {
            let answer = ask_as(&world, identity, dialect, &fields).await;
            assert_eq!(answer.status(), 403, "{identity}");
            assert!(text(answer).await.contains("caller.not_registered"));
        }
        let anonymous: Fields<'_> = fields.into_iter().filter(|(name, _)| !name.contains("client")).collect();
        assert_eq!(ask_as(&world, PLAIN, dialect, &anonymous).await.status(), 200);
        assert_eq!(ask_as(&world, STRANGER, dialect, &anonymous).await.status(), 403);
    }
    assert_eq!(world.logged().len(), 3);
}
