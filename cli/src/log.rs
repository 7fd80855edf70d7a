//! `vouchsafe log verify`: a log from its folder, or the proof of one decision, without any server.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use vouchsafe_journal::{
    CheckpointKey, Fault, FaultKind, MAX_PROOF_LEN, NoteRejected, Proof, ProofRejected, SignedCheckpoint, VerifyError,
};
use vouchsafe_pki::{files, pem};

use crate::args::log::VerifyLogArgs;
use crate::failure::Hint as _;
use crate::output;
use crate::output::log::{LogReport, ProofReport};
use crate::output::quote::Reason;

/// The exit code of what is not as it was written.
const REFUSED: u8 = 2;
/// The longest public key that is read, in bytes.
const MAX_KEY_LEN: usize = 16 * 1024;
/// The longest checkpoint that is read, in bytes.
const MAX_CHECKPOINT_LEN: usize = 16 * 1024;
/// How the bar looks.
const TEMPLATE: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// Verifies what the arguments name.
///
/// # Errors
/// When a file cannot be read, or is nothing of the kind at all.
pub(crate) fn verify(args: &VerifyLogArgs) -> anyhow::Result<ExitCode> {
    let keys = args.keys.iter().map(|path| key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let is_verified = match (&args.proof, &args.dir) {
        (Some(file), _) => verify_proof(args, file, &keys)?,
        (None, Some(dir)) => verify_log(args, dir, &keys)?,
        (None, None) => bail!("name the folder of a log, or a proof"),
    };
    Ok(if is_verified { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn verify_log(args: &VerifyLogArgs, dir: &Path, keys: &[CheckpointKey]) -> anyhow::Result<bool> {
    let pinned = args.checkpoint.as_deref().map(|file| checkpoint(file, keys)).transpose()?;
    let report = match pinned {
        Some(Err(rejected)) => LogReport::refused(reason_of_note(&rejected)),
        pinned => {
            let pinned = pinned.and_then(Result::ok);
            let bar = bar(dir);
            let outcome = vouchsafe_journal::verify(dir, keys, pinned.as_ref(), &mut |bytes| bar.inc(bytes));
            bar.finish_and_clear();
            match outcome {
                Ok(found) => LogReport::verified(found),
                Err(VerifyError::Fault(fault)) => LogReport::refused(reason(&fault)),
                Err(error @ VerifyError::NoLog { .. }) => {
                    return Err(error).hint("a server's log is the folder `decisions` in the server's folder");
                }
                Err(error) => return Err(error).context("cannot verify the log"),
            }
        }
    };
    output::show(args.format.format, &report, || output::log::report(&report))?;
    Ok(report.verified)
}

fn verify_proof(args: &VerifyLogArgs, file: &Path, keys: &[CheckpointKey]) -> anyhow::Result<bool> {
    let text = read_text(file, MAX_PROOF_LEN, "proof")?;
    let verified = Proof::parse(&text).and_then(|proof| proof.verify(keys).map(|()| proof));
    let report = match verified {
        Ok(proof) => ProofReport::verified(&proof),
        Err(rejected) if rejected.is_unreadable() => {
            return Err(rejected)
                .with_context(|| format!("{} is no proof of a decision", file.display()))
                .hint("give what `vouchsafe log prove ID` printed");
        }
        Err(ProofRejected::Note(rejected)) => ProofReport::refused(reason_of_note(&rejected)),
        Err(rejected) => ProofReport::refused(Reason { code: "proof.not_included", message: rejected.to_string() }),
    };
    let shown = output::log::proof(&report)?;
    output::show(args.format.format, &report, || shown)?;
    Ok(report.verified)
}

/// A checkpoint that was kept elsewhere, or why it is not to be believed.
fn checkpoint(file: &Path, keys: &[CheckpointKey]) -> anyhow::Result<Result<SignedCheckpoint, NoteRejected>> {
    let text = read_text(file, MAX_CHECKPOINT_LEN, "checkpoint")?;
    let signed = SignedCheckpoint::parse(&text)
        .with_context(|| format!("{} is no checkpoint of a decision log", file.display()))
        .hint("give what `vouchsafe log checkpoint` printed")?;
    Ok(signed.verify(keys).map(|()| signed))
}

fn key(path: &Path) -> anyhow::Result<CheckpointKey> {
    let hint = "give the log's public key in PEM: log.pub of the server's folder, or `vouchsafe log key`";
    let unusable = || format!("{} holds no public key of a log", path.display());
    let text = files::read_file(path, MAX_KEY_LEN).context("cannot use the key")?;
    let spki = pem::decode_public_key(&text).with_context(unusable).hint(hint)?;
    CheckpointKey::from_spki_der(&spki).with_context(unusable).hint(hint)
}

fn read_text(path: &Path, max_len: usize, what: &'static str) -> anyhow::Result<String> {
    let bytes = files::read_file(path, max_len).with_context(|| format!("cannot use the {what}"))?;
    String::from_utf8(bytes).with_context(|| format!("the {what} {} is no text", path.display()))
}

/// What is wrong with a log, by a code that does not change.
fn reason(fault: &Fault) -> Reason {
    let code = match &fault.kind {
        FaultKind::Line(_) | FaultKind::NoHeader | FaultKind::SecondHeader | FaultKind::Header { .. } => "log.damaged",
        FaultKind::Number { .. } | FaultKind::Contradicted { .. } | FaultKind::Seal => "log.changed",
        FaultKind::BehindSeal | FaultKind::OtherPast | FaultKind::OtherLog { .. } => "log.changed",
        FaultKind::Misnamed { .. } => "log.reordered",
        FaultKind::Gap { .. } | FaultKind::NotSealed => "log.gap",
        FaultKind::SignedEntriesMissing { .. } => "log.end_missing",
        FaultKind::BeginningMissing { .. } => "log.beginning_missing",
        FaultKind::Twice { .. } => "log.id_twice",
        FaultKind::Note(_) => "log.signature",
    };
    Reason { code, message: fault.to_string() }
}

fn reason_of_note(rejected: &NoteRejected) -> Reason {
    Reason { code: "checkpoint.signature", message: rejected.to_string() }
}

/// A bar on standard error. Where that is no terminal, nothing is drawn.
fn bar(dir: &Path) -> ProgressBar {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    let bar = ProgressBar::new(bytes);
    // The template is a constant; if it were wrong, the bar of the library's choice would do.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style);
    }
    bar
}
