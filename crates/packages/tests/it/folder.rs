use std::path::Path;

use vouchsafe_packages::folder::{FolderError, FolderTrust, plan};
use vouchsafe_packages::rpm::RpmError;
use vouchsafe_packages::{Cancel, Format, Limits, Plan};

use crate::forge::{Key, Signing, deb, now, program, sha256};
use crate::rpm::package as rpm;

fn plan_of(folder: &Path, trust: FolderTrust<'_>) -> Result<Plan, FolderError> {
    plan(folder, trust, Limits::default(), now(), &Cancel::new())
}

fn hello() -> Vec<u8> {
    deb("hello", "1", "all", &[program("./usr/bin/hello", b"hello")])
}

#[test]
fn packages_are_found_in_folders_of_folders() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
    std::fs::write(dir.path().join("a/b/hello.deb"), hello()).unwrap();
    std::fs::write(dir.path().join("tool.rpm"), rpm(None)).unwrap();
    std::fs::write(dir.path().join("tool.src.rpm"), b"sources").unwrap();
    std::fs::write(dir.path().join("README"), b"text").unwrap();
    std::os::unix::fs::symlink("/", dir.path().join("a/root")).unwrap();
    let plan = plan_of(dir.path(), FolderTrust::DangerUnsigned).unwrap();
    let found: Vec<_> = plan.packages().iter().map(|package| (package.id.to_string(), package.format)).collect();
    assert_eq!(
        found,
        [("hello 1 (all)".to_owned(), Format::Deb), ("tool 3:2.0-1.fc40 (x86_64)".to_owned(), Format::Rpm)]
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(plan_of(empty.path(), FolderTrust::DangerUnsigned), Err(FolderError::Empty(_))));
}

#[test]
fn an_rpm_counts_by_its_own_signature() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    std::fs::write(dir.path().join("tool.rpm"), rpm(Some(&key))).unwrap();
    plan_of(dir.path(), FolderTrust::Keyring(&key.keyring())).unwrap();
    let error = plan_of(dir.path(), FolderTrust::Keyring(&Key::new().keyring())).unwrap_err();
    assert!(matches!(error, FolderError::Rpm { source: RpmError::Signature(_), .. }), "{error}");
    std::fs::write(dir.path().join("tool.rpm"), rpm(None)).unwrap();
    let error = plan_of(dir.path(), FolderTrust::Keyring(&key.keyring())).unwrap_err();
    assert!(matches!(error, FolderError::Rpm { source: RpmError::Unsigned, .. }), "{error}");
}

#[test]
fn a_deb_counts_by_a_signed_list() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let keyring = key.keyring();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("hello.deb"), hello()).unwrap();
    let of = |trust| plan_of(dir.path(), trust);
    assert!(matches!(of(FolderTrust::Keyring(&keyring)), Err(FolderError::Unsigned(_))));
    let sums = format!("{}  ./hello.deb\n", sha256(&hello()));
    std::fs::write(path("SHA256SUMS"), &sums).unwrap();
    assert!(matches!(of(FolderTrust::Keyring(&keyring)), Err(FolderError::Unsigned(_))), "nobody signed the list");
    std::fs::write(path("SHA256SUMS.gpg"), key.sign(sums.as_bytes(), Signing::default())).unwrap();
    assert_eq!(of(FolderTrust::Keyring(&keyring)).unwrap().packages().len(), 1);
    let stranger = Key::new().keyring();
    assert!(matches!(of(FolderTrust::Keyring(&stranger)), Err(FolderError::Sums { .. })));
    std::fs::write(path("hello.deb"), deb("hello", "1", "all", &[program("./usr/bin/hello", b"evil!")])).unwrap();
    assert!(matches!(of(FolderTrust::Keyring(&keyring)), Err(FolderError::Changed { .. })));
    std::fs::write(path("SHA256SUMS"), format!("{sums}{sums}")).unwrap();
    assert!(matches!(of(FolderTrust::Keyring(&keyring)), Err(FolderError::Sums { .. })));
}

#[test]
fn folders_are_searched_to_the_bound_and_no_deeper() {
    let dir = tempfile::tempdir().unwrap();
    let deep = |count: usize| (0..count).fold(dir.path().to_owned(), |path, _| path.join("d"));
    std::fs::create_dir_all(deep(16)).unwrap();
    std::fs::write(deep(16).join("hello.deb"), hello()).unwrap();
    plan_of(dir.path(), FolderTrust::DangerUnsigned).unwrap();
    std::fs::create_dir_all(deep(17)).unwrap();
    assert!(matches!(plan_of(dir.path(), FolderTrust::DangerUnsigned), Err(FolderError::TooDeep(_))));
}
