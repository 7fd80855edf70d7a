//! The software TPM that other tests stand on behaves as a TPM does.

use vouchsafe_attest::credential::{CredentialEntropy, make_credential};
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::key::{AttestationKey, DeviceKey};
use vouchsafe_model::PcrSelection;

use crate::engine::{pcr, selection};

#[test]
fn its_keys_have_the_attributes_that_an_enrolment_asks_for() {
    let tpm = ForgedTpm::new();
    AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    DeviceKey::from_public(tpm.device_key_public().clone()).unwrap();
}

#[test]
fn it_activates_a_credential_for_its_ek_and_ak_and_no_other() {
    let (tpm, other) = (ForgedTpm::new(), ForgedTpm::new());
    let secret = b"thirty-two bytes of enrolled sec";
    let make = |ek: &ForgedTpm, ak: &ForgedTpm| {
        let entropy = CredentialEntropy::new([0x5C; CredentialEntropy::LEN]);
        make_credential(ek.ek_public(), ak.ak_public().name().as_bytes(), secret, &entropy).unwrap()
    };
    let activate = |credential: vouchsafe_attest::credential::Credential| {
        tpm.activate_credential(&credential.id_object, &credential.encrypted_secret)
    };
    assert_eq!(activate(make(&tpm, &tpm)).as_deref(), Some(&secret[..]));
    assert_eq!(activate(make(&other, &tpm)), None, "for another EK");
    assert_eq!(activate(make(&tpm, &other)), None, "for another AK");
}

#[test]
fn extending_changes_one_pcr_in_every_bank_and_a_reboot_resets_it() {
    let mut tpm = ForgedTpm::new();
    let banks = ["sha1:0-23", "sha256:0-23", "sha384:0-23", "sha512:0-23"].map(selection);
    let all = |tpm: &ForgedTpm| banks.iter().map(|bank: &PcrSelection| tpm.pcrs(bank)).collect::<Vec<_>>();
    let fresh = all(&tpm);
    tpm.extend(pcr(4), b"boot loader");
    for (before, after) in fresh.iter().zip(all(&tpm)) {
        let changed: Vec<_> = before.values.iter().filter(|(pcr, value)| after.values[*pcr] != **value).collect();
        assert_eq!(changed.len(), 1, "{}", before.bank);
        assert_eq!(*changed[0].0, pcr(4));
    }
    // sha256(32 zero bytes || sha256("boot loader")), by sha256sum.
    let value = tpm.pcrs(&selection("sha256:4")).values[&pcr(4)].to_string();
    assert_eq!(value, EXTENDED);
    tpm.resume();
    assert_ne!(all(&tpm), fresh, "a suspend keeps PCRs");
    tpm.reboot();
    assert_eq!(all(&tpm), fresh);
}

const EXTENDED: &str = "4813a2df05399a004fbef70127de2660606d0d94778cf331877424bb934b49c3";
