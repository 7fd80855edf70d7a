//! What runs on a host, and lists of it that lie (threats 19 to 21, and 27).

use vouchsafe_attest::forge::{ImaList, digest_ng};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{Finding, FindingCode, PcrIndex, Severity, Verdict};
use vouchsafe_wire::v1::logs::SentLogs;

use crate::measured::{BOOT, Machine, codes, digest_of, the, told};
use crate::world::{World, selection, sha256};

fn place(finding: &Finding) -> (Option<u64>, Option<&str>) {
    (finding.entry, finding.path.as_deref())
}

fn failed(world: &World, machine: &Machine, verdict: &Verdict) {
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated, "{:?}", verdict.findings());
    assert_eq!(world.score(machine.device.id), 0.0, "{:?}", told(verdict));
}

#[tokio::test]
async fn a_file_that_no_image_lists_is_named_until_an_image_lists_it() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    let entry = machine.list.entries();
    let verdict = machine.attest(&world).await;
    failed(&world, &machine, &verdict);
    let finding = the(&verdict, FindingCode::FileUnlisted);
    assert_eq!(place(finding), (Some(entry), Some("/usr/bin/rogue")));
    assert_eq!(finding.found.as_deref(), Some(&*digest_of(b"a rogue")));

    // It ran: what is good that comes after it does not make that undone.
    machine.run("/usr/bin/sh", b"the shell");
    for _ in 0..2 {
        let verdict = machine.attest(&world).await;
        failed(&world, &machine, &verdict);
        assert_eq!(place(the(&verdict, FindingCode::FileUnlisted)), (Some(entry), Some("/usr/bin/rogue")));
    }

    let before = world.record(machine.device.id).image.unwrap();
    let mut next = machine.image(&world, &format!("{}@2", before.name()));
    next.supersedes.insert(before);
    let digests = &mut next.runtime.as_mut().unwrap().digests;
    digests.insert("/usr/bin/rogue".to_owned(), vec![digest_of(b"a rogue")]);
    world.import(&next).await;
    machine.ask(&world).await;
    assert_eq!(machine.known(), machine.list.bytes().len() as u64, "what is kept is judged by the other image");
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_eq!(verdict.image(), Some(&next.id));
    assert!(world.score(machine.device.id) > 0.0);
}

#[tokio::test]
async fn a_file_that_changed_is_named_with_both_digests() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/sh", b"another shell");
    let verdict = machine.attest(&world).await;
    failed(&world, &machine, &verdict);
    let finding = the(&verdict, FindingCode::FileChanged);
    assert_eq!(place(finding), (Some(machine.list.entries()), Some("/usr/bin/sh")));
    assert_eq!(finding.expected.as_deref(), Some(&*digest_of(b"the shell")));
    assert_eq!(finding.found.as_deref(), Some(&*digest_of(b"another shell")));
}

#[tokio::test]
async fn a_file_that_was_written_while_it_was_read_warns() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let before = world.score(machine.device.id);
    machine.list.violation("/var/log/messages");
    machine.measure();
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Warning, "{:?}", verdict.findings());
    let finding = the(&verdict, FindingCode::ImaViolation);
    assert_eq!(place(finding), (Some(machine.list.entries()), Some("/var/log/messages")));
    assert_eq!(finding.severity, Severity::Warning);
    assert!(world.score(machine.device.id) <= before, "a violation earned something");
}

#[tokio::test]
async fn a_template_hash_that_is_not_of_its_data_is_named() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let shell = digest_ng("sha256", sha256(b"the shell").as_bytes());
    let data = [&40u32.to_le_bytes()[..], &shell, &12u32.to_le_bytes(), b"/usr/bin/sh\0"].concat();
    machine.list.raw(10, [7; 20], "ima-ng", &data);
    machine.measure();
    let verdict = machine.attest(&world).await;
    failed(&world, &machine, &verdict);
    let finding = the(&verdict, FindingCode::ImaTemplateMismatch);
    assert_eq!(place(finding), (Some(machine.list.entries()), Some("/usr/bin/sh")));
    assert_eq!(finding.found.as_deref(), Some(&*"07".repeat(20)));
}

/// The list without one of its entries.
fn without(list: &ImaList, entry: usize) -> Vec<u8> {
    [&list.bytes()[..list.start_of(entry)], &list.bytes()[list.start_of(entry + 1)..]].concat()
}

#[tokio::test]
async fn a_list_that_lacks_entries_does_not_reach_the_quoted_value() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    machine.run("/usr/bin/sh", b"the shell");
    let known = machine.known();
    let behind = usize::try_from(known).unwrap();
    let rogue = usize::try_from(machine.list.entries()).unwrap() - 1;
    let hidden = without(&machine.list, rogue)[behind..].to_vec();
    let cut = machine.list.bytes()[behind..machine.list.start_of(rogue)].to_vec();
    for bytes in [hidden, cut] {
        let logs = SentLogs { ima: Some(machine.part_of(known, &bytes)), ..machine.logs() };
        let verdict = machine.attest_with(&world, logs).await.unwrap();
        failed(&world, &machine, &verdict);
        let finding = the(&verdict, FindingCode::ImaMismatch);
        assert_eq!(finding.pcr.map(PcrIndex::get), Some(10));
        let quoted = machine.list.pcr10(vouchsafe_model::HashAlgorithm::Sha256).to_string();
        assert_eq!(finding.expected.as_deref(), Some(&*quoted));
        assert_eq!(machine.known(), known, "nothing was taken in");
    }
    // Nothing at all is sent of what is new.
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    failed(&world, &machine, &verdict);
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    // The truth is judged when it comes.
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
}

