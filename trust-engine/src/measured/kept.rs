//! The IMA list that is kept of each device: what changes of it with each quote, and what it says when it is replayed.
//!
//! It is there for those who ask afterwards: what another image makes of what runs, and what an image is made from. It is
//! kept as far as quotes vouched for it, and what is read of it counts when it replays to where they did.

use vouchsafe_attest::ima::{ImaContext, ImaState};
use vouchsafe_model::DeviceId;
use vouchsafe_store::{BootRecord, ImaListChange, ImaListLost, ImaListPart};
use vouchsafe_wire::InvalidBase64;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{Deflated, inflate};

use super::{NextPart, Progress};
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
        list: Option<&NextPart>,
    ) -> Result<Option<ImaListPart>, EngineError> {
        let goes_on = |(resumed, bytes): &NextPart| !bytes.is_empty() && !resumed.is_ahead && resumed.state.bytes() > 0;
        if !list.is_some_and(goes_on) {
            return Ok(None);
        }
        Ok(self.store().ima_list_tail(device, MAX_JOINED_LEN).await?)
    }

    /// What is known of the list of a device's present boot.
    pub(crate) async fn kept_list(&self, device: DeviceId) -> Result<KeptList, EngineError> {
        for _ in 0..MAX_ATTEMPTS {
            let record = self.store().boot(device).await?;
            if let Some(list) = self.kept_list_of(device, record.as_ref()).await? {
                return Ok(list);
            }
        }
        Err(EngineError::Contended)
    }

    /// The same, if this is the device's present record.
    pub(crate) async fn kept_list_of(
        &self,
        device: DeviceId,
        record: Option<&BootRecord>,
    ) -> Result<Option<KeptList>, EngineError> {
        let Some((version, progress)) = record.and_then(|record| Some((record.version, record.ima.as_deref()?))) else {
            return Ok(Some(KeptList::None));
        };
        let Some(list) = self.store().ima_list(device).await?.filter(|list| list.version == version) else {
            return Ok(None);
        };
        Ok(Some(match (list.lost, Progress::read(progress).map(Progress::into_state)) {
            (None, Some(end)) if ends_at(&list.parts) == end.bytes() => {
                KeptList::Whole(Box::new(WholeList { end, parts: list.parts }))
            }
            (why, _) => KeptList::Lost(why.unwrap_or(ImaListLost::Incomplete)),
        }))
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

impl WholeList {
    /// Judges the list from its beginning to where a quote vouched for it. `None` when it does not lead there: this engine
    /// kept it, so that something happened to it since.
    pub(crate) fn replay(&self, context: ImaContext<'_>) -> Option<ImaState> {
        let replayed = self.parts.iter().try_fold(ImaState::new(self.end.bank()), |state, part| {
            let bytes = inflate(&part.deflated, limits::IMA_PART).ok().filter(|_| part.offset == state.bytes())?;
            let state = state.advance(&bytes, None, context).ok()?.state;
            (state.bytes() == part.end()).then_some(state)
        });
        replayed.filter(|state| (state.bytes(), state.pcr10()) == (self.end.bytes(), self.end.pcr10()))
    }
}

/// What a quote changes of the list that is kept. Of the part that came with it so many bytes were `taken` in; `None` when
/// the quote vouches for nothing of it, nor for what came ahead.
pub(crate) fn change(
    list: Option<&NextPart>,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vouchsafe_attest::forge::ImaList;
    use vouchsafe_model::HashAlgorithm;

    use super::super::Resumed;
    use super::*;

    fn files(count: usize) -> ImaList {
        let mut list = ImaList::new();
        for file in 0..count {
            list.file(&format!("/usr/bin/{file}"), b"content");
        }
        list
    }

    fn state(bytes: &[u8]) -> ImaState {
        ImaState::new(HashAlgorithm::Sha256).advance(bytes, None, ImaContext::default()).unwrap().state
    }

    /// These entries of a list as a part; the first is 1.
    fn entries(list: &ImaList, first: usize, end: usize) -> ImaListPart {
        let (begin, end) = (list.start_of(first), list.start_of(end + 1));
        part(begin as u64, &list.bytes()[begin..end]).unwrap().unwrap()
    }

    #[test]
    fn a_list_leads_to_where_its_quote_did_in_whatever_parts_it_is_kept() {
        let list = files(6);
        let whole = |parts: Vec<ImaListPart>| WholeList { end: state(list.bytes()), parts };
        for parts in [
            vec![entries(&list, 1, 6)],
            vec![entries(&list, 1, 2), entries(&list, 3, 6)],
            (1..=6).map(|entry| entries(&list, entry, entry)).collect(),
        ] {
            assert_eq!(whole(parts).replay(ImaContext::default()), Some(state(list.bytes())));
        }
        let other = files(7);
        let flipped = {
            let mut part = entries(&list, 1, 6);
            *part.deflated.last_mut().unwrap() ^= 1;
            part
        };
        let shorter = ImaListPart { len: 5, ..entries(&list, 1, 6) };
        for parts in [
            vec![],
            vec![entries(&list, 1, 5)],
            vec![entries(&list, 2, 6)],
            vec![entries(&list, 1, 2), entries(&list, 4, 6)],
            vec![entries(&list, 3, 6), entries(&list, 1, 2)],
            vec![entries(&other, 1, 7)],
            vec![flipped],
            vec![shorter],
        ] {
            assert_eq!(whole(parts.clone()).replay(ImaContext::default()), None, "{parts:?}");
        }
    }

    fn resumed(at: &[u8], is_ahead: bool) -> Resumed {
        Resumed { vouched: state(at), state: state(at), is_ahead, judged_by: BTreeSet::new() }
    }

    #[test]
    fn what_a_quote_changes_begins_where_the_list_was() {
        let list = files(4);
        let (old, new) = list.bytes().split_at(list.start_of(4));
        let begins = ImaListChange::From { offset: 0, part: None };
        let next = |is_ahead, bytes: &[u8]| Some((resumed(old, is_ahead), bytes.to_vec()));
        let of = |next: &Option<NextPart>, taken| change(next.as_ref(), taken, None).unwrap();
        assert_eq!(of(&None, None), begins);
        assert_eq!(of(&Some((resumed(&[], false), new.to_vec())), None), begins);
        assert_eq!(of(&next(false, new), None), ImaListChange::Stays);
        assert_eq!(of(&next(true, new), None), ImaListChange::Stays);
        assert_eq!(of(&next(false, &[]), Some(0)), ImaListChange::Stays);
        assert_eq!(of(&next(false, new), Some(0)), ImaListChange::Stays);
        let grown = Some(entries(&list, 4, 4));
        let offset = old.len() as u64;
        assert_eq!(of(&next(false, new), Some(new.len())), ImaListChange::From { offset, part: grown.clone() });
        assert_eq!(of(&next(true, new), Some(new.len())), ImaListChange::TakesAhead { part: grown });
        assert_eq!(of(&next(true, new), Some(0)), ImaListChange::TakesAhead { part: None });
    }

    #[test]
    fn the_last_part_is_put_together_with_what_follows_up_to_the_bound_and_no_byte_more() {
        let path = format!("/{}", "x".repeat(4000));
        let mut list = ImaList::new();
        while list.bytes().len() < usize::try_from(MAX_JOINED_LEN).unwrap() + 5000 {
            list.file(&path, b"content");
        }
        let count = usize::try_from(list.entries()).unwrap();
        let len = list.start_of(count + 1) - list.start_of(count);
        // A tail that fills the rest to the byte.
        for (more, is_joined) in [(0, true), (1, false)] {
            let rest = usize::try_from(MAX_JOINED_LEN).unwrap() - len + more;
            let old = list.start_of(count);
            let tail = part((old - rest) as u64, &list.bytes()[old - rest..old]).unwrap().unwrap();
            let next = (resumed(&list.bytes()[..old], false), list.bytes()[old..].to_vec());
            let changed = change(Some(&next), Some(len), Some(&tail)).unwrap();
            let ImaListChange::From { offset, part: Some(grown) } = changed else { panic!("{changed:?}") };
            assert_eq!((offset, offset == tail.offset), (grown.offset, is_joined), "{more}");
            assert_eq!(inflate(&grown.deflated, 1 << 20).unwrap(), list.bytes()[usize::try_from(offset).unwrap()..]);
        }
        // A part that cannot be read, or that ends elsewhere, is left as it is.
        let old = list.start_of(3);
        let next = (resumed(&list.bytes()[..old], false), list.bytes()[old..list.start_of(4)].to_vec());
        for tail in [ImaListPart { deflated: vec![7], ..entries(&list, 2, 2) }, entries(&list, 1, 1)] {
            let changed = change(Some(&next), Some(next.1.len()), Some(&tail)).unwrap();
            assert!(matches!(changed, ImaListChange::From { offset, .. } if offset == old as u64), "{changed:?}");
        }
    }
}
