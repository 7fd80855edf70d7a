//! The one place where the shells draw randomness.

/// Gives unforeseeable bytes.
pub trait Entropy: Send + Sync {
    /// Fills the buffer.
    ///
    /// # Errors
    /// When the source fails; nothing may then be made that has to be unforeseeable.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed>;
}

/// A source of randomness that gave none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the source of randomness failed")]
pub struct EntropyFailed;

/// The generator of aws-lc (SP 800-90A, AES-256 in counter mode), seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        aws_lc_rs::rand::fill(buffer).map_err(|_| EntropyFailed)
    }
}

impl dyn Entropy + '_ {
    /// An array of unforeseeable bytes.
    ///
    /// # Errors
    /// When the source fails.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], EntropyFailed> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let source: &dyn Entropy = &OsEntropy;
        assert_ne!(source.bytes::<32>(), source.bytes::<32>());
    }
}
