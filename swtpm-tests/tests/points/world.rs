//! A device that is trusted, and what a point in front of a service needs.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use vouchsafe_swtpm_tests::agent::Agent;
use vouchsafe_swtpm_tests::engine::{Engine, eventually, free_port};
use vouchsafe_swtpm_tests::points::{Credential, service};
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;
use vouchsafe_swtpm_tests::world::{World, first_verdict};

/// A trusted device and a service, with all that it takes to put a point between them.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) credential: Credential,
    /// The certificate that the point shows its clients, PEM.
    pub(crate) certificate_pem: String,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// The roots of the engine's authority, PEM.
    pub(crate) roots: PathBuf,
    pub(crate) service: u16,
    pub(crate) port: u16,
    pub(crate) admin: u16,
    pub(crate) folder: PathBuf,
}

impl Scene {
    /// A device whose state is golden, in a world where the point is registered to pass on HTTP requests and devices. A score
    /// of 20 is enough here: trust takes days to grow.
    pub(crate) fn new(point: &str) -> Result<Self> {
        let tpm = SoftTpm::start()?;
        let mut engine = Engine::init(&tpm.vendor_certificates(), &[])?;
        let settings = engine.folder().join("vouchsafe.toml");
        let mut text = std::fs::read_to_string(&settings)?;
        write!(text, "\n[[points]]\nname = \"{point}\"\nforwards = [\"device\", \"http\"]\n")?;
        let text = text.replace("[policy]\n", "[policy]\ndir = \"policy\"\n");
        ensure!(text.contains("dir = \"policy\"\n"), "the settings have no [policy]");
        std::fs::write(&settings, text)?;
        let policy = engine.folder().join("policy");
        std::fs::create_dir(&policy)?;
        let default = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/default");
        std::fs::copy(default.join("policy.rego"), policy.join("policy.rego"))?;
        let data = std::fs::read_to_string(default.join("data.json"))?;
        let easier = data.replace("\"minimum_score\": 60", "\"minimum_score\": 20");
        ensure!(easier != data, "the default policy asks for another score than 60");
        std::fs::write(policy.join("data.json"), easier)?;
        engine.start()?;

        let join = engine.join_file("join", &[])?;
        let mut agent = Agent::new(&tpm.tcti(), &[])?;
        agent.run(Some(&join))?;
        let device = eventually("the device has vouched for itself", || first_verdict(&engine))?;
        let world = World { engine, agent, tpm, device };
        world.capture("golden", "1")?;
        world.until_status("affirming")?;
        let folder = world.engine.scratch().join("point");
        std::fs::create_dir(&folder)?;
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&certificate, cert.pem())?;
        std::fs::write(&key, signing_key.serialize_pem())?;
        Ok(Self {
            credential: Credential::issue(&world.engine, point)?,
            certificate_pem: cert.pem(),
            certificate,
            key,
            roots: world.engine.folder().join("trust-bundle.pem"),
            service: service::start()?,
            port: free_port()?,
            admin: free_port()?,
            folder,
            world,
        })
    }

    /// Tampers with what PCR 14 measures, and waits until the engine has seen it.
    pub(crate) fn tamper(&self) -> Result<()> {
        self.world.tpm.extend(14, "a rogue boot stage")?;
        self.world.until_status("contraindicated").context("after the PCR changed").map(drop)
    }
}

/// The binary of a point; none when it cannot be had and the test may do without.
pub(crate) fn have(binary: Result<&'static std::path::Path, &'static str>) -> Result<Option<&'static std::path::Path>> {
    match binary {
        Ok(binary) => Ok(Some(binary)),
        Err(reason) => {
            let required = std::env::var_os("VOUCHSAFE_POINTS_REQUIRED").is_some_and(|value| value == "1");
            ensure!(!required, "{reason}");
            eprintln!("skipped: {reason}");
            Ok(None)
        }
    }
}
