//! The variables of OVMF, in the flash file that holds them while no guest runs.
//!
//! A firmware volume with one store of authenticated variables (EDK II, MdeModulePkg/Include/Guid/VariableFormat.h). Writing
//! here goes past the firmware, so it needs no signature of a key exchange key: it is what whoever sets a test machine up
//! may do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// A variable that tests set: its name, its vendor GUID as it is in the store, and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupVariable {
    name: String,
    vendor: [u8; 16],
    attributes: u32,
}

/// 8BE4DF61-93CA-11D2-AA0D-00E098032B8C, the variables that UEFI itself defines.
const GLOBAL: [u8; 16] = *b"\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c";
/// D719B2CB-3D3A-4596-A3BC-DAD00E67656F, db and dbx.
const IMAGE_SECURITY: [u8; 16] = *b"\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f";
/// F0A30BC7-AF08-4556-99C4-001009C93A44, OVMF's own switch.
const SECURE_BOOT_ENABLE: [u8; 16] = *b"\xc7\x0b\xa3\xf0\x08\xaf\x56\x45\x99\xc4\x00\x10\x09\xc9\x3a\x44";
/// C1C41626-504C-4092-ACA9-41F936934328, signature lists of SHA-256 digests.
const CERT_SHA256: [u8; 16] = *b"\x26\x16\xc4\xc1\x4c\x50\x92\x40\xac\xa9\x41\xf9\x36\x93\x43\x28";
/// 4AAFD29D-68DF-49EE-8AA9-347D375665A7, signatures of authenticated variables.
const CERT_PKCS7: [u8; 16] = *b"\x9d\xd2\xaf\x4a\xdf\x68\xee\x49\x8a\xa9\x34\x7d\x37\x56\x65\xa7";
/// Who put a digest into dbx. Any will do.
const OWNER: [u8; 16] = *b"vouchsafe-tests.";

const NON_VOLATILE: u32 = 1;
const BOOT_SERVICE: u32 = 2;
const RUNTIME: u32 = 4;
const TIME_BASED_AUTHENTICATED: u32 = 0x20;

impl SetupVariable {
    /// What Secure Boot refuses.
    pub fn dbx() -> Self {
        let attributes = NON_VOLATILE | BOOT_SERVICE | RUNTIME | TIME_BASED_AUTHENTICATED;
        Self { name: "dbx".to_owned(), vendor: IMAGE_SECURITY, attributes }
    }

    /// Whether Secure Boot is enforced where keys are enrolled: one byte.
    pub fn secure_boot_enable() -> Self {
        let attributes = NON_VOLATILE | BOOT_SERVICE;
        Self { name: "SecureBootEnable".to_owned(), vendor: SECURE_BOOT_ENABLE, attributes }
    }

    /// A variable of UEFI, such as `Boot0000`.
    pub(super) fn global(name: &str) -> Self {
        Self { name: name.to_owned(), vendor: GLOBAL, attributes: NON_VOLATILE | BOOT_SERVICE | RUNTIME }
    }

    fn name_bytes(&self) -> Vec<u8> {
        self.name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }
}

/// A signature list with one SHA-256 digest (UEFI 2.10, 32.4.1).
pub(super) fn sha256_list(digest: &[u8; 32]) -> Vec<u8> {
    let mut list = CERT_SHA256.to_vec();
    for word in [76_u32, 0, 48] {
        list.extend_from_slice(&word.to_le_bytes());
    }
    list.extend_from_slice(&OWNER);
    list.extend_from_slice(digest);
    list
}

/// A file that revokes one image, as the UEFI Forum publishes them: an `EFI_VARIABLE_AUTHENTICATION_2` (UEFI 2.10, 8.2.2) and
/// a list. Its signature is empty, as firmware alone would look at it.
pub fn dbx_update(digest: &[u8; 32]) -> Vec<u8> {
    // 2026-01-31, and the fields that must be zero.
    let mut update = [&2026_u16.to_le_bytes()[..], &[1, 31], &[0; 12]].concat();
    // A WIN_CERTIFICATE_UEFI_GUID of 24 bytes, revision 2.0, type EFI_GUID: no more than its header.
    update.extend_from_slice(&24_u32.to_le_bytes());
    update.extend_from_slice(&[0x00, 0x02, 0xf1, 0x0e]);
    update.extend_from_slice(&CERT_PKCS7);
    update.extend(sha256_list(digest));
    update
}

