//! `opa run --server` with the default policy, if it is here.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use vouchsafe_pki::pem;
use vouchsafe_policies::default_bundle;

use super::server::{Credentials, World};

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(20);

/// An OPA, until this is dropped.
pub(crate) struct Opa {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Opa {
    /// Starts one; `None` without `opa`.
    pub(crate) fn start(world: &World) -> Option<Self> {
        Command::new("opa").arg("version").stdout(Stdio::null()).status().ok()?;
        let folder = world.folder.path().join("opa");
        write(world, &folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let process = Command::new("opa")
            .args(["run", "--server", "--disable-telemetry", "--log-level", "error", "--authentication", "tls"])
            .args(["--addr", &format!("https://{address}"), "--tls-cert-file", "server.crt"])
            .args([
                "--tls-private-key-file",
                "server.key",
                "--tls-ca-cert-file",
                "root.crt",
                "--min-tls-version",
                "1.3",
            ])
            .arg("policy")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("errors")).unwrap())
            .spawn()
            .unwrap();
        let opa = Self { process, address };
        opa.until_it_listens(&folder);
        Some(opa)
    }

    fn until_it_listens(&self, folder: &Path) {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let errors = || fs::read_to_string(folder.join("errors")).unwrap_or_default();
            assert!(began.elapsed() < START, "opa does not listen: {}", errors());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Opa {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What it needs, in a folder.
fn write(world: &World, folder: &Path) {
    let policy = folder.join("policy");
    let bundle = default_bundle().unwrap();
    fs::create_dir_all(&policy).unwrap();
    fs::write(policy.join("data.json"), bundle.data().to_string()).unwrap();
    for file in bundle.policies() {
        fs::write(policy.join(file.path()), file.text()).unwrap();
    }
    let Credentials { issued, key } = world.server();
    let chain = pem::encode_certificates(issued.chain_der.iter().map(Vec::as_slice));
    fs::write(folder.join("server.crt"), chain).unwrap();
    fs::write(folder.join("server.key"), key.to_pkcs8_pem()).unwrap();
    fs::write(folder.join("root.crt"), pem::encode_certificates([&world.root()[..]])).unwrap();
}
