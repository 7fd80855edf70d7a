//! Boot event logs of any content, with the PCR values that they come to.

use vouchsafe_model::pcr::{PcrValue, PcrValues};
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex};

use super::{ForgedTpm, pcr_value};
use crate::digest;
use crate::eventlog::EventType;

/// The vendor of the variables that UEFI itself defines.
pub const EFI_GLOBAL: [u8; 16] =
    [0x61, 0xDF, 0xE4, 0x8B, 0xCA, 0x93, 0xD2, 0x11, 0xAA, 0x0D, 0x00, 0xE0, 0x98, 0x03, 0x2B, 0x8C];
/// The vendor of `db` and `dbx`.
pub const IMAGE_SECURITY: [u8; 16] =
    [0xCB, 0xB2, 0x19, 0xD7, 0x3A, 0x3D, 0x96, 0x45, 0xA3, 0xBC, 0xDA, 0xD0, 0x0E, 0x67, 0x65, 0x6F];
/// The vendor of shim's variables.
pub const SHIM_LOCK: [u8; 16] =
    [0x50, 0xAB, 0x5D, 0x60, 0x46, 0xE0, 0x00, 0x43, 0xAB, 0xB6, 0x3D, 0xD8, 0x10, 0xDD, 0x8B, 0x23];

/// A log that is written event by event. Each keeps the PCRs of all banks in step.
#[derive(Clone, Debug)]
pub struct BootLog {
    banks: Vec<HashAlgorithm>,
    is_agile: bool,
    bytes: Vec<u8>,
    pcrs: Vec<PcrBank>,
    measured: Vec<(PcrIndex, Vec<u8>)>,
}

impl BootLog {
    /// A crypto-agile log with these banks.
    pub fn new(banks: &[HashAlgorithm]) -> Self {
        let mut log = Self::empty(banks, true);
        let mut spec_id = b"Spec ID Event03\0".to_vec();
        spec_id.extend([0, 0, 0, 0, 0, 2, 0, 2]);
        spec_id.extend(len32(banks.len()));
        for bank in banks {
            spec_id.extend(bank.tpm_alg_id().to_le_bytes());
            spec_id.extend(u16::try_from(bank.digest_len()).expect("a digest is short").to_le_bytes());
        }
        spec_id.push(0);
        log.push_sha1_event(0, EventType::NO_ACTION, &[0; 20], &spec_id);
        log
    }

    /// A log as for TPM 1.2.
    pub fn tpm12() -> Self {
        Self::empty(&[HashAlgorithm::Sha1], false)
    }

    fn empty(banks: &[HashAlgorithm], is_agile: bool) -> Self {
        let pcrs = banks.iter().map(|bank| PcrBank { bank: *bank, values: PcrValues::new() }).collect();
        Self { banks: banks.to_vec(), is_agile, bytes: Vec::new(), pcrs, measured: Vec::new() }
    }

    /// Firmware that boots a signed image: version, Secure Boot on with these lists of signatures, separators, a GPT disk.
    ///
    /// Boot loaders and [`Self::exit_boot_services`] are for the caller to add.
    #[must_use]
    pub fn firmware(self, db: &[u8], dbx: &[u8]) -> Self {
        let version: Vec<u8> = "forged firmware 1.0\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let driver_config = EventType::EFI_VARIABLE_DRIVER_CONFIG;
        let key = signature_list(&X509_GUID, &[0x30, 3, 2, 1, 5]);
        let mut log = self
            .event(0, EventType::S_CRTM_VERSION, &version)
            .measured(0, EventType::EFI_PLATFORM_FIRMWARE_BLOB, b"the code of the firmware", &[0; 16])
            .event(7, driver_config, &variable(&EFI_GLOBAL, "SecureBoot", &[1]))
            .event(7, driver_config, &variable(&EFI_GLOBAL, "PK", &key))
            .event(7, driver_config, &variable(&EFI_GLOBAL, "KEK", &key))
            .event(7, driver_config, &variable(&IMAGE_SECURITY, "db", db))
            .event(7, driver_config, &variable(&IMAGE_SECURITY, "dbx", dbx))
            .event(7, EventType::SEPARATOR, &[0; 4])
            .boot_variable("BootOrder", &[1, 0])
            .boot_variable("Boot0001", &load_option("forged", &file_path("\\EFI\\BOOT\\BOOTX64.EFI")))
            .event(4, EventType::EFI_ACTION, b"Calling EFI Application from Boot Option");
        for pcr in 0..=6 {
            log = log.event(pcr, EventType::SEPARATOR, &[0; 4]);
        }
        log.event(5, EventType::EFI_GPT_EVENT, &partition_table())
    }

    /// An event whose digests are those of its data.
    #[must_use]
    pub fn event(self, pcr: u8, kind: EventType, data: &[u8]) -> Self {
        self.measured(pcr, kind, data, data)
    }

