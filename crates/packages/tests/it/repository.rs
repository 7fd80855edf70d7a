use std::path::Path;

use vouchsafe_packages::debian::{
    Checks, DebianError, Freshness, PackageList, ReleaseRejected, Repository, Sources, Trust,
};
use vouchsafe_packages::openpgp::{CleartextRefused, Keyring, SignatureRefused};
use vouchsafe_packages::{Cache, Cancel, Mirror, Plan};

use crate::forge::{Archive, Key, Signing, deb, now, program, xz};

pub(crate) fn hello() -> Archive {
    let package = |name: &str, version: &str| {
        deb(name, version, "amd64", &[program(&format!("./usr/bin/{name}"), version.as_bytes())])
    };
    Archive::new(&[
        ("hello", "1.0-1", package("hello", "1.0-1")),
        ("hello", "1.0-10", package("hello", "1.0-10")),
        ("other", "2", package("other", "2")),
    ])
}

pub(crate) fn sources(root: &Path, suite: &str) -> Sources {
    Sources {
        mirror: Mirror::folder(root),
        suites: vec![suite.to_owned()],
        components: vec!["main".to_owned()],
        architectures: vec!["amd64".to_owned()],
    }
}

fn load_at(root: &Path, cache: &Path, checks: Checks<'_>) -> Result<Repository, DebianError> {
    let cache = Cache::open(cache).unwrap();
    Repository::load(&[sources(root, "bookworm")], checks, &cache, &Cancel::new())
}

const FRESH: Freshness = Freshness::Fresh { max_age: None };

fn load(root: &Path, keyring: &Keyring) -> Result<Repository, DebianError> {
    let cache = tempfile::tempdir().unwrap();
    load_at(root, cache.path(), Checks { trust: Trust::Keyring(keyring), freshness: FRESH, now: now() })
}

fn names(plan: &Plan) -> Vec<String> {
    plan.packages().iter().map(|package| package.id.to_string()).collect()
}

#[test]
fn a_signed_repository_lists_its_packages_and_the_wanted_are_chosen() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    hello().publish(dir.path(), &key);
    let repository = load(dir.path(), &key.keyring()).unwrap();
    assert_eq!(repository.len(), 3);
    let select = |text: &str| repository.select(&PackageList::parse(text).unwrap()).unwrap();
    assert_eq!(names(&select("hello").0), ["hello 1.0-10 (amd64)"], "the latest by the order of versions");
    assert_eq!(names(&select("hello\t1.0-1\nother:amd64\t2\n").0), ["hello 1.0-1 (amd64)", "other 2 (amd64)"]);
    let (plan, missing) = select("hello:arm64\nhello 9\nabsent\nother\n");
    assert_eq!(names(&plan), ["other 2 (amd64)"]);
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["hello:arm64", "hello 9", "absent"]);
    assert_eq!(repository.select(&PackageList::All).unwrap().0.packages().len(), 3);
}

#[test]
fn a_detached_signature_serves_where_there_is_no_in_release() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let archive = hello();
    archive.write(dir.path());
    let signature = key.sign(archive.release().as_bytes(), Signing::default());
    std::fs::write(dir.path().join("dists/bookworm/Release.gpg"), signature).unwrap();
    assert_eq!(load(dir.path(), &key.keyring()).unwrap().len(), 3);
    let error = load(dir.path(), &Key::new().keyring()).unwrap_err();
    assert!(matches!(error, DebianError::Signature { .. }), "{error}");
}

#[test]
fn an_unsigned_repository_is_refused_unless_that_is_asked_for() {
    let (dir, cache, key) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Key::new());
    hello().write(dir.path());
    assert!(matches!(load(dir.path(), &key.keyring()), Err(DebianError::Fetch(_))));
    let checks = Checks { trust: Trust::DangerUnsigned, freshness: FRESH, now: now() };
    assert_eq!(load_at(dir.path(), cache.path(), checks).unwrap().len(), 3);
}

