//! ASCII lists: `ascii_runtime_measurements`, one entry a line.
//!
//! The kernel escapes nothing in them. Blanks of names are underscores already, but a name with a line break in it looks
//! like two entries. Neither of the two recomputes, so that it is told and never believed; the binary list has no such
//! doubt.

use vouchsafe_model::PcrIndex;
use vouchsafe_model::hash::from_hex;

use super::digest::FileDigest;
use super::entry::{Entry, TEMPLATE_HASH_LEN};
use super::error::ImaProblem;
use super::fields::{IMA_DIGEST_LEN, MAX_EVENT_NAME_LEN, Misfit};
use super::template::{Field, MAX_TEMPLATE_DATA_LEN, Template};

/// The longest line, in bytes: template data in hexadecimal, and what stands before it.
pub(super) const MAX_LINE_LEN: usize = 2 * MAX_TEMPLATE_DATA_LEN + 1024;

/// Reads the line that the bytes begin with into `into`, and says how long it is; `None` when its end is not there. With `is_whole`,
/// the last line needs no line break.
pub(super) fn read<'a>(bytes: &'a [u8], is_whole: bool, into: &mut Entry<'a>) -> Result<Option<usize>, Misfit> {
    let window = bytes.get(..=MAX_LINE_LEN).unwrap_or(bytes);
    let (line, len) = match window.iter().position(|byte| *byte == b'\n') {
        Some(end) => (window.get(..end).unwrap_or_default(), end.saturating_add(1)),
        None if window.len() > MAX_LINE_LEN => return Err((0, ImaProblem::LongLine { max: MAX_LINE_LEN })),
        None if is_whole && !window.is_empty() => (window, window.len()),
        None => return Ok(None),
    };
    entry(line, into).map(|()| Some(len))
}

fn entry<'a>(line: &'a [u8], into: &mut Entry<'a>) -> Result<(), Misfit> {
    let mut columns = Columns { line, at: Some(0) };
    // `%2d`: a PCR of one digit has a blank before it.
    if line.first() == Some(&b' ') {
        columns.at = Some(1);
    }
    let (at, pcr) = columns.next("PCR")?;
    let pcr: u32 = std::str::from_utf8(pcr)
        .ok()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|pcr| *pcr < u32::from(PcrIndex::COUNT))
        .ok_or((at, ImaProblem::Pcr))?;
    let (at, logged) = columns.next("template hash")?;
    let logged = hex(logged).ok_or((at, ImaProblem::NotHex("template hash")))?;
    let logged: [u8; TEMPLATE_HASH_LEN] =
        logged.try_into().map_err(|logged: Vec<u8>| (at, ImaProblem::TemplateHashLen(logged.len())))?;
    let (at, name) = columns.next("template")?;
    let template = Template::find(name).ok_or((at, ImaProblem::TemplateName))?;
    let Some(fields) = template.fields.clone() else {
        return Err((at, ImaProblem::UnknownTemplate(template.name.to_owned())));
    };
    let data_at = columns.at.unwrap_or(line.len());
    let mut data = Vec::with_capacity(line.len());
    for field in fields.iter() {
        let (at, text) = match columns.next(field.id()) {
            Err(_) if field.may_be_absent() => (line.len(), &b""[..]),
            column => column?,
        };
        let value = value(*field, text).map_err(|problem| (at, problem))?;
        if template.is_ima() {
            push_ima(&mut data, *field, &value).map_err(|problem| (at, problem))?;
        } else {
            push(&mut data, &value);
        }
    }
    if columns.at.is_some() {
        return Err((columns.at.unwrap_or_default(), ImaProblem::TrailingColumn));
    }
    if data.len() > MAX_TEMPLATE_DATA_LEN {
        return Err((data_at, ImaProblem::TemplateDataLen { len: data.len().try_into().unwrap_or(u64::MAX) }));
    }
    // What is wrong with the data is not more than a column wrong: the line is where to look.
    (into.pcr, into.logged, into.template) = (pcr, logged, template);
    into.own(data).map_err(|(_, problem)| (data_at, problem))
}

/// A field as a binary list has it, without its length.
fn value(field: Field, text: &[u8]) -> Result<Vec<u8>, ImaProblem> {
    match field {
        Field::DigestNg | Field::DigestNgV2 | Field::DigestModsig => {
            if text.is_empty() && field == Field::DigestModsig {
                return Ok(Vec::new());
            }
            let colon = text.iter().rposition(|byte| *byte == b':').ok_or(ImaProblem::Digest { field: field.id() })?;
            let (prefix, digits) = text.split_at_checked(colon.saturating_add(1)).unwrap_or_default();
            let bytes = hex(digits).ok_or(ImaProblem::NotHex(field.id()))?;
            FileDigest::from_parts(prefix, &bytes, field == Field::DigestNgV2)
                .ok_or(ImaProblem::Digest { field: field.id() })?;
            Ok([prefix, &[0], &bytes].concat())
        }
        Field::Name | Field::NameNg => {
            if text.contains(&0) {
                return Err(ImaProblem::NameNul);
            }
            Ok([text, &[0]].concat())
        }
        Field::XattrNames if text.is_empty() => Ok(Vec::new()),
        Field::XattrNames => Ok([text, &[0]].concat()),
        Field::Uid | Field::Gid | Field::Mode => number(field, text).ok_or(ImaProblem::Number { field: field.id() }),
        Field::Digest
        | Field::Signature
        | Field::Buffer
        | Field::Modsig
        | Field::EvmSignature
        | Field::XattrLengths
        | Field::XattrValues => hex(text).ok_or(ImaProblem::NotHex(field.id())),
    }
}

/// A decimal number in as many bytes as the kernel has for it; none at all when it measured none.
fn number(field: Field, text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let len = field.number_len()?;
    let number: u32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let (low, high) = number.to_le_bytes().split_at_checked(len).map(|(low, high)| (low.to_vec(), high.to_vec()))?;
    high.iter().all(|byte| *byte == 0).then_some(low)
}

fn push(data: &mut Vec<u8>, value: &[u8]) {
    // A line is shorter than 4 GiB, and so are its fields.
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    data.extend_from_slice(&len.to_le_bytes());
    data.extend_from_slice(value);
}

fn push_ima(data: &mut Vec<u8>, field: Field, value: &[u8]) -> Result<(), ImaProblem> {
    if field == Field::Digest {
        if value.len() != IMA_DIGEST_LEN {
            return Err(ImaProblem::Digest { field: field.id() });
        }
        data.extend_from_slice(value);
        return Ok(());
    }
    let name = value.strip_suffix(&[0]).unwrap_or(value);
    if name.len() > MAX_EVENT_NAME_LEN {
        return Err(ImaProblem::NameLen { len: name.len() });
    }
    push(data, name);
    Ok(())
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    from_hex(std::str::from_utf8(digits).ok()?)
}

/// The columns of a line, which one blank divides.
struct Columns<'a> {
    line: &'a [u8],
    /// Where the next one begins; `None` behind the last.
    at: Option<usize>,
}

impl<'a> Columns<'a> {
    /// The next column, and where it begins.
    fn next(&mut self, name: &'static str) -> Result<(usize, &'a [u8]), Misfit> {
        let at = self.at.ok_or((self.line.len(), ImaProblem::MissingColumn(name)))?;
        let rest = self.line.get(at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b' ');
        self.at = end.map(|end| at.saturating_add(end).saturating_add(1));
        Ok((at, rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()))
    }
}
