//! The form of boot event logs and of signature lists: bounds, cuts, padding, algorithms (threat 17).

use proptest::prelude::*;
use vouchsafe_attest::eventlog::{
    EventLog, EventLogProblem, EventType, LogFormat, MAX_ALGORITHMS, MAX_DIGEST_LEN, MAX_EVENTS, MAX_LEN,
    SignatureListError, signature_lists, update_payload,
};
use vouchsafe_attest::forge::boot_log::{self, BootLog};
use vouchsafe_model::HashAlgorithm;

const BANKS: [HashAlgorithm; 2] = [HashAlgorithm::Sha1, HashAlgorithm::Sha256];

fn log() -> BootLog {
    BootLog::new(&BANKS).firmware(&boot_log::certificate_list(&[0x30, 1, 7]), &[]).exit_boot_services()
}

fn problem(bytes: &[u8]) -> EventLogProblem {
    EventLog::parse(bytes).unwrap_err().problem
}

/// A log whose first event lists these algorithms, and with these events behind it.
fn agile(algorithms: &[(u16, u16)], events: &[u8]) -> Vec<u8> {
    let mut spec_id = b"Spec ID Event03\0".to_vec();
    spec_id.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    spec_id.extend(u32::try_from(algorithms.len()).unwrap().to_le_bytes());
    for (id, len) in algorithms {
        spec_id.extend(id.to_le_bytes());
        spec_id.extend(len.to_le_bytes());
    }
    spec_id.push(0);
    let mut bytes = vec![0, 0, 0, 0, 3, 0, 0, 0];
    bytes.extend([0; 20]);
    bytes.extend(u32::try_from(spec_id.len()).unwrap().to_le_bytes());
    bytes.extend(spec_id);
    bytes.extend(events);
    bytes
}

