//! nginx, as Debian ships it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::engine::PATIENCE;

/// A running nginx. It is killed when it is dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    log: PathBuf,
}

/// Where the binary is; Debian keeps it off the PATH of all but root.
///
/// # Errors
/// Why there is none.
pub fn binary() -> Result<&'static Path, &'static str> {
    let known = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].map(Path::new);
    known.into_iter().find(|path| path.exists()).ok_or("nginx is not installed (scripts/install-deps test)")
}

impl Nginx {
    /// Starts nginx with this configuration, in a folder; waits until it listens at a port.
    ///
    /// # Errors
    /// It refuses the configuration, or does not come up in time.
    pub fn start(binary: &Path, folder: &Path, configuration: &str, port: u16) -> Result<Self> {
        let (file, log) = (folder.join("nginx.conf"), folder.join("nginx.log"));
        std::fs::write(&file, configuration)?;
        let mut command = Command::new(binary);
        command.arg("-c").arg(&file).arg("-p").arg(folder).arg("-e").arg(&log).args(["-g", "daemon off;"]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting nginx")?;
        let mut nginx = Self { process, log };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = nginx.process.try_wait()? {
                bail!("nginx ended with {status}: {}", nginx.log());
            }
            ensure!(Instant::now() < deadline, "nginx does not listen: {}", nginx.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(nginx)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- nginx\n{}", self.log());
        }
    }
}
