//! The reference point of docs/examples/ws-point, in front of a WebSocket.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tungstenite::Message;
use vouchsafe_swtpm_tests::binaries::binary;
use vouchsafe_swtpm_tests::engine::eventually;

use crate::device::{Connection, tls_of};
use crate::world::Scene;

/// The point in a process of its own, which is killed when it is dropped.
struct Point {
    process: Child,
    log: PathBuf,
}

impl Point {
    fn start(scene: &Scene, service: u16) -> Result<Self> {
        let log = scene.folder.join("ws-point.log");
        let mut command = Command::new(binary("vouchsafe-ws-point")?);
        command.arg("--listen").arg(format!("127.0.0.1:{}", scene.port));
        command.arg("--service").arg(format!("127.0.0.1:{service}"));
        command.args(["--resource", "wss://chat.example.org/"]);
        command.arg("--certificate").arg(&scene.certificate).arg("--key").arg(&scene.key);
        command.arg("--engine").arg(format!("https://localhost:{}", scene.world.engine.api_port()));
        command.arg("--roots").arg(&scene.roots);
        command.arg("--credential").arg(&scene.credential.certificate);
        command.arg("--credential-key").arg(&scene.credential.key);
        let process =
            command.stdout(Stdio::null()).stderr(File::create(&log)?).spawn().context("starting the point")?;
        let point = Self { process, log };
        eventually("the point listens", || Ok(TcpStream::connect(("127.0.0.1", scene.port))?))?;
        Ok(point)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A WebSocket that says everything again. Its port.
fn echo() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(stream) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_text() && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(port)
}

#[test]
fn a_websocket_is_cut_when_the_pcr_of_its_device_changes() -> Result<()> {
    let scene = Scene::new("edge")?;
    let point = Point::start(&scene, echo()?)?;
    let connect = || -> Result<_> {
        let stream = Connection::open(tls_of(&scene.world, &scene.certificate_pem)?, scene.port)?.into_stream();
        let (socket, _) = tungstenite::client("ws://localhost/", stream).context("the WebSocket's handshake")?;
        Ok(socket)
    };
    let mut socket = connect().with_context(|| point.log())?;
    for text in ["one", "two"] {
        socket.send(Message::text(text))?;
        ensure!(socket.read()? == Message::text(text), "the echo is another");
    }

    scene.world.tpm.extend(14, "a rogue boot stage")?;
    let changed = Instant::now();
    // Nothing is sent: the end comes from the point alone.
    let end = socket.read();
    ensure!(end.is_err(), "the connection goes on: {end:?}");
    eprintln!("cut {} ms after the PCR changed", changed.elapsed().as_millis());
    eventually("the point says why", || {
        let log = point.log();
        ensure!(log.contains("the engine no longer allows it"), "{log}");
        Ok(())
    })?;
    ensure!(scene.world.engine.device(&scene.world.device)?["verdict"]["status"] == "contraindicated");
    ensure!(connect().is_err(), "a device that was tampered with connects again");
    Ok(())
}

#[test]
fn a_connection_outlives_its_engine_by_a_moment_and_no_longer() -> Result<()> {
    let mut scene = Scene::new("edge")?;
    let point = Point::start(&scene, echo()?)?;
    let stream = Connection::open(tls_of(&scene.world, &scene.certificate_pem)?, scene.port)?.into_stream();
    let (mut socket, _) = tungstenite::client("ws://localhost/", stream).context("the WebSocket's handshake")?;
    socket.send(Message::text("one"))?;
    socket.read()?;
    scene.world.engine.kill();
    let killed = Instant::now();
    ensure!(socket.read().is_err(), "without an engine the connection goes on");
    ensure!(killed.elapsed().as_secs() < 10, "it took {:?}: {}", killed.elapsed(), point.log());
    Ok(())
}
