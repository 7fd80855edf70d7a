//! What was found of a boot event log.

use std::collections::BTreeMap;

use serde::Serialize;
use vouchsafe_attest::eventlog::facts::{
    BootFacts, BootImage, BootImageKind, BootOption, CommandLine, ExitBootServices, Initrd, Loader, PartitionTable,
    SecureBoot, SignatureEntry, SignatureKind,
};
use vouchsafe_attest::eventlog::{Event, EventLog, LogFormat, Replay};
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::pcr::PcrValues;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, ImageId, PcrIndex, Severity};

use super::table::{Columns, Facts};
use super::{clean, line, or_dash};

/// The longest text of a cell, in characters: commands of GRUB go over pages.
const MAX_CELL_CHARS: usize = 120;

/// What a log says, what it replays to, and what is wrong with it.
#[derive(Debug, Serialize)]
pub(crate) struct EventLogReport {
    format: LogFormat,
    startup_locality: u8,
    banks: BTreeMap<HashAlgorithm, PcrValues>,
    /// What became of the PCR values that the log must come to.
    pcrs: Compared,
    events: Vec<EventLine>,
    firmware: Option<String>,
    secure_boot: SecureBoot,
    boot_chain: Vec<BootImage>,
    command_lines: Vec<CommandLine>,
    initrds: Vec<Initrd>,
    boot_order: Vec<BootOption>,
    partition_tables: Vec<PartitionTable>,
    exit_boot_services: ExitBootServices,
    /// What the boot was held against; `null` when that is nothing.
    image: Option<ImageReport>,
    findings: Vec<Finding>,
}

/// What became of the comparison with a golden image.
#[derive(Debug, Serialize)]
pub(crate) struct ImageReport {
    pub(crate) id: ImageId,
    /// The id of the key that signed it; `null` when nobody was asked for.
    pub(crate) signed_by: Option<String>,
    /// The bank whose values and digests were compared.
    pub(crate) bank: HashAlgorithm,
    pub(crate) values: ValuesFrom,
    /// Whether the boot is one that the image expects.
    pub(crate) met: bool,
}

/// Where the PCR values come from that the image was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValuesFrom {
    /// They were given.
    Given,
    /// They were not: the log's own count as quoted.
    Replayed,
}

/// What became of PCR values that may be given or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Compared {
    /// The log replays to them.
    Matched,
    /// It does not.
    Differ,
    /// They were not given, so that nothing was compared.
    NotGiven,
}

/// One event.
#[derive(Debug, Serialize)]
struct EventLine {
    number: u64,
    /// Where it begins in the file, in bytes.
    offset: usize,
    /// `null` for information that belongs to no PCR.
    pcr: Option<PcrIndex>,
    #[serde(rename = "type")]
    kind: String,
    digests: BTreeMap<HashAlgorithm, String>,
    /// How many bytes its data has.
    size: usize,
    /// Its data, in hexadecimal.
    data: String,
}

impl EventLine {
    fn of(event: &Event<'_>) -> Self {
        Self {
            number: event.number(),
            offset: event.offset(),
            pcr: event.pcr(),
            kind: event.kind().to_string(),
            digests: event.digests().map(|(bank, digest)| (bank, to_hex(digest))).collect(),
            size: event.data().len(),
            data: to_hex(event.data()),
        }
    }
}

impl EventLogReport {
    /// Puts together what was found of a log.
    pub(crate) fn new(
        log: &EventLog<'_>,
        replay: &Replay,
        findings: Vec<Finding>,
        compared: bool,
        image: Option<ImageReport>,
    ) -> Self {
        let BootFacts {
            firmware,
            secure_boot,
            boot_chain,
            command_lines,
            initrds,
            boot_order,
            partition_tables,
            exit_boot_services,
        } = log.facts();
        let differs = findings.iter().any(|finding| finding.code == FindingCode::EventLogMismatch);
        let pcrs = match (compared, differs) {
            (false, _) => Compared::NotGiven,
            (true, false) => Compared::Matched,
            (true, true) => Compared::Differ,
        };
        Self {
            format: log.format(),
            startup_locality: replay.startup_locality(),
            banks: replay.banks().iter().map(|bank| (bank.bank, bank.values.clone())).collect(),
            pcrs,
            events: log.events().iter().map(EventLine::of).collect(),
            firmware,
            secure_boot,
            boot_chain,
            command_lines,
            initrds,
            boot_order,
            partition_tables,
            exit_boot_services,
            image,
            findings,
        }
    }
}

