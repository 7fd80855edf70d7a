//! What runs: the IMA list against the images that are valid.

use vouchsafe_attest::ima::{Advance, BootAggregates, ImaContext, ImaState};
use vouchsafe_attest::image::Compiled;
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_model::{Finding, FindingCode, ImageId, PcrIndex};
use vouchsafe_store::ImaListLost;
use vouchsafe_wire::v1::operate::Judged;

use super::at_no_cost;
use crate::golden::ValidImages;
use crate::measured::{KeptList, NextPart};

/// What the list comes to.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// Whether an image said what may run, and a list told what does.
    pub(super) is_covered: bool,
    /// How far the list is replayed now.
    pub(super) state: Option<ImaState>,
    /// How many bytes of the part were taken in for it; `None` when the quote vouches neither for any of them nor for what
    /// came ahead.
    pub(super) taken: Option<usize>,
}

/// Takes in the next part of the list, up to the quoted value, and judges it by what any valid image allows.
pub(super) fn compare(
    quote: &AuthenticQuote,
    list: Option<&NextPart>,
    valid: &ValidImages,
    image: Option<&ImageId>,
) -> Run {
    let policy = valid.runtime();
    let asks = image.and_then(|id| valid.images.get(id)).is_some_and(|(_, ready)| ready.runtime().is_some());
    let Some((resumed, part)) = list else {
        let missing = asks.then(|| Finding::new(FindingCode::ImaMissing));
        return Run { findings: missing.into_iter().collect(), ..Run::default() };
    };
    let bank = quote.pcrs().bank;
    let quoted = PcrIndex::new(10).and_then(|pcr| Some((pcr, quote.pcrs().values.get(&pcr)?)));
    let Some((_, quoted)) = quoted else {
        let finding = PcrIndex::new(10).map(|pcr| Finding::new(FindingCode::PcrNotQuoted).at_pcr(bank, pcr));
        let findings = if asks { finding.into_iter().collect() } else { Vec::new() };
        return Run { findings, state: Some(resumed.vouched.clone()), ..Run::default() };
    };
    let aggregates = BootAggregates::of(std::slice::from_ref(quote.pcrs()));
    let context = ImaContext { policy: policy.as_ref(), boot_aggregate: Some(&aggregates) };
    let (state, taken, findings) = match resumed.state.advance(part, Some(quoted), context) {
        Ok(Advance { state, findings, consumed_bytes, is_quoted: true, .. }) => (state, Some(consumed_bytes), findings),
        // What came ahead was never measured, or what was measured is kept back: neither counts.
        Ok(Advance { findings, .. }) => (resumed.vouched.clone(), None, findings),
        Err(error) => {
            let malformed = Finding::new(FindingCode::ImaMalformed).with("an IMA list", &error).at_entry(error.entry);
            let before = resumed.state.findings_in(context);
            (resumed.vouched.clone(), None, std::iter::once(malformed).chain(before).collect())
        }
    };
    let is_covered = policy.is_some();
    let findings = if is_covered { findings } else { at_no_cost(findings) };
    Run { findings, is_covered, state: Some(state), taken }
}

/// What an image has to say of a list that is kept, as the last quote vouched for it; and whether it could be held against
/// it.
pub(super) fn compare_kept(quote: &AuthenticQuote, kept: &KeptList, image: &Compiled) -> (Vec<Finding>, Judged) {
    let Some(policy) = image.runtime() else { return (Vec::new(), Judged::NotAsked) };
    let list = match kept {
        KeptList::None => return (vec![Finding::new(FindingCode::ImaMissing)], Judged::Judged),
        KeptList::Lost(why) => return (Vec::new(), not_judged(*why)),
        KeptList::Whole(list) => list,
    };
    let bank = quote.pcrs().bank;
    let Some(pcr) = PcrIndex::new(10) else { return (Vec::new(), Judged::ListIncomplete) };
    let Some(quoted) = quote.pcrs().values.get(&pcr) else {
        return (vec![Finding::new(FindingCode::PcrNotQuoted).at_pcr(bank, pcr)], Judged::Judged);
    };
    let aggregates = BootAggregates::of(std::slice::from_ref(quote.pcrs()));
    let context = ImaContext { policy: Some(policy), boot_aggregate: Some(&aggregates) };
    let Some(state) = list.replay(context) else { return (Vec::new(), Judged::ListIncomplete) };
    // The last quote may tell of what the device kept back.
    let mismatch = (quoted != state.pcr10()).then(|| {
        let mismatch = Finding::new(FindingCode::ImaMismatch).with(quoted, state.pcr10());
        mismatch.at_pcr(bank, pcr).at_entry(state.entries())
    });
    (mismatch.into_iter().chain(state.findings_in(context)).collect(), Judged::Judged)
}

/// Why a list that is not kept cannot be judged.
pub(crate) const fn not_judged(lost: ImaListLost) -> Judged {
    match lost {
        ImaListLost::TooLong => Judged::ListTooLong,
        ImaListLost::NoRoom => Judged::ListHadNoRoom,
        ImaListLost::Incomplete => Judged::ListIncomplete,
    }
}