#[test]
fn a_repository_signed_by_another_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    hello().publish(dir.path(), &Key::new());
    let error = load(dir.path(), &Key::new().keyring()).unwrap_err();
    let unknown = |error: &DebianError| {
        matches!(
            error,
            DebianError::Signature { source: CleartextRefused::Refused(SignatureRefused::UnknownKey(_)), .. }
        )
    };
    assert!(unknown(&error), "{error}");
}

#[test]
fn an_index_that_is_not_the_one_in_the_release_is_refused() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    hello().publish(dir.path(), &key);
    let index = dir.path().join("dists/bookworm/main/binary-amd64/Packages.xz");
    let good = std::fs::read(&index).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    let longer = [good.clone(), vec![0]].concat();
    for bad in [flipped, xz(b""), good[..good.len() - 1].to_vec()] {
        std::fs::write(&index, bad).unwrap();
        assert!(matches!(load(dir.path(), &key.keyring()), Err(DebianError::Changed { .. })));
    }
    std::fs::write(&index, longer).unwrap();
    assert!(matches!(load(dir.path(), &key.keyring()), Err(DebianError::Fetch(_))), "not a byte more is read");
    // The repository offers files by digest: a name in the middle of an update does not matter.
    let release = hello().release();
    let digest =
        release.lines().rfind(|line| line.ends_with("Packages.xz")).unwrap().split_whitespace().next().unwrap();
    let by_hash = index.parent().unwrap().join("by-hash/SHA256");
    std::fs::create_dir_all(&by_hash).unwrap();
    std::fs::write(by_hash.join(digest), &good).unwrap();
    load(dir.path(), &key.keyring()).unwrap();
}

#[test]
fn a_release_that_ended_or_is_of_another_suite_is_refused() {
    let (dir, cache, key) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Key::new());
    Archive { valid_until: Some("Sun, 01 Mar 2026 11:59:59 UTC"), ..hello() }.publish(dir.path(), &key);
    let error = load(dir.path(), &key.keyring()).unwrap_err();
    assert!(matches!(error, DebianError::Release { source: ReleaseRejected::Expired(_), .. }), "{error}");
    let keyring = key.keyring();
    let checks = Checks { trust: Trust::Keyring(&keyring), freshness: Freshness::DangerAcceptStale, now: now() };
    load_at(dir.path(), cache.path(), checks).unwrap();
    std::fs::rename(dir.path().join("dists/bookworm"), dir.path().join("dists/trixie")).unwrap();
    let cache = Cache::open(cache.path()).unwrap();
    let error = Repository::load(&[sources(dir.path(), "trixie")], checks, &cache, &Cancel::new()).unwrap_err();
    assert!(matches!(error, DebianError::Release { source: ReleaseRejected::Suite { .. }, .. }), "{error}");
}

#[test]
fn an_older_release_than_the_last_one_is_refused() {
    let (dir, cache, key) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Key::new());
    let keyring = key.keyring();
    let checks = Checks { trust: Trust::Keyring(&keyring), freshness: FRESH, now: now() };
    hello().publish(dir.path(), &key);
    load_at(dir.path(), cache.path(), checks).unwrap();
    load_at(dir.path(), cache.path(), checks).unwrap();
    Archive { date: "Sun, 01 Mar 2026 09:59:59 UTC", ..hello() }.publish(dir.path(), &key);
    let error = load_at(dir.path(), cache.path(), checks).unwrap_err();
    assert!(matches!(error, DebianError::Release { source: ReleaseRejected::WentBack { .. }, .. }), "{error}");
    load_at(dir.path(), cache.path(), Checks { freshness: Freshness::DangerAcceptStale, ..checks }).unwrap();
}

#[test]
fn names_that_would_be_paths_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let cache = Cache::open(cache.path()).unwrap();
    let checks = Checks { trust: Trust::DangerUnsigned, freshness: FRESH, now: now() };
    for suite in ["..", "../x", "a/../b", "", "a//b", "-x"] {
        let error = Repository::load(&[sources(Path::new("/"), suite)], checks, &cache, &Cancel::new()).unwrap_err();
        assert!(matches!(error, DebianError::Name(_)), "{suite} {error}");
    }
}
