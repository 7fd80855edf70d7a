//! Endorsement keys and the credentials that are made for them.

use anyhow::{Context, Result, ensure};
use vouchsafe_agent::tpm::{
    AkAlgorithm, DeviceKeys, EkPreference, EndorsementKey, TpmError, activate_credential, find_endorsement_key,
    make_device_keys,
};
use vouchsafe_attest::credential::{Credential, CredentialEntropy, make_credential};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_swtpm_tests::soft_tpm::{Model, SoftTpm};

use super::{ensure_nothing_left, owner, run};

const SECRET: [u8; 32] = *b"a secret that nobody could guess";

/// A credential as the engine makes it.
fn credential(ek: &EndorsementKey, keys: &DeviceKeys) -> Result<Credential> {
    let ek = PublicArea::parse_tpmt(ek.public.tpmt())?;
    let entropy = CredentialEntropy::new([0x5A; CredentialEntropy::LEN]);
    Ok(make_credential(&ek, &keys.ak.public_area()?.name(), &SECRET, &entropy)?)
}

/// Finds the endorsement key, makes keys, opens a credential; returns the key's certificate.
fn activates(tpm: &SoftTpm, preference: EkPreference) -> Result<EndorsementKey> {
    let owner = owner(tpm)?;
    let (ek, keys) =
        run(&owner, move |tpm| Ok((find_endorsement_key(tpm, preference)?, make_device_keys(tpm, AkAlgorithm::Ecc)?)))?;
    let Credential { id_object, encrypted_secret } = credential(&ek, &keys)?;
    let found = ek.clone();
    let opened = run(&owner, move |tpm| {
        activate_credential(tpm, &keys, (ek.source, &ek.public), &id_object, &encrypted_secret)
    })?;
    ensure!(*opened == SECRET, "the TPM found {} other bytes in the credential", opened.len());
    drop(owner);
    ensure_nothing_left(tpm)?;
    Ok(found)
}

/// The public key that openssl reads from a certificate, as PEM.
fn certified_pem(tpm: &SoftTpm, certificate: &[u8]) -> Result<String> {
    let path = tpm.directory().join("ek.der");
    std::fs::write(&path, certificate)?;
    tpm.tool(&["openssl", "x509", "-inform", "der", "-in", "ek.der", "-noout", "-pubkey"])
}

#[test]
fn the_rsa_key_of_the_low_range_opens_credentials() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let ek = activates(&tpm, EkPreference::Auto)?;
    let certificate = ek.certificate.as_ref().context("swtpm_setup stored a certificate")?;
    ensure!(
        certified_pem(&tpm, certificate)?.trim() == ek.public.pem()?.trim(),
        "the certificate is about another key"
    );
    ensure!(ek.public.pem()?.len() > 400, "RSA comes first");
    Ok(())
}

#[test]
fn the_p384_key_of_the_high_range_opens_credentials() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let ek = activates(&tpm, EkPreference::Ecc)?;
    let certificate = ek.certificate.as_ref().context("swtpm_setup stored a certificate")?;
    ensure!(
        certified_pem(&tpm, certificate)?.trim() == ek.public.pem()?.trim(),
        "the certificate is about another key"
    );
    Ok(())
}

#[test]
fn the_rsa_3072_key_of_the_high_range_is_found_behind_the_ecc_key() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { rsa_bits: 3072, ..Model::default() })?;
    let ek = activates(&tpm, EkPreference::Rsa)?;
    ensure!(ek.certificate.is_some(), "the certificate at 0x01C0001C was not found");
    let auto = run(&owner(&tpm)?, |tpm| find_endorsement_key(tpm, EkPreference::Auto))?;
    ensure!(auto.public != ek.public, "fewer engines can make credentials for RSA-3072 than for P-384");
    Ok(())
}

#[test]
fn keys_are_recreated_where_none_is_persistent() -> Result<()> {
    let tpm = SoftTpm::start()?;
    for handle in ["0x81010001", "0x81010016"] {
        tpm.tool(&["tpm2_evictcontrol", "-C", "o", "-c", handle])?;
    }
    for preference in [EkPreference::Rsa, EkPreference::Ecc] {
        let ek = activates(&tpm, preference)?;
        ensure!(ek.certificate.is_some(), "{preference:?}: the recreated key does not match its certificate");
    }
    Ok(())
}

#[test]
fn a_tpm_without_certificates_shows_the_default_keys() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { certificates: false, ..Model::default() })?;
    for (preference, algorithm) in [(EkPreference::Auto, "rsa"), (EkPreference::Ecc, "ecc")] {
        let ek = activates(&tpm, preference)?;
        ensure!(ek.certificate.is_none() && ek.intermediates.is_empty());
        // The same key as tpm2-tools makes from the same template.
        tpm.tool(&["tpm2_createek", "-G", algorithm, "-c", "ek.ctx", "-u", "ek.pub"])?;
        tpm.tool(&["tpm2_flushcontext", "-t"])?;
        let theirs = std::fs::read(tpm.directory().join("ek.pub"))?;
        ensure!(theirs == ek.public.tpm2b(), "{algorithm}: tpm2_createek makes another key");
    }
    Ok(())
}

