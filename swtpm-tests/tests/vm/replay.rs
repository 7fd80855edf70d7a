//! An event log replayed by another hand than the verifier's, so that one says whether the other is right.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{SHA256, digest};

/// `EV_NO_ACTION`: recorded, not measured (TCG PC Client PFP, 10.4.1).
const NO_ACTION: u32 = 3;
const SHA256_ID: u16 = 0x000b;

/// The SHA-256 PCRs that a crypto-agile log says were measured into, in hexadecimal.
pub(crate) fn sha256(log: &[u8]) -> Result<BTreeMap<u8, String>> {
    let mut rest = log;
    // The first event has the form of TPM 1.2: PCR, type, a SHA-1 digest, and what it says in which algorithms.
    take(&mut rest, 28)?;
    let length = u32_of(&mut rest)?;
    take(&mut rest, usize::try_from(length)?)?;
    let mut pcrs: BTreeMap<u8, [u8; 32]> = BTreeMap::new();
    while !rest.is_empty() {
        let (pcr, kind, digests) = (u32_of(&mut rest)?, u32_of(&mut rest)?, u32_of(&mut rest)?);
        for _ in 0..digests {
            let algorithm = u16::from_le_bytes(take(&mut rest, 2)?.try_into()?);
            let size = match algorithm {
                0x0004 => 20,
                SHA256_ID => 32,
                0x000c => 48,
                0x000d => 64,
                other => anyhow::bail!("algorithm {other:#06x}"),
            };
            let measured = take(&mut rest, size)?;
            if algorithm == SHA256_ID && kind != NO_ACTION {
                let value = pcrs.entry(u8::try_from(pcr)?).or_default();
                *value = digest(&SHA256, &[&value[..], measured].concat()).as_ref().try_into()?;
            }
        }
        let length = u32_of(&mut rest)?;
        take(&mut rest, usize::try_from(length)?)?;
    }
    ensure!(!pcrs.is_empty(), "the log is empty");
    Ok(pcrs.into_iter().map(|(pcr, value)| (pcr, hex::encode(value))).collect())
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count).context("the log ends early")?;
    *rest = left;
    Ok(taken)
}

fn u32_of(rest: &mut &[u8]) -> Result<u32> {
    Ok(u32::from_le_bytes(take(rest, 4)?.try_into()?))
}
