//! A software TPM for one test: swtpm on two TCP ports of the loopback, with its own state and its own maker.
//!
//! `swtpm_setup` manufactures each [`Model`] once, under `target/soft-tpm`, with a certificate authority of its own; every
//! test works on a copy. No two TPMs of one process share a serial, so no two are the same device.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// What a TPM is made like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its PCR banks, as `swtpm_setup` names them.
    pub banks: &'static str,
    /// The size of its RSA endorsement key: 2048 is at the low range, 3072 at the high one.
    pub rsa_bits: u16,
    /// Whether it has endorsement key certificates (RSA, and ECC P-384).
    pub certificates: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self { banks: "sha256", rsa_bits: 2048, certificates: true }
    }
}

/// A running software TPM. Dropping it ends the process and removes its state.
#[derive(Debug)]
pub struct SoftTpm {
    directory: tempfile::TempDir,
    maker: PathBuf,
    process: Option<Child>,
    port: u16,
}

/// How long swtpm is given to listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How often other ports are tried when somebody else took ours.
const PORT_ATTEMPTS: usize = 10;

impl SoftTpm {
    /// Starts a TPM of the default model.
    ///
    /// # Errors
    /// When swtpm is not installed or does not start.
    pub fn start() -> Result<Self> {
        Self::start_model(Model::default())
    }

    /// Starts a TPM of a model.
    ///
    /// # Errors
    /// When swtpm is not installed or does not start.
    pub fn start_model(model: Model) -> Result<Self> {
        let maker = next_maker(model)?;
        let directory = tempfile::Builder::new().prefix("soft-tpm").tempdir()?;
        let state = directory.path().join("state");
        fs::create_dir(&state)?;
        fs::copy(maker.join("state/tpm2-00.permall"), state.join("tpm2-00.permall"))?;
        let mut tpm = Self { directory, maker, process: None, port: 0 };
        tpm.power_on()?;
        Ok(tpm)
    }

    /// The way to it, as agents and tpm2-tools write it.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// The port of its command channel; the control channel is at the next one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A directory that lives as long as the TPM.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The certificates (PEM files) of its maker: the root, and the intermediate that signed the endorsement key
    /// certificates.
    pub fn vendor_certificates(&self) -> Vec<PathBuf> {
        certificates_of(&self.maker)
    }

