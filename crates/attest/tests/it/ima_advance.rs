//! Taking in a list part by part, at the values that are quoted.

use proptest::prelude::*;
use vouchsafe_attest::forge::{ForgedTpm, ImaList, digest_ng};
use vouchsafe_attest::ima::{BootAggregates, ImaContext, ImaProblem, ImaState, MAX_BOOT_AGGREGATES, MAX_FINDINGS};
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrSelection, Severity};

use crate::ima::{SHA256, judged, line, list, policy, told};

const NOTHING: ImaContext<'static> = ImaContext { policy: None, boot_aggregate: None };

/// A list with one of each: listed, unlisted, changed, violated, excluded.
fn mixed() -> (ImaList, vouchsafe_attest::ima::RuntimePolicy) {
    let section = format!("exclude = [\"/tmp/**\"]\n[digests]\n{}{}", line("/bin/a", &["a"]), line("/bin/b", &["b"]));
    let mut list = list();
    list.file("/bin/a", b"a").file("/bin/b", b"x").file("/bin/c", b"c").violation("/var/log/x").file("/tmp/x", b"x");
    (list, policy(&section))
}

#[test]
fn replay_stops_at_the_quoted_value_and_goes_on_from_there() {
    let mut list = list();
    list.file("/bin/a", b"a");
    let (first, quoted) = (list.bytes().len(), list.pcr10(SHA256));
    list.file("/bin/b", b"b").file("/bin/c", b"c");
    let one = ImaState::new(SHA256).advance(list.bytes(), Some(&quoted), NOTHING).unwrap();
    assert_eq!((one.consumed_bytes, one.consumed_entries, one.is_quoted), (first, 2, true));
    assert_eq!((one.state.entries(), *one.state.pcr10() == quoted), (2, true));
    let again = one.state.advance(&list.bytes()[first..], Some(&quoted), NOTHING).unwrap();
    assert_eq!((again.consumed_bytes, again.is_quoted), (0, true), "nothing was measured since");
    assert_eq!(again.state, one.state);
    let rest = one.state.advance(&list.bytes()[first..], Some(&list.pcr10(SHA256)), NOTHING).unwrap();
    assert_eq!((rest.state.entries(), rest.state.bytes()), (4, u64::try_from(list.bytes().len()).unwrap()));
}

#[test]
fn what_follows_the_quoted_value_may_be_cut_off_or_broken() {
    let mut list = list();
    list.file("/bin/a", b"a");
    let quoted = list.pcr10(SHA256);
    for tail in [&[10, 0, 0, 0, 1][..], &[0xFF; 64]] {
        let part = [list.bytes(), tail].concat();
        let advance = ImaState::new(SHA256).advance(&part, Some(&quoted), NOTHING).unwrap();
        assert_eq!((advance.is_quoted, advance.consumed_bytes), (true, list.bytes().len()));
    }
    let broken = [list.bytes(), &[0xFF; 64]].concat();
    let error = ImaState::new(SHA256).advance(&broken, None, NOTHING).unwrap_err();
    assert_eq!((error.entry, error.offset), (3, u64::try_from(list.bytes().len()).unwrap()));
    assert_eq!(error.problem, ImaProblem::Pcr);
}

#[test]
fn a_value_that_is_never_reached_is_a_mismatch_and_takes_nothing_in() {
    let (list, policy) = mixed();
    let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
    let start = ImaState::new(SHA256);
    let mut other = list.clone();
    other.file("/bin/hidden", b"evil");
    let advance = start.advance(list.bytes(), Some(&other.pcr10(SHA256)), context).unwrap();
    assert_eq!((advance.is_quoted, advance.consumed_bytes, &advance.state), (false, 0, &start));
    let [finding] = &advance.findings[..] else { panic!("{:?}", advance.findings) };
    assert_eq!((finding.code, finding.pcr.unwrap().get()), (FindingCode::ImaMismatch, 10));
    assert_eq!(finding.expected, Some(other.pcr10(SHA256).to_string()));
    assert_eq!(finding.found, Some(list.pcr10(SHA256).to_string()));
}

#[test]
fn a_mismatch_names_the_entries_that_do_not_recompute() {
    let (list, _) = mixed();
    for bank in [HashAlgorithm::Sha1, SHA256] {
        let mut bytes = list.bytes().to_vec();
        let place = list.start_of(4) - 2;
        bytes[place] ^= 1;
        let advance = ImaState::new(bank).advance(&bytes, Some(&list.pcr10(bank)), NOTHING).unwrap();
        let codes = told(&advance.findings);
        assert!(codes.contains(&(FindingCode::ImaTemplateMismatch, 3)), "{bank}: {codes:?}");
        assert_eq!(advance.is_quoted, bank == HashAlgorithm::Sha1, "SHA-1 is replayed as logged");
    }
}

