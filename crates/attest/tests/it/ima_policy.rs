//! What a runtime policy allows, and what it does not.

use std::fmt::Write as _;

use vouchsafe_attest::forge::digest_ng;
use vouchsafe_attest::ima::{
    ImaContext, ImaState, MAX_DIGESTS_PER_PATH, MAX_EXCLUSIONS, MAX_INITRAMFS_ENTRIES, MAX_KEYS, MAX_RULES,
    RuntimePolicy, RuntimePolicyError, RuntimeSection,
};
use vouchsafe_model::FindingCode;

use crate::ima::{SHA256, judged, line, list, policy, told};

#[test]
fn a_path_may_have_each_of_its_digests_and_no_other() {
    let policy = policy(&format!("[digests]\n{}", line("/bin/a", &["one", "two"])));
    let mut list = list();
    list.file("/bin/a", b"one").file("/bin/a", b"two").file("/bin/a", b"three").file("/bin/b", b"one");
    let advance = judged(&list, &policy);
    assert_eq!(told(&advance.findings), [(FindingCode::FileChanged, 4), (FindingCode::FileUnlisted, 5)]);
    let changed = &advance.findings[0];
    assert_eq!(changed.path.as_deref(), Some("/bin/a"));
    assert_eq!(changed.expected.as_ref().unwrap().matches("sha256:").count(), 2);
    assert!(changed.found.as_ref().unwrap().starts_with("sha256:"));
}

#[test]
fn a_digest_of_another_algorithm_or_kind_is_another_one() {
    let digits = "11".repeat(32);
    let policy = policy(&format!("[digests]\n\"/a\" = [\"sha256:{digits}\"]\n\"/v\" = [\"verity:sha256:{digits}\"]"));
    let mut list = list();
    list.entry("ima-ng", &[&digest_ng("sha256", &[0x11; 32]), b"/a\0"]);
    list.entry("ima-ng", &[&digest_ng("sha3-256", &[0x11; 32]), b"/a\0"]);
    list.entry("ima-ngv2", &[&digest_ng("verity:sha256", &[0x11; 32]), b"/a\0"]);
    list.entry("ima-ngv2", &[&digest_ng("verity:sha256", &[0x11; 32]), b"/v\0"]);
    list.entry("ima-ngv2", &[&digest_ng("ima:sha256", &[0x11; 32]), b"/v\0"]);
    let codes = told(&judged(&list, &policy).findings);
    assert_eq!(codes, [3, 4, 6].map(|entry| (FindingCode::FileChanged, entry)));
}

#[test]
fn blanks_in_listed_paths_are_the_kernels_underscores() {
    let policy = policy(&format!("exclude = [\"/my files/*\"]\n[digests]\n{}", line("/opt/my tool", &["a"])));
    let mut list = list();
    list.file("/opt/my tool", b"a").file("/my files/x", b"x");
    assert_eq!(told(&judged(&list, &policy).findings), [(FindingCode::ImaRuleApplied, 3)]);
}

#[test]
fn exclusions_are_no_way_around_the_policy() {
    let policy = policy("exclude = [\"/tmp/**\", \"/var/log/*.log\"]\n[digests]");
    let hostile: [&[u8]; 8] = [
        b"/tmp/../usr/bin/ls",
        b"/tmp//x",
        b"/tmp/./x",
        b"/tmp/a\nb",
        b"/usr/tmp/x",
        b"tmp/x",
        b"/var/log/a/b.log",
        b"/var/log/a.log\x1b",
    ];
    let mut list = list();
    for path in hostile {
        list.entry("ima-ng", &[&digest_ng("sha256", &[1; 32]), &[path, &[0]].concat()]);
    }
    let deep = format!("/tmp/{}", "a/".repeat(2044));
    list.file(&format!("{deep}b"), b"x");
    let findings = judged(&list, &policy).findings;
    let expected: Vec<_> = (2..=9).map(|entry| (FindingCode::FileUnlisted, entry)).collect();
    assert_eq!(told(&findings)[..8], expected);
    assert_eq!(findings[3].path.as_deref(), Some("/tmp/a\\u{a}b"), "nothing of a path drives a terminal");
    assert_eq!(told(&findings)[8], (FindingCode::ImaRuleApplied, 10), "4094 bytes are a path");
}

