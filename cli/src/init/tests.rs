use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use clap::Parser as _;

use super::*;
use crate::args::{Cli, Command};
use crate::failure::report;
use crate::serve::config::ServerConfig;

const DEFAULTS: [&str; 5] = ["--trust-domain", "example.org", "--host", "engine.example.org", "--ip=::1"];

fn arguments(dir: &Path, more: &[&str]) -> InitArgs {
    let dir = dir.display().to_string();
    let line = ["vouchsafe", "init", "--dir", &dir].into_iter().chain(more.iter().copied());
    match Cli::try_parse_from(line).unwrap().command {
        Command::Init(args) => args,
        other => panic!("{other:?}"),
    }
}

fn init(dir: &Path) -> anyhow::Result<()> {
    make(&arguments(dir, &DEFAULTS), &Layout::of(dir), now())
}

fn now() -> Timestamp {
    Timestamp::from_unix_secs(1_769_860_800)
}

/// A folder that only its owner can enter, whatever the umask.
fn private() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// Every file and folder below, with its mode.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.symlink_metadata().unwrap().mode() & 0o7777;
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            found.insert(name, format!("{mode:o}"));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn everything_is_there_and_closed_to_others() {
    let dir = private();
    init(dir.path()).unwrap();
    let tree: Vec<String> = tree(dir.path()).into_iter().map(|(name, mode)| format!("{mode} {name}")).collect();
    insta::assert_snapshot!(tree.join("\n"));
    assert_eq!(fs::read(dir.path().join("engine.secret")).unwrap().len(), 32);
}

#[test]
fn a_second_server_is_never_made_in_the_same_folder() {
    let dir = private();
    init(dir.path()).unwrap();
    let before = fs::read(dir.path().join("ca/root.key")).unwrap();
    let error = report(&init(dir.path()).unwrap_err());
    assert!(error.contains("holds a server already; nothing was changed\nhint: start it"), "{error}");
    assert_eq!(fs::read(dir.path().join("ca/root.key")).unwrap(), before);
}

#[test]
fn files_that_are_in_the_way_are_named_and_left_alone() {
    let dir = private();
    fs::write(dir.path().join("operator.key"), "mine").unwrap();
    fs::write(dir.path().join("unrelated"), "mine").unwrap();
    let error = report(&init(dir.path()).unwrap_err());
    assert!(error.contains("would be overwritten: ") && error.contains("operator.key\n"), "{error}");
    assert_eq!(tree(dir.path()).len(), 2, "nothing was made");
}

#[test]
fn a_folder_that_others_can_enter_is_refused_with_a_way_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = private();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = report(&init(dir.path()).unwrap_err());
    assert!(error.contains("is open to group or others") && error.contains("hint: keys will lie there"), "{error}");
}

#[test]
fn a_step_that_fails_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("engine");
    // More names than a certificate may carry: known only when it is issued, after the authority was made.
    let ips: Vec<String> = (0..40).map(|last| format!("--ip=10.0.0.{last}")).collect();
    let more: Vec<&str> = DEFAULTS.into_iter().chain(ips.iter().map(String::as_str)).collect();
    let error = report(&make(&arguments(&dir, &more), &Layout::of(&dir), now()).unwrap_err());
    assert!(error.contains("cannot issue a certificate: 42 DNS names and IP addresses"), "{error}");
    assert!(!dir.exists());

    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert!(make(&arguments(&dir, &more), &Layout::of(&dir), now()).is_err());
    assert_eq!(tree(&dir), BTreeMap::new(), "a folder that was there stays, empty");
}

#[test]
fn the_certificates_name_server_and_operator_for_ninety_days() {
    use vouchsafe_pki::{PeerCertificate, pem};
    let dir = private();
    init(dir.path()).unwrap();
    let leaf = |name: &str| {
        let chain = pem::decode_certificates(&fs::read(dir.path().join(name)).unwrap()).unwrap();
        assert_eq!(chain.len(), 2, "the leaf and its intermediate");
        PeerCertificate::identify(&chain[0]).unwrap()
    };
    for (name, identity) in
        [("server.crt", "spiffe://example.org/server/engine"), ("operator.crt", "spiffe://example.org/operator/admin")]
    {
        let leaf = leaf(name);
        assert_eq!(leaf.identity.to_string(), identity);
        assert_eq!(leaf.not_after, now().plus(CERTIFICATE_LIFETIME));
    }
}

#[test]
fn what_was_made_is_told_with_what_comes_next() {
    insta::assert_snapshot!(told::made(&arguments(Path::new("engine"), &DEFAULTS)));
}

#[test]
fn urls_name_a_host_or_else_an_address() {
    let url = |more: &[&str]| settings::public_url(&arguments(Path::new("x"), more), 8443);
    let domain = ["--trust-domain", "example.org"];
    assert_eq!(url(&DEFAULTS), "https://engine.example.org:8443");
    assert_eq!(url(&[domain[0], domain[1], "--ip", "10.0.0.1"]), "https://10.0.0.1:8443");
    assert_eq!(url(&[domain[0], domain[1], "--ip", "fd00::1"]), "https://[fd00::1]:8443");
}

#[test]
fn the_settings_are_explained() {
    insta::assert_snapshot!(settings::text(&arguments(Path::new("engine"), &DEFAULTS)));
}

fn settings_of(dir: &Path) -> ServerConfig {
    ServerConfig::read(&Layout::of(dir)).unwrap()
}

#[test]
fn the_settings_are_what_the_server_reads() {
    let dir = private();
    init(dir.path()).unwrap();
    let settings = settings_of(dir.path());
    assert_eq!(settings.trust_domain.to_string(), "example.org");
    assert_eq!(settings.listen.enrol.to_string(), "0.0.0.0:8441");
    assert_eq!(settings.listen.ops.to_string(), "127.0.0.1:8444", "what asks no questions is not told to everyone");
    assert_eq!(settings.public.api, "https://engine.example.org:8443");
}

#[test]
fn what_is_commented_out_in_the_settings_is_the_default() {
    let dir = private();
    init(dir.path()).unwrap();
    let defaults = settings_of(dir.path());
    let path = Layout::of(dir.path()).config();
    let text = fs::read_to_string(&path).unwrap();
    let is_setting = |line: &str| {
        line.strip_prefix("# ").and_then(|line| line.split_once(" = ")).is_some_and(|(name, _)| !name.contains(' '))
    };
    let all: Vec<&str> =
        text.lines().map(|line| if is_setting(line) { line.trim_start_matches("# ") } else { line }).collect();
    fs::write(&path, all.join("\n")).unwrap();
    let mut written_out = settings_of(dir.path());
    assert_eq!(written_out.policy.dir.take(), Some("policies".into()));
    assert_eq!(written_out.policy.shadow.take(), Some("next-policies".into()));
    assert_eq!(written_out.listen.points.take(), Some("0.0.0.0:8445".parse().unwrap()));
    assert_eq!(written_out.public.points.take().as_deref(), Some("https://engine.example.org:8445"));
    assert_eq!(written_out.model.file.take(), Some("model.toml".into()));
    assert_eq!(written_out, defaults);

    // Every setting there is is explained.
    let known = toml::to_string(&defaults).unwrap();
    for setting in known.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| format!("{name} = ")) {
        assert!(all.iter().any(|line| line.starts_with(&setting)), "{setting} is not in vouchsafe.toml");
    }
}
