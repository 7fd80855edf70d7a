//! Hosts that boot measured and run IMA, and what an operator does for them.

use vouchsafe_attest::eventlog::EventLog;
use vouchsafe_attest::forge::boot_log::{certificate_list, image_list};
use vouchsafe_attest::forge::{BootLog, ImaList};
use vouchsafe_attest::image::{Capture, GoldenImage, capture};
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, HostFacts, ImageId, Verdict};
use vouchsafe_trust_engine::attest::AttestRejected;
use vouchsafe_trust_engine::measured::AheadRejected;
use vouchsafe_wire::v1::attest::{Appraised, Evidence, EvidencePayload};
use vouchsafe_wire::v1::logs::{BootId, Deflated, ImaPart, ImaPosition, SentLogs};
use vouchsafe_wire::v1::operate::ImageSource;

use crate::world::{Device, World, selection, sha256};

/// What runs on a host after it booted.
pub(crate) const FILES: [(&str, &[u8]); 3] =
    [("/usr/bin/init", b"the init"), ("/usr/bin/sh", b"the shell"), ("/usr/lib/libc.so.6", b"the library")];

/// What a host boots.
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    pub(crate) loader: &'static [u8],
    pub(crate) kernel: &'static [u8],
    pub(crate) command_line: &'static str,
    pub(crate) initrd: &'static [u8],
}

pub(crate) const BOOT: Boot = Boot {
    loader: b"the boot loader",
    kernel: b"the kernel",
    command_line: "/vmlinuz root=/dev/sda1 ro",
    initrd: b"the initrd",
};

pub(crate) const LOADER_PATH: &str = "\\EFI\\debian\\grubx64.efi";

impl Boot {
    pub(crate) fn log(&self) -> BootLog {
        self.before_the_kernel()
            .grub_file("/vmlinuz", self.kernel)
            .grub("kernel_cmdline", self.command_line)
            .grub("grub_cmd", "initrd \"/initrd.img\"")
            .grub_file("/initrd.img", self.initrd)
            .exit_boot_services()
    }

    /// The log up to what GRUB reads.
    pub(crate) fn before_the_kernel(&self) -> BootLog {
        let (db, dbx) = (certificate_list(&[0x30, 1, 7]), image_list(&[[0xBB; 32]]));
        BootLog::new(&[HashAlgorithm::Sha1, HashAlgorithm::Sha256])
            .firmware(&db, &dbx)
            .application(self.loader, LOADER_PATH)
            .grub("grub_cmd", "configfile /boot/grub/grub.cfg")
    }
}

/// A device with what it booted and what it ran since.
pub(crate) struct Machine {
    pub(crate) device: Device,
    pub(crate) boot: BootId,
    /// The event log that it shows; `None` when it has none.
    pub(crate) log: Option<Vec<u8>>,
    /// The list that it shows, of which PCR 10 tells.
    pub(crate) list: ImaList,
    boots: u32,
}

impl Machine {
    fn new(device: Device) -> Self {
        let (boot, list) = (boot_id(0), ImaList::new());
        Self { device, boot, log: None, list, boots: 0 }
    }

    /// Restarts the host. Its files run anew.
    pub(crate) fn restart(&mut self, boot: &Boot) {
        self.restart_by(&boot.log());
        for (path, content) in FILES {
            self.list.file(path, content);
        }
        self.measure();
    }

    /// Restarts the host by this log. Nothing runs yet.
    pub(crate) fn restart_by(&mut self, log: &BootLog) {
        let tpm = &mut self.device.host.tpm;
        tpm.reboot();
        log.extend(tpm);
        self.boots += 1;
        self.boot = boot_id(self.boots);
        self.log = Some(log.bytes().to_vec());
        self.list = ImaList::at_boot(&tpm.pcrs(&selection("sha256:0-9")));
        self.measure();
    }

    /// Runs a file.
    pub(crate) fn run(&mut self, path: &str, content: &[u8]) {
        self.list.file(path, content);
        self.measure();
    }

    /// Lets PCR 10 tell of all that the list holds.
    pub(crate) fn measure(&mut self) {
        self.device.host.tpm.measure_ima(&self.list);
    }

    /// The list from here on.
    pub(crate) fn part(&self, offset: u64) -> ImaPart {
        self.part_of(offset, &self.list.bytes()[usize::try_from(offset).unwrap()..])
    }

    /// These bytes, said to begin here in the list of this boot.
    pub(crate) fn part_of(&self, offset: u64, bytes: &[u8]) -> ImaPart {
        ImaPart { from: ImaPosition { boot: self.boot.clone(), offset }, log: Deflated::new(bytes).unwrap() }
    }

    /// Where the engine says that it is in the list.
    pub(crate) fn known(&self) -> u64 {
        let known = self.device.challenge.logs.ima.as_ref().filter(|known| known.boot == self.boot);
        known.map_or(0, |known| known.offset)
    }

    /// What an honest agent sends: what the challenge says that the engine lacks.
    pub(crate) fn logs(&self) -> SentLogs {
        let unknown = |log: &&Vec<u8>| self.device.challenge.logs.event_log != Some(sha256(log));
        SentLogs {
            event_log: self.log.as_ref().filter(unknown).map(|log| Deflated::new(log).unwrap()),
            ima: Some(self.part(self.known())),
        }
    }