#[test]
fn an_unknown_template_is_no_way_around_the_policy() {
    let policy = policy("exclude = [\"/**/x\"]\n[digests]");
    let mut list = list();
    list.entry("unheard-of", &[b"/tmp/x"]).entry("n-ng", &[b"/tmp/y\0"]);
    let codes = told(&judged(&list, &policy).findings);
    assert_eq!(codes, [(FindingCode::FileUnlisted, 2), (FindingCode::FileUnlisted, 3)]);
}

#[test]
fn calling_an_entry_by_another_template_is_no_way_around_the_policy() {
    // What is hashed is the same: only the name of the template differs.
    let policy = policy("exclude = [\"/tmp/**\"]\nrules = [\"buffers\"]\n[digests]");
    let digest = digest_ng("sha256", &[1; 32]);
    let values: [&[u8]; 3] = [&digest, b"/usr/bin/evil\0", b"/tmp/x\0"];
    for template in
        ["ima-sig", "ima-buf", "evil", "d-ng|n-ng|xattrvalues", "d-ng|xattrvalues|n-ng", "d-modsig|n-ng|sig"]
    {
        let mut list = list();
        list.entry(template, &values);
        let findings = judged(&list, &policy).findings;
        let failed = findings.iter().any(|finding| finding.severity == vouchsafe_model::Severity::Failure);
        assert!(failed, "{template}: {findings:?}");
    }
}

#[test]
fn rules_let_pass_what_they_name_and_their_use_is_told() {
    let section = |rules: &str| {
        policy(&format!(
            "rules = [{rules}]\n[digests]\n{}{}",
            line("/usr/bin/runc", &["runc"]),
            line("/bin/sh", &["sh"])
        ))
    };
    let mut list = list();
    list.file("memfd:runc_cloned:/proc/self/exe", b"runc")
        .file("memfd:evil", b"evil")
        .file("memfd:runc_cloned:x", b"evil");
    list.file("/layers/7/diff/bin/sh", b"sh").file("/layers/7/diff/bin/sh", b"evil").file("/layers/7/bin/sh", b"sh");
    list.buffer("kexec-cmdline", b"quiet");
    let codes = |rules: &str| told(&judged(&list, &section(rules)).findings);
    let all = [2, 3, 4, 5, 6, 7, 8].map(|entry| (FindingCode::FileUnlisted, entry));
    assert_eq!(codes(""), all);
    let rules = "'memfd=runc_cloned:* -> /usr/bin/runc', 'overlay=/layers/*/diff -> /', 'buffers'";
    let expected = [
        (FindingCode::FileUnlisted, 3),
        (FindingCode::FileChanged, 4),
        (FindingCode::FileChanged, 6),
        (FindingCode::FileUnlisted, 7),
        (FindingCode::ImaRuleApplied, 8),
        (FindingCode::ImaRuleApplied, 2),
        (FindingCode::ImaRuleApplied, 5),
    ];
    assert_eq!(codes(rules), expected);
    assert_eq!(codes("'memfd'")[0], (FindingCode::FileUnlisted, 5));
}

#[test]
fn the_initramfs_ends_at_its_marker_and_never_opens_again() {
    let policy = policy(&format!("rules = ['initramfs=/etc/fstab']\n[digests]\n{}", line("/etc/fstab", &["fstab"])));
    let mut list = list();
    list.file("/init", b"i")
        .file("/bin/busybox", b"b")
        .file("memfd:x", b"x")
        .file("/etc/fstab", b"fstab")
        .file("/init", b"evil");
    let advance = judged(&list, &policy);
    let expected = [(FindingCode::FileUnlisted, 4), (FindingCode::FileUnlisted, 6), (FindingCode::ImaRuleApplied, 2)];
    assert_eq!(told(&advance.findings), expected);
    assert_eq!(advance.findings[2].found.as_deref(), Some("2 entries, the first of them entry 2"));

    let without = judged(&list, &crate::ima::policy("[digests]")).state;
    let mut more = list.clone();
    more.file("/init", b"again");
    let context = ImaContext { policy: Some(&policy), boot_aggregate: None };
    let later = without.advance(&more.bytes()[list.bytes().len()..], None, context).unwrap();
    assert_eq!(told(&later.findings).last(), Some(&(FindingCode::FileUnlisted, 7)), "the rule came too late");
}