#[test]
fn nonce_and_template_in_nv_memory_are_part_of_the_key() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { certificates: false, ..Model::default() })?;
    let plain = activates(&tpm, EkPreference::Ecc)?;
    store(&tpm, "0x1C0000B", &[0xAB; 20])?;
    let with_nonce = activates(&tpm, EkPreference::Ecc)?;
    ensure!(with_nonce.public != plain.public, "the nonce changes the key");

    // The template of the key with the nonce, stored whole, makes the same key: its unique field holds the nonce.
    let area = with_nonce.public.tpmt();
    let template = [&area[..area.len() - 68], &[0, 32], &[0xAB; 20], &[0; 12], &[0, 32], &[0; 32]].concat();
    store(&tpm, "0x1C0000C", &template)?;
    let with_template = activates(&tpm, EkPreference::Ecc)?;
    ensure!(with_template.public == with_nonce.public, "the stored template makes another key");
    Ok(())
}

#[test]
fn a_certificate_of_another_key_is_passed_over() -> Result<()> {
    let other = SoftTpm::start()?;
    let foreign = activates(&other, EkPreference::Rsa)?.certificate.context("swtpm_setup stored a certificate")?;
    let tpm = SoftTpm::start_model(Model { certificates: false, ..Model::default() })?;
    store(&tpm, "0x1C00002", &foreign)?;
    let ek = activates(&tpm, EkPreference::Auto)?;
    ensure!(ek.certificate.is_none(), "a certificate of another TPM's key was taken for ours");
    Ok(())
}

#[test]
fn the_certificate_chain_of_the_tpm_is_sent_along() -> Result<()> {
    let tpm = SoftTpm::start_model(Model { certificates: false, ..Model::default() })?;
    let maker = SoftTpm::start()?;
    let mut chain = Vec::new();
    for path in maker.vendor_certificates() {
        let path = path.display().to_string();
        tpm.tool(&["openssl", "x509", "-in", &path, "-outform", "der", "-out", "ca.der"])?;
        chain.push(std::fs::read(tpm.directory().join("ca.der"))?);
    }
    // Two certificates over two indices, the border in the middle of the first, padding at the end.
    let stored = [chain.concat(), vec![0xFF; 50]].concat();
    let (first, second) = stored.split_at(500);
    store(&tpm, "0x1C00100", first)?;
    store(&tpm, "0x1C00101", second)?;
    let own = activates(&tpm, EkPreference::Rsa)?;
    ensure!(own.intermediates.is_empty(), "without a certificate there is no chain to it");
    let certified = SoftTpm::start()?;
    ensure!(activates(&certified, EkPreference::Rsa)?.intermediates.is_empty());
    self_signed(&tpm, &own)?;
    let own = activates(&tpm, EkPreference::Rsa)?;
    ensure!(own.certificate.is_some(), "the certificate was not taken");
    ensure!(own.intermediates == chain, "{} certificates were found", own.intermediates.len());
    Ok(())
}

#[test]
fn a_credential_for_another_key_is_refused() -> Result<()> {
    let tpm = SoftTpm::start()?;
    let owner = owner(&tpm)?;
    let (ek, keys, others) = run(&owner, |tpm| {
        Ok((
            find_endorsement_key(tpm, EkPreference::Rsa)?,
            make_device_keys(tpm, AkAlgorithm::Ecc)?,
            make_device_keys(tpm, AkAlgorithm::Ecc)?,
        ))
    })?;
    let Credential { id_object, encrypted_secret } = credential(&ek, &others)?;
    let refused = owner.run_blocking(super::LIMIT, move |tpm| {
        activate_credential(tpm, &keys, (ek.source, &ek.public), &id_object, &encrypted_secret)
    });
    ensure!(matches!(refused, Err(TpmError::CredentialRefused { .. })), "{refused:?}");
    drop(owner);
    ensure_nothing_left(&tpm)
}

/// Stores bytes at an NV index that everybody may read.
fn store(tpm: &SoftTpm, index: &str, content: &[u8]) -> Result<()> {
    std::fs::write(tpm.directory().join("nv.bin"), content)?;
    let size = content.len().to_string();
    tpm.tool(&["tpm2_nvdefine", index, "-C", "o", "-s", &size, "-a", "ownerwrite|ownerread|authread|no_da"])?;
    tpm.tool(&["tpm2_nvwrite", index, "-C", "o", "-i", "nv.bin"]).map(drop)
}

/// Stores a certificate for this key at 0x01C00002: made by openssl with a key of its own.
fn self_signed(tpm: &SoftTpm, ek: &EndorsementKey) -> Result<()> {
    std::fs::write(tpm.directory().join("ek.pem"), ek.public.pem()?)?;
    tpm.tool(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=maker",
    ])?;
    tpm.tool(&["openssl", "req", "-new", "-key", "ca.key", "-out", "ek.csr", "-subj", "/CN=ek"])?;
    tpm.tool(&[
        "openssl",
        "x509",
        "-req",
        "-in",
        "ek.csr",
        "-force_pubkey",
        "ek.pem",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-outform",
        "der",
        "-out",
        "ek.der",
    ])?;
    let certificate = std::fs::read(tpm.directory().join("ek.der"))?;
    store(tpm, "0x1C00002", &certificate)
}