#[test]
fn entries_that_do_not_recompute_are_not_judged_by_what_they_tell_in_the_sha1_bank() {
    let mut list = list();
    let digest = digest_ng("sha256", &[1; 32]);
    let data = [&40u32.to_le_bytes()[..], &digest, &7u32.to_le_bytes(), b"/bin/a\0"].concat();
    list.raw(10, [9; 20], "ima-ng", &data);
    let policy = policy("[digests]");
    let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
    for (bank, expected) in [
        (HashAlgorithm::Sha1, vec![(FindingCode::ImaTemplateMismatch, 2)]),
        // What the SHA-256 bank holds is the entry's data: it was measured, whatever the list says its SHA-1 digest is.
        (SHA256, vec![(FindingCode::ImaTemplateMismatch, 2), (FindingCode::FileUnlisted, 2)]),
    ] {
        let advance = ImaState::new(bank).advance(list.bytes(), Some(&list.pcr10(bank)), context).unwrap();
        assert_eq!(told(&advance.findings), expected, "{bank}");
    }
}

#[test]
fn a_list_of_another_boot_does_not_replay() {
    let (old, policy) = mixed();
    let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
    let state = judged(&old, &policy).state;
    let mut new = list();
    new.file("/bin/a", b"a");
    let on_old = state.advance(new.bytes(), Some(&new.pcr10(SHA256)), context).unwrap();
    assert_eq!((on_old.is_quoted, on_old.findings[0].code), (false, FindingCode::ImaMismatch));
    let anew = ImaState::new(SHA256).advance(new.bytes(), Some(&new.pcr10(SHA256)), context).unwrap();
    assert_eq!((anew.is_quoted, anew.findings.len()), (true, 0));
    let cut = &old.bytes()[old.start_of(2)..];
    let shorter = ImaState::new(SHA256).advance(cut, Some(&old.pcr10(SHA256)), context).unwrap();
    assert!(!shorter.is_quoted, "a list without its begin");
}

#[test]
fn findings_stay_until_the_list_is_begun_anew() {
    let (list, policy) = mixed();
    let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
    let first = judged(&list, &policy);
    let expected = [
        (FindingCode::FileChanged, 3),
        (FindingCode::FileUnlisted, 4),
        (FindingCode::ImaViolation, 5),
        (FindingCode::ImaRuleApplied, 6),
    ];
    assert_eq!(told(&first.findings), expected);
    assert_eq!(first.findings[3].severity, Severity::Info);
    let later = first.state.advance(&[], Some(&list.pcr10(SHA256)), context).unwrap();
    assert_eq!(later.findings, first.findings);
    assert_eq!(told(&ImaState::new(SHA256).findings_in(context)), []);
    let counts = later.state.counts();
    assert_eq!((counts.listed, counts.passed, counts.violations, counts.unjudged), (1, 1, 1, 0));
}

#[test]
fn a_state_survives_being_stored_and_is_small() {
    let mut list = list();
    for number in 0..5000 {
        list.file(&format!("/opt/unlisted/file-{number}"), b"x");
    }
    let state = judged(&list, &policy("[digests]")).state;
    let stored = serde_json::to_string(&state).unwrap();
    assert!(stored.len() < 300 * MAX_FINDINGS, "{} bytes", stored.len());
    assert_eq!(serde_json::from_str::<ImaState>(&stored).unwrap(), state);
    let findings = state.findings_in(NOTHING);
    assert_eq!((findings.len(), state.unresolved()), (MAX_FINDINGS + 1, 5000));
    let more: &Finding = findings.last().unwrap();
    assert_eq!((more.code, more.found.as_deref()), (FindingCode::ImaMore, Some("4000 failures and 0 warnings more")));
}

#[test]
fn entries_without_a_policy_must_be_judged_before_they_count() {
    let (list, policy) = mixed();
    let blind = ImaState::new(SHA256).advance(list.bytes(), Some(&list.pcr10(SHA256)), NOTHING).unwrap();
    assert_eq!(told(&blind.findings), [(FindingCode::ImaViolation, 5)]);
    assert!(blind.state.has_unjudged());
    let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
    let later = blind.state.advance(&[], Some(&list.pcr10(SHA256)), context).unwrap();
    assert_eq!(later.findings[0].code, FindingCode::ImaUnjudged);
}

#[test]
fn entries_of_another_pcr_are_judged_and_told_and_extend_nothing() {
    let mut list = list();
    let digest = digest_ng("sha256", &[1; 32]);
    let data = [&40u32.to_le_bytes()[..], &digest, &7u32.to_le_bytes(), b"/bin/a\0"].concat();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &data);
    list.raw(11, hash.as_ref().try_into().unwrap(), "ima-ng", &data).file("/bin/b", b"b");
    let advance = judged(&list, &policy(&format!("[digests]\n{}", line("/bin/b", &["b"]))));
    assert_eq!(told(&advance.findings), [(FindingCode::ImaOtherPcr, 2), (FindingCode::FileUnlisted, 2)]);
}