    /// Evidence for the present challenge, with these logs.
    pub(crate) fn evidence(&self, logs: SentLogs) -> Evidence {
        let facts = HostFacts { hostname: "host".into(), ..HostFacts::default() };
        let event_log = self.log.as_deref().map(sha256);
        let payload = EvidencePayload { facts, boot: Some(self.boot.clone()), event_log };
        let payload = serde_json::to_string(&payload).unwrap();
        Evidence { logs, ..self.device.evidence_of(&self.device.challenge, &payload) }
    }

    /// Sends evidence; the challenge of its answer becomes the present one.
    pub(crate) async fn send(&mut self, world: &World, evidence: Evidence) -> Result<Appraised, AttestRejected> {
        let appraised = Box::pin(world.engine.attest(&self.device.peer, self.device.id, evidence)).await?;
        self.device.challenge = appraised.challenge.clone();
        Ok(appraised)
    }

    /// One honest attestation, a minute after what was before.
    pub(crate) async fn attest(&mut self, world: &World) -> Verdict {
        world.step(&mut self.device, 60);
        let evidence = self.evidence(self.logs());
        self.send(world, evidence).await.unwrap().verdict
    }

    /// One attestation with these logs, a minute after what was before.
    pub(crate) async fn attest_with(&mut self, world: &World, logs: SentLogs) -> Result<Verdict, AttestRejected> {
        world.step(&mut self.device, 60);
        let evidence = self.evidence(logs);
        Ok(self.send(world, evidence).await?.verdict)
    }

    /// Asks for a challenge that says what the engine knows by now.
    pub(crate) async fn ask(&mut self, world: &World) {
        self.device.challenge = world.engine.fresh_challenge(&self.device.peer, self.device.id).await.unwrap();
    }

    pub(crate) async fn ahead(&self, world: &World, part: ImaPart) -> Result<ImaPosition, AheadRejected> {
        world.engine.take_ahead(&self.device.peer, self.device.id, part).await
    }

    /// The image that an operator makes of what this host booted and ran.
    pub(crate) fn image(&self, world: &World, id: &str) -> GoldenImage {
        let id: ImageId = id.parse().unwrap();
        let log = self.log.clone().unwrap();
        let facts = EventLog::parse(&log).unwrap().facts();
        let pcrs = self.device.host.tpm.pcrs(&selection("sha256:0-15"));
        let (now, ignored) = (vouchsafe_http::Clock::now(&*world.clock), PcrSet::EMPTY);
        let files = FILES.iter().map(|(path, content)| ((*path).to_owned(), digest_of(content)));
        capture(&Capture { id: &id, now, facts: Some(&facts), pcrs: &pcrs, ignored }, files)
    }

    /// The number of the one event of its log whose data holds these bytes.
    pub(crate) fn event_with(&self, data: &[u8]) -> u64 {
        let log = self.log.clone().unwrap();
        let log = EventLog::parse(&log).unwrap();
        let holds =
            |event: &&vouchsafe_attest::eventlog::Event<'_>| event.data().windows(data.len()).any(|part| part == data);
        let mut found = log.events().iter().filter(holds).map(vouchsafe_attest::eventlog::Event::number);
        let number = found.next().unwrap();
        assert_eq!(found.next(), None);
        number
    }
}

impl World {
    /// A host that booted and enrolled, and is assigned no image.
    pub(crate) async fn machine(&self) -> Machine {
        let mut machine = Machine::new(Box::pin(self.enrolled()).await);
        machine.restart(&BOOT);
        machine
    }

    /// A host that is affirmed by an image that was captured from it.
    pub(crate) async fn golden_machine(&self) -> Machine {
        let mut machine = self.machine().await;
        let image = machine.image(self, &format!("host-{}@1", machine.device.id));
        self.import(&image).await;
        self.assign(&mut machine, &image.id).await;
        let verdict = machine.attest(self).await;
        assert_eq!(told(&verdict), Vec::<String>::new());
        machine
    }

    pub(crate) async fn import(&self, image: &GoldenImage) {
        Box::pin(self.engine.import_image(ImageSource::Text(image.to_text()))).await.unwrap();
    }

    pub(crate) async fn assign(&self, machine: &mut Machine, image: &ImageId) {
        self.engine.assign_image(machine.device.id, Some(image.clone())).await.unwrap();
        machine.ask(self).await;
    }
}

/// All that was found, failures and warnings, as it reads.
pub(crate) fn told(verdict: &Verdict) -> Vec<String> {
    let costs = |finding: &&Finding| finding.severity > vouchsafe_model::Severity::Info;
    verdict.findings().iter().filter(costs).map(ToString::to_string).collect()
}

/// The codes of what was found, failures and warnings.
pub(crate) fn codes(verdict: &Verdict) -> Vec<FindingCode> {
    let costs = |finding: &&Finding| finding.severity > vouchsafe_model::Severity::Info;
    verdict.findings().iter().filter(costs).map(|finding| finding.code).collect()
}

/// The one finding of this code.
pub(crate) fn the(verdict: &Verdict, code: FindingCode) -> &Finding {
    let found: Vec<&Finding> = verdict.findings().iter().filter(|finding| finding.code == code).collect();
    let [finding] = &found[..] else { panic!("{code}: {:?}", told(verdict)) };
    finding
}

/// A file's digest, as images spell it.
pub(crate) fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", sha256(content))
}

pub(crate) fn boot_id(number: u32) -> BootId {
    BootId::try_from(format!("boot-{number}")).unwrap()
}
