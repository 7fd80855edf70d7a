//! From bytes to events: form and bounds, no meaning.

use vouchsafe_model::{HashAlgorithm, PcrIndex};

use super::bytes::Bytes;
use super::event::{Digests, Event, EventType};
use super::{EventLog, LogAlgorithm, LogFormat, MAX_ALGORITHMS, MAX_DIGEST_LEN, MAX_EVENTS, MAX_LEN};

/// The PCR of events that belong to none, as Windows writes them.
const NO_PCR: u32 = u32::MAX;
/// How the first event of a crypto-agile log begins (PFP, 10.4.5.1).
const SPEC_ID_03: &[u8; 16] = b"Spec ID Event03\0";

/// Where a log stopped being one, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event} at byte {offset}: {field}: {problem}")]
pub struct EventLogError {
    /// The event; the first is 1.
    pub event: u64,
    /// Where the field begins, in bytes from the start of the log.
    pub offset: usize,
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: EventLogProblem,
}

/// What is wrong with a field of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventLogProblem {
    /// There is nothing at all.
    #[error("the log is empty")]
    Empty,
    /// The log is longer than any that is read.
    #[error("{len} bytes are more than the {MAX_LEN} allowed")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// There are more events than are read.
    #[error("more than the {MAX_EVENTS} events allowed")]
    TooManyEvents,
    /// The bytes end before the field does.
    #[error("truncated: {needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that the field takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes follow where none belong.
    #[error("{left} trailing bytes")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// A PCR that no TPM has.
    #[error("{0} is no PCR")]
    NoSuchPcr(u32),
    /// A count that is out of bounds.
    #[error("{count} is not from 1 to {max}")]
    BadCount {
        /// The count.
        count: usize,
        /// The greatest that is allowed.
        max: usize,
    },
    /// An algorithm that the first event does not list, so that the length of its digests is not known.
    #[error("algorithm {0:#06x} is not one that the first event lists")]
    UnlistedAlgorithm(u16),
    /// An algorithm that is there twice.
    #[error("algorithm {0:#06x} is there twice")]
    DuplicateAlgorithm(u16),
    /// A length of digests that is not the algorithm's, or longer than any.
    #[error("algorithm {algorithm:#06x} has no digests of {len} bytes")]
    BadDigestLen {
        /// The algorithm.
        algorithm: u16,
        /// The length, in bytes.
        len: usize,
    },
}

struct Parser<'a> {
    bytes: Bytes<'a>,
    len: usize,
    event: u64,
    field_offset: usize,
}

/// Reads a log of either format.
pub(super) fn parse(bytes: &[u8]) -> Result<EventLog<'_>, EventLogError> {
    let mut parser = Parser { bytes: Bytes::new(bytes), len: bytes.len(), event: 1, field_offset: 0 };
    match bytes.len() {
        0 => return Err(parser.error("log", EventLogProblem::Empty)),
        len if len > MAX_LEN => return Err(parser.error("log", EventLogProblem::TooLong { len })),
        _ => {}
    }
    let first = parser.event_sha1()?;
    let data_offset = parser.offset().saturating_sub(first.data.len());
    let is_agile = first.kind == EventType::NO_ACTION && first.data.starts_with(SPEC_ID_03);
    let (format, algorithms) = if is_agile {
        (LogFormat::CryptoAgile, parse_spec_id(first.data, data_offset)?)
    } else {
        let sha1 = HashAlgorithm::Sha1;
        (LogFormat::Tpm12, vec![LogAlgorithm { id: sha1.tpm_alg_id(), digest_len: sha1.digest_len() }])
    };
    let mut events = vec![first];
    while !parser.at_padding() {
        if events.len() >= MAX_EVENTS {
            return Err(parser.error("log", EventLogProblem::TooManyEvents));
        }
        parser.event = parser.event.saturating_add(1);
        events.push(if is_agile { parser.event_agile(&algorithms)? } else { parser.event_sha1()? });
    }
    let banks = algorithms.iter().filter_map(|algorithm| HashAlgorithm::from_tpm_alg_id(algorithm.id)).collect();
    Ok(EventLog { format, algorithms, banks, events, padding: parser.bytes.left() })
}

impl<'a> Parser<'a> {
    /// Whether nothing but padding is left: zeros, or the 0xFF of memory that was never written.
    ///
    /// Events cannot hide in it: as one, zeros would be an extension of PCR 0, which then misses in the replay.
    fn at_padding(&self) -> bool {
        let rest = self.bytes.rest();
        rest.iter().all(|byte| *byte == 0) || rest.iter().all(|byte| *byte == 0xFF)
    }

