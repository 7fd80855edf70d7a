//! Bytes that came in, held until they are known to be what was signed for.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use tempfile::SpooledTempFile;
use vouchsafe_model::Sha256Digest;

use crate::cancel::{Cancel, Cancelled};
use crate::digest::Sha256;

/// What is kept in memory; a longer package goes to a file without a name, which vanishes with the process.
const MAX_IN_MEMORY_LEN: usize = 16 * 1024 * 1024;
const CHUNK_LEN: usize = 128 * 1024;

/// What bytes have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) len: u64,
    pub(crate) sha256: Sha256Digest,
}

/// Why bytes are not what they have to be.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// They are too many or too few.
    #[error("it has {found} bytes, and {expected} were signed for")]
    Length {
        /// As many as there are, or one more than there should be.
        found: u64,
        /// As many as there should be.
        expected: u64,
    },
    /// They are others.
    #[error("its SHA-256 is {found}, and {expected} was signed for")]
    Digest {
        /// What it is.
        found: Sha256Digest,
        /// What it should be.
        expected: Sha256Digest,
    },
    /// They could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// They could not be written down.
    #[error("cannot keep it in a temporary file")]
    Write(#[source] io::Error),
    /// The run was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Bytes of the expected length and SHA-256. There is no other way to make one.
pub(crate) struct Spool {
    file: SpooledTempFile,
}

impl Spool {
    /// Takes in a stream. `heard` is told how much came.
    pub(crate) fn take(
        mut source: impl Read,
        expected: Expected,
        dir: &Path,
        cancel: &Cancel,
        heard: &mut dyn FnMut(u64),
    ) -> Result<Self, SpoolError> {
        let mut file = tempfile::spooled_tempfile_in(MAX_IN_MEMORY_LEN, dir);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK_LEN];
        let mut found = 0u64;
        loop {
            cancel.check()?;
            let len = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SpoolError::Read(error)),
            };
            found = found.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
            if found > expected.len {
                return Err(SpoolError::Length { found, expected: expected.len });
            }
            let bytes = buffer.get(..len).unwrap_or_default();
            hasher.update(bytes);
            io::Write::write_all(&mut file, bytes).map_err(SpoolError::Write)?;
            heard(u64::try_from(len).unwrap_or(0));
        }
        if found < expected.len {
            return Err(SpoolError::Length { found, expected: expected.len });
        }
        let digest = hasher.finish();
        if digest != expected.sha256 {
            return Err(SpoolError::Digest { found: digest, expected: expected.sha256 });
        }
        file.seek(SeekFrom::Start(0)).map_err(SpoolError::Write)?;
        Ok(Self { file })
    }

    /// Reads them from the start.
    pub(crate) fn into_reader(self) -> impl Read {
        BufReader::with_capacity(CHUNK_LEN, self.file)
    }
}
