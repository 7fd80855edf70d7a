//! Measurement logs on their way to the engine: the boot event log once per boot, the IMA list from where the engine is.
//!
//! Logs are not bound by the quote's qualifying data: they are believed as far as they replay to PCRs that were quoted, and
//! the IMA list has to be read after the quote. `POST /v1/logs/ima` takes parts of a long list ahead of the evidence.

use std::io::{self, BufRead, Read, Write as _};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::{self, ZlibDecoder};
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use vouchsafe_model::Sha256Digest;

use super::limits;
use crate::bytes::{Bytes, InvalidBase64};

/// Which boot of a host this is, in its own words: Linux's `/proc/sys/kernel/random/boot_id`.
///
/// It only says where a list goes on. One that is wrong makes the list not replay to the quoted PCR.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 64)]
pub struct BootId(String);

/// A boot's name that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a boot is named by 1 to {} of a-z A-Z 0-9 -", limits::BOOT_ID)]
pub struct InvalidBootId;

impl BootId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BootId {
    type Error = InvalidBootId;

    fn try_from(text: String) -> Result<Self, InvalidBootId> {
        let is_name = (1..=limits::BOOT_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_name { Ok(Self(text)) } else { Err(InvalidBootId) }
    }
}

impl From<BootId> for String {
    fn from(id: BootId) -> Self {
        id.0
    }
}

/// What an engine knows of a host's logs, so that only what is new travels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownLogs {
    /// SHA-256 of the last boot event log. Another one is to be sent whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_log: Option<Sha256Digest>,
    /// How far the IMA list is known. That of another boot is to be sent from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ima: Option<ImaPosition>,
}

/// A place in the IMA list of one boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImaPosition {
    /// The boot.
    pub boot: BootId,
    /// The place, in bytes from the beginning of the binary list.
    pub offset: u64,
}

/// The logs that travel with evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentLogs {
    /// The whole boot event log (`binary_bios_measurements`), when it is not the one that the engine knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_log: Option<Deflated<{ limits::EVENT_LOG_COMPRESSED }>>,
    /// The IMA list from where the engine is, read after the quote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ima: Option<ImaPart>,
}

/// `POST /v1/logs/ima`: a part of the IMA list (`binary_runtime_measurements`). The answer is the [`ImaPosition`] from
/// which to go on: after this part if it began where the engine was, and otherwise where the engine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImaPart {
    /// Where it begins.
    pub from: ImaPosition,
    /// The bytes; they may end within an entry.
    pub log: Deflated<{ limits::IMA_PART_COMPRESSED }>,
}

/// Bytes in zlib format (RFC 1950), at most `MAX` of them compressed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deflated<const MAX: usize>(#[serde(serialize_with = "piecewise")] Bytes<MAX>);

/// Writes the same text as [`Bytes`] do, but without ever holding it: a log is long, and an agent small.
fn piecewise<const MAX: usize, S: Serializer>(bytes: &Bytes<MAX>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes.as_slice(), &STANDARD))
}

/// Compressed bytes that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// They are in no zlib format, or are cut off.
    #[error("the bytes are not in zlib format: {0}")]
    Format(#[source] std::io::Error),
    /// They are more than they may be (threat 26: a small text that grows without end).
    #[error("the bytes are more than {max} when they are decompressed")]
    TooLong {
        /// How many there may be.
        max: usize,
    },
    /// Something follows the compressed bytes.
    #[error("{0} bytes follow the compressed ones")]
    Trailing(usize),
}