/// The file of a machine's variables. No guest may run while it is open.
#[derive(Debug)]
pub struct VariableStore {
    path: PathBuf,
    flash: Vec<u8>,
    /// Where the first variable is.
    start: usize,
    /// Where the store ends.
    end: usize,
}

/// Of the length of its header, in a firmware volume.
const VOLUME_HEADER_LENGTH: usize = 0x30;
/// AAF32C78-947B-439A-A180-2E144EC37792, a store of authenticated variables.
const AUTHENTICATED_STORE: [u8; 16] = *b"\x78\x2c\xf3\xaa\x7b\x94\x9a\x43\xa1\x80\x2e\x14\x4e\xc3\x77\x92";
const STORE_HEADER: usize = 28;
const VARIABLE_HEADER: usize = 60;
const VARIABLE_MARK: [u8; 2] = [0xaa, 0x55];
/// A variable that was written whole and is not deleted. Flash clears bits, it sets none.
const ADDED: u8 = 0x3f;
const DELETED: u8 = 0xfd;

/// Where a variable's parts are.
struct Found {
    header: usize,
    name: std::ops::Range<usize>,
    data: std::ops::Range<usize>,
    next: usize,
}

impl VariableStore {
    /// Reads the file.
    ///
    /// # Errors
    /// It is not there, or holds no store of authenticated variables.
    pub fn open(path: &Path) -> Result<Self> {
        let flash = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let bytes = flash.get(VOLUME_HEADER_LENGTH..).and_then(<[u8]>::first_chunk).context("no firmware volume")?;
        let store = usize::from(u16::from_le_bytes(*bytes));
        ensure!(flash.get(store..store + 16) == Some(&AUTHENTICATED_STORE), "no store of authenticated variables");
        let end = store + u32_at(&flash, store + 16)?;
        ensure!(end <= flash.len(), "the store is longer than its file");
        Ok(Self { path: path.to_owned(), flash, start: store + STORE_HEADER, end })
    }

    /// A variable's data.
    ///
    /// # Errors
    /// The store is damaged.
    pub fn get(&self, variable: &SetupVariable) -> Result<Option<Vec<u8>>> {
        Ok(self.find(variable)?.and_then(|found| self.flash.get(found.data)).map(<[u8]>::to_vec))
    }

    /// Writes a variable, in place of the one that was there.
    ///
    /// # Errors
    /// The store is damaged, or full.
    pub fn set(&mut self, variable: &SetupVariable, data: &[u8]) -> Result<()> {
        let old = self.find(variable)?;
        let name = variable.name_bytes();
        let mut written = VARIABLE_MARK.to_vec();
        written.extend_from_slice(&[ADDED, 0]);
        written.extend_from_slice(&variable.attributes.to_le_bytes());
        // The monotonic count, which nobody counts any more, and the time stamp, which a later signed update must exceed.
        let stamp = old.as_ref().and_then(|old| self.flash.get(old.header + 8..old.header + 32));
        written.extend_from_slice(stamp.unwrap_or(&[0; 24]));
        for word in [0, u32::try_from(name.len())?, u32::try_from(data.len())?] {
            written.extend_from_slice(&word.to_le_bytes());
        }
        for part in [&variable.vendor[..], &name, data] {
            written.extend_from_slice(part);
        }
        let mut free = self.start;
        while let Some(found) = self.at(free)? {
            free = found.next;
        }
        ensure!(free + written.len() <= self.end, "the variable store is full");
        let room = self.flash.get_mut(free..free + written.len()).context("the store ends")?;
        ensure!(room.iter().all(|&byte| byte == 0xff), "the store is in use where it should be free");
        room.copy_from_slice(&written);
        if let Some(state) = old.and_then(|old| self.flash.get_mut(old.header + 2)) {
            *state &= DELETED;
        }
        std::fs::write(&self.path, &self.flash).with_context(|| format!("writing {}", self.path.display()))
    }