#[test]
fn the_boot_aggregate_is_that_of_the_quoted_pcrs() {
    let tpm = ForgedTpm::new();
    let pcrs = |text: &str| tpm.pcrs(&text.parse::<PcrSelection>().unwrap());
    let advance = |list: &ImaList, selection: &str| {
        let expected = BootAggregates::of(&[pcrs(selection)]);
        let context = ImaContext { policy: None, boot_aggregate: Some(&expected) };
        let quoted = list.pcr10(SHA256);
        told(&ImaState::new(SHA256).advance(list.bytes(), Some(&quoted), context).unwrap().findings)
    };
    let good = ImaList::at_boot(&pcrs("sha256:0-9"));
    assert_eq!(advance(&good, "sha256:0-10"), []);
    let old = ImaList::at_boot(&pcrs("sha256:0-7"));
    assert_eq!(advance(&old, "sha256:0-10"), [], "kernels before 5.9 leave PCRs 8 and 9 out");
    assert_eq!(advance(&good, "sha256:0-7"), [(FindingCode::ImaBootAggregateMismatch, 1)]);
    assert_eq!(advance(&list(), "sha256:0-10"), [(FindingCode::ImaBootAggregateMismatch, 1)]);
    let sha1 = ImaList::at_boot(&pcrs("sha1:0-9"));
    assert_eq!(advance(&sha1, "sha256:0-10"), [(FindingCode::ImaBootAggregateUnchecked, 1)]);
    assert_eq!(advance(&sha1, "sha1:0-7"), []);
    let mut late = ImaList::new();
    late.file("/bin/a", b"a");
    assert_eq!(advance(&late, "sha256:0-10"), [(FindingCode::ImaBootAggregateMissing, 1)]);
}

#[test]
fn a_file_that_calls_itself_boot_aggregate_is_no_file_that_passes() {
    let tpm = ForgedTpm::new();
    let pcrs = tpm.pcrs(&"sha256:0-9".parse().unwrap());
    let expected = BootAggregates::of(std::slice::from_ref(&pcrs));
    let context = ImaContext { policy: None, boot_aggregate: Some(&expected) };
    let mut list = ImaList::at_boot(&pcrs);
    (0..MAX_BOOT_AGGREGATES).for_each(|number| {
        list.file("boot_aggregate", &[number.try_into().unwrap()]);
    });
    let findings = ImaState::new(SHA256).advance(list.bytes(), None, context).unwrap().findings;
    assert_eq!(findings.len(), MAX_BOOT_AGGREGATES, "all but the first");
    assert!(findings.iter().all(|finding| finding.code == FindingCode::ImaBootAggregateMismatch));
}

#[test]
fn a_software_tpm_holds_what_its_list_tells() {
    let mut tpm = ForgedTpm::new();
    let mut list = ImaList::at_boot(&tpm.pcrs(&"sha256:0-9".parse().unwrap()));
    list.file("/bin/a", b"a").violation("/var/log/x");
    tpm.measure_ima(&list);
    let bank = tpm.pcrs(&"sha256:0-10".parse().unwrap());
    let quoted = &bank.values[&vouchsafe_model::PcrIndex::new(10).unwrap()];
    let expected = BootAggregates::of(std::slice::from_ref(&bank));
    let context = ImaContext { policy: None, boot_aggregate: Some(&expected) };
    let advance = ImaState::new(SHA256).advance(list.bytes(), Some(quoted), context).unwrap();
    assert_eq!((advance.is_quoted, told(&advance.findings)), (true, vec![(FindingCode::ImaViolation, 3)]));
}

proptest! {
    #[test]
    fn any_split_of_a_list_comes_to_the_same(cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6)) {
        let (list, policy) = mixed();
        let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
        let quoted = list.pcr10(SHA256);
        let whole = judged(&list, &policy);
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(list.bytes().len() + 1)).collect();
        ends.sort_unstable();
        let mut state = ImaState::new(SHA256);
        for end in ends {
            let from = usize::try_from(state.bytes()).unwrap();
            let part = &list.bytes()[from..end.max(from)];
            state = state.advance(part, None, context).unwrap().state;
        }
        let from = usize::try_from(state.bytes()).unwrap();
        let last = state.advance(&list.bytes()[from..], Some(&quoted), context).unwrap();
        prop_assert!(last.is_quoted);
        prop_assert_eq!(last.state, whole.state);
        prop_assert_eq!(last.findings, whole.findings);
    }
}
