//! `image build`, from packages that are made here.

use std::path::Path;

use crate::support::run_in;

/// The SHA-256 of "hello\n".
const HELLO: &str = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

fn tar(path: &str, mode: u32, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, &format!("{mode:07o}\0{:07o}\0{:07o}\0{:011o}\0{:011o}\0        0", 0, 0, content.len(), 0));
    put(257, "ustar  ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend(content);
    block.resize(block.len().next_multiple_of(512) + 1024, 0);
    block
}

fn deb(name: &str) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: 1.0-1\nArchitecture: all\n");
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar("./control", 0o644, control.as_bytes())),
        ("data.tar", tar(&format!("./bin/{name}"), 0o755, b"hello\n")),
    ] {
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes());
        bytes.extend(content);
    }
    bytes
}

fn folder(root: &Path, names: &[&str]) {
    std::fs::create_dir_all(root.join("debs")).unwrap();
    for name in names {
        std::fs::write(root.join("debs").join(format!("{name}.deb")), deb(name)).unwrap();
    }
}

const BUILD: &[&str] =
    &["image", "build", "--image", "web@2026.1", "--folder", "debs", "--cache", "cache", "--output", "web.toml"];

#[test]
fn a_folder_of_packages_becomes_an_image() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), &["one", "two"]);
    let run = |more: &[&str]| run_in(dir.path(), [BUILD, &["--danger-unsigned"], more].concat());
    let first = run(&[]);
    assert_eq!((first.code, first.stderr.as_str()), (0, ""), "{first:?}");
    assert!(first.stdout.starts_with("web@2026.1 is in web.toml\npackages  2\n"), "{}", first.stdout);
    let text = std::fs::read_to_string(dir.path().join("web.toml")).unwrap();
    for path in ["/bin/one", "/usr/bin/one", "/bin/two", "/usr/bin/two"] {
        assert!(text.contains(&format!("\"{path}\" = [\"{HELLO}\"]")), "{path}\n{text}");
    }
    let again = run(&["--usr-merge", "merged", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&report["paths"], &report["statistics"]["cached_packages"]), (&2.into(), &2.into()));
    assert_eq!(report["packages"][0]["name"], "one");
    assert!(!std::fs::read_to_string(dir.path().join("web.toml")).unwrap().contains("\"/bin/one\""));
}

#[test]
fn all_of_the_base_but_its_name_and_digests_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), &["one"]);
    let base = "format = \"vouchsafe-image/1\"\nimage = \"web@2025.9\"\ncreated_at = \"2025-09-01T00:00:00.000Z\"\n\
                [boot]\nsecure_boot = \"on\"\n[runtime]\nexclude = [\"/var/log/**\"]\n[runtime.digests]\n\
                \"/usr/bin/old\" = [\"sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\"]\n";
    std::fs::write(dir.path().join("base.toml"), base).unwrap();
    let ran = run_in(dir.path(), [BUILD, &["--danger-unsigned", "--base", "base.toml"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = std::fs::read_to_string(dir.path().join("web.toml")).unwrap();
    for kept in ["image = \"web@2026.1\"", "secure_boot = \"on\"", "/var/log/**", "/usr/bin/one"] {
        assert!(text.contains(kept), "{kept}\n{text}");
    }
    assert!(!text.contains("/usr/bin/old") && !text.contains("2025.9"), "{text}");
}

#[test]
fn what_nobody_signed_makes_no_image_unless_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), &["one"]);
    let ran = run_in(dir.path(), BUILD);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("nobody says who must have signed") && ran.stderr.contains("--keyring"), "{ran:?}");
    assert!(!dir.path().join("web.toml").exists());
}

#[test]
fn a_package_that_is_broken_leaves_the_image_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path(), &["one"]);
    std::fs::write(dir.path().join("web.toml"), "the one before").unwrap();
    let whole = deb("bad");
    std::fs::write(dir.path().join("debs/bad.deb"), &whole[..whole.len() - 1100]).unwrap();
    let ran = run_in(dir.path(), [BUILD, &["--danger-unsigned"]].concat());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("bad 1.0-1 (all) is refused: "), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(dir.path().join("web.toml")).unwrap(), "the one before");
}
