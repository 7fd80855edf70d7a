//! Binary lists: `binary_runtime_measurements`, as little-endian kernels write them.

use vouchsafe_model::PcrIndex;

use super::entry::{Entry, TEMPLATE_HASH_LEN};
use super::error::ImaProblem;
use super::fields::{IMA_DIGEST_LEN, MAX_EVENT_NAME_LEN, Misfit};
use super::template::{MAX_TEMPLATE_DATA_LEN, MAX_TEMPLATE_NAME_LEN, Template};

/// Reads the entry that the bytes begin with into `entry`, and says how long it is; `None` when they end before it does.
///
/// Lengths are judged before the bytes that they are of, so that no length can make a reader wait for ever.
#[inline]
pub(super) fn read<'a>(bytes: &'a [u8], entry: &mut Entry<'a>) -> Result<Option<usize>, Misfit> {
    let mut cursor = Cursor { bytes, at: 0 };
    let Some(pcr) = cursor.number() else { return Ok(None) };
    if pcr >= u32::from(PcrIndex::COUNT) {
        return Err((0, ImaProblem::Pcr));
    }
    let Some(logged) = cursor.array::<TEMPLATE_HASH_LEN>() else { return Ok(None) };
    let name_at = cursor.at;
    let Some(name_len) = cursor.len() else { return Ok(None) };
    if !(1..=MAX_TEMPLATE_NAME_LEN).contains(&name_len) {
        return Err((name_at, ImaProblem::TemplateName));
    }
    let Some(name) = cursor.take(name_len) else { return Ok(None) };
    entry.template = Template::find(name).ok_or((name_at.saturating_add(4), ImaProblem::TemplateName))?;
    let Some((data_at, data)) = data_of(&mut cursor, &entry.template)? else { return Ok(None) };
    entry.pcr = pcr;
    entry.logged = *logged;
    entry.borrow(data).map_err(|(offset, problem)| (data_at.saturating_add(offset), problem))?;
    Ok(Some(cursor.at))
}

/// Where the template data begins, and the data.
#[inline]
fn data_of<'a>(cursor: &mut Cursor<'a>, template: &Template<'_>) -> Result<Option<(usize, &'a [u8])>, Misfit> {
    let data_at = cursor.at;
    if !template.is_ima() {
        let Some(len) = cursor.len() else { return Ok(None) };
        if len > MAX_TEMPLATE_DATA_LEN {
            return Err((data_at, ImaProblem::TemplateDataLen { len: len.try_into().unwrap_or(u64::MAX) }));
        }
        return Ok(cursor.take(len).map(|data| (data_at.saturating_add(4), data)));
    }
    let all = cursor.bytes.get(data_at..).unwrap_or_default();
    let name_at = data_at.saturating_add(IMA_DIGEST_LEN);
    if cursor.take(IMA_DIGEST_LEN).is_none() {
        return Ok(None);
    }
    let Some(name_len) = cursor.len() else { return Ok(None) };
    if name_len > MAX_EVENT_NAME_LEN {
        return Err((name_at, ImaProblem::NameLen { len: name_len }));
    }
    if cursor.take(name_len).is_none() {
        return Ok(None);
    }
    Ok(all.get(..cursor.at.saturating_sub(data_at)).map(|data| (data_at, data)))
}

/// Takes bytes from front to back; `None` when they end.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// A number as a length. One that no memory holds is the greatest, which every bound refuses.
    fn len(&mut self) -> Option<usize> {
        self.number().map(|len| usize::try_from(len).unwrap_or(usize::MAX))
    }
}
