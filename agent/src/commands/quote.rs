//! `quote`: a quote for other tools, in the files that tpm2-tools reads.

use std::fs::{self, DirBuilder};
use std::path::Path;
use std::time::Duration;

use vouchsafe_model::{PcrBank, PcrSelection};

use super::{CommandError, say};
use crate::config::Config;
use crate::state_directory::{StateDirectory, peek};
use crate::tpm::{DeviceKeys, TpmHandle, make_device_keys, quote};

/// How long the TPM may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Makes a quote with the device's attestation key and writes it with all that it takes to check it.
pub(super) fn make(config: &Config, nonce: &[u8], pcrs: &PcrSelection, out: &Path) -> Result<(), CommandError> {
    let tpm = TpmHandle::start(config.tpm()?).map_err(CommandError::System)?;
    let keys = keys(config, &tpm)?;
    let ak = keys.ak.public_area()?;
    let (selection, qualifying) = (pcrs.clone(), nonce.to_vec());
    let quoted = tpm.run_blocking(LIMIT, move |tpm| quote(tpm, &keys, &selection, &qualifying))?;
    DirBuilder::new()
        .recursive(true)
        .create(out)
        .map_err(|source| CommandError::Output { path: out.to_owned(), source })?;
    for (name, content) in [
        ("quote.msg", quoted.message.as_slice()),
        ("quote.sig", &quoted.signature),
        ("quote.pcrs", &pcr_file(&quoted.pcrs)),
        ("ak.pem", ak.pem()?.as_bytes()),
        ("ak.pub", &ak.tpm2b()),
    ] {
        let path = out.join(name);
        fs::write(&path, content).map_err(|source| CommandError::Output { path, source })?;
    }
    say(&format!("wrote quote.msg, quote.sig, quote.pcrs, ak.pem and ak.pub to {}", out.display()))
}

/// The device's keys. They are made, and kept for the enrolment, where there are none.
fn keys(config: &Config, tpm: &TpmHandle) -> Result<DeviceKeys, CommandError> {
    if let Some(keys) = peek(&config.state_dir)?.keys {
        return Ok(keys);
    }
    let mut directory = StateDirectory::open(&config.state_dir)?;
    let mut state = directory.load()?;
    if let Some(keys) = state.keys {
        return Ok(keys);
    }
    let algorithm = config.ak;
    let keys = tpm.run_blocking(LIMIT, move |tpm| make_device_keys(tpm, algorithm))?;
    state.keys = Some(keys.clone());
    directory.store(&state)?;
    Ok(keys)
}

/// The most selections and digests of the C structures that tpm2-tools writes to the disk as they are.
const SELECTIONS: usize = 16;
const DIGESTS: usize = 8;
const DIGEST_LEN: usize = 64;

/// PCR values as `tpm2_quote --pcr` writes them: `TPML_PCR_SELECTION`, a count, and so many `TPML_DIGEST`, all as they
/// lie in memory, numbers little-endian.
fn pcr_file(bank: &PcrBank) -> Vec<u8> {
    let mut file = Vec::new();
    let u32_le = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    file.extend_from_slice(&u32_le(1));
    // TPMS_PCR_SELECTION: hash, sizeofSelect, four octets of which a PC uses three, one of padding.
    let [first, second, third, _] = bank.selection().pcrs.bits().to_le_bytes();
    file.extend_from_slice(&bank.bank.tpm_alg_id().to_le_bytes());
    file.extend_from_slice(&[3, first, second, third, 0, 0]);
    file.resize(4 + SELECTIONS * 8, 0);

    let values: Vec<_> = bank.values.values().collect();
    file.extend_from_slice(&u32_le(values.len().div_ceil(DIGESTS)));
    for list in values.chunks(DIGESTS) {
        file.extend_from_slice(&u32_le(list.len()));
        let end = file.len() + DIGESTS * (2 + DIGEST_LEN);
        for value in list {
            let len = u16::try_from(value.as_bytes().len()).unwrap_or(u16::MAX);
            let next = file.len() + 2 + DIGEST_LEN;
            file.extend_from_slice(&len.to_le_bytes());
            file.extend_from_slice(value.as_bytes());
            file.resize(next, 0);
        }
        file.resize(end, 0);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::pcr::PcrValue;
    use vouchsafe_model::{HashAlgorithm, PcrIndex};

    #[test]
    fn pcr_files_are_as_long_as_the_structures_in_memory() {
        let values = |count: u8| {
            let value = PcrValue::new(vec![0xAB; 32]).unwrap();
            (0..count).map(|pcr| (PcrIndex::new(pcr).unwrap(), value.clone())).collect()
        };
        for (count, lists) in [(1, 1), (8, 1), (9, 2), (24, 3)] {
            let file = pcr_file(&PcrBank { bank: HashAlgorithm::Sha256, values: values(count) });
            assert_eq!(file.len(), 132 + 4 + lists * 532, "{count} PCRs");
            assert_eq!(file[132..136], u32::try_from(lists).unwrap().to_le_bytes());
        }
    }
}
