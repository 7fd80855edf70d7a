//! What a command takes from the machine that it runs on: the clock, entropy, the terminal.

use std::io::{self, BufRead as _, IsTerminal, Read as _, Write};

use anyhow::Context as _;
use vouchsafe_model::Timestamp;

/// The longest answer that is read from a person, in bytes.
const MAX_ANSWER_LEN: u64 = 64;

/// The instant at which the command runs, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the shell that reads the clock for all the pure parts")]
pub(crate) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.plus(since_epoch)
}

/// Unforeseeable bytes.
///
/// # Errors
/// When the operating system gives none.
pub(crate) fn entropy<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the operating system gives no entropy"))?;
    Ok(bytes)
}

/// Whether standard output is read by a person.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether there is a person who can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on standard error. Only a yes is a yes.
///
/// # Errors
/// When the answer cannot be read.
pub(crate) fn ask(question: &str) -> anyhow::Result<bool> {
    complain(question);
    let mut answer = String::new();
    let read = io::stdin().lock().take(MAX_ANSWER_LEN).read_line(&mut answer);
    read.context("cannot read the answer")?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Prints to standard output.
///
/// # Errors
/// When it cannot be written to. That its reader has gone (`… | head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Prints to standard error. When nobody can read that, there is nobody left to tell.
pub(crate) fn complain(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
