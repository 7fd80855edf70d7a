//! CEL-JSON (TCG CEL 1.0, 5.2), as systemd writes it: a JSON text sequence (RFC 7464), each text behind a record separator.
//! Lines and an array are read as well.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde::Deserialize;
use serde_json::Value;
use vouchsafe_model::HashAlgorithm;

use super::super::event::EventType;
use super::content::SystemdEvent;
use super::{CelError, CelProblem, Content, Index, MAX_RECORDS, Record, collect_digests, pcr};

/// What stands before each text of a sequence.
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

#[derive(Deserialize)]
struct JsonRecord {
    recnum: Option<u64>,
    pcr: Option<u64>,
    #[serde(alias = "nvindex")]
    nv_index: Option<u64>,
    digests: Vec<JsonDigest>,
    #[serde(default)]
    content_type: Value,
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct JsonDigest {
    #[serde(rename = "hashAlg")]
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct JsonSystemd {
    string: Option<String>,
    #[serde(rename = "eventType")]
    event_type: Option<String>,
    #[serde(rename = "bootId")]
    boot_id: Option<String>,
    timestamp: Option<u64>,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Record>, CelError> {
    if bytes.trim_ascii_start().first() == Some(&b'[') { parse_array(bytes) } else { parse_sequence(bytes) }
}

fn parse_array(bytes: &[u8]) -> Result<Vec<Record>, CelError> {
    let error = |error: serde_json::Error| CelError { record: 1, offset: 0, problem: json(&error) };
    let records: Vec<JsonRecord> = serde_json::from_slice(bytes).map_err(error)?;
    let mut parsed = Vec::new();
    for record in records {
        push(&mut parsed, record, 0)?;
    }
    Ok(parsed)
}

/// Texts that stand one behind the other; separators and white space between them are skipped.
fn parse_sequence(bytes: &[u8]) -> Result<Vec<Record>, CelError> {
    let mut records = Vec::new();
    let mut offset = 0usize;
    loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == RECORD_SEPARATOR).count();
        offset = offset.saturating_add(blanks);
        let Some(text) = bytes.get(offset..).filter(|text| !text.is_empty()) else { return Ok(records) };
        let number = u64::try_from(records.len()).unwrap_or(u64::MAX).saturating_add(1);
        let failed = |problem| CelError { record: number, offset, problem };
        let mut stream = serde_json::Deserializer::from_slice(text).into_iter::<JsonRecord>();
        let record = match stream.next() {
            Some(Ok(record)) => record,
            Some(Err(error)) => return Err(failed(json(&error))),
            None => return Ok(records),
        };
        push(&mut records, record, offset)?;
        offset = offset.saturating_add(stream.byte_offset());
    }
}

fn json(error: &serde_json::Error) -> CelProblem {
    CelProblem::Json(error.to_string())
}

fn push(records: &mut Vec<Record>, record: JsonRecord, offset: usize) -> Result<(), CelError> {
    let number = u64::try_from(records.len()).unwrap_or(u64::MAX).saturating_add(1);
    let failed = |problem| CelError { record: number, offset, problem };
    if records.len() >= MAX_RECORDS {
        return Err(failed(CelProblem::TooManyRecords));
    }
    records.push(convert(record, number).map_err(failed)?);
    Ok(())
}

fn convert(record: JsonRecord, number: u64) -> Result<Record, CelProblem> {
    let index = match (record.pcr, record.nv_index) {
        (Some(number), None) => Index::Pcr(pcr(number)?),
        (None, Some(number)) => Index::Nv(number),
        _ => return Err(CelProblem::NoIndex),
    };
    let digests = record.digests.into_iter().map(|digest| {
        let bytes = HEXLOWER_PERMISSIVE.decode(digest.digest.as_bytes());
        bytes.map(|bytes| (algorithm(&digest.algorithm), bytes)).map_err(|_| CelProblem::BadNumber("a digest"))
    });
    let digests = digests.collect::<Result<Vec<_>, _>>()?;
    Ok(Record {
        number,
        recnum: record.recnum,
        index,
        digests: collect_digests(digests.into_iter())?,
        content: content(record.content_type, record.content)?,
    })
}

/// Names are those of the TCG registry, with or without their prefix.
fn algorithm(name: &str) -> Option<HashAlgorithm> {
    let lower = name.to_ascii_lowercase();
    lower.strip_prefix("tpm_alg_").unwrap_or(&lower).parse().ok()
}

fn content(kind: Value, content: Value) -> Result<Content, CelProblem> {
    let kind = match kind {
        Value::String(kind) => kind,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Ok(match kind.as_str() {
        "systemd" => Content::Systemd(systemd(content)?),
        "pcclient_std" | "5" => pc_client(&content)?,
        "ima_template" | "7" => ima(&content)?,
        "cel" | "4" => Content::Management { text: content.to_string() },
        _ => Content::Other { content_type: kind, data: content.to_string().into_bytes() },
    })
}

fn systemd(content: Value) -> Result<SystemdEvent, CelProblem> {
    let event: JsonSystemd = serde_json::from_value(content).map_err(|error| json(&error))?;
    let JsonSystemd { string, event_type, boot_id, timestamp } = event;
    Ok(SystemdEvent { event_type, string: string.unwrap_or_default(), boot_id, timestamp })
}

fn pc_client(content: &Value) -> Result<Content, CelProblem> {
    let number = content.get("event_type").and_then(|kind| match kind {
        Value::String(name) => EventType::from_name(name),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()).map(EventType),
    });
    let event_type = number.ok_or(CelProblem::BadNumber("event_type"))?;
    Ok(Content::PcClient {
        event_type,
        data: bytes(content.get("event_data").or_else(|| content.get("event_content")))?,
    })
}

fn ima(content: &Value) -> Result<Content, CelProblem> {
    let name = content.get("template_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Content::ImaTemplate { name, data: bytes(content.get("template_data"))? })
}

/// Bytes in hexadecimal or, as some tools write them, in Base64.
fn bytes(value: Option<&Value>) -> Result<Vec<u8>, CelProblem> {
    let text = value.and_then(Value::as_str).ok_or(CelProblem::BadNumber("data"))?;
    let hex = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    hex.or_else(|_| BASE64.decode(text.as_bytes())).map_err(|_| CelProblem::BadNumber("data"))
}