    /// An event whose digests are those of something else than its data.
    #[must_use]
    pub fn measured(mut self, pcr: u8, kind: EventType, measured: &[u8], data: &[u8]) -> Self {
        let digests: Vec<Vec<u8>> = self.banks.iter().map(|bank| digest_in(*bank, &[measured])).collect();
        self.measured.extend(PcrIndex::new(pcr).map(|pcr| (pcr, measured.to_vec())));
        self.push(u32::from(pcr), kind, &digests, data);
        self
    }

    /// Information that is not measured.
    #[must_use]
    pub fn no_action(mut self, pcr: u32, data: &[u8]) -> Self {
        let zeros: Vec<Vec<u8>> = self.banks.iter().map(|bank| vec![0; bank.digest_len()]).collect();
        self.push(pcr, EventType::NO_ACTION, &zeros, data);
        self
    }

    /// Says from which locality the TPM was started. Before anything is measured.
    #[must_use]
    pub fn startup_locality(mut self, locality: u8) -> Self {
        for PcrBank { bank, values } in &mut self.pcrs {
            let mut start = vec![0; bank.digest_len()];
            *start.last_mut().expect("a digest has a last byte") = locality;
            values.insert(pcr_index(0), pcr_value(&start));
        }
        self.no_action(0, &[b"StartupLocality\0", &[locality][..]].concat())
    }

    /// A variable of the boot menu, of which firmware measures the value alone.
    #[must_use]
    pub fn boot_variable(self, name: &str, value: &[u8]) -> Self {
        self.measured(1, EventType::EFI_VARIABLE_BOOT, value, &variable(&EFI_GLOBAL, name, value))
    }

    /// An application that the firmware starts: its Authenticode digest is that of `image`.
    #[must_use]
    pub fn application(self, image: &[u8], path: &str) -> Self {
        let data = image_load_event(&file_path(path));
        self.measured(4, EventType::EFI_BOOT_SERVICES_APPLICATION, image, &data)
    }

    /// A text of GRUB: `grub_cmd` or `kernel_cmdline`, and what follows it.
    #[must_use]
    pub fn grub(self, prefix: &str, text: &str) -> Self {
        self.measured(8, EventType::IPL, text.as_bytes(), format!("{prefix}: {text}\0").as_bytes())
    }

    /// A file that GRUB reads.
    #[must_use]
    pub fn grub_file(self, path: &str, content: &[u8]) -> Self {
        self.measured(9, EventType::IPL, content, format!("{path}\0").as_bytes())
    }

    /// What the kernel's EFI stub measures: its command line, and an initrd.
    #[must_use]
    pub fn linux_stub(self, command_line: &str, initrd: &[u8]) -> Self {
        let options: Vec<u8> = command_line.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let tagged = EventType::EVENT_TAG;
        self.measured(9, tagged, &options, &tag(0x8F3B_22ED, b"LOADED_IMAGE::LoadOptions\0")).measured(
            9,
            tagged,
            initrd,
            &tag(0x8F3B_22EC, b"Linux initrd\0"),
        )
    }

    /// The end of the boot services.
    #[must_use]
    pub fn exit_boot_services(self) -> Self {
        self.event(5, EventType::EFI_ACTION, b"Exit Boot Services Invocation").event(
            5,
            EventType::EFI_ACTION,
            b"Exit Boot Services Returned with Success",
        )
    }

    /// The log, as the kernel shows it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The PCRs that it extends, by bank.
    pub fn pcrs(&self) -> &[PcrBank] {
        &self.pcrs
    }

    /// A PCR's value in a bank; `None` when the log does not extend it.
    pub fn pcr(&self, bank: HashAlgorithm, pcr: u8) -> Option<&PcrValue> {
        self.pcrs.iter().find(|values| values.bank == bank)?.values.get(&pcr_index(pcr))
    }

    /// Extends the PCRs of a TPM as this log says, from the values that they have.
    pub fn extend(&self, tpm: &mut ForgedTpm) {
        self.measured.iter().for_each(|(pcr, data)| tpm.extend(*pcr, data));
    }

    /// Writes an event with these digests, one for each bank.
    pub fn push(&mut self, pcr: u32, kind: EventType, digests: &[Vec<u8>], data: &[u8]) {
        let index = u8::try_from(pcr).ok().and_then(PcrIndex::new).filter(|_| kind != EventType::NO_ACTION);
        for (PcrBank { bank, values }, digest) in self.pcrs.iter_mut().zip(digests) {
            let Some(index) = index else { continue };
            let value = values.entry(index).or_insert_with(|| pcr_value(&vec![0; bank.digest_len()]));
            *value = pcr_value(&digest_in(*bank, &[value.as_bytes(), digest]));
        }
        if !self.is_agile {
            let digest = digests.first().expect("a log has a bank");
            return self.push_sha1_event(pcr, kind, digest, data);
        }
        self.bytes.extend(pcr.to_le_bytes());
        self.bytes.extend(kind.0.to_le_bytes());
        self.bytes.extend(len32(digests.len()));
        for (bank, digest) in self.banks.iter().zip(digests) {
            self.bytes.extend(bank.tpm_alg_id().to_le_bytes());
            self.bytes.extend(digest);
        }
        self.bytes.extend(len32(data.len()));
        self.bytes.extend(data);
    }

