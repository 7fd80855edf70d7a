//! `vouchsafe verify`: evidence and attestation results from files, checked without a server.
//!
//! What cannot be read as what it should be (a missing file, a key that is none) is unusable input and fails. What can be
//! read and is not what a TPM or an engine signed is not authentic, which is an answer.

mod result;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use vouchsafe_attest::key::{AttestationKey, VerifyingKey};
use vouchsafe_attest::quote::{OfflineCheck, QuoteRejected, SignedQuote, pcr_file};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_attest::tpm::attest::GENERATED_VALUE;
use vouchsafe_pki::files;

use crate::args::verify::{QuoteArgs, VerifyArgs, VerifyCommand};
use crate::failure::Hint as _;
use crate::output;
use crate::output::quote::{Checked, KeyAttributes, QuoteReport, Reason};

/// The exit code of what is not authentic.
const NOT_AUTHENTIC: u8 = 2;
/// The longest key, message or signature that is read, in bytes: four times what any TPM makes.
const MAX_LEN: usize = 16 * 1024;

/// Runs an offline check.
///
/// # Errors
/// When an input is unusable.
pub(crate) fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let authentic = match args.command {
        VerifyCommand::Quote(args) => {
            let report = Inputs::read(&args)?.check()?;
            output::show(args.format.format, &report, || output::quote::view(&report))?;
            report.authentic
        }
        VerifyCommand::Result(args) => result::verify(&args)?,
    };
    Ok(if authentic { ExitCode::SUCCESS } else { ExitCode::from(NOT_AUTHENTIC) })
}

/// The bytes to be checked.
struct Inputs {
    ak: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    nonce: Option<Vec<u8>>,
    pcrs: Option<Vec<u8>>,
}

impl Inputs {
    fn read(args: &QuoteArgs) -> anyhow::Result<Self> {
        let pcrs = args.pcrs.as_deref().map(|path| read("PCR file", path, pcr_file::MAX_LEN)).transpose()?;
        Ok(Self {
            ak: read("AK", &args.ak, MAX_LEN)?,
            message: read("message", &args.message, MAX_LEN)?,
            signature: read("signature", &args.signature, MAX_LEN)?,
            nonce: args.nonce.as_ref().map(|nonce| nonce.0.clone()),
            pcrs,
        })
    }

    /// Signature first, then the nonce, then the values: a quote that is not the key's says nothing about either.
    fn check(&self) -> anyhow::Result<QuoteReport> {
        let key = match read_key(&self.ak)? {
            Key::Attestation(key) => (*key, KeyAttributes::Checked),
            Key::Bare(key) => (*key, KeyAttributes::Unknown),
            Key::Unfit(reason) => return Ok(QuoteReport::refused(reason, KeyAttributes::Unfit, None)),
        };
        let (key, attributes) = key;
        let check = OfflineCheck {
            key: &key,
            message: bare_message(&self.message),
            signature: &self.signature,
            qualifying_data: None,
        };
        let refused = |error: &QuoteRejected, signed| Ok(QuoteReport::refused(reason(error), attributes, signed));
        let signed = match check.verify() {
            Ok(signed) => signed,
            Err(error) => return refused(&error, None),
        };
        let occasion = OfflineCheck { qualifying_data: self.nonce.as_deref(), ..check };
        if let Err(error) = occasion.verify() {
            return refused(&error, Some(&signed));
        }
        if let Err(error) = self.check_pcrs(&signed)? {
            return refused(&error, Some(&signed));
        }
        let nonce = if self.nonce.is_some() { Checked::Matched } else { Checked::NotGiven };
        let pcrs = if self.pcrs.is_some() { Checked::Matched } else { Checked::NotGiven };
        Ok(QuoteReport::authentic(&signed, attributes, nonce, pcrs))
    }

    /// Whether the values are those that were signed; an error when the file holds none.
    fn check_pcrs(&self, signed: &SignedQuote) -> anyhow::Result<Result<(), QuoteRejected>> {
        let Some(bytes) = &self.pcrs else { return Ok(Ok(())) };
        let values = pcr_file::parse(bytes, signed.selections())
            .context("the PCR file holds no PCR values")
            .hint("give JSON such as {\"sha256\":{\"0\":\"…hex…\"}}, or what tpm2_quote -o wrote")?;
        Ok(signed.check_pcrs(&values))
    }
}

fn reason(error: &QuoteRejected) -> Reason {
    Reason { code: error.code(), message: error.to_string() }
}

fn read(what: &'static str, path: &Path, max_len: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = files::read_file(path, max_len).with_context(|| format!("cannot use the {what}"))?;
    if bytes.is_empty() {
        bail!("the {what} {} is empty", path.display());
    }
    Ok(bytes)
}

/// A key from a file.
enum Key {
    /// An attestation key by its attributes: it signs nothing but what its TPM itself says.
    Attestation(Box<VerifyingKey>),
    /// A key whose file says nothing about attributes.
    Bare(Box<VerifyingKey>),
    /// A key with which quotes can be forged, and why.
    Unfit(Reason),
}

/// Reads a key as PEM, `TPM2B_PUBLIC` or `TPMT_PUBLIC`.
fn read_key(bytes: &[u8]) -> anyhow::Result<Key> {
    let hint = "give a TPM2B_PUBLIC (tpm2_readpublic -o), a TPMT_PUBLIC, or a public key in PEM (BEGIN PUBLIC KEY)";
    let unusable = "the AK is no public key that quotes can be checked with";
    if is_pem(bytes) {
        return Ok(Key::Bare(Box::new(VerifyingKey::from_pem(bytes).context(unusable).hint(hint)?)));
    }
    let public = PublicArea::parse_either(bytes).context(unusable).hint(hint)?;
    let verifying = VerifyingKey::from_public(&public).context(unusable).hint(hint)?;
    Ok(match AttestationKey::from_public(public) {
        Ok(_) => Key::Attestation(Box::new(verifying)),
        Err(error) => Key::Unfit(Reason { code: error.code(), message: error.to_string() }),
    })
}

/// No public area begins with five dashes: it would be one of 11,565 bytes.
fn is_pem(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"-----")
}

/// A `TPMS_ATTEST`, without the size that makes it a `TPM2B_ATTEST`.
///
/// There is no confusing the two: one begins with the magic number, the other with its own length and then the magic.
fn bare_message(bytes: &[u8]) -> &[u8] {
    let Some((size, rest)) = bytes.split_first_chunk::<2>() else { return bytes };
    let is_sized =
        usize::from(u16::from_be_bytes(*size)) == rest.len() && rest.starts_with(&GENERATED_VALUE.to_be_bytes());
    if is_sized { rest } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_in_front_of_the_message_is_taken_off() {
        let bare = [0xFF, 0x54, 0x43, 0x47, 1, 2];
        let sized = [&[0, 6][..], &bare].concat();
        assert_eq!(bare_message(&bare), bare);
        assert_eq!(bare_message(&sized), bare);
        for other in [&[][..], &[0], &[0, 5, 0xFF, 0x54, 0x43, 0x47, 1, 2], &[0, 1, 7]] {
            assert_eq!(bare_message(other), other);
        }
    }
}
