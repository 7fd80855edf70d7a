//! Private files: whole or not at all, and for one pair of eyes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use vouchsafe_pki::files::{
    FolderError, ReadFileError, WriteFileError, create_private_file, create_private_folder, read_file,
    read_private_file, write_private_file,
};

#[test]
fn replaces_a_file_and_makes_it_private_whatever_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    fs::write(&path, "old and longer").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    write_private_file(&path, b"new").unwrap();
    assert_eq!(&*read_private_file(&path, 100).unwrap(), b"new");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn creates_a_file_once_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    create_private_file(&path, b"first").unwrap();
    let error = create_private_file(&path, b"second").unwrap_err();
    assert!(matches!(&error, WriteFileError::Exists { path: named } if *named == path), "{error}");
    assert_eq!(&*read_private_file(&path, 100).unwrap(), b"first");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn of_many_writers_at_once_one_creates_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let winners = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8u8)
            .map(|n| {
                scope.spawn({
                    let path = &path;
                    move || create_private_file(path, &[n; 64]).is_ok()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(winners, 1);
    let bytes = read_private_file(&path, 100).unwrap();
    assert!(bytes.len() == 64 && bytes.iter().all(|byte| *byte == bytes[0]));
}

#[test]
fn reads_the_maximum_and_not_one_byte_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    write_private_file(&path, &[7; 100]).unwrap();
    assert_eq!(read_private_file(&path, 100).unwrap().len(), 100);
    assert_eq!(read_file(&path, 100).unwrap().len(), 100);
    assert!(matches!(read_private_file(&path, 99), Err(ReadFileError::TooLarge { max: 99, .. })));
    assert!(matches!(read_file(&path, 99), Err(ReadFileError::TooLarge { max: 99, .. })));
}

#[test]
fn refuses_to_read_what_others_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_private_file(&path, b"secret").unwrap();
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = read_private_file(&path, 100).unwrap_err();
        assert!(matches!(refused, ReadFileError::TooOpen { mode: found, .. } if found == mode), "{refused}");
    }
    assert!(read_file(&path, 100).is_ok(), "a public file may be read by all");
}

#[test]
fn a_failure_names_the_step_and_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent").join("key");
    let error = write_private_file(&absent, b"x").unwrap_err();
    assert!(error.to_string().starts_with("cannot create ") && error.to_string().ends_with("absent/key"), "{error}");
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("inside"), "x").unwrap();
    let error = write_private_file(&folder, b"x").unwrap_err();
    assert!(matches!(error, WriteFileError::Io { step: "put in place", .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
    assert!(matches!(write_private_file("..".as_ref(), b"x"), Err(WriteFileError::NoName { .. })));
}

#[test]
fn makes_private_folders_and_refuses_others() {
    let dir = tempfile::tempdir().unwrap();
    let nested = dir.path().join("a").join("b");
    create_private_folder(&nested).unwrap();
    create_private_folder(&nested).unwrap();
    for folder in [&nested, &dir.path().join("a")] {
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700);
    }
    fs::set_permissions(&nested, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(matches!(create_private_folder(&nested), Err(FolderError::TooOpen { mode: 0o750, .. })));
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(create_private_folder(&file), Err(FolderError::NoFolder { .. })));
}
