use vouchsafe_packages::openpgp::{SignatureRefused, Standing};
use vouchsafe_packages::rpm::{HeaderError, PayloadError, Rpm, RpmError};
use vouchsafe_packages::{Algorithms, Contents, ContentsRejected, Limits};

use crate::forge::{Key, Signing, gzip, ima, now, sha256, xz, zstd};

/// A value in a header.
enum Value {
    Text(&'static str),
    Owned(String),
    Texts(Vec<String>),
    Shorts(Vec<u16>),
    Words(Vec<u32>),
    Bytes(Vec<u8>),
}

fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

fn header(values: &[(u32, Value)]) -> Vec<u8> {
    let (mut index, mut store) = (Vec::new(), Vec::new());
    for (tag, value) in values {
        let (kind, count, bytes): (u32, usize, Vec<u8>) = match value {
            Value::Text(text) => (6, 1, [text.as_bytes(), b"\0"].concat()),
            Value::Owned(text) => (6, 1, [text.as_bytes(), b"\0"].concat()),
            Value::Texts(texts) => {
                (8, texts.len(), texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect())
            }
            Value::Shorts(numbers) => (3, numbers.len(), numbers.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::Words(numbers) => (4, numbers.len(), numbers.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::Bytes(bytes) => (7, bytes.len(), bytes.clone()),
        };
        while !store.len().is_multiple_of(4) {
            store.push(0);
        }
        for word in [*tag, kind, word(store.len()), word(count)] {
            index.extend(word.to_be_bytes());
        }
        store.extend(bytes);
    }
    let mut bytes = vec![0x8E, 0xAD, 0xE8, 0x01, 0, 0, 0, 0];
    bytes.extend(word(values.len()).to_be_bytes());
    bytes.extend(word(store.len()).to_be_bytes());
    [bytes, index, store].concat()
}

#[derive(Clone)]
struct File {
    folder: &'static str,
    name: &'static str,
    mode: u16,
    inode: u32,
    content: &'static [u8],
}

const FILES: [File; 5] = [
    File { folder: "/usr/bin/", name: "tool", mode: 0o100_755, inode: 1, content: b"\x7FELF tool" },
    File { folder: "/usr/share/", name: "one", mode: 0o100_644, inode: 7, content: b"shared" },
    File { folder: "/usr/share/", name: "two", mode: 0o100_644, inode: 7, content: b"shared" },
    File { folder: "/usr/bin/", name: "link", mode: 0o120_777, inode: 3, content: b"tool" },
    File { folder: "/usr/share/", name: "empty", mode: 0o100_644, inode: 4, content: b"" },
];

fn newc(path: &str, mode: u32, inode: u32, links: u32, content: &[u8]) -> Vec<u8> {
    let numbers = [inode, mode, 0, 0, links, 0, word(content.len()), 0, 0, 0, 0, word(path.len() + 1), 0];
    let mut bytes = b"070701".to_vec();
    numbers.iter().for_each(|number| bytes.extend(format!("{number:08x}").bytes()));
    bytes.extend([path.as_bytes(), b"\0"].concat());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn links(file: &File) -> u32 {
    word(FILES.iter().filter(|other| other.inode == file.inode).count())
}

/// rpm writes the content of a file with several names behind the last of them.
fn bears_content(file: &File) -> bool {
    FILES.iter().rfind(|other| other.inode == file.inode).is_some_and(|last| last.name == file.name)
}

fn cpio() -> Vec<u8> {
    let entry = |file: &File| {
        let content = if bears_content(file) { file.content } else { b"" };
        newc(&format!(".{}{}", file.folder, file.name), file.mode.into(), file.inode, links(file), content)
    };
    let mut bytes: Vec<u8> = FILES.iter().flat_map(entry).collect();
    bytes.extend(newc("TRAILER!!!", 0, 0, 1, b""));
    bytes
}

fn stripped() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, file) in FILES.iter().enumerate() {
        bytes.extend(format!("07070X{index:08x}\0\0").into_bytes());
        bytes.extend(if bears_content(file) { file.content } else { b"" });
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes.extend(newc("TRAILER!!!", 0, 0, 1, b""));
    bytes
}

/// How a package is made.
struct Recipe {
    payload: Vec<u8>,
    compressor: &'static str,
    payload_digest: Option<String>,
    file_digests: Vec<String>,
    extra: Vec<(u32, Value)>,
    header_digest: Option<String>,
}

impl Recipe {
    fn new(payload: Vec<u8>, compressor: &'static str) -> Self {
        let digest =
            |file: &File| if file.mode & 0o170_000 == 0o100_000 { sha256(file.content) } else { String::new() };
        Self {
            payload_digest: Some(sha256(&payload)),
            payload,
            compressor,
            file_digests: FILES.iter().map(digest).collect(),
            extra: vec![(1044, Value::Text("tool-2.0-1.src.rpm"))],
            header_digest: None,
        }
    }

    fn build(self, key: Option<&Key>) -> Vec<u8> {
        let mut values = vec![
            (1000, Value::Text("tool")),
            (1001, Value::Text("2.0")),
            (1002, Value::Text("1.fc40")),
            (1003, Value::Words(vec![3])),
            (1022, Value::Text("x86_64")),
            (1028, Value::Words(FILES.iter().map(|file| word(file.content.len())).collect())),
            (1030, Value::Shorts(FILES.iter().map(|file| file.mode).collect())),
            (1035, Value::Texts(self.file_digests)),
            (1037, Value::Words(vec![0; FILES.len()])),
            (1096, Value::Words(FILES.iter().map(|file| file.inode).collect())),
            (1116, Value::Words(FILES.iter().map(|file| u32::from(file.folder == "/usr/share/")).collect())),
            (1117, Value::Texts(FILES.iter().map(|file| file.name.to_owned()).collect())),
            (1118, Value::Texts(vec!["/usr/bin/".to_owned(), "/usr/share/".to_owned()])),
            (1124, Value::Text("cpio")),
            (1125, Value::Text(self.compressor)),
            (5011, Value::Words(vec![8])),
        ];
        if let Some(digest) = self.payload_digest {
            values.extend([(5092, Value::Texts(vec![digest])), (5093, Value::Words(vec![8]))]);
        }
        values.extend(self.extra);
        let main = header(&values);
        let digest = self.header_digest.unwrap_or_else(|| sha256(&main));
        let mut signatures = vec![(273, Value::Owned(digest))];
        if let Some(key) = key {
            signatures.push((268, Value::Bytes(key.sign(&main, Signing::default()))));
        }
        let mut signatures = header(&signatures);
        signatures.resize(signatures.len().next_multiple_of(8), 0);
        let mut lead = vec![0xED, 0xAB, 0xEE, 0xDB, 3, 0];
        lead.resize(96, 0);
        [lead, signatures, main, self.payload].concat()
    }
}

/// A signed package.
pub(crate) fn package(key: Option<&Key>) -> Vec<u8> {
    Recipe::new(gzip(&cpio()), "gzip").build(key)
}

fn read(bytes: &[u8]) -> Result<Contents, RpmError> {
    Rpm::open(bytes)?.read(&Algorithms::default(), Limits::default())
}

fn digests(contents: &Contents) -> Vec<(&str, String)> {
    contents.files.iter().map(|file| (file.path.as_str(), file.digests[0].to_string())).collect()
}

fn expected() -> Vec<(&'static str, String)> {
    vec![
        ("/usr/bin/tool", ima(b"\x7FELF tool")),
        ("/usr/share/empty", ima(b"")),
        ("/usr/share/one", ima(b"shared")),
        ("/usr/share/two", ima(b"shared")),
    ]
}

#[test]
fn every_compression_and_both_forms_of_cpio_are_read() {
    for cpio in [cpio(), stripped()] {
        for (compressor, payload) in
            [("gzip", gzip(&cpio)), ("xz", xz(&cpio)), ("zstd", zstd(&cpio)), ("none", cpio.clone())]
        {
            let bytes = Recipe::new(payload, compressor).build(None);
            assert_eq!(Rpm::open(bytes.as_slice()).unwrap().id().to_string(), "tool 3:2.0-1.fc40 (x86_64)");
            assert_eq!(digests(&read(&bytes).unwrap()), expected(), "{compressor}");
        }
    }
}

#[test]
fn the_signature_over_the_header_counts_by_its_key() {
    let (key, other) = (Key::new(), Key::new());
    let bytes = package(Some(&key));
    let rpm = Rpm::open(bytes.as_slice()).unwrap();
    let standing = Standing::WhenSigned(now());
    assert_eq!(rpm.verify(&key.keyring(), standing).unwrap().fingerprint(), key.fingerprint());
    let error = rpm.verify(&other.keyring(), standing).unwrap_err();
    assert!(matches!(error, RpmError::Signature(SignatureRefused::UnknownKey(_))), "{error}");
    let unsigned = package(None);
    let error = Rpm::open(unsigned.as_slice()).unwrap().verify(&key.keyring(), standing).unwrap_err();
    assert!(matches!(error, RpmError::Unsigned), "{error}");
}

#[test]
fn a_signed_header_must_name_the_payload() {
    let key = Key::new();
    let standing = Standing::WhenSigned(now());
    let by_files = Recipe { payload_digest: None, ..Recipe::new(gzip(&cpio()), "gzip") }.build(Some(&key));
    Rpm::open(by_files.as_slice()).unwrap().verify(&key.keyring(), standing).unwrap();
    let none = vec![String::new(); FILES.len()];
    let unbound =
        Recipe { payload_digest: None, file_digests: none, ..Recipe::new(gzip(&cpio()), "gzip") }.build(Some(&key));
    let error = Rpm::open(unbound.as_slice()).unwrap().verify(&key.keyring(), standing).unwrap_err();
    assert!(matches!(error, RpmError::Unbound), "{error}");
}

#[test]
fn a_payload_or_a_file_that_is_not_the_one_in_the_header_is_refused() {
    let other = Recipe { payload_digest: Some("00".repeat(32)), ..Recipe::new(gzip(&cpio()), "gzip") }.build(None);
    assert!(matches!(read(&other), Err(RpmError::Payload(PayloadError::Digest { .. }))));
    let mut file_digests: Vec<_> = FILES.iter().map(|file| sha256(file.content)).collect();
    file_digests[0] = sha256(b"another tool");
    let other = Recipe { file_digests, ..Recipe::new(gzip(&cpio()), "gzip") }.build(None);
    assert!(matches!(read(&other), Err(RpmError::Payload(PayloadError::File(path))) if path == "/usr/bin/tool"));
    let unlisted = [newc("./etc/shadow", 0o100_644, 9, 1, b"x"), newc("TRAILER!!!", 0, 0, 1, b"")].concat();
    let error = read(&Recipe::new(unlisted, "none").build(None)).unwrap_err();
    assert!(matches!(error, RpmError::Payload(PayloadError::Unlisted(ref path)) if path == "/etc/shadow"), "{error}");
}

#[test]
fn a_header_that_is_not_its_digest_and_a_source_package_are_refused() {
    let digest = Some("00".repeat(32));
    let other = Recipe { header_digest: digest, ..Recipe::new(gzip(&cpio()), "gzip") }.build(None);
    assert!(matches!(read(&other), Err(RpmError::HeaderDigest { .. })));
    let source =
        Recipe { extra: vec![(1106, Value::Words(vec![1]))], ..Recipe::new(gzip(&cpio()), "gzip") }.build(None);
    assert!(matches!(read(&source), Err(RpmError::Source)));
    let twice = vec![(1044, Value::Text("x.src.rpm")), (1000, Value::Text("other"))];
    let twice = Recipe { extra: twice, ..Recipe::new(gzip(&cpio()), "gzip") }.build(None);
    assert!(matches!(read(&twice), Err(RpmError::Header { source: HeaderError::Duplicate(1000), .. })));
}

#[test]
fn a_package_that_is_cut_short_is_refused_at_every_length() {
    let whole = package(Some(&Key::new()));
    read(&whole).unwrap();
    for len in 0..whole.len() {
        assert!(read(&whole[..len]).is_err(), "{len}");
    }
}

#[test]
fn no_flipped_bit_of_what_is_signed_passes() {
    let key = Key::new();
    let whole = package(Some(&key));
    let keyring = key.keyring();
    // Behind the lead, which says nothing.
    for at in (96..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x04;
        let Ok(rpm) = Rpm::open(flipped.as_slice()) else { continue };
        if rpm.verify(&keyring, Standing::WhenSigned(now())).is_err() {
            continue;
        }
        if let Ok(contents) = rpm.read(&Algorithms::default(), Limits::default()) {
            assert_eq!(digests(&contents), expected(), "byte {at}");
        }
    }
}

#[test]
fn counts_and_lengths_that_lie_take_no_memory() {
    let mut bytes = vec![0xED, 0xAB, 0xEE, 0xDB];
    bytes.resize(96, 0);
    let preamble = |entries: u32, len: u32| {
        let words = [entries.to_be_bytes(), len.to_be_bytes()].concat();
        [bytes.as_slice(), &[0x8E, 0xAD, 0xE8, 0x01, 0, 0, 0, 0], &words].concat()
    };
    let error = |entries, len| match read(&preamble(entries, len)) {
        Err(RpmError::Header { source, .. }) => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(error(65_536, 256 << 20), HeaderError::Short));
    assert!(matches!(error(65_537, 0), HeaderError::TooManyEntries(65_537)));
    assert!(matches!(error(0, (256 << 20) + 1), HeaderError::TooLong(_)));
}

#[test]
fn a_bomb_is_stopped_at_the_bound() {
    let limits = Limits { package_len: 1 << 20, unpacked_len: 10, files: 4 };
    let bytes = package(None);
    let error = Rpm::open(bytes.as_slice()).unwrap().read(&Algorithms::default(), limits).unwrap_err();
    let is_bound = |error: &RpmError| {
        matches!(
            error,
            RpmError::Payload(PayloadError::Contents(
                ContentsRejected::TooLong(10) | ContentsRejected::TooManyFiles(4)
            ))
        )
    };
    assert!(is_bound(&error), "{error}");
}
