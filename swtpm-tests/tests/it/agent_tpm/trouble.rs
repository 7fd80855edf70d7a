//! A TPM that is busy, locked, reset, gone or full.

use anyhow::{Context as _, Result, ensure};
use vouchsafe_agent::tpm::{
    AkAlgorithm, DeviceKeys, EkPreference, HierarchyAuth, RawQuote, TpmConfig, TpmError, TpmHandle,
    find_endorsement_key, make_device_keys, quote,
};
use vouchsafe_model::{HashAlgorithm, PcrIndex, PcrSelection};
use vouchsafe_swtpm_tests::soft_tpm::{Model, SoftTpm};

use super::faulty::{Fault, FaultyTpm, TPM_CC_CREATE_PRIMARY, TPM_CC_FLUSH_CONTEXT, TPM_CC_LOAD, TPM_CC_QUOTE};
use super::{LIMIT, ensure_nothing_left, owner, run};

const TPM_CC_NV_READ: u32 = 0x14E;
const TPM_RC_INITIALIZE: u32 = 0x100;
const TPM_RC_FAILURE: u32 = 0x101;
const TPM_RC_OBJECT_MEMORY: u32 = 0x902;
const TPM_RC_YIELDED: u32 = 0x908;
const TPM_RC_TESTING: u32 = 0x90A;
const TPM_RC_REFERENCE_H0: u32 = 0x910;
const TPM_RC_NV_RATE: u32 = 0x920;
const TPM_RC_LOCKOUT: u32 = 0x921;
const TPM_RC_RETRY: u32 = 0x922;

fn quotes(owner: &TpmHandle, keys: &DeviceKeys) -> Result<RawQuote, TpmError> {
    let pcrs = [0, 7].into_iter().filter_map(PcrIndex::new).collect();
    let (keys, selection) = (keys.clone(), PcrSelection { bank: HashAlgorithm::Sha256, pcrs });
    owner.run_blocking(LIMIT, move |tpm| quote(tpm, &keys, &selection, b"nonce"))
}

/// A TPM with the device's keys, behind a relay.
fn troubled() -> Result<(SoftTpm, FaultyTpm, TpmHandle, DeviceKeys)> {
    let tpm = SoftTpm::start()?;
    let faulty = FaultyTpm::before(&tpm)?;
    let owner = faulty.owner()?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    Ok((tpm, faulty, owner, keys))
}

#[test]
fn a_busy_tpm_is_waited_for_longer_than_the_stack_waits() -> Result<()> {
    let (_tpm, faulty, owner, keys) = troubled()?;
    for code in [TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_NV_RATE] {
        // The stack sends a command up to five times.
        let mut busy = 12;
        faulty.misbehave(move |command| {
            let answer = (command == TPM_CC_QUOTE && busy > 0).then_some(Fault::Answer(code));
            busy -= i32::from(answer.is_some());
            answer
        });
        quotes(&owner, &keys).with_context(|| format!("{code:#x}"))?;
    }
    Ok(())
}

#[test]
fn a_tpm_that_stays_busy_is_reported_as_such() -> Result<()> {
    let (tpm, faulty, owner, keys) = troubled()?;
    faulty.misbehave(|command| (command == TPM_CC_QUOTE).then_some(Fault::Answer(TPM_RC_RETRY)));
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    ensure!(matches!(error, TpmError::Busy { .. }) && !error.is_permanent(), "{error}");
    ensure!(error.to_string().contains("TPM_RC_RETRY"), "{error}");
    drop(owner);
    ensure_nothing_left(&tpm)
}

#[test]
fn a_locked_tpm_says_how_it_is_unlocked() -> Result<()> {
    let (tpm, faulty, owner, keys) = troubled()?;
    faulty.misbehave(|command| (command == TPM_CC_LOAD).then_some(Fault::Answer(TPM_RC_LOCKOUT)));
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    ensure!(matches!(error, TpmError::Lockout { .. }) && !error.is_permanent(), "{error}");
    ensure!(error.to_string().contains("tpm2_dictionarylockout --clear-lockout"), "{error}");
    drop(owner);
    ensure_nothing_left(&tpm)
}

#[test]
fn our_own_keys_work_while_the_tpm_is_locked() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    // One failure is enough to lock, and it stays locked for an hour.
    tpm.tool(&["tpm2_dictionarylockout", "-s", "-n", "1", "-t", "3600", "-l", "3600"])?;
    tpm.tool(&["tpm2_createprimary", "-C", "o", "-p", "right", "-c", "primary.ctx"])?;
    let wrong = ["tpm2_create", "-C", "primary.ctx", "-P", "wrong", "-u", "u", "-r", "r"];
    let refused = tpm.tool(&wrong).err().context("a wrong password was right")?;
    tpm.tool(&["tpm2_flushcontext", "-t"])?;
    let state = tpm.tool(&["tpm2_getcap", "properties-variable"])?;
    ensure!(state.contains("inLockout:                 1"), "it is not locked: {refused}\n{state}");
    quotes(&owner, &keys)?;
    run(&owner, |tpm| find_endorsement_key(tpm, EkPreference::Ecc))?;
    Ok(())
}

#[test]
fn a_certificate_that_lockout_protects_is_reported_with_what_to_do() -> Result<()> {
    let (_tpm, faulty, owner, _) = troubled()?;
    faulty.misbehave(|command| (command == TPM_CC_NV_READ).then_some(Fault::Answer(TPM_RC_LOCKOUT)));
    let error = owner.run_blocking(LIMIT, |tpm| find_endorsement_key(tpm, EkPreference::Auto)).err();
    let error = error.context("it read the certificate")?;
    ensure!(matches!(error, TpmError::Lockout { .. }), "{error}");
    Ok(())
}

