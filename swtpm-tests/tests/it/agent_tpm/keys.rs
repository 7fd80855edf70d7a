//! The device's keys.

use anyhow::{Context, Result, ensure};
use vouchsafe_agent::tpm::{
    AkAlgorithm, TpmError, certificate_request, certify_tls_key, make_device_keys, sign_with_tls_key,
};
use vouchsafe_attest::certify;
use vouchsafe_attest::key::{AttestationKey, DeviceKey};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_attest::tpm::public::ObjectAttributes;
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;

use super::{ensure_nothing_left, owner, run};

#[test]
fn keys_are_born_in_the_tpm_and_stay_there() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    for algorithm in [AkAlgorithm::Ecc, AkAlgorithm::Rsa] {
        let keys = run(&owner, move |tpm| make_device_keys(tpm, algorithm))?;
        let (ak, tls) = (keys.ak.public_area()?, keys.tls.public_area()?);
        let ak = AttestationKey::from_public(PublicArea::parse_tpmt(ak.tpmt())?)?;
        let tls = DeviceKey::from_public(PublicArea::parse_tpmt(tls.tpmt())?)?;
        for public in [ak.public(), tls.public()] {
            let attributes = public.object_attributes();
            ensure!(attributes.contains(ObjectAttributes::NO_DA), "a lockout must not silence the device");
            ensure!(public.auth_policy().is_empty());
        }
        ensure!(tls.public().to_spki_der().len() == 91, "the TLS key is on P-256");

        let binding = [0x42; 32];
        let certified = run(&owner, move |tpm| certify_tls_key(tpm, &keys, &binding))?;
        certify::verify(&ak, &certified.message, &certified.signature, &tls, &binding)?;
    }
    drop(owner);
    ensure_nothing_left(&tpm)
}

#[test]
fn the_tls_key_signs_requests_and_handshakes() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    let (pem, for_signing) = (keys.tls.public_area()?.pem()?, keys.clone());
    let request = run(&owner, move |tpm| certificate_request(tpm, &keys))?;
    std::fs::write(tpm.directory().join("request.der"), request)?;
    let verified =
        tpm.tool(&["openssl", "req", "-inform", "der", "-in", "request.der", "-noout", "-verify", "-pubkey"])?;
    ensure!(verified.trim() == pem.trim(), "the request is for another key");

    std::fs::write(tpm.directory().join("message"), b"handshake")?;
    let digest: [u8; 32] = {
        tpm.tool(&["openssl", "dgst", "-sha256", "-binary", "-out", "digest", "message"])?;
        std::fs::read(tpm.directory().join("digest"))?.try_into().ok().context("SHA-256 has 32 bytes")?
    };
    let signature = run(&owner, move |tpm| sign_with_tls_key(tpm, &for_signing, &digest))?;
    std::fs::write(tpm.directory().join("signature"), signature)?;
    std::fs::write(tpm.directory().join("tls.pem"), pem)?;
    tpm.tool(&["openssl", "dgst", "-sha256", "-verify", "tls.pem", "-signature", "signature", "message"])?;
    Ok(())
}

#[test]
fn keys_survive_the_power_going_off_and_are_of_no_use_to_another_tpm() -> Result<()> {
    let mut tpm = SoftTpm::start()?;
    let keys = run(&owner(&tpm)?, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    tpm.power_on()?;
    let same = keys.clone();
    run(&owner(&tpm)?, move |tpm| sign_with_tls_key(tpm, &same, &[7; 32]))?;

    let other = SoftTpm::start()?;
    let stolen = keys.clone();
    let refused = owner(&other)?.run_blocking(super::LIMIT, move |tpm| sign_with_tls_key(tpm, &stolen, &[7; 32]));
    let error = refused.err().context("another TPM signed with our key")?;
    ensure!(matches!(error, TpmError::ParentChanged) && error.is_permanent(), "{error}");

    // A TPM that was cleared is another TPM.
    tpm.tool(&["tpm2_clear", "-c", "p"]).or_else(|_| tpm.tool(&["tpm2_clear", "-c", "l"]))?;
    let refused = owner(&tpm)?.run_blocking(super::LIMIT, move |tpm| sign_with_tls_key(tpm, &keys, &[7; 32]));
    ensure!(refused.as_ref().is_err_and(TpmError::is_permanent), "{refused:?}");
    Ok(())
}

#[test]
fn a_persistent_storage_root_key_is_used_where_it_is_fit() -> Result<()> {
    let tpm = SoftTpm::start()?;
    // As tpm2-tools and others leave it, here with RSA, which we would not have chosen.
    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
    tpm.tool(&["tpm2_createprimary", "-C", "o", "-G", "rsa2048", "-a", attributes, "-c", "srk.ctx"])?;
    tpm.tool(&["tpm2_evictcontrol", "-C", "o", "-c", "srk.ctx", "0x81000001"])?;
    tpm.tool(&["tpm2_flushcontext", "-t"])?;
    let owner = owner(&tpm)?;
    let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
    let signing = keys.clone();
    run(&owner, move |tpm| sign_with_tls_key(tpm, &signing, &[7; 32]))?;
    drop(owner);
    ensure_nothing_left(&tpm)?;
    // Keys under it are keys under nothing else.
    tpm.tool(&["tpm2_evictcontrol", "-C", "o", "-c", "0x81000001"])?;
    let gone = super::owner(&tpm)?.run_blocking(super::LIMIT, move |tpm| sign_with_tls_key(tpm, &keys, &[7; 32]));
    // tpm2_createprimary leaves the unique field empty, so that its key is not the one of the TCG template.
    ensure!(matches!(gone, Err(TpmError::ParentChanged)), "{gone:?}");
    Ok(())
}

#[test]
fn a_persistent_key_that_is_unfit_is_passed_over() -> Result<()> {
    for (attributes, password) in [
        // Subject to lockout; with a password of its own.
        ("fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt", ""),
        ("fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt", "secret"),
    ] {
        let tpm = SoftTpm::start()?;
        tpm.tool(&["tpm2_createprimary", "-C", "o", "-G", "ecc", "-a", attributes, "-p", password, "-c", "srk.ctx"])?;
        tpm.tool(&["tpm2_evictcontrol", "-C", "o", "-c", "srk.ctx", "0x81000001"])?;
        tpm.tool(&["tpm2_flushcontext", "-t"])?;
        let owner = owner(&tpm)?;
        let keys = run(&owner, |tpm| make_device_keys(tpm, AkAlgorithm::Ecc))?;
        run(&owner, move |tpm| sign_with_tls_key(tpm, &keys, &[7; 32]))?;
        drop(owner);
        ensure_nothing_left(&tpm)?;
    }
    Ok(())
}