/// The report as text.
pub(crate) fn view(report: &EventLogReport) -> String {
    let mut text = summary(report);
    section(&mut text, "PCRs", &pcrs(report));
    section(&mut text, "Booted", &boot_chain(report));
    section(&mut text, "Command lines", &command_lines(report));
    section(&mut text, "Initrds", &initrds(report));
    section(&mut text, "Boot order", &boot_order(report));
    section(&mut text, "Findings", &findings(report));
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        line(text, format_args!("\n{title}:"));
        text.push_str(body);
    }
}

fn summary(report: &EventLogReport) -> String {
    let banks: Vec<_> = report.banks.keys().map(|bank| bank.name()).collect();
    let format = match report.format {
        LogFormat::Tpm12 => "TPM 1.2",
        LogFormat::CryptoAgile => "crypto-agile",
    };
    let secure_boot = &report.secure_boot;
    let state = match secure_boot.enabled {
        Some(true) => "on",
        Some(false) => "off",
        None => "not measured",
    };
    let compared = match report.pcrs {
        Compared::Matched => "the given values match",
        Compared::Differ => "the given values differ",
        Compared::NotGiven => "not compared: --pcrs was not given",
    };
    let exit = match report.exit_boot_services {
        ExitBootServices::Missing => "not told",
        ExitBootServices::Invoked => "tried",
        ExitBootServices::Failed => "failed",
        ExitBootServices::Succeeded => "left",
    };
    Facts::default()
        .with("log", format!("{format}, {} events, {}", report.events.len(), banks.join(" ")))
        .with("PCRs", compared)
        .with_some("firmware", report.firmware.as_deref().map(short))
        .with("Secure Boot", state)
        .with("platform key", names(&secure_boot.pk))
        .with("db", names(&secure_boot.db))
        .with("dbx", format!("{} entries", secure_boot.dbx.len()))
        .with_some("SBAT level", secure_boot.sbat.as_ref().map(|level| short(&level.to_string())))
        .with("boot services", exit)
        .with_some("image", report.image.as_ref().map(image))
        .text()
}

/// Whether the image is met, and by whose word.
fn image(report: &ImageReport) -> String {
    let ImageReport { id, bank, .. } = report;
    let met = if report.met { "met" } else { "not met" };
    let values = match report.values {
        ValuesFrom::Given => format!("the given values of {bank}"),
        ValuesFrom::Replayed => format!("the log's own values of {bank}, which count as quoted without --pcrs"),
    };
    let signed = report.signed_by.as_deref().map(|key| format!("; signed by key {key}")).unwrap_or_default();
    format!("{id} is {met}, by {values}{signed}")
}

/// The names of keys, and how many entries have none.
fn names(entries: &[SignatureEntry]) -> String {
    let subjects: Vec<&str> = entries
        .iter()
        .filter_map(|entry| match &entry.kind {
            SignatureKind::X509 { subject, .. } => Some(subject.as_deref().unwrap_or("a certificate without a name")),
            _ => None,
        })
        .map(|subject| subject.rsplit_once("CN=").map_or(subject, |(_, name)| name))
        .collect();
    let others = entries.len().saturating_sub(subjects.len());
    match (subjects.is_empty(), others) {
        (true, 0) => "none".to_owned(),
        (true, others) => format!("{others} entries"),
        (false, 0) => short(&subjects.join("; ")),
        (false, others) => format!("{}; {others} more", short(&subjects.join("; "))),
    }
}

