//! The hardware of a guest, which outlives its boots.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::control::{Control, Output};
use super::efi_image::authenticode_sha256;
use super::emulator::{CONTROL_SOCKET, TPM_SOCKET, VARIABLES, qemu_arguments, tpm_arguments};
use super::install::{Chain, Installed, Software, install};
use super::logs::{Logs, PRINT_PCRS};
use super::packages::{INSTALL, Release};
use super::parts::TestKey;
use super::process::Process;
use super::variables::{SetupVariable, VariableStore, sha256_list};
use crate::soft_tpm::{self, Model};

/// The keys that the firmware holds when a machine is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBoot {
    /// None: setup mode.
    NoKeys,
    /// Those of the test key, but Secure Boot is switched off.
    Off,
    /// Those of the test key, which is also what signs the images that are installed.
    TestKeys,
    /// Those of Microsoft, as most machines have them.
    Microsoft,
}

/// How a boot went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// The guest is up.
    Up,
    /// The firmware refused the image; what it said.
    Refused(String),
}

/// A machine: its TPM, its firmware variables, what is installed, and the guest while it runs. What runs is killed when it
/// is dropped.
#[derive(Debug)]
pub struct Machine {
    // Before the folder, so that nothing runs in it any more when it is removed.
    running: Option<Running>,
    folder: TempDir,
    maker: PathBuf,
    key: Option<TestKey>,
    installed: Option<Installed>,
    /// The agent's state folder, as a tar archive.
    state: Option<Vec<u8>>,
    boots: u32,
    boot_time: Duration,
}

#[derive(Debug)]
struct Running {
    control: Control,
    qemu: Process,
    /// Ends by itself when QEMU goes; here for when it does not.
    _tpm: Process,
}

/// How long a boot may take. It takes ten seconds on an idle machine.
const BOOT_LIMIT: Duration = Duration::from_secs(240);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
/// Several banks, so that a log has digests of several lengths. This kernel's IMA knows the first two.
const TPM: Model = Model { banks: "sha1,sha256,sha384", rsa_bits: 2048, certificates: true };