    fn find(&self, variable: &SetupVariable) -> Result<Option<Found>> {
        let name = variable.name_bytes();
        let mut at = self.start;
        while let Some(found) = self.at(at)? {
            let vendor = self.flash.get(found.header + 44..found.header + 60);
            let present = self.flash.get(found.header + 2) == Some(&ADDED);
            if present && vendor == Some(&variable.vendor) && self.flash.get(found.name.clone()) == Some(&name) {
                return Ok(Some(found));
            }
            at = found.next;
        }
        Ok(None)
    }

    /// The variable that starts here; `None` where no more follow.
    fn at(&self, header: usize) -> Result<Option<Found>> {
        if self.flash.get(header..header + 2) != Some(&VARIABLE_MARK) || header + VARIABLE_HEADER > self.end {
            return Ok(None);
        }
        let name = header + VARIABLE_HEADER;
        let data = name + u32_at(&self.flash, header + 36)?;
        let next = data + u32_at(&self.flash, header + 40)?;
        ensure!(next <= self.end, "the variable at {header:#x} ends behind the store");
        Ok(Some(Found { header, name: name..data, data: data..next, next: next.next_multiple_of(4) }))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).context("the variable store ends early")?;
    Ok(usize::try_from(u32::from_le_bytes(*bytes))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(size: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let mut flash = vec![0; 0x48];
        flash[0x30] = 0x48;
        flash.extend_from_slice(&AUTHENTICATED_STORE);
        flash.extend_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        flash.extend_from_slice(&[0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        flash.resize(0x48 + size, 0xff);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &flash).unwrap();
        (file, flash)
    }

    #[test]
    fn a_variable_is_written_replaced_and_read_back() {
        let (file, _) = empty(1024);
        let (dbx, switch) = (SetupVariable::dbx(), SetupVariable::secure_boot_enable());
        let mut store = VariableStore::open(file.path()).unwrap();
        assert_eq!(store.get(&dbx).unwrap(), None);
        store.set(&dbx, b"one").unwrap();
        store.set(&switch, &[1]).unwrap();
        store.set(&dbx, b"another").unwrap();
        let store = VariableStore::open(file.path()).unwrap();
        assert_eq!(store.get(&dbx).unwrap().as_deref(), Some(&b"another"[..]));
        assert_eq!(store.get(&switch).unwrap().as_deref(), Some(&[1][..]));
    }

    #[test]
    fn an_update_is_what_a_verifier_takes_for_one() {
        let update = vouchsafe_attest::secure_boot::DbxUpdate::parse(&dbx_update(&[7; 32])).unwrap();
        assert_eq!(update.timestamp.unwrap().to_string(), "2026-01-31T00:00:00.000Z");
        let dbx = update.dbx();
        assert_eq!((dbx.len(), dbx.images().first().unwrap().as_bytes()), (1, &[7; 32]));
    }

    #[test]
    fn a_full_store_says_so() {
        // One variable of 60 + 8 + 10 bytes.
        let (file, _) = empty(STORE_HEADER + 78);
        let mut store = VariableStore::open(file.path()).unwrap();
        assert!(store.set(&SetupVariable::dbx(), &[0; 11]).is_err());
        store.set(&SetupVariable::dbx(), &[0; 10]).unwrap();
        assert!(store.set(&SetupVariable::dbx(), &[]).is_err());
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let (file, flash) = empty(64);
        for end in 0..flash.len() {
            std::fs::write(file.path(), &flash[..end]).unwrap();
            assert!(VariableStore::open(file.path()).is_err(), "{end} bytes are a store");
        }
    }
}