#[test]
fn an_initramfs_without_end_ends_all_the_same() {
    let policy = policy("rules = ['initramfs=/never']\n[digests]");
    let mut list = list();
    (1..=MAX_INITRAMFS_ENTRIES).for_each(|number| {
        list.file(&format!("/init{number}"), b"x");
    });
    let codes = told(&judged(&list, &policy).findings);
    assert_eq!(codes[0], (FindingCode::FileUnlisted, MAX_INITRAMFS_ENTRIES + 1));
}

#[test]
fn violations_in_excluded_paths_are_summed_up() {
    let policy = policy("exclude = [\"/var/log/**\"]\n[digests]");
    let mut list = list();
    list.violation("/var/log/a").violation("/var/log/b").violation("/usr/bin/x");
    let advance = judged(&list, &policy);
    assert_eq!(told(&advance.findings), [(FindingCode::ImaViolation, 4), (FindingCode::ImaRuleApplied, 2)]);
    assert_eq!(advance.state.counts().violations, 3, "all of them are counted");
}

#[test]
fn an_update_that_was_shipped_first_raises_nothing_and_one_that_was_not_names_each_file() {
    let files: Vec<String> = (0..300).map(|number| format!("/usr/lib/package-{number}/tool")).collect();
    let image = |content: &str| {
        let lines: String = files.iter().map(|path| line(path, &[content])).collect();
        policy(&format!("[digests]\n{lines}"))
    };
    let (old, new) = (image("old"), image("new"));
    let both = RuntimePolicy::merge([&old, &new]);
    let mut list = list();
    for path in &files {
        list.file(path, b"old");
    }
    let before = judged(&list, &old);
    assert_eq!(before.findings, []);
    let from = list.bytes().len();
    for path in &files {
        list.file(path, b"new");
    }
    let after = |policy: &RuntimePolicy| {
        let context = ImaContext { policy: Some(policy), boot_aggregate: None };
        before.state.advance(&list.bytes()[from..], Some(&list.pcr10(SHA256)), context).unwrap().findings
    };
    assert_eq!(after(&both), []);
    assert_eq!(after(&old).len(), 300);
    assert!(after(&old).iter().all(|finding| finding.code == FindingCode::FileChanged && finding.path.is_some()));
    let mut other = list.clone();
    other.file("/usr/lib/package-1/tool", b"neither");
    assert_eq!(told(&judged(&other, &both).findings), [(FindingCode::FileChanged, 602)]);
}

#[test]
fn a_union_shares_what_it_is_made_of() {
    let lines: String = (0..2000).map(|number| line(&format!("/f{number}"), &["x"])).collect();
    let (one, two) = (policy(&format!("[digests]\n{lines}")), policy("[digests]"));
    let union = RuntimePolicy::merge([&one, &two, &one]);
    assert_eq!((union.paths(), union.memory_bytes()), (one.paths(), one.memory_bytes() + two.memory_bytes()));
    assert!(one.memory_bytes() < 2000 * 50, "{}", one.memory_bytes());
    assert_eq!(RuntimePolicy::merge([]).paths(), 0);
}

