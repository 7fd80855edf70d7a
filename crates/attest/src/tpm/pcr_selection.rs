//! Which PCRs a quote covers (TPM 2.0 Part 2, 10.9.7 `TPML_PCR_SELECTION`).

use vouchsafe_model::PcrSelection;
use vouchsafe_model::pcr::PcrSet;

use super::{DecodeError, DecodeProblem, Reader};

/// The most banks in one selection: as many as TPM2-TSS has room for.
pub const MAX_BANKS: usize = 16;

/// The bytes of one bitmap: one for each eight PCRs, and one more than the 24 of the PC Client profile need.
const BITMAP_LEN: std::ops::RangeInclusive<u8> = 1..=4;

/// Reads a `TPML_PCR_SELECTION`, as it stands: duplicates and banks without any PCR are kept for the verifier to judge.
///
/// # Errors
/// When it is cut off, has more than [`MAX_BANKS`] banks, an unknown bank, or a PCR above 23.
pub fn read(reader: &mut Reader<'_>) -> Result<Vec<PcrSelection>, DecodeError> {
    reader.enter("TPML_PCR_SELECTION");
    let count = reader.u32("count")?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > MAX_BANKS {
        return Err(reader.error("count", DecodeProblem::Oversized { len: count, max: MAX_BANKS }));
    }
    (0..count).map(|_| read_one(reader)).collect()
}

/// Reads a `TPMS_PCR_SELECTION` (Part 2, 10.6).
fn read_one(reader: &mut Reader<'_>) -> Result<PcrSelection, DecodeError> {
    let bank = reader.hash("hash")?;
    let len = reader.u8("sizeofSelect")?;
    if !BITMAP_LEN.contains(&len) {
        return Err(reader.bad_value("sizeofSelect", len, "1 to 4"));
    }
    let bitmap = reader.bytes("pcrSelect", usize::from(len))?;
    // The first byte holds PCRs 0 to 7, PCR 0 in its lowest bit.
    let bits = bitmap.iter().rev().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    let pcrs = PcrSet::from_bits(bits).ok_or_else(|| reader.bad_value("pcrSelect", bits, "PCRs 0 to 23"))?;
    Ok(PcrSelection { bank, pcrs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Vec<PcrSelection>, DecodeError> {
        let mut reader = Reader::new("TEST", bytes);
        let read = read(&mut reader)?;
        reader.finish().map(|()| read)
    }

    fn text(bytes: &[u8]) -> Result<String, String> {
        parse(bytes)
            .map(|banks| banks.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn bit_zero_of_byte_zero_is_pcr_0_and_bit_seven_of_byte_two_is_pcr_23() {
        assert_eq!(text(&[0, 0, 0, 1, 0, 11, 3, 0x01, 0x00, 0x80]).unwrap(), "sha256:0,23");
        assert_eq!(text(&[0, 0, 0, 2, 0, 4, 1, 0x80, 0, 12, 4, 0, 1, 0, 0]).unwrap(), "sha1:7+sha384:8");
        assert_eq!(text(&[0, 0, 0, 0]).unwrap(), "");
    }

    #[test]
    fn a_bit_above_pcr_23_is_refused() {
        let error = text(&[0, 0, 0, 1, 0, 11, 4, 1, 0, 0, 1]).unwrap_err();
        assert!(error.contains("instead of PCRs 0 to 23"), "{error}");
    }

    #[test]
    fn counts_sizes_and_banks_are_bounded() {
        assert!(text(&[0, 0, 0, 17]).unwrap_err().contains("17 is more than the 16 allowed"));
        assert!(text(&[0xFF; 4]).unwrap_err().contains("more than the 16 allowed"));
        assert!(text(&[0, 0, 0, 1, 0, 11, 0]).unwrap_err().contains("sizeofSelect"));
        assert!(text(&[0, 0, 0, 1, 0, 11, 5, 0, 0, 0, 0, 0]).unwrap_err().contains("sizeofSelect"));
        assert!(text(&[0, 0, 0, 1, 0, 0x27, 3, 0, 0, 0]).unwrap_err().contains("TPM_ALG_SHA3_256"));
    }

    #[test]
    fn sixteen_banks_are_read() {
        let banks = [0, 0, 0, 16].into_iter().chain([0, 11, 1, 1].repeat(16)).collect::<Vec<u8>>();
        assert_eq!(parse(&banks).unwrap().len(), MAX_BANKS);
    }
}
