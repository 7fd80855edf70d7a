//! What a boot left to be appraised.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The logs of a running guest, and its PCRs at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The firmware's event log, as the kernel keeps it.
    pub boot: Vec<u8>,
    /// The IMA list.
    pub ima: Vec<u8>,
    /// The PCRs: bank, number, hexadecimal value.
    pub pcrs: BTreeMap<String, BTreeMap<u8, String>>,
}

/// Prints one line for each PCR: bank, number, value.
pub(super) const PRINT_PCRS: &str = r#"
cd /sys/class/tpm/tpm0
for bank in pcr-*; do
    for pcr in "$bank"/*; do echo "${bank#pcr-} ${pcr##*/} $(cat "$pcr")"; done
done
"#;

impl Logs {
    /// Reads what [`PRINT_PCRS`] printed.
    pub(super) fn new(boot: Vec<u8>, ima: Vec<u8>, printed: &str) -> Result<Self> {
        let mut pcrs: BTreeMap<String, BTreeMap<u8, String>> = BTreeMap::new();
        for line in printed.lines() {
            let mut words = line.split_whitespace();
            let mut word = || words.next().with_context(|| format!("no PCR: {line}"));
            let (bank, number, value) = (word()?, word()?, word()?);
            pcrs.entry(bank.to_owned()).or_default().insert(number.parse()?, value.to_lowercase());
        }
        Ok(Self { boot, ima, pcrs })
    }

    /// The value of a PCR, in hexadecimal.
    pub fn pcr(&self, bank: &str, number: u8) -> Option<&str> {
        self.pcrs.get(bank)?.get(&number).map(String::as_str)
    }

    /// Writes `binary_bios_measurements`, `binary_runtime_measurements` and `pcrs.json`, as `vouchsafe appraise` reads them,
    /// into a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_to(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("binary_bios_measurements"), &self.boot)?;
        std::fs::write(folder.join("binary_runtime_measurements"), &self.ima)?;
        let pcrs = serde_json::to_vec_pretty(&self.pcrs)?;
        std::fs::write(folder.join("pcrs.json"), pcrs).with_context(|| format!("writing to {}", folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcrs_are_read_and_written_by_bank_and_number() {
        let logs = Logs::new(vec![1], vec![2], "sha1 0 AB\nsha256 0 CD\nsha256 23 EF\n").unwrap();
        assert_eq!(logs.pcr("sha256", 23), Some("ef"));
        assert_eq!(logs.pcr("sha384", 0), None);
        let folder = tempfile::tempdir().unwrap();
        logs.write_to(folder.path()).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("pcrs.json")).unwrap()).unwrap();
        assert_eq!(written["sha1"]["0"], "ab");
        assert!(Logs::new(vec![], vec![], "sha1 0").is_err());
    }
}
