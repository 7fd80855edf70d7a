//! Quotes, and what a TPM is like after many of them.

use anyhow::{Result, ensure};
use vouchsafe_agent::tpm::{AkAlgorithm, TpmError, make_device_keys, quote};
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{QuoteCheck, Sha1Bank};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::PcrSelection;
use vouchsafe_swtpm_tests::soft_tpm::{Model, SoftTpm};

use super::faulty::{Fault, FaultyTpm, TPM_CC_PCR_READ, TPM_CC_QUOTE};
use super::{LIMIT, ensure_nothing_left, owner, run};

#[test]
fn quotes_of_every_bank_are_authentic_whichever_key_signs() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { banks: "sha1,sha256,sha384,sha512", ..Model::default() })?;
    let owner = owner(&tpm)?;
    for algorithm in [AkAlgorithm::Ecc, AkAlgorithm::Rsa] {
        let keys = run(&owner, move |tpm| make_device_keys(tpm, algorithm))?;
        let ak = AttestationKey::from_public(PublicArea::parse_tpmt(keys.ak.public_area()?.tpmt())?)?;
        for text in ["sha256:0-7,14", "sha1:0-23", "sha384:0", "sha512:23", "sha256:0-23"] {
            let selection: PcrSelection = text.parse()?;
            let (asked, quoting) = (selection.clone(), keys.clone());
            let quoted = run(&owner, move |tpm| quote(tpm, &quoting, &asked, b"a nonce"))?;
            let check = QuoteCheck {
                ak: &ak,
                message: &quoted.message,
                signature: &quoted.signature,
                qualifying_data: b"a nonce",
                selection: &selection,
                pcrs: &quoted.pcrs,
                sha1: Sha1Bank::Consented,
            };
            check.verify().map_err(|rejected| anyhow::anyhow!("{algorithm:?} {text}: {rejected}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_measurement_shows_in_the_next_quote() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    let selection: PcrSelection = "sha256:0,14".parse()?;
    let (again, asked) = (keys.clone(), selection.clone());
    let before = run(&owner, move |tpm| quote(tpm, &again, &asked, b"1"))?;
    tpm.extend(14, "a rogue boot stage")?;
    let after = run(&owner, move |tpm| quote(tpm, &keys, &selection, b"2"))?;
    let changed: Vec<_> =
        before.pcrs.values.iter().filter(|(pcr, value)| after.pcrs.values.get(pcr) != Some(value)).collect();
    ensure!(changed.len() == 1 && changed[0].0.get() == 14, "{changed:?}");
    Ok(())
}

#[test]
fn a_host_that_measures_all_the_time_can_quote() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let faulty = FaultyTpm::before(&tpm)?;
    let owner = faulty.owner()?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    let selection: PcrSelection = "sha256:0-15".parse()?;
    let quote = || {
        let (keys, selection) = (keys.clone(), selection.clone());
        owner.run_blocking(LIMIT, move |tpm| quote(tpm, &keys, &selection, b"nonce"))
    };
    // Behind every quote, or between the values of the first PCRs and the others, or before and behind what is read.
    for code in [TPM_CC_QUOTE, TPM_CC_PCR_READ] {
        faulty.misbehave(move |command| (command == code).then_some(Fault::ThenExtend));
        let quoted = quote();
        ensure!(quoted.is_ok(), "a measurement behind every {code:#x}: {quoted:?}");
    }
    // Where a quote never has the values that were read, it does not come with others.
    faulty.misbehave(|command| [TPM_CC_QUOTE, TPM_CC_PCR_READ].contains(&command).then_some(Fault::ThenExtend));
    let quoted = quote();
    ensure!(matches!(quoted, Err(TpmError::PcrsUnsettled { .. })), "{quoted:?}");
    Ok(())
}

#[test]
fn a_bank_that_is_not_allocated_is_named() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    let selection: PcrSelection = "sha384:0-7".parse()?;
    let refused = owner.run_blocking(LIMIT, move |tpm| quote(tpm, &keys, &selection, b"nonce"));
    ensure!(matches!(refused, Err(TpmError::PcrsMissing { .. })), "{refused:?}");
    let text = refused.unwrap_err().to_string();
    ensure!(text.contains("sha384:0,1,2,3,4,5,6,7"), "{text}");
    Ok(())
}

#[test]
fn fifty_quotes_leave_nothing_in_the_tpm() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    for round in 0_u8..50 {
        let (quoting, selection) = (keys.clone(), "sha256:0-23".parse::<PcrSelection>()?);
        run(&owner, move |tpm| quote(tpm, &quoting, &selection, &[round; 32]))?;
        if round % 10 == 0 {
            // Failures must not leave anything either.
            let (damaged, selection) = (super::keys_damaged(&keys)?, "sha256:0".parse::<PcrSelection>()?);
            let failed = owner.run_blocking(LIMIT, move |tpm| quote(tpm, &damaged, &selection, b"nonce"));
            ensure!(failed.is_err(), "a damaged key was loaded");
        }
    }
    // While the owner still runs: the connection is closed when nothing is to be done, and others may use the TPM.
    ensure_nothing_left(&tpm)?;
    drop(owner);
    ensure_nothing_left(&tpm)
}