#[test]
fn a_reset_between_two_operations_is_not_noticed() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    let before = quotes(&owner, &keys)?;
    tpm.reset()?;
    let after = quotes(&owner, &keys)?;
    ensure!(before.pcrs == after.pcrs && before.message != after.message);
    Ok(())
}

#[test]
fn a_reset_in_the_middle_of_an_operation_begins_it_anew() -> Result<()> {
    let (tpm, faulty, owner, keys) = troubled()?;
    let mut once = true;
    // The AK is loaded; then it is gone, as after a reset.
    faulty.misbehave(move |command| {
        let lost = command == TPM_CC_QUOTE && std::mem::take(&mut once);
        lost.then_some(Fault::Answer(TPM_RC_REFERENCE_H0))
    });
    quotes(&owner, &keys)?;
    drop(owner);
    ensure_nothing_left(&tpm)
}

#[test]
fn a_tpm_that_nobody_started_is_reported_and_works_once_it_is() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    tpm.power_cycle()?;
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    ensure!(matches!(error, TpmError::NotStarted { .. }) && !error.is_permanent(), "{error}");
    tpm.startup()?;
    quotes(&owner, &keys)?;
    Ok(())
}

#[test]
fn a_tpm_in_failure_mode_is_reported_as_such() -> Result<()> {
    let (_tpm, faulty, owner, keys) = troubled()?;
    faulty.misbehave(|_| Some(Fault::Answer(TPM_RC_FAILURE)));
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    ensure!(matches!(error, TpmError::FailureMode { .. }), "{error}");
    faulty.misbehave(|_| Some(Fault::Answer(TPM_RC_INITIALIZE)));
    ensure!(matches!(quotes(&owner, &keys), Err(TpmError::NotStarted { .. })));
    Ok(())
}

#[test]
fn a_connection_that_breaks_is_made_anew() -> Result<()> {
    let (tpm, faulty, owner, keys) = troubled()?;
    for broken in [TPM_CC_QUOTE, TPM_CC_LOAD, TPM_CC_CREATE_PRIMARY, TPM_CC_FLUSH_CONTEXT] {
        let mut once = true;
        faulty.misbehave(move |command| (command == broken && std::mem::take(&mut once)).then_some(Fault::HangUp));
        quotes(&owner, &keys).with_context(|| format!("hung up at {broken:#x}"))?;
    }
    drop(owner);
    // Nobody could flush over the connection that broke. A resource manager would have; here the next owner does, when
    // there is no room.
    let next = super::owner(&tpm)?;
    for _ in 0..3 {
        quotes(&next, &keys)?;
    }
    Ok(())
}

#[test]
fn a_tpm_full_of_what_others_left_is_made_room_in() -> Result<()> {
    let tpm = SoftTpm::start()?;
    for number in 0..3 {
        // tpm2-tools saves the object and leaves it loaded where there is no resource manager.
        tpm.tool(&["tpm2_createprimary", "-C", "n", "-G", "ecc", "-c", &format!("{number}.ctx")])?;
    }
    let loaded = tpm.tool(&["tpm2_getcap", "handles-transient"])?;
    ensure!(loaded.lines().count() == 3, "the TPM is not full: {loaded}");
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    quotes(&owner, &keys)?;
    drop(owner);
    ensure_nothing_left(&tpm)
}

#[test]
fn a_tpm_that_stays_full_is_reported_with_what_to_do() -> Result<()> {
    let (_tpm, faulty, owner, keys) = troubled()?;
    faulty.misbehave(|command| (command == TPM_CC_LOAD).then_some(Fault::Answer(TPM_RC_OBJECT_MEMORY)));
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    ensure!(matches!(error, TpmError::Full { .. }), "{error}");
    ensure!(error.to_string().contains("/dev/tpmrm0"), "{error}");
    Ok(())
}

#[test]
fn a_tpm_that_is_gone_is_reported_and_taken_up_again_when_it_is_back() -> Result<()> {
    let mut tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    tpm.power_off();
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    let known = matches!(error, TpmError::Unreachable { .. } | TpmError::ConnectionLost { .. });
    ensure!(known && !error.is_permanent(), "{error}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let error = quotes(&owner, &keys).err().context("it quoted")?;
    ensure!(error.to_string().starts_with("cannot reach the TPM at swtpm:"), "{error}");
    tpm.power_on()?;
    quotes(&owner, &keys)?;
    Ok(())
}

#[test]
fn hierarchies_with_passwords_are_used_by_those_who_know_them() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { certificates: false, ..Model::default() })?;
    tpm.tool(&["tpm2_changeauth", "-c", "o", "owner"])?;
    tpm.tool(&["tpm2_changeauth", "-c", "e", "endorsement"])?;
    for handle in ["0x81010001", "0x81010016"] {
        tpm.tool(&["tpm2_evictcontrol", "-C", "o", "-P", "owner", "-c", handle])?;
    }
    let ignorant = owner(&tpm)?;
    let error = ignorant.run_blocking(LIMIT, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc)).err();
    ensure!(matches!(error, Some(TpmError::WrongAuthorisation { .. })), "{error:?}");
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    ensure!(text.contains("owner_auth_file"), "{text}");
    drop(ignorant);

    let auth = |password: &str| HierarchyAuth::new(password.as_bytes().to_vec().into()).context("a short password");
    let config =
        TpmConfig { tcti: tpm.tcti().parse()?, owner_auth: auth("owner")?, endorsement_auth: auth("endorsement")? };
    let owner = TpmHandle::start(config)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    quotes(&owner, &keys)?;
    run(&owner, |tpm| find_endorsement_key(tpm, EkPreference::Auto))?;
    Ok(())
}
