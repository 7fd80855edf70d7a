//! Reading NV indices (TPM 2.0 Part 1, 37 "NV Memory").

use tss_esapi::constants::PropertyTag;
use tss_esapi::handles::{NvIndexHandle, NvIndexTpmHandle, TpmHandle as RawHandle};
use tss_esapi::interface_types::resource_handles::NvAuth;
use tss_esapi::structures::MaxNvBuffer;

use super::{Tpm, TpmError};

/// The most that is read of one index, in bytes. A certificate is one to two KiB.
pub(super) const MAX_INDEX_LEN: usize = 16 * 1024;

/// The defined indices from `first` to `last`, ascending.
pub(super) fn indices(tpm: &Tpm, first: u32, last: u32) -> Result<Vec<u32>, TpmError> {
    let mut indices: Vec<u32> = tpm
        .handles(first)?
        .into_iter()
        .filter(|handle| matches!(handle, RawHandle::NvIndex(_)))
        .map(u32::from)
        .filter(|index| (first..=last).contains(index))
        .collect();
    indices.sort_unstable();
    Ok(indices)
}

/// What an index holds, as a whole, in pieces of at most what the TPM hands out at once.
pub(super) fn read(tpm: &Tpm, index: u32) -> Result<Vec<u8>, TpmError> {
    const DOING: &str = "reading an NV index";
    let raw = NvIndexTpmHandle::new(index).map_err(|error| TpmError::of(DOING, error))?;
    let opened = tpm.open(DOING, RawHandle::NvIndex(raw))?;
    let handle = NvIndexHandle::from(opened.object());
    let (public, _) = tpm.call(DOING, |context| context.nv_read_public(handle))?;
    let attributes = public.attributes();
    let authorisation = if !attributes.written() {
        return Err(TpmError::unexpected(DOING, format!("{index:#x} was never written")));
    } else if attributes.auth_read() {
        NvAuth::NvIndex(handle)
    } else if attributes.owner_read() {
        NvAuth::Owner
    } else {
        return Err(TpmError::unexpected(DOING, format!("{index:#x} may be read by the platform alone")));
    };
    let len = public.data_size();
    if len > MAX_INDEX_LEN {
        return Err(TpmError::unexpected(DOING, format!("{index:#x} holds {len} bytes, more than {MAX_INDEX_LEN}")));
    }
    let piece = tpm.property(PropertyTag::NvBufferMax)?.and_then(|max| usize::try_from(max).ok());
    let piece = piece.unwrap_or(512).clamp(64, MaxNvBuffer::MAX_SIZE);
    let mut content = Vec::with_capacity(len);
    while content.len() < len {
        let wanted = piece.min(len - content.len());
        let (Ok(size), Ok(offset)) = (u16::try_from(wanted), u16::try_from(content.len())) else {
            return Err(TpmError::unexpected(DOING, format!("{index:#x} is too large")));
        };
        let part = tpm.call_authorised(DOING, |context| context.nv_read(authorisation, handle, size, offset))?;
        if part.is_empty() {
            return Err(TpmError::unexpected(DOING, format!("{index:#x} ended after {} bytes", content.len())));
        }
        content.extend_from_slice(&part);
    }
    Ok(content)
}
