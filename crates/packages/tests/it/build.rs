use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use vouchsafe_model::HashAlgorithm;
use vouchsafe_packages::debian::{Checks, Freshness, PackageList, Repository, Trust};
use vouchsafe_packages::folder::{FolderTrust, plan as folder_plan};
use vouchsafe_packages::{
    Algorithms, BuildError, Cache, Cancel, Inventory, Keep, Limits, PackageId, Plan, Progress, Settings, Silent,
    SpoolError, UsrMerge, build,
};

use crate::forge::{Archive, Key, deb, file, ima, now, program};
use crate::repository::{hello, sources};

fn debian_plan(root: &Path, cache: &Cache, key: &Key) -> Plan {
    let keyring = key.keyring();
    let freshness = Freshness::Fresh { max_age: None };
    let checks = Checks { trust: Trust::Keyring(&keyring), freshness, now: now() };
    let repository = Repository::load(&[sources(root, "bookworm")], checks, cache, &Cancel::new()).unwrap();
    repository.select(&PackageList::All).unwrap().0
}

fn run(plan: &Plan, cache: &Cache, settings: &Settings) -> Result<Inventory, BuildError> {
    build(plan, cache, settings, &Cancel::new(), &Silent)
}

/// A folder of `.deb` packages, and the plan of it.
fn folder(packages: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Cache, Plan) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in packages {
        std::fs::write(dir.path().join(format!("{name}.deb")), bytes).unwrap();
    }
    let plan = folder_plan(dir.path(), FolderTrust::DangerUnsigned, Limits::default(), now(), &Cancel::new()).unwrap();
    let cache = Cache::open(dir.path().join("cache")).unwrap();
    (dir, cache, plan)
}

fn is_clean(dir: &Path) -> bool {
    std::fs::read_dir(dir.join("cache/v1/incoming")).unwrap().next().is_none()
}

fn digests(inventory: &Inventory, path: &str) -> Vec<String> {
    inventory.files.get(path).map(|file| file.digests.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn a_path_may_have_the_digest_of_every_version_that_ships_it() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    hello().publish(dir.path(), &key);
    let cache = Cache::open(dir.path().join("cache")).unwrap();
    let plan = debian_plan(dir.path(), &cache, &key);
    let first = run(&plan, &cache, &Settings::default()).unwrap();
    let found: BTreeSet<_> = digests(&first, "/usr/bin/hello").into_iter().collect();
    assert_eq!(found, [ima(b"1.0-1"), ima(b"1.0-10")].into());
    let owners: Vec<_> = first.owners("/usr/bin/hello").map(|package| package.id.version.as_str()).collect();
    assert_eq!(owners, ["1.0-1", "1.0-10"]);
    assert_eq!((first.statistics.packages, first.statistics.cached_packages, first.statistics.files), (3, 0, 3));
    assert_eq!(first.statistics.fetched_bytes, plan.len_bytes());
    let second = run(&plan, &cache, &Settings::default()).unwrap();
    assert_eq!((&second.files, &second.packages), (&first.files, &first.packages));
    assert_eq!((second.statistics.cached_packages, second.statistics.fetched_bytes), (3, 0));
    assert!(is_clean(dir.path()));
}

#[test]
fn a_package_that_is_not_the_one_in_the_index_is_refused_and_not_remembered() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let archive = hello();
    archive.publish(dir.path(), &key);
    let cache = Cache::open(dir.path().join("cache")).unwrap();
    let plan = debian_plan(dir.path(), &cache, &key);
    let (path, good) = &archive.packages[2];
    let path = dir.path().join(path);
    let evil = deb("other", "2", "amd64", &[program("./usr/bin/other", b"!")]);
    assert_eq!(evil.len(), good.len());
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [evil, flipped] {
        std::fs::write(&path, bad).unwrap();
        let error = run(&plan, &cache, &Settings::default()).unwrap_err();
        assert!(matches!(error, BuildError::Changed { source: SpoolError::Digest { .. }, .. }), "{error}");
    }
    for bad in [good[..good.len() - 1].to_vec(), [good.as_slice(), b"x"].concat()] {
        std::fs::write(&path, bad).unwrap();
        let error = run(&plan, &cache, &Settings::default()).unwrap_err();
        assert!(matches!(error, BuildError::Changed { source: SpoolError::Length { .. }, .. }), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(run(&plan, &cache, &Settings::default()), Err(BuildError::Fetch { .. })));
    assert!(is_clean(dir.path()));
    // What was good was kept; only the bad package is read once it is good again.
    std::fs::write(&path, good).unwrap();
    let inventory = run(&plan, &cache, &Settings::default()).unwrap();
    assert_eq!(digests(&inventory, "/usr/bin/other"), [ima(b"2")]);
}

#[test]
fn an_index_that_calls_a_package_by_another_name_is_refused() {
    let (dir, key) = (tempfile::tempdir().unwrap(), Key::new());
    let old = deb("hello", "1.0", "amd64", &[program("./usr/bin/hello", b"old")]);
    Archive::new(&[("hello", "2.0", old)]).publish(dir.path(), &key);
    let cache = Cache::open(dir.path().join("cache")).unwrap();
    let plan = debian_plan(dir.path(), &cache, &key);
    let error = run(&plan, &cache, &Settings::default()).unwrap_err();
    assert_eq!(error.to_string(), "hello 2.0 (amd64) calls itself hello 1.0 (amd64)");
}

/// Stops the run after so many packages.
struct StopAfter<'a> {
    packages: usize,
    done: AtomicUsize,
    bytes: AtomicU64,
    cancel: &'a Cancel,
}