    /// A `TCG_PCR_EVENT` (PFP, 10.2.1).
    fn event_sha1(&mut self) -> Result<Event<'a>, EventLogError> {
        let offset = self.offset();
        let pcr = self.u32("pcrIndex")?;
        let kind = EventType(self.u32("eventType")?);
        let pcr = self.pcr(pcr, kind, offset)?;
        let mut digests = Digests::default();
        digests.insert(HashAlgorithm::Sha1, self.take("digest", HashAlgorithm::Sha1.digest_len())?);
        let data = self.data()?;
        Ok(Event { number: self.event, offset, pcr, kind, digests, data })
    }

    /// A `TCG_PCR_EVENT2` (PFP, 10.2.2).
    fn event_agile(&mut self, algorithms: &[LogAlgorithm]) -> Result<Event<'a>, EventLogError> {
        let offset = self.offset();
        let pcr = self.u32("pcrIndex")?;
        let kind = EventType(self.u32("eventType")?);
        let pcr = self.pcr(pcr, kind, offset)?;
        let count = self.len("digests.count")?;
        if count == 0 || count > algorithms.len() {
            return Err(self.error("digests.count", EventLogProblem::BadCount { count, max: algorithms.len() }));
        }
        let mut digests = Digests::default();
        // As many bits as there may be algorithms.
        let mut seen = 0u32;
        for _ in 0..count {
            let id = self.u16("digests.hashAlg")?;
            let (place, listed) = algorithms
                .iter()
                .enumerate()
                .find(|(_, algorithm)| algorithm.id == id)
                .ok_or_else(|| self.error("digests.hashAlg", EventLogProblem::UnlistedAlgorithm(id)))?;
            if seen >> place & 1 == 1 {
                return Err(self.error("digests.hashAlg", EventLogProblem::DuplicateAlgorithm(id)));
            }
            seen |= 1 << place;
            let digest = self.take("digests.digest", listed.digest_len)?;
            if let Some(bank) = HashAlgorithm::from_tpm_alg_id(id) {
                digests.insert(bank, digest);
            }
        }
        let data = self.data()?;
        Ok(Event { number: self.event, offset, pcr, kind, digests, data })
    }

    fn pcr(&self, pcr: u32, kind: EventType, offset: usize) -> Result<Option<PcrIndex>, EventLogError> {
        if pcr == NO_PCR && kind == EventType::NO_ACTION {
            return Ok(None);
        }
        let index = u8::try_from(pcr).ok().and_then(PcrIndex::new);
        let problem = EventLogProblem::NoSuchPcr(pcr);
        index.map(Some).ok_or(EventLogError { event: self.event, offset, field: "pcrIndex", problem })
    }

    fn data(&mut self) -> Result<&'a [u8], EventLogError> {
        let len = self.len("eventSize")?;
        self.take("event", len)
    }

    fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], EventLogError> {
        self.field_offset = self.offset();
        let left = self.bytes.left();
        self.bytes.take(len).ok_or_else(|| self.error(field, EventLogProblem::Truncated { needed: len, left }))
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, EventLogError> {
        self.take(field, 2).map(|bytes| bytes.try_into().map_or(u16::MAX, u16::from_le_bytes))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, EventLogError> {
        self.take(field, 4).map(|bytes| bytes.try_into().map_or(u32::MAX, u32::from_le_bytes))
    }

    /// A length or count; one that no address space holds is as wrong as the largest.
    fn len(&mut self, field: &'static str) -> Result<usize, EventLogError> {
        self.u32(field).map(|len| usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn offset(&self) -> usize {
        self.len.saturating_sub(self.bytes.left())
    }

    /// An error about the field that was taken last.
    fn error(&self, field: &'static str, problem: EventLogProblem) -> EventLogError {
        EventLogError { event: self.event, offset: self.field_offset, field, problem }
    }
}

/// The `TCG_EfiSpecIdEvent` of a crypto-agile log: which algorithms there are, and how long their digests.
fn parse_spec_id(data: &[u8], data_offset: usize) -> Result<Vec<LogAlgorithm>, EventLogError> {
    let mut parser = Parser { bytes: Bytes::new(data), len: data.len(), event: 1, field_offset: 0 };
    spec_id_algorithms(&mut parser)
        .map_err(|error| EventLogError { offset: error.offset.saturating_add(data_offset), ..error })
}

fn spec_id_algorithms(parser: &mut Parser<'_>) -> Result<Vec<LogAlgorithm>, EventLogError> {
    parser.take("signature", SPEC_ID_03.len())?;
    parser.take("platformClass", 4)?;
    parser.take("specVersion", 4)?;
    let count = parser.len("numberOfAlgorithms")?;
    if count == 0 || count > MAX_ALGORITHMS {
        return Err(parser.error("numberOfAlgorithms", EventLogProblem::BadCount { count, max: MAX_ALGORITHMS }));
    }
    let mut algorithms: Vec<LogAlgorithm> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = parser.u16("digestSizes.algorithmId")?;
        if algorithms.iter().any(|algorithm| algorithm.id == id) {
            return Err(parser.error("digestSizes.algorithmId", EventLogProblem::DuplicateAlgorithm(id)));
        }
        let digest_len = usize::from(parser.u16("digestSizes.digestSize")?);
        let is_good = match HashAlgorithm::from_tpm_alg_id(id) {
            Some(known) => digest_len == known.digest_len(),
            None => (1..=MAX_DIGEST_LEN).contains(&digest_len),
        };
        if !is_good {
            let problem = EventLogProblem::BadDigestLen { algorithm: id, len: digest_len };
            return Err(parser.error("digestSizes.digestSize", problem));
        }
        algorithms.push(LogAlgorithm { id, digest_len });
    }
    let [vendor_len] = parser.take("vendorInfoSize", 1)?.try_into().unwrap_or([u8::MAX]);
    parser.take("vendorInfo", usize::from(vendor_len))?;
    match parser.bytes.left() {
        0 => Ok(algorithms),
        left => {
            parser.field_offset = parser.offset();
            Err(parser.error("vendorInfo", EventLogProblem::Trailing { left }))
        }
    }
}
