use super::*;

fn files(named: &[(&str, &[u8])]) -> Files {
    named.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect()
}

/// An archive of one entry that is written as it is said.
fn entry(kind: EntryType, path: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    append(&mut builder, kind, path, content);
    builder.into_inner().unwrap().finish().unwrap()
}

fn append<W: Write>(builder: &mut Builder<W>, kind: EntryType, path: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    if kind.is_symlink() {
        header.set_link_name("target").unwrap();
    }
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_packed_is_unpacked_and_packed_the_same_again() {
    let all = files(&[(".manifest", b"{}"), ("a/b/policy.rego", b"package a"), ("data.json", b"{}")]);
    let packed = pack(&all).unwrap();
    assert_eq!(unpack(&packed).unwrap(), all);
    assert_eq!(pack(&all).unwrap(), packed);
}

#[test]
fn paths_are_read_as_opa_and_tar_write_them() {
    for path in ["a/policy.rego", "/a/policy.rego", "./a/policy.rego"] {
        let unpacked = unpack(&entry(EntryType::Regular, path, b"x")).unwrap();
        assert_eq!(unpacked, files(&[("a/policy.rego", b"x")]), "{path}");
    }
    assert!(unpack(&entry(EntryType::Directory, "./", b"")).unwrap().is_empty());
    assert!(unpack(&entry(EntryType::Directory, "a/b/", b"")).unwrap().is_empty());
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../x.rego", "/../x.rego", "a/../../x", "a/./x", "a//x", "//x", "a\\x", "a\nx", "..", "./../x"] {
        let outcome = unpack(&entry(EntryType::Regular, path, b"x"));
        assert!(matches!(outcome, Err(ArchiveError::Path { .. })), "{path}: {outcome:?}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let outcome = unpack(&entry(kind, "policy.rego", b""));
        assert!(matches!(outcome, Err(ArchiveError::NotAFile { .. })), "{kind:?}: {outcome:?}");
    }
}

#[test]
fn one_path_is_one_file() {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    append(&mut builder, EntryType::Regular, "policy.rego", b"package a");
    append(&mut builder, EntryType::Regular, "/policy.rego", b"package b");
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    assert!(matches!(unpack(&bytes), Err(ArchiveError::Duplicate { .. })));
}

#[test]
fn a_file_is_taken_at_its_largest_and_refused_one_byte_later() {
    let random = |n: usize| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
    let random: Vec<u8> = (0..=limits::FILE_BYTES).map(random).collect();
    assert!(unpack(&entry(EntryType::Regular, "data.json", &random[1..])).is_ok());
    let outcome = unpack(&entry(EntryType::Regular, "data.json", &random));
    assert!(matches!(outcome, Err(ArchiveError::FileTooLarge { .. })), "{outcome:?}");
}

#[test]
fn a_bomb_is_not_unpacked() {
    let zeros = vec![0; limits::UNPACKED_ANYWAY * 2];
    let bomb = gzip(&zeros);
    assert!(bomb.len() * limits::COMPRESSION_RATIO < zeros.len());
    assert!(matches!(unpack(&bomb), Err(ArchiveError::Bomb { .. })), "{:?}", unpack(&bomb));
    let outcome = unpack(&entry(EntryType::Regular, "data.json", &zeros));
    assert!(matches!(outcome, Err(ArchiveError::Bomb { .. } | ArchiveError::FileTooLarge { .. })), "{outcome:?}");
    assert!(matches!(unpack(&vec![0; limits::ARCHIVE_BYTES + 1]), Err(ArchiveError::TooLarge)));
}

#[test]
fn too_many_entries_are_refused() {
    let archive = |count: usize| {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
        (0..count).for_each(|_| append(&mut builder, EntryType::Directory, "a", b""));
        builder.into_inner().unwrap().finish().unwrap()
    };
    assert!(unpack(&archive(limits::FOLDER_ENTRIES)).is_ok());
    assert!(matches!(unpack(&archive(limits::FOLDER_ENTRIES + 1)), Err(ArchiveError::TooManyEntries)));
}

#[test]
fn what_is_cut_short_changed_or_continued_is_refused() {
    let good = pack(&files(&[("policy.rego", b"package a\n\nx := 1"), ("data.json", b"{}")])).unwrap();
    for length in 0..good.len() {
        let outcome = unpack(&good[..length]);
        // Without its last bytes the sum of gzip is missing.
        assert!(outcome.is_err(), "{length} of {}: {outcome:?}", good.len());
    }
    for index in 10..good.len() {
        let mut changed = good.clone();
        changed[index] ^= 0x55;
        assert!(unpack(&changed).is_err(), "{index}");
    }
    let continued = [good.as_slice(), b"x"].concat();
    assert!(matches!(unpack(&continued), Err(ArchiveError::Trailing)));
    let twice = [good.as_slice(), good.as_slice()].concat();
    assert!(matches!(unpack(&twice), Err(ArchiveError::Trailing)));
}
