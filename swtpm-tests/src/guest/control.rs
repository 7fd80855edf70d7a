//! The control channel: a virtio serial port by which a test runs commands in the guest. `init.sh` is its other end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How long a command in the guest may take. Emulation is slow, and the machine may be busy.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// How much a command may print, in bytes: an IMA list of a hundred thousand entries.
const OUTPUT_LIMIT: u64 = 32 << 20;

/// What a command in the guest left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it printed as errors.
    pub stderr: Vec<u8>,
}

impl Output {
    /// What it printed, if it succeeded.
    ///
    /// # Errors
    /// It failed.
    pub fn success(self) -> Result<Vec<u8>> {
        let said = String::from_utf8_lossy(&self.stderr);
        ensure!(self.status == 0, "the command in the guest ended with status {}: {}", self.status, said.trim());
        Ok(self.stdout)
    }
}

/// The test's end of the channel.
#[derive(Debug)]
pub(super) struct Control {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    /// The part of a line that came so far.
    line: String,
}

impl Control {
    /// Waits for QEMU to connect; `None` while it has not.
    ///
    /// # Errors
    /// The socket fails.
    pub(super) fn accept(listener: &UnixListener) -> Result<Option<Self>> {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                let writer = stream.try_clone()?;
                Ok(Some(Self { reader: BufReader::new(stream), writer, line: String::new() }))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("accepting the control channel"),
        }
    }

    /// A socket to which QEMU can connect.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn listen(path: &Path) -> Result<UnixListener> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).with_context(|| format!("listening at {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Whether the guest has said that it is ready; waits a moment for it.
    ///
    /// # Errors
    /// The channel ended.
    pub(super) fn is_ready(&mut self) -> Result<bool> {
        self.reader.get_ref().set_read_timeout(Some(Duration::from_millis(200)))?;
        match self.reader.read_line(&mut self.line) {
            Ok(0) => anyhow::bail!("the control channel ended"),
            Ok(_) => Ok(std::mem::take(&mut self.line).trim_end() == "ready"),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error).context("reading the control channel"),
        }
    }

    /// Runs a script in the guest's shell.
    ///
    /// # Errors
    /// The guest does not answer.
    pub(super) fn run(&mut self, script: &str) -> Result<Output> {
        self.ask(&format!("run {}\n", script.len()), script.as_bytes()).with_context(|| format!("running: {script}"))
    }

    /// Writes a file in the guest, at once: whoever opens it sees the old content or the new one.
    ///
    /// # Errors
    /// The guest does not answer, or cannot write it.
    pub(super) fn put(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        ensure!(!path.contains(['\n', ' ']), "a path without spaces");
        let answer = self.ask(&format!("put {} {mode:o} {path}\n", content.len()), content);
        answer.and_then(Output::success).map(drop).with_context(|| format!("writing {path}"))
    }

    fn ask(&mut self, line: &str, content: &[u8]) -> Result<Output> {
        self.writer.set_write_timeout(Some(COMMAND_LIMIT))?;
        self.writer.write_all(line.as_bytes())?;
        self.writer.write_all(content)?;
        let deadline = Instant::now() + COMMAND_LIMIT;
        let mut answer = String::new();
        self.wait_until(deadline)?;
        ensure!(self.reader.read_line(&mut answer)? > 0, "the control channel ended");
        let mut fields = answer.split_whitespace();
        let mut field = || fields.next().with_context(|| format!("the guest answered: {answer}"));
        let (status, out, err) = (field()?.parse()?, field()?.parse()?, field()?.parse()?);
        Ok(Output { status, stdout: self.bytes(out, deadline)?, stderr: self.bytes(err, deadline)? })
    }

    fn bytes(&mut self, count: u64, deadline: Instant) -> Result<Vec<u8>> {
        ensure!(count <= OUTPUT_LIMIT, "the command printed {count} bytes");
        self.wait_until(deadline)?;
        let mut bytes = vec![0; usize::try_from(count)?];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn wait_until(&self, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "the guest took longer than {COMMAND_LIMIT:?}");
        Ok(self.reader.get_ref().set_read_timeout(Some(left))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A channel whose other end answers with these bytes, whatever it is asked.
    fn answering(answer: &'static [u8]) -> (tempfile::TempDir, Control) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = Control::listen(&path).unwrap();
        assert!(Control::accept(&listener).unwrap().is_none());
        let mut guest = UnixStream::connect(&path).unwrap();
        let control = Control::accept(&listener).unwrap().unwrap();
        std::thread::spawn(move || guest.write_all(answer).and_then(|()| guest.read_to_end(&mut Vec::new())));
        (folder, control)
    }

    #[test]
    fn output_and_errors_are_told_apart_by_their_lengths() {
        let (_folder, mut control) = answering(b"ready\n3 4 2\nab\ncde");
        while !control.is_ready().unwrap() {}
        let output = control.run("x").unwrap();
        assert_eq!(output, Output { status: 3, stdout: b"ab\nc".to_vec(), stderr: b"de".to_vec() });
        assert!(output.success().unwrap_err().to_string().contains("status 3: de"));
    }

    #[test]
    fn an_answer_that_is_no_answer_or_too_long_is_an_error() {
        assert!(answering(b"busybox: not found\n").1.run("x").is_err());
        assert!(answering(b"0 99999999999 0\n").1.run("x").is_err());
    }
}
