//! The boot event log. It is short, and does not change after the boot: it is read whole.

use std::io::Read as _;
use std::path::Path;

use vouchsafe_model::Sha256Digest;
use vouchsafe_wire::v1::limits;

use super::{CompressedEventLog, LogError, open};
use crate::tls::sha256;

/// Reads it, from its beginning to its end: its length cannot be asked for, since securityfs says 0 of everything.
pub(super) fn read(path: &Path) -> Result<(Sha256Digest, CompressedEventLog), LogError> {
    let bytes = whole(path)?;
    let too_long = |_| LogError::TooLong { path: path.to_owned(), max: limits::EVENT_LOG_COMPRESSED, compressed: true };
    Ok((sha256(&bytes), CompressedEventLog::new(&bytes).map_err(too_long)?))
}

pub(super) fn describe(path: &Path) -> Result<(usize, Sha256Digest), LogError> {
    let bytes = whole(path)?;
    Ok((bytes.len(), sha256(&bytes)))
}

fn whole(path: &Path) -> Result<Vec<u8>, LogError> {
    let limit = u64::try_from(limits::EVENT_LOG).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = open(path)?.take(limit).read_to_end(&mut bytes);
    read.map_err(|source| LogError::Read { path: path.to_owned(), source })?;
    if bytes.len() > limits::EVENT_LOG {
        return Err(LogError::TooLong { path: path.to_owned(), max: limits::EVENT_LOG, compressed: false });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(len)
        .collect()
    }

    #[test]
    fn a_log_of_the_greatest_length_is_sent_and_a_longer_one_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        std::fs::write(&path, vec![7; limits::EVENT_LOG]).unwrap();
        let (digest, log) = read(&path).unwrap();
        assert_eq!(digest, sha256(&log.inflate(limits::EVENT_LOG).unwrap()));
        std::fs::write(&path, vec![7; limits::EVENT_LOG + 1]).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().ends_with("is longer than 1048576 bytes"), "{error}");
    }

    #[test]
    fn a_log_that_does_not_shrink_enough_is_not_sent() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        std::fs::write(&path, noise(limits::EVENT_LOG_COMPRESSED - 1024)).unwrap();
        assert!(read(&path).is_ok());
        std::fs::write(&path, noise(limits::EVENT_LOG_COMPRESSED)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().ends_with("is longer than 393216 bytes, compressed"), "{error}");
        assert_eq!(describe(&path).unwrap().0, limits::EVENT_LOG_COMPRESSED, "it is there all the same");
    }
}