fn pcrs(report: &EventLogReport) -> String {
    let mut columns = Columns::new(["BANK", "PCR", "VALUE"]).right(1);
    for (bank, values) in &report.banks {
        values.iter().for_each(|(pcr, value)| columns.row([bank.to_string(), pcr.to_string(), value.to_string()]));
    }
    if report.banks.is_empty() { String::new() } else { columns.text("  ") }
}

fn boot_chain(report: &EventLogReport) -> String {
    let mut columns = Columns::new(["EVENT", "PCR", "KIND", "VERIFIED BY", "PATH"]).right(0).right(1);
    for image in &report.boot_chain {
        let kind = match image.kind {
            BootImageKind::Application => "application",
            BootImageKind::BootDriver => "boot driver",
            BootImageKind::RuntimeDriver => "runtime driver",
            BootImageKind::LoaderFile => "file",
        };
        let authority = image.authority.and_then(|place| report.secure_boot.authorities.get(place));
        columns.row([
            image.event.to_string(),
            image.pcr.to_string(),
            kind.to_owned(),
            or_dash(authority.map(|authority| short(&authority.variable))),
            or_dash(image.path.as_deref().map(short)),
        ]);
    }
    if report.boot_chain.is_empty() { String::new() } else { columns.text("  ") }
}

fn loader(loader: Loader) -> &'static str {
    match loader {
        Loader::Grub | Loader::GrubKernel => "GRUB",
        Loader::Systemd => "systemd",
        Loader::LinuxStub => "EFI stub",
        Loader::Firmware => "firmware",
    }
}

/// The command lines of kernels; GRUB's own commands are in the JSON.
fn command_lines(report: &EventLogReport) -> String {
    let mut columns = Columns::new(["EVENT", "PCR", "LOADER", "TEXT"]).right(0).right(1);
    let lines: Vec<_> = report.command_lines.iter().filter(|line| line.loader != Loader::Grub).collect();
    for line in &lines {
        let known = (!line.text.is_empty()).then(|| short(&line.text));
        let digest =
            || line.digests.iter().next_back().map(|(bank, digest)| format!("{bank} {digest} (no text is logged)"));
        let text = or_dash(known.or_else(digest));
        columns.row([line.event.to_string(), line.pcr.to_string(), loader(line.loader).to_owned(), text]);
    }
    if lines.is_empty() { String::new() } else { columns.text("  ") }
}

fn initrds(report: &EventLogReport) -> String {
    let mut columns = Columns::new(["EVENT", "PCR", "LOADER", "PATH"]).right(0).right(1);
    for initrd in &report.initrds {
        let path = or_dash(initrd.path.as_deref().map(short));
        columns.row([initrd.event.to_string(), initrd.pcr.to_string(), loader(initrd.loader).to_owned(), path]);
    }
    if report.initrds.is_empty() { String::new() } else { columns.text("  ") }
}

fn boot_order(report: &EventLogReport) -> String {
    let mut columns = Columns::new(["OPTION", "NAME", "PATH"]);
    for option in &report.boot_order {
        let name = or_dash(option.description.as_deref().map(short));
        columns.row([format!("Boot{:04X}", option.number), name, or_dash(option.path.as_deref().map(short))]);
    }
    if report.boot_order.is_empty() { String::new() } else { columns.text("  ") }
}

fn findings(report: &EventLogReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Failure => "failure",
        };
        line(&mut text, format_args!("  {severity}: {}", clean(&finding.to_string())));
        if finding.severity > Severity::Info {
            line(&mut text, format_args!("    {}", clean(&finding.advice)));
        }
    }
    if text.is_empty() { "  none\n".to_owned() } else { text }
}

/// A text without what drives terminals, cut at [`MAX_CELL_CHARS`].
fn short(text: &str) -> String {
    let cleaned = clean(text);
    match cleaned.char_indices().nth(MAX_CELL_CHARS) {
        Some((end, _)) => format!("{}…", cleaned.get(..end).unwrap_or_default()),
        None => cleaned,
    }
}