    /// Runs one of tpm2-tools on it and returns what it printed.
    ///
    /// # Errors
    /// When the tool fails; its output is in the error.
    pub fn tool(&self, arguments: &[&str]) -> Result<String> {
        let (program, arguments) = arguments.split_first().context("no program")?;
        let output = Command::new(program)
            .args(arguments)
            .env("TPM2TOOLS_TCTI", self.tcti())
            .env("TSS2_LOG", "all+NONE")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {program}"))?;
        ensure!(
            output.status.success(),
            "{program} {arguments:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Measures something into a PCR, in every bank, as a boot stage does.
    ///
    /// # Errors
    /// When the TPM refuses.
    pub fn extend(&self, pcr: u8, measured: &str) -> Result<()> {
        let file = tempfile::NamedTempFile::new_in(self.directory.path())?;
        fs::write(file.path(), measured)?;
        self.tool(&["tpm2_pcrevent", &pcr.to_string(), &file.path().display().to_string()]).map(drop)
    }

    /// Resets the TPM as a reboot does: power off and on, then `TPM2_Startup(CLEAR)`.
    ///
    /// # Errors
    /// When the TPM does not come back.
    pub fn reset(&self) -> Result<()> {
        self.power_cycle()?;
        self.startup()
    }

    /// The first half of a reset: the TPM answers `TPM_RC_INITIALIZE` until [`SoftTpm::startup`].
    ///
    /// # Errors
    /// When the control channel does not answer.
    pub fn power_cycle(&self) -> Result<()> {
        let control = format!("127.0.0.1:{}", self.port + 1);
        let output =
            Command::new("swtpm_ioctl").args(["--tcp", &control, "-i"]).output().context("running swtpm_ioctl")?;
        ensure!(output.status.success(), "swtpm_ioctl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The second half: `TPM2_Startup(CLEAR)`, as firmware sends it.
    ///
    /// # Errors
    /// When the TPM refuses.
    pub fn startup(&self) -> Result<()> {
        self.tool(&["tpm2_startup", "--clear"]).map(drop)
    }

    /// Takes the TPM away: its ports are closed.
    pub fn power_off(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only when the process has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Brings it back, at the same ports if they are still free, started up and with its PCRs at their first values.
    ///
    /// # Errors
    /// When swtpm does not start.
    pub fn power_on(&mut self) -> Result<()> {
        self.power_off();
        for _ in 0..PORT_ATTEMPTS {
            let port = if self.port == 0 { free_port_pair()? } else { self.port };
            match self.spawn(port) {
                Ok(process) => {
                    (self.process, self.port) = (Some(process), port);
                    return Ok(());
                }
                Err(error) if self.port != 0 => return Err(error),
                Err(_) => {}
            }
        }
        bail!("swtpm found no free ports in {PORT_ATTEMPTS} attempts: {}", self.log())
    }

    fn spawn(&self, port: u16) -> Result<Child> {
        let state = self.directory.path().join("state");
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", state.display())])
            .args(["--server", &format!("type=tcp,bindaddr=127.0.0.1,port={port}")])
            .args(["--ctrl", &format!("type=tcp,bindaddr=127.0.0.1,port={}", port + 1)])
            .args(["--log", &format!("file={},level=1", self.directory.path().join("swtpm.log").display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting swtpm (Debian packages swtpm and swtpm-tools)")?;
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = process.try_wait()? {
                bail!("swtpm ended at once: {status}: {}", self.log());
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
                return Ok(process);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = process.kill();
        let _ = process.wait();
        bail!("swtpm did not listen within {START_LIMIT:?}: {}", self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("swtpm.log")).unwrap_or_default()
    }
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// Two neighbouring ports that were free a moment ago.
fn free_port_pair() -> Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no two neighbouring ports are free")
}

/// The directory of a TPM of this model that nothing else in this process is: `state/` and `ca/`.
pub(crate) fn next_maker(model: Model) -> Result<PathBuf> {
    static SERIAL: AtomicU16 = AtomicU16::new(1);
    manufactured(model, SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// The certificates of a manufactured TPM's maker.
pub(crate) fn certificates_of(maker: &Path) -> Vec<PathBuf> {
    ["swtpm-localca-rootca-cert.pem", "issuercert.pem"].map(|name| maker.join("ca").join(name)).into()
}

/// The directory of a manufactured model: `state/` and `ca/`. Made once, and kept for later runs.
fn manufactured(model: Model, serial: u16) -> Result<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/soft-tpm");
    fs::create_dir_all(&cache)?;
    let cache = cache.canonicalize()?;
    let certificates = if model.certificates { "certified" } else { "bare" };
    let banks = model.banks.replace(',', "+");
    let finished = cache.join(format!("{banks}-rsa{}-{certificates}-{serial}", model.rsa_bits));
    if finished.join("state/tpm2-00.permall").exists() {
        return Ok(finished);
    }
    let building = tempfile::Builder::new().prefix("building").tempdir_in(&cache)?;
    manufacture(model, building.path())?;
    // Of several processes that make the same model, the first keeps its own and the others take that.
    match fs::rename(building.path(), &finished) {
        // It has moved: there is nothing left to remove.
        Ok(()) => drop(building.keep()),
        Err(error) if finished.join("state/tpm2-00.permall").exists() => drop(error),
        Err(error) => return Err(error).context("keeping a manufactured TPM"),
    }
    Ok(finished)
}

fn manufacture(model: Model, directory: &Path) -> Result<()> {
    let path = |name: &str| directory.join(name).display().to_string();
    for name in ["state", "ca"] {
        fs::create_dir(directory.join(name))?;
    }
    let options = "--platform-manufacturer Vouchsafe\n--platform-version 1\n--platform-model Test\n";
    fs::write(directory.join("localca.options"), options)?;
    let ca = format!(
        "statedir = {}\nsigningkey = {}\nissuercert = {}\ncertserial = {}\n",
        path("ca"),
        path("ca/signkey.pem"),
        path("ca/issuercert.pem"),
        path("ca/certserial")
    );
    fs::write(directory.join("localca.conf"), ca)?;
    let setup = format!(
        "create_certs_tool = {}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n",
        certificate_tool()?.display(),
        path("localca.conf"),
        path("localca.options")
    );
    fs::write(directory.join("setup.conf"), setup)?;
    let mut command = Command::new("swtpm_setup");
    command.args(["--tpm2", "--createek", "--overwrite", "--pcr-banks", model.banks]);
    command.args(["--config", &path("setup.conf"), "--tpmstate", &path("state")]);
    command.args(["--rsa-keysize", &model.rsa_bits.to_string()]);
    if model.certificates {
        command.args(["--create-ek-cert", "--create-platform-cert", "--lock-nvram"]);
    }
    let output = command.stdin(Stdio::null()).output().context("running swtpm_setup (Debian package swtpm-tools)")?;
    ensure!(
        output.status.success(),
        "swtpm_setup: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn certificate_tool() -> io::Result<PathBuf> {
    let places = ["/usr/bin/swtpm_localca", "/usr/local/bin/swtpm_localca", "/usr/share/swtpm/swtpm-localca"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "swtpm_localca is not installed"))
}