    fn push_sha1_event(&mut self, pcr: u32, kind: EventType, digest: &[u8], data: &[u8]) {
        self.bytes.extend(pcr.to_le_bytes());
        self.bytes.extend(kind.0.to_le_bytes());
        self.bytes.extend(digest);
        self.bytes.extend(len32(data.len()));
        self.bytes.extend(data);
    }
}

const X509_GUID: [u8; 16] =
    [0xA1, 0x59, 0xC0, 0xA5, 0xE4, 0x94, 0xA7, 0x4A, 0x87, 0xB5, 0xAB, 0x15, 0x5C, 0x2B, 0xF0, 0x72];
const SHA256_GUID: [u8; 16] =
    [0x26, 0x16, 0xC4, 0xC1, 0x4C, 0x50, 0x92, 0x40, 0xAC, 0xA9, 0x41, 0xF9, 0x36, 0x93, 0x43, 0x28];

/// A `UEFI_VARIABLE_DATA`.
pub fn variable(vendor: &[u8; 16], name: &str, value: &[u8]) -> Vec<u8> {
    let utf16: Vec<u16> = name.encode_utf16().collect();
    let mut data = vendor.to_vec();
    data.extend(u64::try_from(utf16.len()).expect("a name is short").to_le_bytes());
    data.extend(u64::try_from(value.len()).expect("a value is short").to_le_bytes());
    data.extend(utf16.into_iter().flat_map(u16::to_le_bytes));
    data.extend(value);
    data
}

/// A list of signatures that holds one certificate.
pub fn certificate_list(der: &[u8]) -> Vec<u8> {
    signature_list(&X509_GUID, der)
}

/// A list of signatures that holds images by their SHA-256.
pub fn image_list(digests: &[[u8; 32]]) -> Vec<u8> {
    let mut list = SHA256_GUID.to_vec();
    list.extend(len32(28 + 48 * digests.len()));
    list.extend(len32(0));
    list.extend(len32(48));
    for digest in digests {
        list.extend(EFI_GLOBAL);
        list.extend(digest);
    }
    list
}

fn signature_list(kind: &[u8; 16], data: &[u8]) -> Vec<u8> {
    [&kind[..], &len32(28 + 16 + data.len()), &len32(0), &len32(16 + data.len()), &EFI_GLOBAL, data].concat()
}

/// A device path of one file.
pub fn file_path(path: &str) -> Vec<u8> {
    let utf16: Vec<u8> = path.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let len = u16::try_from(4 + utf16.len()).expect("a path is short");
    [&[4, 4][..], &len.to_le_bytes(), &utf16, &[0x7F, 0xFF, 4, 0]].concat()
}

/// A `UEFI_IMAGE_LOAD_EVENT`.
pub fn image_load_event(device_path: &[u8]) -> Vec<u8> {
    let mut data = vec![0; 24];
    data.extend(u64::try_from(device_path.len()).expect("a path is short").to_le_bytes());
    data.extend(device_path);
    data
}

/// A tagged event.
pub fn tag(id: u32, data: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &len32(data.len()), data].concat()
}

fn load_option(description: &str, device_path: &[u8]) -> Vec<u8> {
    let mut data = vec![1, 0, 0, 0];
    data.extend(u16::try_from(device_path.len()).expect("a path is short").to_le_bytes());
    data.extend(description.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    data.extend(device_path);
    data
}

/// A `UEFI_GPT_DATA` with one partition.
fn partition_table() -> Vec<u8> {
    let mut data = b"EFI PART".to_vec();
    data.resize(56, 0);
    data.extend([0xD1; 16]);
    data.extend([2, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0]);
    data.extend(1u64.to_le_bytes());
    data.extend([0x9F; 16]);
    data.extend([0x1D; 16]);
    data.extend(2048u64.to_le_bytes());
    data.extend(4095u64.to_le_bytes());
    data.extend([0; 8]);
    let mut name: Vec<u8> = "EFI".encode_utf16().flat_map(u16::to_le_bytes).collect();
    name.resize(72, 0);
    data.extend(name);
    data
}

fn digest_in(bank: HashAlgorithm, parts: &[&[u8]]) -> Vec<u8> {
    let algorithm = digest::algorithm(bank).expect("the library has the hash of every bank but SM3");
    digest::digest_of(algorithm, parts.iter().copied()).as_ref().to_vec()
}

fn pcr_index(pcr: u8) -> PcrIndex {
    PcrIndex::new(pcr).expect("a PCR")
}

fn len32(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a log is short").to_le_bytes()
}
