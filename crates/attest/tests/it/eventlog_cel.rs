//! Canonical event logs: what systemd and others say they measured.

use proptest::prelude::*;
use vouchsafe_attest::eventlog::EventType;
use vouchsafe_attest::eventlog::cel::{self, CelProblem, Content, Index, MAX_DIGESTS, MAX_LEN, MAX_RECORDS};
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_model::{FindingCode, HashAlgorithm, PcrIndex};

fn sha(bank: HashAlgorithm, text: &[u8]) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
    let algorithm = if bank == HashAlgorithm::Sha1 { &SHA1_FOR_LEGACY_USE_ONLY } else { &SHA256 };
    hex::encode(digest(algorithm, text))
}

/// A record as systemd writes it.
fn systemd(pcr: u8, event_type: &str, string: &str, measured: &str) -> String {
    let digests = [HashAlgorithm::Sha1, HashAlgorithm::Sha256]
        .map(|bank| format!(r#"{{"hashAlg":"{bank}","digest":"{}"}}"#, sha(bank, measured.as_bytes())))
        .join(",");
    format!(
        "\x1e{{\"pcr\":{pcr},\"digests\":[{digests}],\"content_type\":\"systemd\",\"content\":{{\"eventType\":\"{event_type}\",\
         \"string\":\"{string}\",\"bootId\":\"0123\",\"timestamp\":42}}}}\n"
    )
}

fn phases() -> String {
    ["enter-initrd", "leave-initrd", "sysinit", "ready"].map(|phase| systemd(11, "phase", phase, phase)).concat()
}

#[test]
fn the_log_of_systemd_replays_onto_the_pcrs_that_boot_left() {
    let mut tpm = ForgedTpm::new();
    let pcr11 = PcrIndex::new(11).unwrap();
    tpm.extend(pcr11, b"what the stub measured");
    let selection = "sha256:11,15".parse().unwrap();
    let start = tpm.pcrs(&selection);
    for phase in ["enter-initrd", "leave-initrd", "sysinit", "ready"] {
        tpm.extend(pcr11, phase.as_bytes());
    }
    let log = cel::parse(phases().as_bytes()).unwrap();
    assert_eq!(log.replay(&start).unwrap(), tpm.pcrs(&selection));
    assert_eq!(log.deviations(), []);
    let facts = log.facts();
    assert_eq!((facts.len(), facts[3].text.as_str(), facts[3].event_type.as_deref()), (4, "ready", Some("phase")));
    let Content::Systemd(event) = &log.records()[0].content else { panic!("systemd") };
    assert_eq!((event.boot_id.as_deref(), event.timestamp), (Some("0123"), Some(42)));
}

#[test]
fn sequences_lines_and_arrays_read_alike() {
    let sequence = phases();
    let lines = sequence.replace('\x1e', "");
    let array = format!("[{}]", lines.trim().lines().collect::<Vec<_>>().join(","));
    let parsed = cel::parse(sequence.as_bytes()).unwrap();
    assert_eq!(cel::parse(lines.as_bytes()).unwrap(), parsed);
    assert_eq!(cel::parse(array.as_bytes()).unwrap(), parsed);
}

#[test]
fn a_text_that_is_not_what_was_measured_is_named() {
    let text = phases() + &systemd(12, "phase", "ready", "something else");
    let findings = cel::parse(text.as_bytes()).unwrap().deviations();
    let told: Vec<_> = findings.iter().map(|finding| (finding.code, finding.event, finding.bank)).collect();
    let mismatch = |bank| (FindingCode::EventDigestMismatch, Some(5), Some(bank));
    assert_eq!(told, [mismatch(HashAlgorithm::Sha1), mismatch(HashAlgorithm::Sha256)]);
    let key = systemd(15, "volume-key", "cryptsetup:root:1234", "a MAC under the key");
    assert_eq!(cel::parse(key.as_bytes()).unwrap().deviations(), [], "nobody without the key can recompute it");
}

#[test]
fn a_record_without_the_bank_does_not_replay() {
    let log = cel::parse(phases().as_bytes()).unwrap();
    let start = ForgedTpm::new().pcrs(&"sha384:11".parse().unwrap());
    let lacks = log.replay(&start).unwrap_err();
    assert_eq!((lacks.record, lacks.bank), (1, HashAlgorithm::Sha384));
}

#[test]
fn nv_indexes_extend_no_pcr() {
    let text = systemd(11, "phase", "ready", "ready").replace("\"pcr\":11", "\"nv_index\":31457280");
    let log = cel::parse(text.as_bytes()).unwrap();
    assert_eq!(log.records()[0].index, Index::Nv(31_457_280));
    let start = ForgedTpm::new().pcrs(&"sha256:11".parse().unwrap());
    assert_eq!(log.replay(&start).unwrap(), start);
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn tlv_record(recnum: u8, pcr: u8, digests: &[u8], content: &[u8]) -> Vec<u8> {
    [tlv(0, &[0, 0, 0, 0, 0, 0, 0, recnum]), tlv(1, &[pcr]), tlv(3, digests), content.to_vec()].concat()
}

fn sha256_tlv(data: &[u8]) -> Vec<u8> {
    tlv(0x0B, &hex::decode(sha(HashAlgorithm::Sha256, data)).unwrap())
}

fn tlv_log() -> Vec<u8> {
    let event = |kind: EventType, data: &[u8]| tlv(5, &[tlv(0, &kind.0.to_be_bytes()), tlv(1, data)].concat());
    let action = event(EventType::EFI_ACTION, b"Exit Boot Services Invocation");
    let ima = tlv(7, &[tlv(0, b"ima-ng"), tlv(1, b"template data")].concat());
    [
        tlv_record(1, 5, &sha256_tlv(b"Exit Boot Services Invocation"), &action),
        tlv_record(2, 10, &sha256_tlv(b"template data"), &ima),
        tlv_record(3, 23, &sha256_tlv(b"x"), &tlv(80, b"of a vendor")),
        tlv_record(4, 23, &sha256_tlv(b"x"), &tlv(4, b"")),
    ]
    .concat()
}

#[test]
fn tlv_holds_events_ima_entries_and_what_is_not_known() {
    let log = cel::parse(&tlv_log()).unwrap();
    let [event, ima, other, management] = log.records() else { panic!("{log:?}") };
    assert!(matches!(&event.content, Content::PcClient { event_type: EventType::EFI_ACTION, .. }));
    assert!(
        matches!(&ima.content, Content::ImaTemplate { name, data } if name == "ima-ng" && data == b"template data")
    );
    assert!(
        matches!(&other.content, Content::Other { content_type, data } if content_type == "80" && data == b"of a vendor")
    );
    assert!(matches!(&management.content, Content::Management { .. }));
    assert_eq!(log.deviations(), []);
    assert_eq!(log.facts()[0].text, "Exit Boot Services Invocation");
    let mut tpm = ForgedTpm::new();
    let selection = "sha256:5,10,23".parse().unwrap();
    let start = tpm.pcrs(&selection);
    for (pcr, data) in [(5, &b"Exit Boot Services Invocation"[..]), (10, b"template data"), (23, b"x"), (23, b"x")] {
        tpm.extend(PcrIndex::new(pcr).unwrap(), data);
    }
    assert_eq!(log.replay(&start).unwrap(), tpm.pcrs(&selection));
}

#[test]
fn events_of_a_boot_log_are_recomputed_in_json_as_well() {
    let json = |data: &str| {
        let digest = sha(HashAlgorithm::Sha256, b"Exit Boot Services Invocation");
        let content = format!(r#"{{"event_type":"EV_EFI_ACTION","event_data":"{}"}}"#, hex::encode(data));
        let text = format!(
            r#"{{"recnum":0,"pcr":5,"digests":[{{"hashAlg":"sha256","digest":"{digest}"}}],"content_type":"pcclient_std","content":{content}}}"#
        );
        cel::parse(text.as_bytes()).unwrap().deviations().len()
    };
    assert_eq!(json("Exit Boot Services Invocation"), 0);
    assert_eq!(json("Exit Boot Services Returned with Success"), 1);
}

#[test]
fn numbers_that_do_not_go_up_are_named() {
    let content = tlv(80, b"");
    let bytes = [2, 3, 3, 1].map(|recnum| tlv_record(recnum, 5, &sha256_tlv(b"x"), &content)).concat();
    let findings = cel::parse(&bytes).unwrap().deviations();
    let told: Vec<_> = findings.iter().map(|finding| (finding.code, finding.event)).collect();
    assert_eq!(told, [(FindingCode::EventDataMalformed, Some(3)), (FindingCode::EventDataMalformed, Some(4))]);
}

#[test]
fn tlv_cut_anywhere_but_between_records_is_refused() {
    let log = tlv_log();
    let complete = (0..=log.len()).filter(|len| cel::parse(&log[..*len]).is_ok()).count();
    assert_eq!(complete, 4);
    for tail in [&[0][..], &[1, 0, 0, 0, 0], &[0xFF; 9]] {
        assert!(cel::parse(&[&log[..], tail].concat()).is_err());
    }
}

#[test]
fn json_cut_anywhere_but_between_records_is_refused() {
    let log = phases();
    let records = |len: usize| cel::parse(&log.as_bytes()[..len]).map(|log| log.records().len());
    let ends: Vec<usize> = (2..=log.len()).filter(|len| records(*len).is_ok()).collect();
    let is_whole = |end: &usize| log.as_bytes()[..*end].trim_ascii_end().ends_with(b"}}");
    let follows = |end: &usize| is_whole(end) || log.as_bytes()[..*end].ends_with(b"\x1e");
    assert!(ends.len() >= 4 && ends.iter().all(follows), "{ends:?}");
}

#[test]
fn what_is_out_of_bounds_or_missing_is_named() {
    let problem = |bytes: &[u8]| cel::parse(bytes).unwrap_err().problem;
    assert_eq!(problem(b""), CelProblem::Empty);
    assert_eq!(problem(b" \n"), CelProblem::Empty);
    assert_eq!(problem(b"hello"), CelProblem::UnknownEncoding);
    assert_eq!(problem(&vec![b' '; MAX_LEN + 1]), CelProblem::TooLong { len: MAX_LEN + 1 });
    let good = systemd(11, "phase", "a", "a");
    assert_eq!(problem(good.replace("\"pcr\":11", "\"pcr\":24").as_bytes()), CelProblem::NoSuchPcr(24));
    assert_eq!(problem(good.replace("\"pcr\":11", "\"pcr\":11,\"nv_index\":1").as_bytes()), CelProblem::NoIndex);
    assert_eq!(problem(good.replace("\"pcr\":11,", "").as_bytes()), CelProblem::NoIndex);
    assert_eq!(
        problem(good.replace("sha256", "sha1").as_bytes()),
        CelProblem::BadDigestLen { algorithm: HashAlgorithm::Sha1, len: 32 }
    );
    assert!(matches!(problem(good.replace("\"digests\"", "\"dig\"").as_bytes()), CelProblem::Json(_)));
    let empty = r#"{"pcr":1,"digests":[],"content_type":"systemd","content":{}}"#;
    assert_eq!(problem(empty.as_bytes()), CelProblem::BadDigestCount(0));
    let twice = [sha256_tlv(b"x"), sha256_tlv(b"x")].concat();
    assert_eq!(
        problem(&tlv_record(1, 1, &twice, &tlv(80, b""))),
        CelProblem::DuplicateAlgorithm(HashAlgorithm::Sha256)
    );
    let unknown = |count: usize| tlv_record(1, 1, &tlv(0x99, b"d").repeat(count), &tlv(80, b""));
    assert!(cel::parse(&unknown(MAX_DIGESTS)).is_ok());
    assert_eq!(problem(&unknown(MAX_DIGESTS + 1)), CelProblem::BadDigestCount(MAX_DIGESTS + 1));
    let error = cel::parse((phases() + "\x1e{}").as_bytes()).unwrap_err();
    assert_eq!((error.record, error.offset), (5, phases().len() + 1));
}

#[test]
fn the_most_records_are_read_and_no_more() {
    let one = tlv_record(1, 1, &tlv(0x99, b"d"), &tlv(80, b""));
    assert_eq!(cel::parse(&one.repeat(MAX_RECORDS)).unwrap().records().len(), MAX_RECORDS);
    assert_eq!(cel::parse(&one.repeat(MAX_RECORDS + 1)).unwrap_err().problem, CelProblem::TooManyRecords);
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..512), first in prop_oneof![Just(0u8), Just(0x1E), Just(b'['), Just(b'{')]) {
        for bytes in [bytes.clone(), [&[first][..], &bytes].concat()] {
            if let Ok(log) = cel::parse(&bytes) {
                let _ = (log.facts(), log.deviations());
            }
        }
    }

    #[test]
    fn a_good_log_with_bytes_changed_is_answered(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8)) {
        for good in [tlv_log(), phases().into_bytes()] {
            let mut bytes = good;
            for (index, value) in &changes {
                let index = index.index(bytes.len());
                bytes[index] = *value;
            }
            if let Ok(log) = cel::parse(&bytes) {
                let _ = (log.facts(), log.deviations());
            }
        }
    }
}
