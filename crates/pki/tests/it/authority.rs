//! Creating, opening and renewing an authority, and every way in which its folder can be wrong.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use vouchsafe_pki::authority::{INTERMEDIATE_CERTIFICATE, INTERMEDIATE_KEY, ROOT_CERTIFICATE, ROOT_KEY};
use vouchsafe_pki::files::{FolderError, ReadFileError, create_private_folder};
use vouchsafe_pki::key::{KeyAlgorithm, ReadKeyError};
use vouchsafe_pki::{Authority, BadAuthority, CreateError, IssueError, LocalKey, OpenError, RenewError, Serial};

use crate::support::{DAY, DEVICE, NOW, SERIALS, example_org, new_authority, new_csr, request};

const ALL: [&str; 4] = [ROOT_KEY, ROOT_CERTIFICATE, INTERMEDIATE_KEY, INTERMEDIATE_CERTIFICATE];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).map(|p| (name(&p), fs::read(&p).unwrap())).collect()
}

#[test]
fn makes_a_folder_that_only_its_owner_can_enter_and_files_that_only_its_owner_can_read() {
    let (dir, _) = new_authority();
    let pki = dir.path().join("pki");
    assert_eq!(mode(&pki), 0o700);
    let files = contents(&pki);
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut names = ALL;
        names.sort_unstable();
        names
    });
    for name in ALL {
        assert_eq!(mode(&pki.join(name)), 0o600, "{name}");
    }
}

#[test]
fn opens_what_it_made_even_when_the_root_key_is_kept_elsewhere() {
    let (dir, made) = new_authority();
    let pki = dir.path().join("pki");
    for _ in 0..2 {
        let opened = Authority::open(&pki).unwrap();
        assert_eq!(opened.trust_bundle_pem(), made.trust_bundle_pem());
        assert_eq!(opened.trust_domain(), &example_org());
        drop(fs::remove_file(pki.join(ROOT_KEY)));
    }
}

#[test]
fn never_overwrites_an_authority() {
    let (dir, _) = new_authority();
    let pki = dir.path().join("pki");
    let before = contents(&pki);
    let error = Authority::create(&pki, &example_org(), NOW, SERIALS).unwrap_err();
    assert!(matches!(error, CreateError::Exists { .. }), "{error}");
    assert_eq!(contents(&pki), before);
}

#[test]
fn names_what_a_creation_that_was_cut_short_left_behind() {
    for (written, interrupted) in ALL.iter().enumerate().skip(1) {
        let (dir, _) = new_authority();
        let pki = dir.path().join("pki");
        ALL.iter().skip(written).for_each(|name| fs::remove_file(pki.join(name)).unwrap());
        let unfinished = format!(".{interrupted}.1-7.tmp");
        fs::write(pki.join(&unfinished), "half").unwrap();
        let before = contents(&pki);

        let create = Authority::create(&pki, &example_org(), NOW, SERIALS).unwrap_err();
        let CreateError::Remains { files, .. } = &create else { panic!("{create}") };
        assert_eq!(files.len(), written + 1);
        assert!(create.to_string().contains(ALL[0]) && create.to_string().contains(&unfinished), "{create}");
        assert_eq!(contents(&pki), before);

        let open = Authority::open(&pki).unwrap_err();
        let OpenError::Incomplete { missing, .. } = &open else { panic!("{open}") };
        assert!(missing.contains(&INTERMEDIATE_CERTIFICATE), "{open}");
    }
}

#[test]
fn says_that_there_is_no_authority() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    create_private_folder(&empty).unwrap();
    assert!(matches!(Authority::open(&empty), Err(OpenError::Absent { .. })));
    let absent = Authority::open(&dir.path().join("absent"));
    assert!(matches!(absent, Err(OpenError::Folder(FolderError::Io { .. }))), "{absent:?}");
}

#[test]
fn refuses_a_folder_that_is_open_to_others() {
    let (dir, _) = new_authority();
    let pki = dir.path().join("pki");
    for bits in [0o710, 0o701, 0o720] {
        fs::set_permissions(&pki, fs::Permissions::from_mode(bits)).unwrap();
        let error = Authority::open(&pki).unwrap_err();
        assert!(matches!(error, OpenError::Folder(FolderError::TooOpen { mode, .. }) if mode == bits), "{error}");
    }
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = Authority::create(open.path(), &example_org(), NOW, SERIALS).unwrap_err();
    assert!(matches!(error, CreateError::Folder(FolderError::TooOpen { .. })), "{error}");
    assert!(contents(open.path()).is_empty());
}

#[test]
fn refuses_a_key_that_others_can_read() {
    for name in [ROOT_KEY, INTERMEDIATE_KEY] {
        for bits in [0o640, 0o604, 0o660] {
            let (dir, _) = new_authority();
            let path = dir.path().join("pki").join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            let error = Authority::open(&dir.path().join("pki")).unwrap_err();
            let OpenError::Key { path: named, source: ReadKeyError::File(ReadFileError::TooOpen { mode, .. }) } = error
            else {
                panic!("{error}")
            };
            assert_eq!((named, mode), (path, bits));
        }
    }
}