/// A source that cannot be compressed.
#[derive(Debug, thiserror::Error)]
pub enum DeflateError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Source(#[source] std::io::Error),
    /// More comes out than may travel.
    #[error("it is too long when it is compressed")]
    TooLong(#[source] InvalidBase64),
}

impl<const MAX: usize> Deflated<MAX> {
    /// Compresses what a source gives until it ends, block by block: nothing is held but what comes out, and of that no
    /// more than may travel. What a source gives after it ended, as a log does that grows, is left to it.
    ///
    /// # Errors
    /// When the source cannot be read, or more than `MAX` bytes come out.
    pub fn of_source(source: impl BufRead) -> Result<Self, DeflateError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX).unwrap_or(u64::MAX).saturating_add(1);
        let source = UntilItsEnd { source, has_ended: false };
        let mut encoder = bufread::ZlibEncoder::new(source, Compression::default()).take(limit);
        encoder.read_to_end(&mut bytes).map_err(DeflateError::Source)?;
        bytes.shrink_to_fit();
        Bytes::new(bytes).map(Self).map_err(DeflateError::TooLong)
    }

    /// Compresses.
    ///
    /// # Errors
    /// When more than `MAX` bytes come out.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidBase64> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        // Writing to memory does not fail; were it to, what is missing would be found by the reader.
        let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
        Bytes::new(written.unwrap_or_default()).map(Self)
    }

    /// Takes bytes that were compressed before. Whether they can be decompressed is found when they are.
    ///
    /// # Errors
    /// More than `MAX` bytes.
    pub fn of_compressed(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidBase64> {
        Bytes::new(bytes).map(Self)
    }

    /// How many bytes it is compressed.
    pub fn compressed_len(&self) -> usize {
        self.0.as_slice().len()
    }

    /// The compressed bytes, given away.
    pub fn into_compressed(self) -> Vec<u8> {
        self.0.into_vec()
    }

    /// Decompresses, at most to `max` bytes.
    ///
    /// # Errors
    /// No zlib format, or more bytes.
    pub fn inflate(&self, max: usize) -> Result<Vec<u8>, InflateError> {
        inflate(self.0.as_slice(), max)
    }
}

/// Decompresses what is in zlib format, at most to `max` bytes.
///
/// # Errors
/// No zlib format, or more bytes.
pub fn inflate(compressed: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
    let mut decoder = ZlibDecoder::new(compressed);
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    decoder.by_ref().take(limit).read_to_end(&mut bytes).map_err(InflateError::Format)?;
    if bytes.len() > max {
        return Err(InflateError::TooLong { max });
    }
    match decoder.into_inner().len() {
        0 => Ok(bytes),
        trailing => Err(InflateError::Trailing(trailing)),
    }
}

/// A source that, once it ended, gives nothing more.
///
/// The compressor asks it again while it writes down what it still holds, and takes what comes then for corruption.
struct UntilItsEnd<S> {
    source: S,
    has_ended: bool,
}

impl<S: BufRead> BufRead for UntilItsEnd<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.has_ended {
            return Ok(&[]);
        }
        let bytes = self.source.fill_buf()?;
        self.has_ended = bytes.is_empty();
        Ok(bytes)
    }

    fn consume(&mut self, amount: usize) {
        self.source.consume(amount);
    }
}

impl<S: BufRead> Read for UntilItsEnd<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<const MAX: usize> ToSchema for Deflated<MAX> {}

