//! What it costs to read a boot event log: parse, replay of three banks, facts and deviations.
//!
//! The log is made here: 160 events in 50 KB, with the sizes of a server that boots by shim and GRUB with Secure Boot on.
//! `full` is all that an engine does with it; `bare` is the hashing that nobody can do without, by the library itself: each
//! digest that is extended, the data of each event whose digest can be recomputed, and the certificates of the signature
//! databases, each once for each bank. The two are measured in turns, so that whatever else the machine does falls on both.
//! Each figure is printed as a line of JSON.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops when it cannot go on, and prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, digest};
use vouchsafe_attest::eventlog::{EventLog, EventType};
use vouchsafe_attest::forge::boot_log::{self, BootLog};
use vouchsafe_model::HashAlgorithm;

const BANKS: [HashAlgorithm; 3] = [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384];
const EVENTS: usize = 160;
const TARGET_US: f64 = 300.0;
const TARGET_RATIO: f64 = 0.5;
const ROUNDS: usize = 300;
const READS_PER_ROUND: u32 = 5;

/// A certificate as signature databases hold them.
fn certificate(name: &str) -> Vec<u8> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    let attributes = [
        (rcgen::DnType::CountryName, "US"),
        (rcgen::DnType::OrganizationName, "A Corporation of Some Length"),
        (rcgen::DnType::CommonName, name),
    ];
    attributes.into_iter().for_each(|(kind, value)| params.distinguished_name.push(kind, value));
    params.self_signed(&key).unwrap().der().to_vec()
}

/// A log of [`EVENTS`] events, about 50 KB.
fn log() -> BootLog {
    let certificates: Vec<Vec<u8>> = ["one", "two", "three", "four"].map(certificate).into();
    let db: Vec<u8> = certificates.iter().flat_map(|der| boot_log::certificate_list(der)).collect();
    let revoked: Vec<[u8; 32]> = (0..=200u8).map(|number| [number; 32]).collect();
    let authority = [&boot_log::IMAGE_SECURITY[..], certificates.first().unwrap()].concat();
    let mut log = BootLog::new(&BANKS)
        .firmware(&db, &boot_log::image_list(&revoked))
        .event(7, EventType::EFI_VARIABLE_AUTHORITY, &boot_log::variable(&boot_log::IMAGE_SECURITY, "db", &authority))
        .application(b"shim", "\\EFI\\debian\\shimx64.efi")
        .application(b"grub", "\\EFI\\debian\\grubx64.efi");
    let menu = "menuentry 'Debian GNU/Linux' --class debian --class gnu-linux --class os { load_video; insmod gzio }"
        .repeat(4);
    for number in 0..EVENTS {
        let events = EventLog::parse(log.bytes()).unwrap().events().len();
        if events >= EVENTS - 8 {
            break;
        }
        log = match number % 10 {
            0 => log.grub("grub_cmd", &menu),
            1 => log.grub_file("(hd0,gpt2)/boot/grub/x86_64-efi/a_module.mod", b"a module"),
            _ => log.grub("grub_cmd", "search --no-floppy --fs-uuid --set=root 4dbc98d4-cc1a-4f57-af34-3f374f4954bf"),
        };
    }
    log.grub("grub_cmd", "linux /boot/vmlinuz-6.1.0-26-cloud-amd64 root=UUID=4dbc98d4 ro console=ttyS0")
        .grub_file("/boot/vmlinuz-6.1.0-26-cloud-amd64", b"the kernel")
        .grub("kernel_cmdline", "/boot/vmlinuz-6.1.0-26-cloud-amd64 root=UUID=4dbc98d4 ro console=ttyS0")
        .application(b"the kernel", "\\boot\\vmlinuz")
        .grub("grub_cmd", "initrd /boot/initrd.img-6.1.0-26-cloud-amd64")
        .grub_file("/boot/initrd.img-6.1.0-26-cloud-amd64", b"the initrd")
        .exit_boot_services()
}

fn full(bytes: &[u8]) {
    let log = EventLog::parse(black_box(bytes)).unwrap();
    black_box((log.replay(), log.facts(), log.deviations()));
}

