use std::process::Command;

use vouchsafe_packages::archive::{Deb, DebError, TarError};
use vouchsafe_packages::{Algorithms, Contents, ContentsRejected, Limits};

use crate::forge::{TarEntry, ar, control, deb, file, gzip, ima, program, special, tar, xz, zstd};

fn read_with(bytes: &[u8], limits: Limits) -> Result<Contents, DebError> {
    Deb::open(bytes)?.read(&Algorithms::default(), limits)
}

fn read(bytes: &[u8]) -> Result<Contents, DebError> {
    read_with(bytes, Limits::default())
}

fn paths(contents: &Contents) -> Vec<(&str, String)> {
    contents.files.iter().map(|file| (file.path.as_str(), file.digests[0].to_string())).collect()
}

fn sample() -> Vec<TarEntry> {
    vec![
        special(b'5', "./", ""),
        special(b'5', "./usr/", ""),
        program("./usr/bin/hello", b"\x7FELF hello"),
        special(b'1', "./usr/bin/hi", "./usr/bin/hello"),
        special(b'2', "./usr/bin/link", "hello"),
        file("./usr/share/doc/hello/copyright", b"text"),
        file(&format!("./usr/share/{}/x", "long".repeat(50)), b"behind a long name"),
        file("./usr/share/empty", b""),
    ]
}

#[test]
fn every_regular_file_has_the_digest_of_its_content() {
    let deb = deb("hello", "1.0-1", "amd64", &sample());
    assert_eq!(Deb::open(deb.as_slice()).unwrap().id().to_string(), "hello 1.0-1 (amd64)");
    let contents = read(&deb).unwrap();
    let long = format!("/usr/share/{}/x", "long".repeat(50));
    assert_eq!(
        paths(&contents),
        [
            ("/usr/bin/hello", ima(b"\x7FELF hello")),
            ("/usr/bin/hi", ima(b"\x7FELF hello")),
            ("/usr/share/doc/hello/copyright", ima(b"text")),
            ("/usr/share/empty", ima(b"")),
            (long.as_str(), ima(b"behind a long name")),
        ]
    );
}

#[test]
fn every_compression_that_dpkg_writes_is_read() {
    let plain = read(&deb("hello", "1.0-1", "amd64", &sample())).unwrap();
    let data = tar(&sample());
    let control = control("hello", "1.0-1", "amd64");
    for (extension, control, data) in [
        ("", control.clone(), data.clone()),
        (".gz", gzip(&control), gzip(&data)),
        (".xz", xz(&control), xz(&data)),
        (".zst", zstd(&control), zstd(&data)),
    ] {
        let names = (format!("control.tar{extension}"), format!("data.tar{extension}"));
        let members = [("debian-binary", b"2.0\n".to_vec()), (names.0.as_str(), control), (names.1.as_str(), data)];
        assert_eq!(read(&ar(&members)).unwrap(), plain, "{extension}");
    }
}

#[test]
fn a_package_that_is_cut_short_is_refused_at_every_length() {
    let whole = deb("a", "1", "all", &[program("./usr/bin/a", b"abc")]);
    read(&whole).unwrap();
    for len in 0..whole.len() {
        assert!(read(&whole[..len]).is_err(), "{len}");
    }
}

#[test]
fn no_flipped_bit_makes_a_panic_or_another_path_with_a_dot_dot() {
    let whole = deb("a", "1", "all", &[program("./usr/bin/a", b"abc")]);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(contents) = read(&flipped) {
                assert!(contents.files.iter().all(|file| !file.path.contains("..")));
            }
        }
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for path in ["../../etc/passwd", "./usr/../../x", "./a\nb"] {
        let error = read(&deb("a", "1", "all", &[file(path, b"x")])).unwrap_err();
        assert!(matches!(error, DebError::Contents(ContentsRejected::Path { .. })), "{path} {error}");
    }
    let through = [special(b'2', "./usr/lib/x", "/etc"), file("./usr/lib/x/shadow", b"root::")];
    let error = read(&deb("a", "1", "all", &through)).unwrap_err();
    assert!(matches!(error, DebError::Contents(ContentsRejected::NotInFolder { .. })), "{error}");
    let hard = [special(b'1', "./a", "/etc/shadow")];
    let error = read(&deb("a", "1", "all", &hard)).unwrap_err();
    assert!(matches!(error, DebError::Contents(ContentsRejected::DanglingLink { .. })), "{error}");
}

#[test]
fn what_is_there_twice_is_refused() {
    let error = read(&deb("a", "1", "all", &[file("./a", b"1"), file("a", b"2")])).unwrap_err();
    assert!(matches!(error, DebError::Contents(ContentsRejected::Duplicate(_))), "{error}");
    let control = control("a", "1", "all");
    let data = tar(&[file("./a", b"1")]);
    let twice = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", control.clone()),
        ("data.tar", data.clone()),
        ("data.tar", data.clone()),
    ];
    assert!(matches!(read(&ar(&twice)), Err(DebError::Member { expected: "the end", .. })));
    let order = [("debian-binary", b"2.0\n".to_vec()), ("data.tar", data), ("control.tar", control)];
    assert!(matches!(read(&ar(&order)), Err(DebError::Member { expected: "control.tar", .. })));
}