#[test]
fn a_section_survives_being_written_and_its_mistakes_are_named() {
    let text = format!("exclude = [\"/tmp/**\"]\nrules = [\"memfd\"]\n\n[digests]\n{}", line("/bin/a", &["a"]));
    let section: RuntimeSection = toml::from_str(&text).unwrap();
    assert_eq!(toml::from_str::<RuntimeSection>(&toml::to_string(&section).unwrap()).unwrap(), section);
    assert!(toml::from_str::<RuntimeSection>("excludes = []").is_err(), "a misspelled list is no empty list");
    let error = |text: &str| RuntimePolicy::compile(&toml::from_str(text).unwrap()).unwrap_err().to_string();
    let digest = format!("sha256:{}", "0".repeat(64));
    for (section, names) in [
        ("exclude = [\"/ok/**\", \"tmp/**\"]", "exclude 'tmp/**'"),
        ("rules = [\"initramfs\"]", "rule 'initramfs'"),
        ("keys = [\"x\"]", "keys, number 1"),
        (
            "keyring_keys = [\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\"]",
            "keyring_keys, number 1",
        ),
        ("[digests]\n\"/a\" = [\"sha256:00\"]", "digests, '/a': 'sha256:00'"),
        ("[digests]\n\"/a\" = []", "digests, '/a': no digest"),
        (&format!("[digests]\n\"/a/../b\" = [\"{digest}\"]"), "digests, '/a/../b'"),
        (&format!("[digests]\n\"/a\\n\" = [\"{digest}\"]"), "digests, '/a\\u{a}'"),
    ] {
        let error = error(section);
        assert!(error.contains(names), "{section}: {error}");
    }
}

#[test]
fn a_section_is_bounded() {
    let compile = |section: RuntimeSection| RuntimePolicy::compile(&section);
    let too_many = |what, max| Err(RuntimePolicyError::TooMany { what, count: max + 1, max });
    let key = vouchsafe_attest::forge::ImaSigner::generate().public_pem();
    let digests = |count: usize| (0..count).map(|number| format!("sha256:{number:064x}")).collect::<Vec<_>>();
    let exclude = |count: usize| RuntimeSection { exclude: vec!["/a/**".into(); count], ..RuntimeSection::default() };
    let rules = |count: usize| RuntimeSection { rules: vec!["memfd".into(); count], ..RuntimeSection::default() };
    let keys = |count: usize| RuntimeSection { keys: vec![key.clone(); count], ..RuntimeSection::default() };
    let paths = |count: usize| RuntimeSection {
        digests: [("/a".to_owned(), digests(count))].into(),
        ..RuntimeSection::default()
    };
    let of = |made: Result<RuntimePolicy, RuntimePolicyError>| made.map(drop);
    assert_eq!(of(compile(exclude(MAX_EXCLUSIONS))), Ok(()));
    assert_eq!(of(compile(exclude(MAX_EXCLUSIONS + 1))), too_many("exclusions", MAX_EXCLUSIONS));
    assert_eq!(of(compile(rules(MAX_RULES))), Ok(()));
    assert_eq!(of(compile(rules(MAX_RULES + 1))), too_many("rules", MAX_RULES));
    assert_eq!(of(compile(keys(MAX_KEYS))), Ok(()));
    assert_eq!(of(compile(keys(MAX_KEYS + 1))), too_many("keys", MAX_KEYS));
    assert_eq!(of(compile(paths(MAX_DIGESTS_PER_PATH))), Ok(()));
    let max = MAX_DIGESTS_PER_PATH;
    assert_eq!(of(compile(paths(max + 1))), too_many("digests of one path", max));
}

#[test]
fn a_flood_of_unlisted_files_costs_no_more_than_its_entries() {
    let mut section = String::from("exclude = [");
    (0..MAX_EXCLUSIONS).for_each(|number| write!(section, "\"/**/a{number}/**/b/**/c\", ").unwrap());
    let policy = policy(&format!("{section}]\n[digests]"));
    let mut list = list();
    let deep = "a1/b/a2/".repeat(100);
    (0..50).for_each(|number| {
        list.file(&format!("/{deep}{number}"), b"x");
    });
    assert_eq!(
        ImaState::new(SHA256)
            .advance(list.bytes(), None, ImaContext { policy: Some(&policy), boot_aggregate: None })
            .unwrap()
            .state
            .unresolved(),
        50
    );
}
