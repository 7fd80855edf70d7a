//! CEL-TLV (TCG CEL 1.0, 5.1): each field is a type of one byte, a big-endian length of four, and as many bytes.

use vouchsafe_model::HashAlgorithm;

use super::super::bytes::any_text;
use super::super::event::EventType;

use super::{CelError, CelProblem, Content, Index, MAX_DIGESTS, MAX_RECORDS, Record, collect_digests, pcr};

/// The type of a record's number, with which each record begins.
pub(super) const RECNUM: u8 = 0;
const PCR: u8 = 1;
const NV_INDEX: u8 = 2;
const DIGESTS: u8 = 3;
const MANAGEMENT: u8 = 4;
const PCCLIENT_STD: u8 = 5;
const IMA_TEMPLATE: u8 = 7;

/// The types of the two fields in a content of `pcclient_std` and `ima_template`.
const CONTENT_NAME: u8 = 0;
const CONTENT_DATA: u8 = 1;

struct Fields<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Fields<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    fn take(&mut self, field: &'static str, needed: usize) -> Result<&'a [u8], CelProblem> {
        let rest = self.rest();
        let taken = rest.get(..needed).ok_or(CelProblem::Truncated { field, needed, left: rest.len() })?;
        self.offset = self.offset.saturating_add(needed);
        Ok(taken)
    }

    /// The next field, whatever its type.
    fn next(&mut self, field: &'static str) -> Result<(u8, &'a [u8]), CelProblem> {
        let header = self.take(field, 5)?;
        let [kind, a, b, c, d] = *header else { return Err(CelProblem::BadNumber(field)) };
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| CelProblem::BadNumber(field))?;
        Ok((kind, self.take(field, len)?))
    }

    /// The next field, of this type.
    fn expect(&mut self, expected: u8, field: &'static str) -> Result<&'a [u8], CelProblem> {
        match self.next(field)? {
            (kind, value) if kind == expected => Ok(value),
            (found, _) => Err(CelProblem::UnexpectedField { expected: field, found }),
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Record>, CelError> {
    let mut fields = Fields { bytes, offset: 0 };
    let mut records = Vec::new();
    while !fields.rest().is_empty() {
        let number = u64::try_from(records.len()).unwrap_or(u64::MAX).saturating_add(1);
        if records.len() >= MAX_RECORDS {
            return Err(CelError { record: number, offset: fields.offset, problem: CelProblem::TooManyRecords });
        }
        let parsed = record(&mut fields, number);
        records.push(parsed.map_err(|problem| CelError { record: number, offset: fields.offset, problem })?);
    }
    Ok(records)
}

fn record(fields: &mut Fields<'_>, number: u64) -> Result<Record, CelProblem> {
    let recnum = unsigned(fields.expect(RECNUM, "recnum")?, "recnum")?;
    let index = match fields.next("pcr or nv_index")? {
        (PCR, value) => Index::Pcr(pcr(unsigned(value, "pcr")?)?),
        (NV_INDEX, value) => Index::Nv(unsigned(value, "nv_index")?),
        (found, _) => return Err(CelProblem::UnexpectedField { expected: "pcr or nv_index", found }),
    };
    let mut list = Fields { bytes: fields.expect(DIGESTS, "digests")?, offset: 0 };
    let mut digests = Vec::new();
    while !list.rest().is_empty() {
        if digests.len() > MAX_DIGESTS {
            return Err(CelProblem::BadDigestCount(digests.len()));
        }
        let (algorithm, digest) = list.next("digest")?;
        digests.push((HashAlgorithm::from_tpm_alg_id(u16::from(algorithm)), digest.to_vec()));
    }
    let digests = collect_digests(digests.into_iter())?;
    let (kind, value) = fields.next("content")?;
    Ok(Record { number, recnum: Some(recnum), index, digests, content: content(kind, value)? })
}

fn content(kind: u8, value: &[u8]) -> Result<Content, CelProblem> {
    let two = |first: &'static str, second: &'static str| {
        let mut fields = Fields { bytes: value, offset: 0 };
        Ok::<_, CelProblem>((fields.expect(CONTENT_NAME, first)?, fields.expect(CONTENT_DATA, second)?))
    };
    Ok(match kind {
        RECNUM..=DIGESTS => return Err(CelProblem::UnexpectedField { expected: "content", found: kind }),
        MANAGEMENT => Content::Management { text: any_text(value) },
        PCCLIENT_STD => {
            let (event_type, data) = two("event_type", "event_data")?;
            let number =
                u32::try_from(unsigned(event_type, "event_type")?).map_err(|_| CelProblem::BadNumber("event_type"))?;
            Content::PcClient { event_type: EventType(number), data: data.to_vec() }
        }
        IMA_TEMPLATE => {
            let (name, data) = two("template_name", "template_data")?;
            Content::ImaTemplate { name: any_text(name), data: data.to_vec() }
        }
        other => Content::Other { content_type: other.to_string(), data: value.to_vec() },
    })
}

/// A big-endian number of 1 to 8 bytes.
fn unsigned(bytes: &[u8], field: &'static str) -> Result<u64, CelProblem> {
    if bytes.is_empty() || bytes.len() > 8 {
        return Err(CelProblem::BadNumber(field));
    }
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