#[tokio::test]
async fn bytes_that_are_no_list_are_named_and_the_place_before_them_stays() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let known = machine.known();
    machine.run("/usr/bin/sh", b"the shell");
    let logs =
        SentLogs { ima: Some(machine.part_of(known, &[&[10, 0, 0, 0][..], &[0xFF; 28]].concat())), ..machine.logs() };
    let verdict = machine.attest_with(&world, logs).await.unwrap();
    failed(&world, &machine, &verdict);
    assert_eq!(the(&verdict, FindingCode::ImaMalformed).entry, Some(machine.list.entries()));
    assert_eq!(machine.known(), known);
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn a_list_of_another_boot_fails_by_its_boot_aggregate_or_by_pcr_10() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let old = machine.list.clone();
    machine.restart(&BOOT);
    machine.run("/usr/bin/rogue", b"a rogue");
    // It shows the list of the boot before.
    let logs = SentLogs { ima: Some(machine.part_of(0, old.bytes())), ..machine.logs() };
    let verdict = machine.attest_with(&world, logs).await.unwrap();
    failed(&world, &machine, &verdict);
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);

    // A kernel that was started by other PCRs than those that are quoted.
    let mut machine = world.golden_machine().await;
    machine.restart_by(&BOOT.log());
    let mut pcrs = machine.device.host.tpm.pcrs(&selection("sha256:0-9"));
    pcrs.values.insert(PcrIndex::new(4).unwrap(), "ab".repeat(32).parse().unwrap());
    machine.list = ImaList::at_boot(&pcrs);
    machine.measure();
    let verdict = machine.attest(&world).await;
    failed(&world, &machine, &verdict);
    assert_eq!(the(&verdict, FindingCode::ImaBootAggregateMismatch).entry, Some(1));
}

#[tokio::test]
async fn a_reset_tpm_does_not_go_on_with_the_list_of_before() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let boot = machine.boot.clone();
    machine.restart(&BOOT);
    machine.run("/usr/bin/rogue", b"a rogue");
    // The host names the boot before and sends nothing: reset_count is up, and PCR 10 began anew.
    let (new, own) = (std::mem::replace(&mut machine.boot, boot.clone()), machine.list.clone());
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    failed(&world, &machine, &verdict);
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    assert!(verdict.findings().iter().any(|finding| finding.code == FindingCode::TpmReset));
    // It also fails with the entries of the new boot put behind those of the old.
    let logs = SentLogs { ima: Some(machine.part_of(machine.known(), own.bytes())), ..SentLogs::default() };
    let verdict = machine.attest_with(&world, logs).await.unwrap();
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    // By its true name it starts from the beginning, and what ran is seen.
    machine.boot = new;
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
}

#[tokio::test]
async fn what_is_measured_behind_the_quote_belongs_to_the_next_one() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/sh", b"the shell");
    let quoted = machine.list.bytes().len() as u64;
    let device_quote = machine.list.clone();
    machine.list.file("/usr/bin/rogue", b"a rogue");
    // The list is read after the quote, and holds an entry more.
    machine.device.host.tpm.measure_ima(&device_quote);
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_eq!(machine.known(), quoted);
    machine.measure();
    let verdict = machine.attest(&world).await;
    assert_eq!(place(the(&verdict, FindingCode::FileUnlisted)), (Some(machine.list.entries()), Some("/usr/bin/rogue")));
}

#[tokio::test]
async fn a_host_that_never_sends_a_list_is_missed_it() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.restart(&BOOT);
    let logs = SentLogs { ima: None, ..machine.logs() };
    let verdict = machine.attest_with(&world, logs).await.unwrap();
    failed(&world, &machine, &verdict);
    assert_eq!(codes(&verdict), [FindingCode::ImaMissing]);
    assert!(!verdict.coverage().runtime);
}

#[tokio::test]
async fn a_list_of_which_pcr_10_is_not_quoted_proves_nothing() {
    let mut config = vouchsafe_trust_engine::config::TrustEngineConfig::default();
    config.enrol.minimum_endorsement = vouchsafe_trust_engine::config::MinimumEndorsement::DangerNone;
    config.attest.pcrs = "0-9,11-15".parse().unwrap();
    let world = World::with(config).await;
    let mut machine = world.machine().await;
    let image = machine.image(&world, "host@1");
    world.import(&image).await;
    world.assign(&mut machine, &image.id).await;
    for _ in 0..2 {
        let verdict = machine.attest(&world).await;
        failed(&world, &machine, &verdict);
        assert_eq!(the(&verdict, FindingCode::PcrNotQuoted).pcr.map(PcrIndex::get), Some(10));
        assert!(!verdict.coverage().runtime);
    }
}

#[tokio::test]
async fn another_name_of_the_boot_does_not_wash_off_what_ran() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
    machine.boot = crate::measured::boot_id(99);
    for logs in [SentLogs::default(), machine.logs()] {
        let verdict = machine.attest_with(&world, logs).await.unwrap();
        failed(&world, &machine, &verdict);
    }
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
}
