//! Envoy, set up as docs/examples/envoy/envoy.yaml says.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::points::envoy::{Envoy, binary};
use vouchsafe_swtpm_tests::points::{example, text};

use crate::device::{Connection, tls_of};
use crate::world::{Scene, have};

fn bootstrap(scene: &Scene) -> Result<String> {
    example(
        "envoy/envoy.yaml",
        &[
            ("/etc/envoy/tls/server.crt", text(&scene.certificate)?),
            ("/etc/envoy/tls/server.key", text(&scene.key)?),
            ("/etc/envoy/vouchsafe/edge.crt", text(&scene.credential.certificate)?),
            ("/etc/envoy/vouchsafe/edge.key", text(&scene.credential.key)?),
            ("/etc/envoy/vouchsafe/trust-bundle.pem", text(&scene.roots)?),
            ("engine.example.org", "localhost"),
            ("0.0.0.0", "127.0.0.1"),
            ("port_value: 443 ", &format!("port_value: {} ", scene.port)),
            ("port_value: 8443 ", &format!("port_value: {} ", scene.world.engine.api_port())),
            ("port_value: 8080 ", &format!("port_value: {} ", scene.service)),
            ("port_value: 9901 ", &format!("port_value: {} ", scene.admin)),
        ],
    )
}

#[test]
fn envoy_lets_a_device_through_until_its_pcr_changes_on_the_same_connection() -> Result<()> {
    let Some(binary) = have(binary())? else { return Ok(()) };
    let mut scene = Scene::new("edge")?;
    let envoy = Envoy::start(binary, &scene.folder, &bootstrap(&scene)?, scene.admin)?;
    let mut connection = Connection::open(tls_of(&scene.world, &scene.certificate_pem)?, scene.port)?;

    let forged = "x-vouchsafe-user: root\r\nx-vouchsafe-device: forged\r\nx-forwarded-client-cert: Hash=forged\r\n";
    let answer = connection.get("/hello%7E?a=b", forged)?;
    ensure!(answer.status == 200, "a trusted device is not let through: {answer:?}\n{}", envoy.log());
    let device = format!("x-vouchsafe-device: {}\r\n", scene.world.device);
    ensure!(answer.body.contains(&device) && answer.body.contains("x-vouchsafe-decision-id: "), "{}", answer.body);
    ensure!(answer.body.starts_with("get /hello%7e?a=b "), "{}", answer.body);
    ensure!(!answer.body.contains("root") && !answer.body.contains("forged"), "{}", answer.body);

    for (path, fields) in
        [("/a/../b", ""), ("/a%2Fb", ""), ("//a", ""), ("/a;b", ""), ("/", "x_vouchsafe_user: root\r\n")]
    {
        let answer = connection.get(path, fields)?;
        ensure!(answer.status == 403 && answer.body.contains("_ambiguous"), "{path}: {answer:?}");
    }
    let denied = envoy.counter("http.edge.", "ext_authz.denied")?;
    ensure!(denied == 5, "envoy counts {denied} denied requests");

    scene.tamper()?;
    let answer = connection.get("/hello", "")?;
    ensure!(answer.status == 403, "a device that was tampered with is let through: {answer:?}");
    ensure!(answer.body.contains("device.pcr_mismatch") && answer.body.contains("PCR 14"), "{}", answer.body);
    ensure!(answer.head.contains("x-vouchsafe-decision-id: "), "{}", answer.head);

    for (of, counter, expected) in [
        ("listener.127.0.0.1_", ".ssl.handshake", 1),
        ("listener.127.0.0.1_", ".ssl.no_certificate", 0),
        ("http.edge.", "ext_authz.ok", 1),
        ("http.edge.", "ext_authz.denied", 6),
        ("http.edge.", "ext_authz.error", 0),
        ("http.edge.", "ext_authz.failure_mode_allowed", 0),
    ] {
        let found = envoy.counter(of, counter)?;
        ensure!(found == expected, "envoy counts {found} of {of}…{counter}, and not {expected}");
    }

    // Threat 35: an engine that cannot be reached is no allow.
    scene.world.engine.kill();
    let answer = connection.get("/hello", "")?;
    ensure!(answer.status == 403, "without an engine requests pass: {answer:?}");
    ensure!(envoy.counter("http.edge.", "ext_authz.error")? == 1);
    Ok(())
}

#[test]
fn envoy_lets_nobody_in_without_a_certificate() -> Result<()> {
    let Some(binary) = have(binary())? else { return Ok(()) };
    let scene = Scene::new("edge")?;
    let _envoy = Envoy::start(binary, &scene.folder, &bootstrap(&scene)?, scene.admin)?;
    let config = vouchsafe_agent::tls::for_enrolment(&scene.certificate_pem)?;
    let answer = Connection::open(config, scene.port)?.get("/hello", "");
    ensure!(answer.is_err(), "a client without a certificate is answered: {answer:?}");
    Ok(())
}