/// A separator of PCR 1 with these digests.
fn event(digests: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0, 4, 0, 0, 0];
    bytes.extend(u32::try_from(digests.len()).unwrap().to_le_bytes());
    for (id, digest) in digests {
        bytes.extend(id.to_le_bytes());
        bytes.extend(*digest);
    }
    bytes.extend([4, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn a_log_cut_anywhere_but_between_events_is_refused_with_the_place() {
    for log in [log(), BootLog::tpm12().firmware(&[], &[])] {
        let parsed = EventLog::parse(log.bytes()).unwrap();
        let ends: Vec<usize> = parsed.events().iter().skip(1).map(vouchsafe_attest::eventlog::Event::offset).collect();
        for len in 0..log.bytes().len() {
            match EventLog::parse(&log.bytes()[..len]) {
                Ok(cut) => assert!(ends.contains(&len) || cut.padding() > 0, "{len}"),
                Err(error) => {
                    assert!(!ends.contains(&len), "{len}: {error}");
                    assert!(error.offset <= len && error.event >= 1);
                }
            }
        }
    }
}

#[test]
fn zeros_and_ones_behind_the_last_event_are_padding_and_nothing_else_is() {
    let log = log();
    for fill in [0x00, 0xFF] {
        for len in [1, 31, 32, 4096] {
            let padded = [log.bytes(), &vec![fill; len]].concat();
            let parsed = EventLog::parse(&padded).unwrap();
            assert_eq!(parsed.padding(), len);
            assert_eq!(parsed.events(), EventLog::parse(log.bytes()).unwrap().events());
        }
    }
    for tail in [&[0, 1][..], &[0xFF, 0], &[1], &[0, 0, 0, 0, 0, 0, 0, 0, 1]] {
        assert!(EventLog::parse(&[log.bytes(), tail].concat()).is_err(), "{tail:?}");
    }
}

#[test]
fn formats_are_told_apart_by_the_first_event() {
    assert_eq!(EventLog::parse(log().bytes()).unwrap().format(), LogFormat::CryptoAgile);
    let tpm12 = BootLog::tpm12().firmware(&[], &[]);
    let parsed = EventLog::parse(tpm12.bytes()).unwrap();
    assert_eq!((parsed.format(), parsed.banks()), (LogFormat::Tpm12, &[HashAlgorithm::Sha1][..]));
}

#[test]
fn algorithms_that_are_not_known_are_skipped_by_their_length() {
    let events = event(&[(0x0027, &[7; 32]), (0x000B, &[9; 32]), (0x7F01, &[8; 3])]);
    let bytes = agile(&[(0x0004, 20), (0x7F01, 3), (0x0027, 32), (0x000B, 32)], &events);
    let parsed = EventLog::parse(&bytes).unwrap();
    assert_eq!(parsed.banks(), [HashAlgorithm::Sha1, HashAlgorithm::Sha256]);
    assert_eq!(parsed.algorithm_ids().collect::<Vec<_>>(), [0x0004, 0x7F01, 0x0027, 0x000B]);
    assert_eq!(parsed.events()[1].digests().collect::<Vec<_>>(), [(HashAlgorithm::Sha256, &[9; 32][..])]);
    assert_eq!(parsed.replay().banks().len(), 1, "no event has a digest of SHA-1");
    let sm3 = agile(&[(0x0012, 32)], &event(&[(0x0012, &[1; 32])]));
    let parsed = EventLog::parse(&sm3).unwrap();
    assert_eq!((parsed.banks(), parsed.replay().banks().len()), (&[HashAlgorithm::Sm3][..], 0));
}

#[test]
fn algorithms_are_listed_once_and_with_their_length() {
    assert_eq!(problem(&agile(&[(4, 20), (4, 20)], &[])), EventLogProblem::DuplicateAlgorithm(4));
    assert_eq!(problem(&agile(&[(11, 20)], &[])), EventLogProblem::BadDigestLen { algorithm: 11, len: 20 });
    assert_eq!(problem(&agile(&[(99, 0)], &[])), EventLogProblem::BadDigestLen { algorithm: 99, len: 0 });
    let len = u16::try_from(MAX_DIGEST_LEN).unwrap();
    assert!(EventLog::parse(&agile(&[(99, len)], &[])).is_ok());
    assert_eq!(
        problem(&agile(&[(99, len + 1)], &[])),
        EventLogProblem::BadDigestLen { algorithm: 99, len: MAX_DIGEST_LEN + 1 }
    );
    let twice = event(&[(11, &[1; 32]), (11, &[2; 32])]);
    assert_eq!(problem(&agile(&[(4, 20), (11, 32)], &twice)), EventLogProblem::DuplicateAlgorithm(11));
    assert_eq!(problem(&agile(&[(4, 20)], &event(&[(11, &[1; 32])]))), EventLogProblem::UnlistedAlgorithm(11));
    let unknown: Vec<(u16, u16)> = (0..).map(|id| (1000 + id, 1)).take(MAX_ALGORITHMS + 1).collect();
    assert!(EventLog::parse(&agile(&unknown[1..], &[])).is_ok());
    let count = MAX_ALGORITHMS + 1;
    assert_eq!(problem(&agile(&unknown, &[])), EventLogProblem::BadCount { count, max: MAX_ALGORITHMS });
    assert_eq!(problem(&agile(&[], &[])), EventLogProblem::BadCount { count: 0, max: MAX_ALGORITHMS });
}

#[test]
fn counts_and_lengths_that_promise_more_than_there_is_are_refused() {
    assert_eq!(problem(&agile(&[(4, 20)], &event(&[]))), EventLogProblem::BadCount { count: 0, max: 1 });
    let mut huge = event(&[(4, &[1; 20])]);
    huge[8..12].fill(0xFF);
    assert_eq!(problem(&agile(&[(4, 20)], &huge)), EventLogProblem::BadCount { count: 0xFFFF_FFFF, max: 1 });
    let mut huge = event(&[(4, &[1; 20])]);
    huge[34..38].fill(0xFF);
    assert_eq!(problem(&agile(&[(4, 20)], &huge)), EventLogProblem::Truncated { needed: 0xFFFF_FFFF, left: 4 });
    let error = EventLog::parse(&agile(&[(4, 20)], &huge)).unwrap_err();
    assert_eq!((error.event, error.field), (2, "event"));
}

#[test]
fn pcrs_that_no_tpm_has_are_refused() {
    let with_pcr = |pcr: u32, kind: EventType| {
        let mut bytes = event(&[(4, &[1; 20])]);
        bytes[..4].copy_from_slice(&pcr.to_le_bytes());
        bytes[4..8].copy_from_slice(&kind.0.to_le_bytes());
        agile(&[(4, 20)], &bytes)
    };
    assert!(EventLog::parse(&with_pcr(23, EventType::SEPARATOR)).is_ok());
    assert_eq!(problem(&with_pcr(24, EventType::SEPARATOR)), EventLogProblem::NoSuchPcr(24));
    assert_eq!(problem(&with_pcr(u32::MAX, EventType::SEPARATOR)), EventLogProblem::NoSuchPcr(u32::MAX));
    assert!(EventLog::parse(&with_pcr(u32::MAX, EventType::NO_ACTION)).is_ok());
    assert_eq!(problem(&with_pcr(256, EventType::NO_ACTION)), EventLogProblem::NoSuchPcr(256));
}

#[test]
fn the_longest_log_and_the_most_events_are_read_and_no_more() {
    let one = event(&[(4, &[1; 20])]);
    let events = |count: usize| agile(&[(4, 20)], &one.repeat(count));
    assert_eq!(EventLog::parse(&events(MAX_EVENTS - 1)).unwrap().events().len(), MAX_EVENTS);
    assert_eq!(problem(&events(MAX_EVENTS)), EventLogProblem::TooManyEvents);
    let padded = |len: usize| {
        let mut bytes = events(1);
        bytes.resize(len, 0);
        bytes
    };
    assert!(EventLog::parse(&padded(MAX_LEN)).is_ok());
    assert_eq!(problem(&padded(MAX_LEN + 1)), EventLogProblem::TooLong { len: MAX_LEN + 1 });
}

#[test]
fn vendor_information_is_skipped_and_nothing_may_follow_it() {
    let good = agile(&[(4, 20)], &[]);
    let with_vendor = |declared: u8, bytes: &[u8]| {
        let mut log = good.clone();
        *log.last_mut().unwrap() = declared;
        log.extend(bytes);
        let len = u32::try_from(log.len() - 32).unwrap();
        log[28..32].copy_from_slice(&len.to_le_bytes());
        EventLog::parse(&log).map(|log| log.events().len()).map_err(|error| error.problem)
    };
    assert_eq!(with_vendor(3, b"abc"), Ok(1));
    assert_eq!(with_vendor(4, b"abc"), Err(EventLogProblem::Truncated { needed: 4, left: 3 }));
    assert_eq!(with_vendor(2, b"abc"), Err(EventLogProblem::Trailing { left: 1 }));
}

#[test]
fn signature_lists_are_read_to_the_last_byte() {
    let digests: Vec<[u8; 32]> = (0..3).map(|number| [number; 32]).collect();
    let good = [boot_log::certificate_list(&[0x30, 1, 7]), boot_log::image_list(&digests)].concat();
    assert_eq!(signature_lists(&good).unwrap().len(), 4);
    assert_eq!(signature_lists(&[]), Ok(Vec::new()));
    let first = boot_log::certificate_list(&[0x30, 1, 7]).len();
    for len in 1..good.len() {
        assert_eq!(signature_lists(&good[..len]).is_ok(), len == first, "{len}");
    }
    assert!(signature_lists(&[&good[..], &[0]].concat()).is_err());
    for (at, value, expected) in [
        (16, 27u32, SignatureListError::BadLengths { offset: 0 }),
        (16, u32::MAX, SignatureListError::Truncated { offset: 0 }),
        (20, u32::MAX, SignatureListError::BadLengths { offset: 0 }),
        (24, 0, SignatureListError::BadLengths { offset: 0 }),
        (24, 16, SignatureListError::BadLengths { offset: 0 }),
        (24, u32::MAX, SignatureListError::BadLengths { offset: 0 }),
    ] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(signature_lists(&bad), Err(expected), "{at} {value}");
    }
    let many =
        |count: usize| signature_lists(&boot_log::image_list(&vec![[1; 32]; count])).map(|entries| entries.len());
    assert_eq!(many(20_000), Ok(20_000));
    assert_eq!(many(20_001), Err(SignatureListError::TooMany));
}

#[test]
fn an_update_without_its_signature_is_none() {
    assert_eq!(update_payload(&boot_log::image_list(&[[1; 32]])), Err(SignatureListError::NoAuthentication));
    assert_eq!(update_payload(&[]), Err(SignatureListError::NoAuthentication));
}

/// Everything that can be asked of a log, of any bytes.
fn exercise(bytes: &[u8]) {
    if let Ok(log) = EventLog::parse(bytes) {
        let _ = (log.replay(), log.facts(), log.deviations());
    }
    let _ = signature_lists(bytes);
    let _ = update_payload(bytes);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..1024)) {
        exercise(&bytes);
        exercise(&agile(&[(4, 20), (11, 32)], &bytes));
    }

    #[test]
    fn any_data_of_any_event_is_answered(
        kind in prop_oneof![0u32..0x14, 0x8000_0000u32..0x8000_0012, 0x8000_00E0u32..0x8000_00E6],
        pcr in 0u8..24,
        data in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        exercise(BootLog::new(&BANKS).event(pcr, EventType(kind), &data).bytes());
    }

    #[test]
    fn a_good_log_with_bytes_changed_is_answered(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = log().bytes().to_vec();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        exercise(&bytes);
    }
}
