//! Decompression within bounds.

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::limits::{MAX_XZ_MEMORY_KIB, MAX_ZSTD_WINDOW};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
}

/// A stream that goes on after its bound: most likely a bomb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it unpacks to more than {0} bytes")]
pub struct TooLong(pub u64);

impl Compression {
    /// The compression that a name ends with: `.xz`.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "" => Some(Self::None),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            ".bz2" => Some(Self::Bzip2),
            _ => None,
        }
    }

    /// Reads what the stream unpacks to, up to `max_len` bytes; one more is the error [`TooLong`].
    pub fn decode<'a>(self, source: impl Read + 'a, max_len: u64) -> Box<dyn Read + 'a> {
        match self {
            Self::None => Box::new(Bounded::new(source, max_len)),
            Self::Gzip => Box::new(Bounded::new(flate2::read::MultiGzDecoder::new(source), max_len)),
            Self::Xz => {
                let reader = lzma_rust2::XzReader::new_mem_limit(BufReader::new(source), true, MAX_XZ_MEMORY_KIB);
                Box::new(Bounded::new(reader, max_len))
            }
            Self::Zstd => Box::new(Bounded::new(ZstdFrames::new(source), max_len)),
            Self::Bzip2 => Box::new(Bounded::new(bzip2::read::MultiBzDecoder::new(source), max_len)),
        }
    }
}

/// A reader that does not end before its bound fails there.
struct Bounded<R> {
    inner: R,
    left: u64,
    max_len: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, max_len: u64) -> Self {
        Self { inner, left: max_len, max_len }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        match self.left.checked_sub(super::wide(len)) {
            Some(left) => {
                self.left = left;
                Ok(len)
            }
            None => Err(io::Error::other(TooLong(self.max_len))),
        }
    }
}

/// Zstandard frames one behind the other (RFC 8878, 3), each with its checksum held against its content.
struct ZstdFrames<R: Read> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    state: Frame,
}

enum Frame {
    /// Before a frame, or at the end.
    Between,
    Within,
    /// A frame was broken: whatever comes behind it has no place in the stream.
    Failed,
}

impl<R: Read> ZstdFrames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW);
        Self { source: BufReader::new(source), decoder, state: Frame::Between }
    }

    /// Begins the next frame; `false` at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    if super::skip(&mut self.source, length.into())? < length.into() {
                        return Err(invalid("a zstd frame that is to be skipped is not all there"));
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }

    /// Unpacks some of the frame; 0 bytes at its end.
    fn go_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            self.decoder
                .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let len = self.decoder.read(buffer)?;
        let said = self.decoder.get_checksum_from_data();
        if len == 0 && said.is_some() && said != self.decoder.get_calculated_checksum() {
            return Err(invalid("the checksum of a zstd frame is wrong"));
        }
        Ok(len)
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, Frame::Failed) {
                Frame::Between => {
                    if !self.begin()? {
                        self.state = Frame::Between;
                        return Ok(0);
                    }
                    self.state = Frame::Within;
                }
                Frame::Within => {
                    let len = self.go_on(buffer)?;
                    self.state = if len == 0 { Frame::Between } else { Frame::Within };
                    if len > 0 {
                        return Ok(len);
                    }
                }
                Frame::Failed => return Err(invalid("a zstd frame is broken")),
            }
        }
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    pub(crate) fn encode(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2];

    fn decode(compression: Compression, bytes: &[u8], max_len: u64) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        compression.decode(bytes, max_len).read_to_end(&mut unpacked)?;
        Ok(unpacked)
    }

    #[test]
    fn every_compression_unpacks_to_the_bound_and_no_further() {
        let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for compression in ALL {
            let packed = encode(compression, &content);
            assert_eq!(decode(compression, &packed, 400_000).unwrap(), content, "{compression:?}");
            let error = decode(compression, &packed, 399_999).unwrap_err();
            assert_eq!(error.to_string(), "it unpacks to more than 399999 bytes", "{compression:?}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let zeros = vec![0; 8 << 20];
        for compression in ALL.into_iter().filter(|compression| *compression != Compression::None) {
            let bomb = encode(compression, &zeros);
            assert!(bomb.len() < 64 * 1024, "{compression:?} {}", bomb.len());
            assert!(decode(compression, &bomb, 1 << 20).is_err(), "{compression:?}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_short_or_has_a_flipped_bit_is_never_taken_for_whole() {
        let content: Vec<u8> = (0..500u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for compression in ALL.into_iter().filter(|compression| *compression != Compression::None) {
            let packed = encode(compression, &content);
            for len in 1..packed.len() {
                assert!(decode(compression, &packed[..len], 1 << 20).is_err(), "{compression:?} cut at {len}");
            }
            for at in 0..packed.len() {
                let mut flipped = packed.clone();
                flipped[at] ^= 0x10;
                // A bit that says nothing (the time in a gzip header) may flip; the content may not.
                if let Ok(unpacked) = decode(compression, &flipped, 1 << 20) {
                    assert!(unpacked == content || unpacked.is_empty(), "{compression:?} flipped at {at}");
                }
            }
        }
    }

    #[test]
    fn frames_and_streams_one_behind_the_other_are_one_content() {
        for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd, Compression::Bzip2] {
            let packed = [encode(compression, b"one"), encode(compression, b"two")].concat();
            assert_eq!(decode(compression, &packed, 6).unwrap(), b"onetwo", "{compression:?}");
        }
        let skipped = [b"\x50\x2A\x4D\x18\x03\0\0\0xyz".to_vec(), encode(Compression::Zstd, b"one")].concat();
        assert_eq!(decode(Compression::Zstd, &skipped, 3).unwrap(), b"one");
    }

    #[test]
    fn an_xz_stream_that_wants_too_much_memory_is_refused() {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = 256 << 20;
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        encoder.write_all(b"x").unwrap();
        let packed = encoder.finish().unwrap();
        assert!(decode(Compression::Xz, &packed, 1).is_err());
    }
}