/// What must be hashed, with what.
struct Bare<'a> {
    inputs: Vec<(&'static Algorithm, &'a [u8])>,
    extensions: Vec<(&'static Algorithm, usize)>,
}

impl<'a> Bare<'a> {
    fn new(log: &'a EventLog<'a>) -> Self {
        let mut bare = Self { inputs: Vec::new(), extensions: Vec::new() };
        for event in log.events().iter().filter(|event| event.extends().is_some()) {
            for (bank, found) in event.digests() {
                let algorithm = match bank {
                    HashAlgorithm::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
                    HashAlgorithm::Sha256 => &SHA256,
                    _ => &SHA384,
                };
                bare.extensions.push((algorithm, 2 * found.len()));
                bare.inputs.extend(measured(event.kind(), event.data()).map(|data| (algorithm, data)));
            }
        }
        let entries = bare.inputs.len();
        assert!(entries > EVENTS, "most events are recomputed");
        bare
    }

    fn run(&self, certificates: &[Vec<u8>]) {
        let zeros = [0u8; 128];
        for (algorithm, len) in &self.extensions {
            black_box(digest(algorithm, zeros.get(..*len).unwrap_or_default()));
        }
        for (algorithm, data) in &self.inputs {
            black_box(digest(algorithm, data));
        }
        for der in certificates {
            black_box(digest(&SHA256, der));
        }
    }
}

/// What of an event's data was measured, where that can be told.
fn measured(kind: EventType, data: &[u8]) -> Option<&[u8]> {
    match kind {
        EventType::IPL => data.strip_prefix(b"grub_cmd: ").or_else(|| data.strip_prefix(b"kernel_cmdline: ")),
        EventType::EFI_BOOT_SERVICES_APPLICATION | EventType::EFI_PLATFORM_FIRMWARE_BLOB => None,
        EventType::EFI_VARIABLE_BOOT => data.get(50..),
        _ => Some(data),
    }
}

fn time(mut read: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..READS_PER_ROUND {
        read();
    }
    start.elapsed() / READS_PER_ROUND
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap()
}

fn main() {
    let forged = log();
    let bytes = forged.bytes();
    let log = EventLog::parse(bytes).unwrap();
    assert!(log.deviations().is_empty(), "{:?}", log.deviations());
    let facts = log.facts();
    let entries = facts.secure_boot.db.iter().chain(&facts.secure_boot.pk).chain(&facts.secure_boot.kek);
    let authorities = facts.secure_boot.authorities.iter().filter_map(|authority| authority.entry.as_ref());
    let certificates: Vec<Vec<u8>> = entries.chain(authorities).filter_map(der).collect();
    let bare = Bare::new(&log);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let bare = time(|| bare.run(&certificates)).as_secs_f64() * 1e6;
        let full = time(|| full(bytes)).as_secs_f64() * 1e6;
        rounds.push((bare, full));
    }
    let bare = median(rounds.iter().map(|(bare, _)| *bare).collect());
    let full = median(rounds.iter().map(|(_, full)| *full).collect());
    let ratio = median(rounds.iter().map(|(bare, full)| bare / full).collect());
    let size = format!(r#""bytes":{},"events":{}"#, bytes.len(), log.events().len());
    let met = full <= TARGET_US;
    println!(r#"{{"bench":"event_log.us",{size},"value":{full:.1},"target":"<= {TARGET_US}","met":{met}}}"#);
    let met = ratio >= TARGET_RATIO;
    let timings = format!(r#""bare_us":{bare:.1},"full_us":{full:.1}"#);
    println!(r#"{{"bench":"event_log.ratio",{timings},"ratio":{ratio:.3},"target":{TARGET_RATIO},"met":{met}}}"#);
}

fn der(entry: &vouchsafe_attest::eventlog::facts::SignatureEntry) -> Option<Vec<u8>> {
    match &entry.kind {
        vouchsafe_attest::eventlog::facts::SignatureKind::X509 { der, .. } => Some(der.clone()),
        _ => None,
    }
}