impl<const MAX: usize> utoipa::PartialSchema for Deflated<MAX> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        Bytes::<MAX>::schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Deflated<64>;

    #[test]
    fn what_is_compressed_comes_back() {
        for bytes in [&b""[..], b"x", &[7; 4096]] {
            let deflated = Small::new(bytes).unwrap();
            assert_eq!(deflated.inflate(4096).unwrap(), bytes);
            let json = serde_json::to_string(&deflated).unwrap();
            assert_eq!(serde_json::from_str::<Small>(&json).unwrap(), deflated);
            assert_eq!(json, serde_json::to_string(&deflated.0).unwrap());
            assert_eq!(Small::of_compressed(deflated.clone().into_compressed()).unwrap(), deflated);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let deflated = Deflated::<{ 1024 * 1024 }>::new(&vec![0; 100 * 1024 * 1024]).unwrap();
        assert!(matches!(deflated.inflate(1024), Err(InflateError::TooLong { max: 1024 })));
        assert!(Small::new(&[7; 4096]).unwrap().inflate(4096).is_ok());
        assert!(matches!(Small::new(&[7; 4096]).unwrap().inflate(4095), Err(InflateError::TooLong { max: 4095 })));
    }

    #[test]
    fn what_is_cut_or_changed_or_followed_is_refused() {
        let whole = Small::new(b"a measurement list").unwrap();
        let bytes = whole.0.as_slice();
        for end in 0..bytes.len() {
            let cut = Deflated::<64>(Bytes::new(&bytes[..end]).unwrap());
            assert!(matches!(cut.inflate(64), Err(InflateError::Format(_))), "{end}");
        }
        let mut changed = bytes.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert!(matches!(Deflated::<64>(Bytes::new(changed).unwrap()).inflate(64), Err(InflateError::Format(_))));
        let followed = [bytes, b"!"].concat();
        assert!(matches!(Deflated::<64>(Bytes::new(followed).unwrap()).inflate(64), Err(InflateError::Trailing(1))));
    }

    #[test]
    fn bytes_that_do_not_shrink_enough_are_refused() {
        let noise: Vec<u8> = (0u32..100).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        assert!(Small::new(&noise).is_err());
        assert!(matches!(Small::of_source(noise.as_slice()), Err(DeflateError::TooLong(_))));
    }

    #[test]
    fn a_source_is_compressed_up_to_the_limit_and_not_one_byte_more() {
        let bytes = [7; 4096];
        let compressed = Small::of_source(bytes.as_slice()).unwrap();
        assert_eq!(compressed.inflate(4096).unwrap(), bytes);
        let noise: Vec<u8> = (0u32..8).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let len = Small::of_source(noise.as_slice()).unwrap().compressed_len();
        assert_eq!(len, 41, "32 bytes that do not shrink, and what the format adds");
        assert!(Deflated::<41>::of_compressed([0; 41]).is_ok());
        assert!(Deflated::<40>::of_compressed([0; 41]).is_err());
        assert!(Deflated::<41>::of_source(noise.as_slice()).is_ok());
        assert!(matches!(Deflated::<40>::of_source(noise.as_slice()), Err(DeflateError::TooLong(_))));
    }

    #[test]
    fn a_source_that_cannot_be_read_is_not_taken_for_one_that_ends() {
        struct Broken;
        impl std::io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(std::io::Error::other("it broke"))
            }
        }
        let source = std::io::BufReader::new(b"a measure".as_slice().chain(Broken));
        assert!(matches!(Small::of_source(source), Err(DeflateError::Source(_))));
    }

    #[test]
    fn a_log_that_grows_at_its_end_is_compressed_up_to_there() {
        /// Ends after each of its pieces.
        struct Growing<'a>(Vec<&'a [u8]>);
        impl Read for Growing<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.first_mut() {
                    Some(piece) if !piece.is_empty() => piece.read(buffer),
                    Some(_) => self.0.remove(0).read(buffer),
                    None => Ok(0),
                }
            }
        }
        // Enough that the compressor cannot write its end at once.
        let noise: Vec<u8> = (0u32..20_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let mut list = io::BufReader::new(Growing(vec![&noise, b"an entry that came late", b"one more"]));
        let part = Deflated::<{ limits::IMA_PART }>::of_source(&mut list).unwrap();
        assert!(part.inflate(limits::IMA_PART).unwrap() == noise);
        let next = Deflated::<{ limits::IMA_PART }>::of_source(&mut list).unwrap();
        assert_eq!(next.inflate(limits::IMA_PART).unwrap(), b"an entry that came late");
    }

    #[test]
    fn boots_are_named_by_what_cannot_be_mistaken_for_a_path() {
        let named = |text: &str| BootId::try_from(text.to_owned());
        assert_eq!(named("3f2a-77").unwrap().as_str(), "3f2a-77");
        assert!(named(&"a".repeat(limits::BOOT_ID)).is_ok());
        for text in ["", "../x", "a b", "a\n", &"a".repeat(limits::BOOT_ID + 1)] {
            assert_eq!(named(text), Err(InvalidBootId));
        }
    }
}
