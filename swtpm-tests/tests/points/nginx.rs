//! nginx, set up as docs/examples/nginx/nginx.conf says.

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::points::nginx::{Nginx, binary};
use vouchsafe_swtpm_tests::points::{example, text};

use crate::device::{Connection, tls_of};
use crate::world::{Scene, have};

fn configuration(scene: &Scene) -> Result<String> {
    example(
        "nginx/nginx.conf",
        &[
            ("/etc/nginx/tls/server.crt", text(&scene.certificate)?),
            ("/etc/nginx/tls/server.key", text(&scene.key)?),
            ("/etc/nginx/vouchsafe/edge.crt", text(&scene.credential.certificate)?),
            ("/etc/nginx/vouchsafe/edge.key", text(&scene.credential.key)?),
            ("/etc/nginx/vouchsafe/trust-bundle.pem", text(&scene.roots)?),
            ("engine.example.org:8443", &format!("localhost:{}", scene.world.engine.api_port())),
            ("engine.example.org", "localhost"),
            ("listen 443 ssl;", &format!("listen 127.0.0.1:{} ssl;", scene.port)),
            ("127.0.0.1:8080", &format!("127.0.0.1:{}", scene.service)),
            ("/run/nginx.pid", text(&scene.folder.join("nginx.pid"))?),
            ("/var/log/nginx/access.log", text(&scene.folder.join("access.log"))?),
        ],
    )
}

#[test]
fn nginx_lets_a_device_through_until_its_pcr_changes_on_the_same_connection() -> Result<()> {
    let Some(binary) = have(binary())? else { return Ok(()) };
    let mut scene = Scene::new("edge")?;
    let nginx = Nginx::start(binary, &scene.folder, &configuration(&scene)?, scene.port)?;
    let mut connection = Connection::open(tls_of(&scene.world, &scene.certificate_pem)?, scene.port)?;

    let forged =
        "x-vouchsafe-user: root\r\nx-vouchsafe-device: forged\r\nx-client-cert: forged\r\nx-original-uri: /forged\r\n";
    let answer = connection.get("/hello%7E?a=b", forged)?;
    ensure!(answer.status == 200, "a trusted device is not let through: {answer:?}\n{}", nginx.log());
    let device = format!("x-vouchsafe-device: {}\r\n", scene.world.device);
    ensure!(answer.body.contains(&device) && answer.body.contains("x-vouchsafe-decision-id: "), "{}", answer.body);
    ensure!(answer.body.starts_with("get /hello%7e?a=b "), "{}", answer.body);
    ensure!(!answer.body.contains("root") && !answer.body.contains(": forged"), "{}", answer.body);

    for path in ["/a/../b", "/a%2Fb", "//a", "/a;b"] {
        let answer = connection.get(path, "")?;
        ensure!(answer.status == 403, "{path}: {answer:?}");
    }

    scene.tamper()?;
    let answer = connection.get("/hello", "")?;
    ensure!(answer.status == 403, "a device that was tampered with is let through: {answer:?}");

    // Threat 35: an engine that cannot be reached is no allow.
    scene.world.engine.kill();
    let answer = connection.get("/hello", "")?;
    ensure!(answer.status == 500, "without an engine requests pass: {answer:?}");
    Ok(())
}

#[test]
fn nginx_asks_for_no_device_without_a_certificate() -> Result<()> {
    let Some(binary) = have(binary())? else { return Ok(()) };
    let scene = Scene::new("edge")?;
    let _nginx = Nginx::start(binary, &scene.folder, &configuration(&scene)?, scene.port)?;
    let config = vouchsafe_agent::tls::for_enrolment(&scene.certificate_pem)?;
    // nginx answers 400 to a client without a certificate, by HTTP and without asking.
    let answer = Connection::open(config, scene.port)?.get("/hello", "")?;
    ensure!(answer.status == 400, "{answer:?}");
    Ok(())
}
