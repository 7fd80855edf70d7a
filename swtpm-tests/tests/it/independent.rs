//! tpm2-tools as an independent voice: what they make, our tool takes for authentic, and nothing beside it.

use std::process::Command;

use anyhow::{Result, ensure};
use vouchsafe_swtpm_tests::binaries::binary;
use vouchsafe_swtpm_tests::soft_tpm::SoftTpm;

#[test]
fn a_quote_by_tpm2_tools_is_authentic_until_one_bit_is_changed() -> Result<()> {
    let tpm = SoftTpm::start()?;
    tpm.tool(&["tpm2_createek", "-c", "ek.ctx", "-G", "rsa", "-u", "ek.pub"])?;
    for (algorithm, scheme) in [("rsa", "rsassa"), ("rsa", "rsapss"), ("ecc", "ecdsa")] {
        tpm.tool(&["tpm2_flushcontext", "-t"])?;
        let create = ["tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", algorithm, "-s", scheme, "-u", "ak.pub"];
        tpm.tool(&create)?;
        tpm.tool(&["tpm2_flushcontext", "-t"])?;
        // PCRs as bare values: the tools' other form has padding, in which a bit may be anything.
        let quote =
            format!("tpm2_quote -c ak.ctx --scheme {scheme} -l sha256:0,1,7,14 -q 9009 -m m -s s -o p -F values");
        tpm.tool(&quote.split(' ').collect::<Vec<_>>())?;
        let (code, said) = verify(&tpm, "9009")?;
        ensure!(code == Some(0), "{algorithm} {scheme}: {code:?} {said}");
        let (code, said) = verify(&tpm, "900a")?;
        ensure!(code == Some(2), "{algorithm} {scheme} with another nonce: {code:?} {said}");

        for file in ["m", "s", "p"] {
            let path = tpm.directory().join(file);
            let honest = std::fs::read(&path)?;
            let mut changed = honest.clone();
            if let Some(byte) = changed.last_mut() {
                *byte ^= 1;
            }
            std::fs::write(&path, changed)?;
            let (code, said) = verify(&tpm, "9009")?;
            ensure!(code == Some(2), "{algorithm} {scheme} with a bit of {file} changed: {code:?} {said}");
            std::fs::write(&path, honest)?;
        }
    }
    Ok(())
}

fn verify(tpm: &SoftTpm, nonce: &str) -> Result<(Option<i32>, String)> {
    let output = Command::new(binary("vouchsafe")?)
        .args([
            "verify",
            "quote",
            "--ak",
            "ak.pub",
            "--message",
            "m",
            "--signature",
            "s",
            "--nonce",
            nonce,
            "--pcrs",
            "p",
        ])
        .current_dir(tpm.directory())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}