impl Progress for StopAfter<'_> {
    fn planned(&self, _packages: usize, _bytes: u64) {}

    fn fetched(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn done(&self, _package: &PackageId, _cached: Option<u64>) {
        if self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.packages {
            self.cancel.cancel();
        }
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_where_it_was() {
    let packages: Vec<(String, Vec<u8>)> = (0..40)
        .map(|number| {
            let name = format!("p{number:02}");
            let content = vec![b'x'; 1000 + number];
            (name.clone(), deb(&name, "1", "all", &[file(&format!("./usr/share/{name}"), &content)]))
        })
        .collect();
    let named: Vec<_> = packages.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let (dir, cache, plan) = folder(&named);
    let settings = Settings { fetchers: 2, readers: 2, ..Settings::default() };
    let cancel = Cancel::new();
    let stop = StopAfter { packages: 10, done: AtomicUsize::new(0), bytes: AtomicU64::new(0), cancel: &cancel };
    let error = build(&plan, &cache, &settings, &cancel, &stop).unwrap_err();
    assert!(matches!(error, BuildError::Cancelled(_)), "{error}");
    assert!(is_clean(dir.path()));
    let done = stop.done.into_inner();
    assert!((10..40).contains(&done), "{done}");
    let rest = run(&plan, &cache, &settings).unwrap();
    assert_eq!(rest.statistics.cached_packages, done);
    assert_eq!(rest.files.len(), 40);
    let whole = Cache::open(dir.path().join("another")).unwrap();
    assert_eq!(rest.files, run(&plan, &whole, &settings).unwrap().files);
}

#[test]
fn executables_alone_are_kept_when_that_is_asked_for() {
    let entries = [
        program("./bin/sh", b"\x7FELF sh"),
        file("./usr/lib/libx.so.1", b"\x7FELF lib"),
        file("./lib/modules/6/x.ko", b"module"),
        file("./usr/share/doc/x", b"text"),
    ];
    let (_dir, cache, plan) = folder(&[("x", deb("x", "1", "all", &entries))]);
    let kept = |keep, usr_merge| {
        let inventory = run(&plan, &cache, &Settings { keep, usr_merge, ..Settings::default() }).unwrap();
        let paths: Vec<_> = inventory.files.keys().cloned().collect();
        (paths, inventory.statistics.left_out)
    };
    let (paths, left_out) = kept(Keep::Executable, UsrMerge::Merged);
    assert_eq!(paths, ["/usr/bin/sh", "/usr/lib/libx.so.1", "/usr/lib/modules/6/x.ko"]);
    assert_eq!(left_out, 1);
    let (paths, _) = kept(Keep::All, UsrMerge::Both);
    assert_eq!(paths.len(), 6);
    assert!(paths.contains(&"/bin/sh".to_owned()) && paths.contains(&"/usr/bin/sh".to_owned()));
}

#[test]
fn every_hash_that_is_asked_for_is_made() {
    let (_dir, cache, plan) = folder(&[("x", deb("x", "1", "all", &[file("./x", b"abc")]))]);
    run(&plan, &cache, &Settings::default()).unwrap();
    let algorithms = Algorithms::new([HashAlgorithm::Sha512, HashAlgorithm::Sha256]).unwrap();
    let inventory = run(&plan, &cache, &Settings { algorithms, ..Settings::default() }).unwrap();
    let found = digests(&inventory, "/x");
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("sha256:ba7816bf") && found[1].starts_with("sha512:ddaf35a1"), "{found:?}");
}

#[test]
fn a_package_is_as_long_as_the_bound_and_no_longer() {
    let bytes = deb("x", "1", "all", &[file("./x", b"abc")]);
    let len = u64::try_from(bytes.len()).unwrap();
    let (_dir, cache, plan) = folder(&[("x", bytes)]);
    let with = |package_len| Settings { limits: Limits { package_len, ..Limits::default() }, ..Settings::default() };
    assert!(matches!(run(&plan, &cache, &with(len - 1)), Err(BuildError::TooLong { .. })));
    run(&plan, &cache, &with(len)).unwrap();
}