#[test]
fn refuses_a_key_that_is_not_its_certificates_and_names_both() {
    for (name, algorithm) in [(ROOT_KEY, KeyAlgorithm::P384), (INTERMEDIATE_KEY, KeyAlgorithm::P256)] {
        let (dir, _) = new_authority();
        let path = dir.path().join("pki").join(name);
        let other = LocalKey::generate_for(algorithm).unwrap();
        fs::write(&path, other.to_pkcs8_pem().as_bytes()).unwrap();
        let error = Authority::open(&dir.path().join("pki")).unwrap_err();
        assert!(matches!(&error, OpenError::Mismatch { key, .. } if *key == path), "{error}");
        assert!(error.to_string().contains(&name.replace(".key", ".crt")), "{error}");
    }
}

#[test]
fn refuses_keys_and_certificates_that_are_damaged() {
    for name in ALL {
        let (dir, _) = new_authority();
        let path = dir.path().join("pki").join(name);
        let whole = fs::read(&path).unwrap();
        let too_long = vec![0xFF; 16 * 1024 + 1];
        for damaged in [&b""[..], b"nonsense", &whole[..whole.len() / 2], &too_long] {
            fs::write(&path, damaged).unwrap();
            let error = Authority::open(&dir.path().join("pki")).unwrap_err();
            let told =
                format!("{error}: {}", std::error::Error::source(&error).map_or(String::new(), ToString::to_string));
            assert!(told.contains(name), "{told}");
        }
    }
}

#[test]
fn refuses_certificates_of_another_authority_of_another_domain_and_of_a_leaf() {
    let (ours, authority) = new_authority();
    let (theirs, _) = new_authority();
    let pki = ours.path().join("pki");
    let swap = |name: &str, text: &[u8]| {
        let path = pki.join(name);
        let former = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let error = Authority::open(&pki).unwrap_err();
        fs::write(&path, former).unwrap();
        error
    };
    let refused = |error: &OpenError| match error {
        OpenError::Certificate { source, .. } => source.to_string(),
        other => panic!("{other}"),
    };

    let their_root = fs::read(theirs.path().join("pki").join(ROOT_CERTIFICATE)).unwrap();
    assert_eq!(refused(&swap(ROOT_CERTIFICATE, &their_root)), BadAuthority::NotSignedByRoot.to_string());

    let other = tempfile::tempdir().unwrap();
    let domain = "example.net".parse().unwrap();
    let other_root = Authority::create(&other.path().join("pki"), &domain, NOW, SERIALS).unwrap().trust_bundle_pem();
    let error = swap(ROOT_CERTIFICATE, other_root.as_bytes());
    assert_eq!(refused(&error), "it is of the trust domain example.org, the root of example.net");

    let leaf = authority.issue(&request(&new_csr(), DEVICE), NOW, SERIALS[0]).unwrap();
    assert_eq!(
        refused(&swap(INTERMEDIATE_CERTIFICATE, leaf.chain_pem.as_bytes())),
        "there are 2 sections CERTIFICATE where one is due"
    );
    let leaf_alone = vouchsafe_pki::pem::encode_certificates([&leaf.chain_der[0][..]]);
    assert_eq!(refused(&swap(INTERMEDIATE_CERTIFICATE, leaf_alone.as_bytes())), BadAuthority::NotAuthority.to_string());
}

#[test]
fn renews_the_intermediate_before_leaves_would_be_cut_short() {
    let (dir, authority) = new_authority();
    let pki = dir.path().join("pki");
    let first_cut = authority.intermediate_not_after().minus(90 * DAY);
    assert!(!authority.renewal_due(first_cut));
    let late = first_cut.plus(std::time::Duration::from_secs(1));
    assert!(authority.renewal_due(late));

    let csr = new_csr();
    let longest = vouchsafe_pki::LeafRequest { lifetime: 90 * DAY, ..request(&csr, DEVICE) };
    assert!(!authority.issue(&longest, first_cut, SERIALS[0]).unwrap().cut_short);
    assert!(authority.issue(&longest, late, SERIALS[0]).unwrap().cut_short);

    let renewed = Authority::renew_intermediate(&pki, late, Serial::from_entropy([3; 20])).unwrap();
    assert!(!renewed.renewal_due(late));
    assert_ne!(renewed.intermediate_der(), authority.intermediate_der());
    assert_eq!(renewed.trust_bundle_pem(), authority.trust_bundle_pem());
    assert!(!renewed.issue(&longest, late, SERIALS[0]).unwrap().cut_short);
    assert_eq!(Authority::open(&pki).unwrap().intermediate_der(), renewed.intermediate_der());
}

#[test]
fn does_not_renew_without_the_root_key_nor_after_the_root_has_ended() {
    let (dir, _) = new_authority();
    let pki = dir.path().join("pki");
    let too_late = Authority::renew_intermediate(&pki, NOW.plus(3651 * DAY), SERIALS[0]);
    assert!(matches!(too_late, Err(RenewError::RootExpired { .. })), "{too_late:?}");
    fs::remove_file(pki.join(ROOT_KEY)).unwrap();
    let without = Authority::renew_intermediate(&pki, NOW, SERIALS[0]);
    assert!(matches!(without, Err(RenewError::RootKey { .. })), "{without:?}");
}

#[test]
fn issues_nothing_outside_of_the_time_of_the_intermediate() {
    let (_dir, authority) = new_authority();
    let csr = new_csr();
    let issue = |now| authority.issue(&request(&csr, DEVICE), now, SERIALS[0]);
    let end = authority.intermediate_not_after();
    assert!(issue(end).is_ok());
    assert!(matches!(issue(end.plus(DAY)), Err(IssueError::IssuerExpired { not_after }) if not_after == end));
    assert!(matches!(issue(NOW.minus(DAY)), Err(IssueError::IssuerNotYetValid { .. })));
}
