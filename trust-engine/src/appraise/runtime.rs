//! What runs: the IMA list against the images that are valid.

use vouchsafe_attest::ima::{Advance, BootAggregates, ImaContext, ImaState};
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_model::{Finding, FindingCode, ImageId, PcrIndex};

use super::at_no_cost;
use crate::golden::ValidImages;
use crate::measured::Resumed;

/// What the list comes to.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// Whether an image said what may run, and a list told what does.
    pub(super) is_covered: bool,
    /// How far the list is replayed now.
    pub(super) state: Option<ImaState>,
}

/// Takes in the next part of the list, up to the quoted value, and judges it by what any valid image allows.
pub(super) fn compare(
    quote: &AuthenticQuote,
    list: Option<&(Resumed, Vec<u8>)>,
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
        return Run { findings, state: Some(resumed.vouched.clone()), is_covered: false };
    };
    let aggregates = BootAggregates::of(std::slice::from_ref(quote.pcrs()));
    let context = ImaContext { policy: policy.as_ref(), boot_aggregate: Some(&aggregates) };
    let (state, findings) = match resumed.state.advance(part, Some(quoted), context) {
        Ok(Advance { state, findings, is_quoted: true, .. }) => (state, findings),
        // What came ahead was never measured, or what was measured is kept back: neither counts.
        Ok(Advance { findings, .. }) => (resumed.vouched.clone(), findings),
        Err(error) => {
            let malformed = Finding::new(FindingCode::ImaMalformed).with("an IMA list", &error).at_entry(error.entry);
            let before = resumed.state.findings_in(context);
            (resumed.vouched.clone(), std::iter::once(malformed).chain(before).collect())
        }
    };
    let is_covered = policy.is_some();
    let findings = if is_covered { findings } else { at_no_cost(findings) };
    Run { findings, is_covered, state: Some(state) }
}