impl Machine {
    /// A new machine with a TPM of its own and nothing installed.
    ///
    /// # Errors
    /// A part is missing.
    pub fn new(secure_boot: SecureBoot) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("guest").tempdir()?;
        let maker = soft_tpm::next_maker(TPM)?;
        std::fs::create_dir(folder.path().join("tpm"))?;
        std::fs::copy(maker.join("state/tpm2-00.permall"), folder.path().join("tpm/tpm2-00.permall"))?;
        let (variables, key) = match secure_boot {
            SecureBoot::NoKeys => ("OVMF_VARS_4M.fd", None),
            SecureBoot::Off | SecureBoot::TestKeys => ("OVMF_VARS_4M.snakeoil.fd", Some(TestKey::find()?)),
            SecureBoot::Microsoft => ("OVMF_VARS_4M.ms.fd", None),
        };
        let to = folder.path().join(VARIABLES);
        std::fs::copy(Path::new("/usr/share/OVMF").join(variables), &to).context("copying variables of ovmf")?;
        let (installed, state, running) = (None, None, None);
        let machine = Self { running, folder, maker, key, installed, state, boots: 0, boot_time: Duration::ZERO };
        if secure_boot == SecureBoot::Off {
            machine.variables()?.set(&SetupVariable::secure_boot_enable(), &[0])?;
        }
        Ok(machine)
    }

    /// The certificates of the TPM's maker.
    pub fn vendor_certificates(&self) -> Vec<PathBuf> {
        soft_tpm::certificates_of(&self.maker)
    }

    /// Installs software, in place of what was installed.
    ///
    /// # Errors
    /// A tool fails.
    pub fn install(&mut self, software: &Software, chain: Chain) -> Result<()> {
        self.place(install(software, chain, self.key.as_ref(), self.folder.path())?)
    }

    /// The same, without the test key's signature.
    ///
    /// # Errors
    /// A tool fails.
    pub fn install_unsigned(&mut self, software: &Software, chain: Chain) -> Result<()> {
        self.place(install(software, chain, None, self.folder.path())?)
    }

    fn place(&mut self, installed: Installed) -> Result<()> {
        if let Some(entry) = &installed.entry {
            let mut variables = self.variables()?;
            variables.set(&SetupVariable::global("Boot0000"), entry)?;
            variables.set(&SetupVariable::global("BootOrder"), &[0, 0])?;
        }
        self.installed = Some(installed);
        Ok(())
    }

    /// The variables of the firmware.
    ///
    /// # Errors
    /// The guest runs, or the file is damaged.
    pub fn variables(&self) -> Result<VariableStore> {
        ensure!(self.running.is_none(), "the variables are the firmware's while the guest runs");
        VariableStore::open(&self.folder.path().join(VARIABLES))
    }

    /// The Authenticode digest of the image that the firmware starts.
    ///
    /// # Errors
    /// Nothing is installed.
    pub fn first_image(&self) -> Result<[u8; 32]> {
        let installed = self.installed.as_ref().context("nothing is installed")?;
        authenticode_sha256(&std::fs::read(&installed.first_image)?)
    }

    /// Adds a digest to dbx, as an update of the firmware does.
    ///
    /// # Errors
    /// The guest runs.
    pub fn revoke(&self, digest: &[u8; 32]) -> Result<()> {
        let mut variables = self.variables()?;
        let mut dbx = variables.get(&SetupVariable::dbx())?.unwrap_or_default();
        dbx.extend(sha256_list(digest));
        variables.set(&SetupVariable::dbx(), &dbx)
    }

    /// Boots what is installed, after a shutdown if it runs. The agent's state is as it was; the agent is not started.
    ///
    /// # Errors
    /// The guest is refused, or does not come up in time; the end of its console is in the error.
    pub fn boot(&mut self) -> Result<()> {
        match self.try_boot()? {
            Started::Up => Ok(()),
            Started::Refused(why) => bail!("the firmware refused the image: {why}"),
        }
    }

    /// The same, where a refusal is an answer.
    ///
    /// # Errors
    /// The guest does neither come up nor is refused.
    pub fn try_boot(&mut self) -> Result<Started> {
        if self.running.is_some() {
            self.shut_down()?;
        }
        self.boots += 1;
        let started = self.start();
        started.with_context(|| format!("boot {} failed; its console ends with\n{}", self.boots, self.console_end()))
    }

    fn start(&mut self) -> Result<Started> {
        let begun = Instant::now();
        let folder = self.folder.path();
        let log = folder.join("processes.log");
        let socket = folder.join(TPM_SOCKET);
        let _ = std::fs::remove_file(&socket);
        let mut tpm = Process::start("swtpm", &tpm_arguments(folder), &log)?;
        let listener = Control::listen(&folder.join(CONTROL_SOCKET))?;
        while !socket.exists() {
            ensure!(tpm.ended()?.is_none() && begun.elapsed() < BOOT_LIMIT, "swtpm does not start: {}", read(&log));
            std::thread::sleep(Duration::from_millis(20));
        }
        let medium = &self.installed.as_ref().context("nothing is installed")?.medium;
        let arguments = qemu_arguments(folder, &self.console_path(), medium);
        let mut qemu = Process::start("qemu-system-x86_64", &arguments, &log)?;
        let mut control = None;
        loop {
            let ready = match &mut control {
                None => {
                    control = Control::accept(&listener)?;
                    std::thread::sleep(Duration::from_millis(20));
                    false
                }
                Some(control) => control.is_ready().or_else(|error| match qemu.ended()? {
                    Some(status) => bail!("qemu ended with {status}: {}", read(&log)),
                    None => Err(error),
                })?,
            };
            if ready && let Some(control) = control {
                self.running = Some(Running { control, qemu, _tpm: tpm });
                self.boot_time = begun.elapsed();
                self.restore_state()?;
                return Ok(Started::Up);
            }
            if let Some(status) = qemu.ended()? {
                bail!("qemu ended with {status}: {}", read(&log));
            }
            if let Some(why) = refusal(&self.console()) {
                return Ok(Started::Refused(why));
            }
            ensure!(begun.elapsed() < BOOT_LIMIT, "the guest is not up after {BOOT_LIMIT:?}");
        }
    }

    /// How long the last boot took, from the start of QEMU to the first command.
    pub fn boot_time(&self) -> Duration {
        self.boot_time
    }

    /// What the guest said on its console since it booted; the agent's log is there.
    pub fn console(&self) -> String {
        read(&self.console_path())
    }

    fn console_path(&self) -> PathBuf {
        self.folder.path().join(format!("console-{}", self.boots))
    }

    /// The last lines of it.
    pub fn console_end(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n")
    }

    fn control(&mut self) -> Result<&mut Control> {
        Ok(&mut self.running.as_mut().context("the guest does not run")?.control)
    }

    /// Runs a script in the guest's shell, as root.
    ///
    /// # Errors
    /// The guest does not answer in time.
    pub fn run(&mut self, script: &str) -> Result<Output> {
        self.control()?.run(script)
    }

    /// Runs a script that must succeed, and returns what it printed.
    ///
    /// # Errors
    /// The guest does not answer in time, or the script fails.
    pub fn ask(&mut self, script: &str) -> Result<Vec<u8>> {
        self.run(script)?.success().with_context(|| format!("running in the guest: {script}"))
    }

    /// Writes a file in the guest, and the folders above it.
    ///
    /// # Errors
    /// The guest does not answer in time, or cannot write it.
    pub fn put(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.control()?.put(path, mode, content)
    }

    /// Installs the packages of a release: what they ship takes the place of what is there.
    ///
    /// # Errors
    /// The guest does not answer in time, or a package cannot be unpacked.
    pub fn install_packages(&mut self, release: &Release) -> Result<()> {
        self.put("/run/packages.tar", 0o600, &release.archive()?)?;
        self.ask(INSTALL).map(drop)
    }

    /// Starts the agent, with a join file if it is to enrol first.
    ///
    /// # Errors
    /// The guest does not answer in time.
    pub fn start_agent(&mut self, join: Option<&Path>) -> Result<()> {
        let mut script = "setsid vouchsafe-agent --tcti device:/dev/tpmrm0 run".to_owned();
        if let Some(join) = join {
            self.put("/run/join.json", 0o600, &std::fs::read(join)?)?;
            script.push_str(" --join /run/join.json");
        }
        script.push_str(" >/dev/console 2>&1 &\necho $! >/run/agent.pid");
        self.ask(&script).map(drop)
    }

    /// Ends the agent, and waits until it has ended.
    ///
    /// # Errors
    /// The guest does not answer in time.
    pub fn stop_agent(&mut self) -> Result<()> {
        let script = "[ -e /run/agent.pid ] || exit 0\nread -r pid </run/agent.pid; rm /run/agent.pid
            kill $pid 2>/dev/null; while kill -0 $pid 2>/dev/null; do sleep 0.1; done";
        self.ask(script).map(drop)
    }

    /// The logs and PCRs of this boot, all of one instant.
    ///
    /// # Errors
    /// The guest does not answer in time, or goes on measuring.
    pub fn logs(&mut self) -> Result<Logs> {
        const SECURITY: &str = "/sys/kernel/security";
        let boot = self.ask(&format!("cat {SECURITY}/tpm0/binary_bios_measurements"))?;
        for _ in 0..10 {
            let before = self.ask(&format!("cat {SECURITY}/ima/runtime_measurements_count"))?;
            let pcrs = self.ask(PRINT_PCRS)?;
            let ima = self.ask(&format!("cat {SECURITY}/ima/binary_runtime_measurements"))?;
            if before == self.ask(&format!("cat {SECURITY}/ima/runtime_measurements_count"))? {
                return Logs::new(boot, ima, &String::from_utf8_lossy(&pcrs));
            }
        }
        bail!("the guest measures more while its logs are read");
    }

    /// Ends the agent, keeps its state for the next boot, and powers off.
    ///
    /// # Errors
    /// The guest does not answer in time.
    pub fn shut_down(&mut self) -> Result<()> {
        self.stop_agent()?;
        self.save_state()?;
        let mut running = self.running.take().context("the guest does not run")?;
        // The guest is off before it could answer.
        let _ = running.control.run("poweroff -f");
        ensure!(running.qemu.ends_within(SHUTDOWN_LIMIT), "the guest does not power off:\n{}", self.console_end());
        Ok(())
    }

    /// Keeps the agent's state as it is now for the next boot.
    ///
    /// # Errors
    /// The guest does not answer in time.
    pub fn save_state(&mut self) -> Result<()> {
        self.state = Some(self.ask("tar -C /var/lib -cf - vouchsafe-agent")?);
        Ok(())
    }

    fn restore_state(&mut self) -> Result<()> {
        let Some(state) = self.state.take() else { return Ok(()) };
        self.put("/run/state.tar", 0o600, &state)?;
        self.ask("tar -C /var/lib -xf /run/state.tar && rm /run/state.tar")?;
        self.state = Some(state);
        Ok(())
    }

    /// Cuts the power: what the agent wrote since its state was kept is lost.
    pub fn cut_power(&mut self) {
        self.running = None;
    }
}

impl Drop for Machine {
    #[expect(clippy::print_stderr, reason = "the console of a failed test is for whoever reads it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- console of the guest, boot {}\n{}", self.boots, self.console_end());
        }
    }
}

/// What the firmware, or shim, says when it refuses an image.
fn refusal(console: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["Access Denied", "Security Violation", "Security Policy Violation"];
    console.lines().find(|line| WORDS.iter().any(|word| line.contains(word))).map(|line| line.trim().to_owned())
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
