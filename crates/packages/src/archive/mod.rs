//! Decoders: ar(5), tar, cpio, their compressions, and the `.deb` that is made of them.
//!
//! Each reads a stream once, keeps to a bound, and refuses what two readers could read in two ways. They write nothing.

pub(crate) mod ar;
mod compression;
pub(crate) mod cpio;
pub mod deb;
pub(crate) mod tar;

pub use compression::{Compression, TooLong};
pub use cpio::CpioError;
pub use deb::{Deb, DebError};
pub use tar::TarError;

use std::io::{self, Read};

/// Fills the buffer as far as there are bytes. Returns how many there were.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(len) => filled = filled.saturating_add(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads over so many bytes. Returns how many there were.
fn skip(source: &mut impl Read, len: u64) -> io::Result<u64> {
    io::copy(&mut source.by_ref().take(len), &mut io::sink())
}

/// `usize` as `u64`, which holds it on every machine that this runs on.
pub(crate) fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
