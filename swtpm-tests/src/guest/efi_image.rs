//! EFI executables: their Authenticode digest, as a dbx names it, and an image that differs but boots.

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{Context, SHA256};

/// The SHA-256 Authenticode digest of a PE image: everything but the checksum, the entry that says where the signatures are,
/// and the signatures (Windows Authenticode Portable Executable Signature Format, "Calculating the PE Image Hash").
///
/// # Errors
/// It is no PE32+ image, or one whose signatures are not at its end.
pub fn authenticode_sha256(image: &[u8]) -> Result<[u8; 32]> {
    let header = header(image)?;
    let (checksum, directory) = (header + CHECKSUM, header + CERTIFICATE_DIRECTORY);
    let (start, size) = (u32_at(image, directory)?, u32_at(image, directory + 4)?);
    let end = if size == 0 { image.len() } else { start };
    ensure!(size == 0 || start.checked_add(size) == Some(image.len()), "the signatures are not at the end");
    let mut digest = Context::new(&SHA256);
    for range in [0..checksum, checksum + 4..directory, directory + 8..end] {
        digest.update(image.get(range).context("the image ends in its header")?);
    }
    if size == 0 {
        // Signing tools fill an image up to eight bytes before they append a signature.
        digest.update(&vec![0; image.len().next_multiple_of(8) - image.len()]);
    }
    digest.finish().as_ref().try_into().context("SHA-256 has 32 bytes")
}

/// The same image with another time stamp: it does the same, and all its digests differ.
///
/// # Errors
/// It is no PE32+ image.
pub(super) fn restamped(image: &[u8]) -> Result<Vec<u8>> {
    let stamp = header(image)? - OPTIONAL_HEADER + TIME_STAMP;
    let mut image = image.to_vec();
    *image.get_mut(stamp).context("the image ends in its header")? ^= 1;
    Ok(image)
}

/// Where the PE signature's offset is (Microsoft PE format, MS-DOS stub).
const PE_OFFSET: usize = 0x3c;
/// Of the time stamp, from the PE signature on.
const TIME_STAMP: usize = 8;
/// Of the optional header, from the PE signature on.
const OPTIONAL_HEADER: usize = 24;
/// Of the checksum, in the optional header.
const CHECKSUM: usize = 64;
/// Of the data directory's entry for signatures, in the optional header of PE32+.
const CERTIFICATE_DIRECTORY: usize = 144;
/// The number that says PE32+.
const PE32_PLUS: [u8; 2] = [0x0b, 0x02];

/// Where the optional header is.
fn header(image: &[u8]) -> Result<usize> {
    let pe = u32_at(image, PE_OFFSET)?;
    ensure!(image.get(pe..pe.saturating_add(4)) == Some(b"PE\0\0"), "no PE signature");
    let header = pe + OPTIONAL_HEADER;
    ensure!(image.get(header..header + 2) == Some(&PE32_PLUS), "no PE32+ image");
    Ok(header)
}

fn u32_at(image: &[u8], at: usize) -> Result<usize> {
    let bytes = image.get(at..).and_then(<[u8]>::first_chunk).context("the image ends in its header")?;
    Ok(usize::try_from(u32::from_le_bytes(*bytes))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<u8> {
        let mut image = vec![0xaa; 0x200];
        image[0x3c..0x40].copy_from_slice(&0x80_u32.to_le_bytes());
        image[0x80..0x84].copy_from_slice(b"PE\0\0");
        image[0x98..0x9a].copy_from_slice(&PE32_PLUS);
        image[0x98 + 144..0x98 + 152].fill(0);
        image
    }

    #[test]
    fn a_signature_does_not_change_the_digest_and_anything_else_does() {
        let bare = authenticode_sha256(&image()).unwrap();
        let mut signed = image();
        signed[0x98 + 144..0x98 + 148].copy_from_slice(&0x200_u32.to_le_bytes());
        signed[0x98 + 148..0x98 + 152].copy_from_slice(&16_u32.to_le_bytes());
        signed[0x98 + 64..0x98 + 68].copy_from_slice(b"sums");
        signed.extend_from_slice(b"the signature...");
        assert_eq!(authenticode_sha256(&signed).unwrap(), bare);
        assert_ne!(authenticode_sha256(&restamped(&signed).unwrap()).unwrap(), bare);
        signed.push(0);
        assert!(authenticode_sha256(&signed).is_err(), "something follows the signature");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let image = image();
        for end in 0..0x98 + 152 {
            assert!(authenticode_sha256(&image[..end]).is_err(), "{end} bytes are an image");
        }
    }
}
