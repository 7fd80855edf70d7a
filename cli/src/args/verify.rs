//! `vouchsafe verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vouchsafe_trust_engine::result::ResultNonce;

use super::FormatArgs;
use super::value::HexBytes;

/// Checks evidence and attestation results offline, without any server.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(subcommand)]
    pub(crate) command: VerifyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VerifyCommand {
    Quote(QuoteArgs),
    Result(ResultArgs),
}

/// Checks a TPM quote: signature, form, nonce, PCR values. Exits 0 if it is authentic, 2 if not, 1 if the files are unusable.
///
/// Files are those of tpm2-tools: `tpm2_quote -m MESSAGE -s SIGNATURE -o PCRS`. Without --nonce the quote may be an old one,
/// and without --pcrs nothing is said about PCR values; the answer says which was checked.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  tpm2_quote -c ak.ctx -l sha256:0,1,2,3,7 -q 9009 -m quote.msg -s quote.sig -o quote.pcrs
  vouchsafe verify quote --ak ak.pub --message quote.msg --signature quote.sig \\
    --nonce 9009 --pcrs quote.pcrs

Files:
  AK         TPM2B_PUBLIC (tpm2_readpublic -o), TPMT_PUBLIC, or a public key in PEM
  MESSAGE    TPMS_ATTEST, with or without the size in front (TPM2B_ATTEST)
  SIGNATURE  TPMT_SIGNATURE (tpm2_quote -f tss, its default)
  PCRS       JSON such as {\"sha256\":{\"0\":\"…hex…\"}}, or what tpm2_quote -o wrote")]
pub(crate) struct QuoteArgs {
    /// The attestation key's public part.
    #[arg(long, value_name = "FILE")]
    pub(crate) ak: PathBuf,
    /// What the TPM signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) message: PathBuf,
    /// The signature over it.
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: PathBuf,
    /// The nonce (qualifying data) that must be in it, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<HexBytes>,
    /// The PCR values that the quote must be about.
    #[arg(long, value_name = "FILE")]
    pub(crate) pcrs: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Checks an attestation result: signature, times, nonce. Exits 0 if it is authentic, 2 if not, 1 if the files are unusable.
///
/// Authentic means that one of these keys signed it and that it is still good. What it says is then for the caller to read:
/// a result that is contraindicated is as authentic as one that affirms. Without --nonce it may have been fetched earlier.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device result uws2 --nonce 00112233445566778899 --format jwt > result.jwt
  curl -s http://127.0.0.1:8444/v1/result-keys > keys.json
  vouchsafe verify result result.jwt --keys keys.json --nonce 00112233445566778899

Files:
  TOKEN  a JWT in compact form (application/eat+jwt), signed by ES256
  KEYS   a JSON Web Key Set, as the engine publishes it at /v1/result-keys")]
pub(crate) struct ResultArgs {
    /// The attestation result.
    #[arg(value_name = "TOKEN")]
    pub(crate) token: PathBuf,
    /// The keys that are trusted to sign it.
    #[arg(long, value_name = "KEYS")]
    pub(crate) keys: PathBuf,
    /// The nonce that it must have, in hexadecimal.
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<ResultNonce>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
