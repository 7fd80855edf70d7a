//! The IMA list that is kept of each device: what changes of it with each quote, and what it says when it is replayed.
//!
//! It is there for those who ask afterwards: what another image would make of what runs, and what an image is made from. It
//! is kept as far as quotes vouched for it, and what is read of it counts when it replays to where they did.

use vouchsafe_attest::ima::{ImaContext, ImaState};
use vouchsafe_model::DeviceId;
use vouchsafe_store::{ImaListChange, ImaListLost, ImaListPart};
use vouchsafe_wire::InvalidBase64;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{Deflated, inflate};

use super::{Progress, Resumed};
use crate::engine::{EngineError, MAX_ATTEMPTS, TrustEngine};

/// The last part of a list is put together with what follows as long as both are no longer than this, in bytes: a host that
/// measures a file a minute would otherwise make a part of each.
pub(crate) const MAX_JOINED_LEN: u64 = 64 * 1024;

/// What is known of a device's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeptList {
    /// It never vouched for one in this boot.
    None,
    /// It is not kept.
    Lost(ImaListLost),
    /// It is kept.
    Whole(Box<WholeList>),
}

/// A list that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WholeList {
    /// Where it ends: a quote vouched for this.
    pub(crate) end: ImaState,
    /// Its parts.
    pub(crate) parts: Vec<ImaListPart>,
}

impl TrustEngine {
    /// The last part of the list that is kept, if what came is put together with it. Where nothing new came, nothing is read.
    pub(crate) async fn tail_of(
        &self,
        device: DeviceId,
        list: Option<&(Resumed, Vec<u8>)>,
    ) -> Result<Option<ImaListPart>, EngineError> {
        let goes_on =
            |(resumed, bytes): &(Resumed, Vec<u8>)| !bytes.is_empty() && !resumed.is_ahead && resumed.state.bytes() > 0;
        if !list.is_some_and(goes_on) {
            return Ok(None);
        }
        Ok(self.store().ima_list_tail(device, MAX_JOINED_LEN).await?)
    }

    /// What is known of the list of a device's present boot.
    pub(crate) async fn kept_list(&self, device: DeviceId) -> Result<KeptList, EngineError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(record) = self.store().boot(device).await? else { return Ok(KeptList::None) };
            let Some(progress) = record.ima.as_deref() else { return Ok(KeptList::None) };
            let Some(list) = self.store().ima_list(device).await? else { return Ok(KeptList::None) };
            if list.version != record.version {
                continue;
            }
            return Ok(match (list.lost, Progress::read(progress).map(Progress::into_state)) {
                (None, Some(end)) if ends_at(&list.parts) == end.bytes() => {
                    KeptList::Whole(Box::new(WholeList { end, parts: list.parts }))
                }
                (why, _) => KeptList::Lost(why.unwrap_or(ImaListLost::Incomplete)),
            });
        }
        Err(EngineError::Contended)
    }
}

impl KeptList {
    /// How many bytes there are to replay.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::None | Self::Lost(_) => 0,
            Self::Whole(list) => list.end.bytes(),
        }
    }
}

/// Where the last of these parts ends.
fn ends_at(parts: &[ImaListPart]) -> u64 {
    parts.last().map_or(0, ImaListPart::end)
}

/// Takes in parts that follow this state. `None` when they do not, or are no list: they were kept by this engine, so that
/// something happened to them since.
pub(crate) fn replay(from: ImaState, parts: &[ImaListPart], context: ImaContext<'_>) -> Option<ImaState> {
    parts.iter().try_fold(from, |state, part| {
        let bytes = inflate(&part.deflated, limits::IMA_PART).ok().filter(|_| part.offset == state.bytes())?;
        let state = state.advance(&bytes, None, context).ok()?.state;
        (state.bytes() == part.end()).then_some(state)
    })
}

/// What a quote changes of the list that is kept. Of the part that came with it so many bytes were `taken` in; `None` when
/// the quote vouches for nothing of it, nor for what came ahead.
pub(crate) fn change(
    list: Option<&(Resumed, Vec<u8>)>,
    taken: Option<usize>,
    tail: Option<&ImaListPart>,
) -> Result<ImaListChange, EngineError> {
    let Some((resumed, bytes)) = list else { return Ok(nothing_behind(0)) };
    let Some(taken) = taken else { return Ok(nothing_behind(resumed.vouched.bytes())) };
    let (begin, new) = (resumed.state.bytes(), bytes.get(..taken).unwrap_or_default());
    if resumed.is_ahead {
        return Ok(ImaListChange::TakesAhead { part: part(begin, new)? });
    }
    if new.is_empty() {
        return Ok(nothing_behind(begin));
    }
    let len = u64::try_from(new.len()).unwrap_or(u64::MAX);
    let joins = |tail: &&ImaListPart| tail.end() == begin && tail.len.saturating_add(len) <= MAX_JOINED_LEN;
    let before = tail.filter(joins).and_then(|tail| {
        let bytes = inflate(&tail.deflated, limits::IMA_PART).ok()?;
        Some((tail.offset, bytes))
    });
    let (offset, bytes) = match before {
        Some((offset, mut bytes)) => {
            bytes.extend_from_slice(new);
            (offset, bytes)
        }
        None => (begin, new.to_vec()),
    };
    Ok(ImaListChange::From { offset, part: part(offset, &bytes)? })
}

/// The list ends here, as it did before; one that ends at its beginning is none.
fn nothing_behind(end: u64) -> ImaListChange {
    if end == 0 { ImaListChange::From { offset: 0, part: None } } else { ImaListChange::Stays }
}

/// A part as it is kept; none when it holds nothing.
pub(crate) fn part(offset: u64, bytes: &[u8]) -> Result<Option<ImaListPart>, EngineError> {
    let too_large = |_: InvalidBase64| EngineError::TooLarge { what: "a part of an IMA list" };
    let deflated = Deflated::<{ limits::IMA_PART_COMPRESSED }>::new(bytes).map_err(too_large)?;
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok((len > 0).then(|| ImaListPart { offset, len, deflated: deflated.into_compressed() }))
}