#[test]
fn sizes_that_lie_are_refused() {
    let lie = |size: &str| {
        let entry = TarEntry { size: Some(size.to_owned()), ..file("./a", b"abc") };
        read(&deb("a", "1", "all", &[entry])).unwrap_err()
    };
    // Longer than the archive; binary and beyond 63 bits; no number.
    assert!(matches!(lie("77777777777\0"), DebError::Contents(_)));
    assert!(matches!(lie("00000100000\0"), DebError::Contents(ContentsRejected::Read { .. })));
    assert!(matches!(lie("0000000000x\0"), DebError::Data(TarError::Header { what: "the size", offset: 0 })));
    let of_link = TarEntry { content: vec![0; 512], ..special(b'2', "./a", "b") };
    let error = read(&deb("a", "1", "all", &[of_link])).unwrap_err();
    assert!(matches!(error, DebError::Data(TarError::Header { .. })), "{error}");
}

#[test]
fn headers_that_dpkg_refuses_are_refused() {
    for kind in [b'x', b'g', b'S', b'V', b'8'] {
        let error = read(&deb("a", "1", "all", &[special(kind, "./a", "")])).unwrap_err();
        assert!(matches!(error, DebError::Data(TarError::Kind { offset: 0, .. })), "{kind} {error}");
    }
    let mut data = tar(&[file("./a", b"abc")]);
    data[148] ^= 1;
    let members = |data: Vec<u8>| {
        ar(&[("debian-binary", b"2.0\n".to_vec()), ("control.tar", control("a", "1", "all")), ("data.tar", data)])
    };
    let error = read(&members(data)).unwrap_err();
    assert!(matches!(error, DebError::Data(TarError::Header { what: "the checksum", .. })), "{error}");
    let mut trailing = tar(&[file("./a", b"abc")]);
    trailing.extend([1; 512]);
    let error = read(&members(trailing)).unwrap_err();
    assert!(matches!(error, DebError::Data(TarError::Trailing(2048))), "{error}");
}

#[test]
fn bombs_are_stopped_at_the_bound() {
    let limits = Limits { package_len: 1 << 20, unpacked_len: 1 << 20, files: 10 };
    let entries = |len: usize| tar(&[file("./zeros", &vec![0; len])]);
    let package = |data: Vec<u8>, extension: &str| {
        let name = format!("data.tar{extension}");
        ar(&[("debian-binary", b"2.0\n".to_vec()), ("control.tar", control("a", "1", "all")), (name.as_str(), data)])
    };
    for (extension, pack) in [(".xz", xz as fn(&[u8]) -> Vec<u8>), (".zst", zstd), (".gz", gzip), ("", <[u8]>::to_vec)]
    {
        read_with(&package(pack(&entries(1 << 20)), extension), limits).unwrap();
        let error = read_with(&package(pack(&entries((1 << 20) + 1)), extension), limits).unwrap_err();
        assert!(matches!(error, DebError::Contents(ContentsRejected::TooLong(_))), "{extension} {error}");
        // Zeros behind the end of the archive are padding; they have a bound as well.
        let padding = [tar(&[file("./a", b"x")]), vec![0; 8 << 20]].concat();
        let error = read_with(&package(pack(&padding), extension), limits).unwrap_err();
        assert!(matches!(error, DebError::Data(TarError::Read { .. })), "{extension} {error}");
    }
    let many: Vec<_> = (0..11).map(|number| file(&format!("./{number}"), b"")).collect();
    read_with(&package(tar(&many[..10]), ""), limits).unwrap();
    let error = read_with(&package(tar(&many), ""), limits).unwrap_err();
    assert!(matches!(error, DebError::Contents(ContentsRejected::TooManyFiles(10))), "{error}");
}

#[test]
fn another_kind_of_file_is_refused() {
    for bytes in [b"".as_slice(), b"!<arch>\n", b"\xED\xAB\xEE\xDB", b"MZ"] {
        assert!(read(bytes).is_err());
    }
    let format = [("debian-binary", b"3.0\n".to_vec())];
    assert!(matches!(read(&ar(&format)), Err(DebError::Format)));
}

#[test]
fn dpkg_deb_packs_and_unpacks_the_same_files() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        eprintln!("skipped: dpkg-deb is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for (path, content) in [("DEBIAN/control", ""), ("usr/bin/tool", "#!/bin/sh\n"), ("usr/share/tool/data", "data")] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), content).unwrap();
    }
    std::fs::write(root.join("usr/share").join("n".repeat(200)), "long name").unwrap();
    std::fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/twin")).unwrap();
    let text =
        "Package: tool\nVersion: 1:2.0~rc1-3\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: x\n";
    std::fs::write(root.join("DEBIAN/control"), text).unwrap();
    for compression in ["none", "gzip", "xz", "zstd"] {
        let package = dir.path().join(format!("{compression}.deb"));
        let packed = Command::new("dpkg-deb")
            .args(["--root-owner-group", &format!("-Z{compression}"), "--build"])
            .args([&root, &package])
            .output()
            .unwrap();
        if !packed.status.success() {
            eprintln!("skipped: this dpkg-deb does not know {compression}");
            continue;
        }
        let contents = read(&std::fs::read(&package).unwrap()).unwrap();
        let unpacked = dir.path().join(compression);
        assert!(Command::new("dpkg-deb").arg("-x").args([&package, &unpacked]).status().unwrap().success());
        assert_eq!(contents.files.len(), 4, "{compression}");
        for file in &contents.files {
            let bytes = std::fs::read(unpacked.join(file.path.trim_start_matches('/'))).unwrap();
            assert_eq!(file.digests[0].to_string(), ima(&bytes), "{compression} {}", file.path);
        }
    }
}
