//! Packages, keys and repositories, made for a test.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use pgp::composed::{
    CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Duration, KeyDetails as _, Password, Timestamp as PgpTimestamp};
use vouchsafe_model::Timestamp;
use vouchsafe_model::hash::to_hex;
use vouchsafe_packages::openpgp::Keyring;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    to_hex(digest(&SHA256, bytes).as_ref())
}

/// The digest as it stands in an inventory.
pub(crate) fn ima(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// The instant at which tests take place.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// One entry of a tar archive.
#[derive(Clone)]
pub(crate) struct TarEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) mode: u32,
    pub(crate) link: Vec<u8>,
    pub(crate) content: Vec<u8>,
    /// What the header says, if that is not the truth.
    pub(crate) size: Option<String>,
}

pub(crate) fn file(path: &str, content: &[u8]) -> TarEntry {
    let (path, content) = (path.as_bytes().to_vec(), content.to_vec());
    TarEntry { path, kind: b'0', mode: 0o644, link: Vec::new(), content, size: None }
}

pub(crate) fn program(path: &str, content: &[u8]) -> TarEntry {
    TarEntry { mode: 0o755, ..file(path, content) }
}

pub(crate) fn special(kind: u8, path: &str, link: &str) -> TarEntry {
    TarEntry { kind, link: link.as_bytes().to_vec(), ..file(path, b"") }
}

fn tar_block(entry: &TarEntry, name: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(100)]);
    put(100, format!("{:07o}\0", entry.mode).as_bytes());
    put(108, b"0000000\x000000000\0");
    let size = entry.size.clone().unwrap_or_else(|| format!("{:011o}\0", entry.content.len()));
    put(124, size.as_bytes());
    put(136, b"00000000000\0        ");
    put(156, &[entry.kind]);
    put(157, &entry.link[..entry.link.len().min(100)]);
    put(257, b"ustar  \0");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

pub(crate) fn tar(entries: &[TarEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        if entry.path.len() > 100 {
            let content = [entry.path.as_slice(), b"\0"].concat();
            let long = TarEntry { kind: b'L', content: content.clone(), size: None, ..file("././@LongLink", b"") };
            bytes.extend(tar_block(&long, b"././@LongLink"));
            pad(&mut bytes, &content, 512);
        }
        bytes.extend(tar_block(entry, &entry.path));
        pad(&mut bytes, &entry.content, 512);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn pad(bytes: &mut Vec<u8>, content: &[u8], to: usize) {
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

pub(crate) fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes());
        bytes.extend(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

pub(crate) fn control(name: &str, version: &str, arch: &str) -> Vec<u8> {
    let text = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: Nobody <nobody@example.org>\nDescription: a test\n"
    );
    tar(&[special(b'5', "./", ""), file("./control", text.as_bytes())])
}

/// A `.deb` whose data is not compressed.
pub(crate) fn deb(name: &str, version: &str, arch: &str, entries: &[TarEntry]) -> Vec<u8> {
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.xz", xz(&control(name, version, arch))),
        ("data.tar", tar(entries)),
    ];
    ar(&members)
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A key that was made for one test.
pub(crate) struct Key(SignedSecretKey);

/// How a signature is made.
#[derive(Clone, Copy)]
pub(crate) struct Signing {
    pub(crate) kind: SignatureType,
    pub(crate) hash: HashAlgorithm,
    pub(crate) at: Timestamp,
    pub(crate) expires_secs: Option<u32>,
}

impl Default for Signing {
    fn default() -> Self {
        Self { kind: SignatureType::Binary, hash: HashAlgorithm::Sha256, at: now(), expires_secs: None }
    }
}

fn pgp_time(at: Timestamp) -> PgpTimestamp {
    PgpTimestamp::from_secs(u32::try_from(at.unix_secs()).unwrap())
}

impl Key {
    pub(crate) fn new() -> Self {
        Self::born("2026-01-01T00:00:00Z".parse().unwrap())
    }

    pub(crate) fn born(at: Timestamp) -> Self {
        Self::of_type(KeyType::Ed25519Legacy, at)
    }

    /// RSA, as long as it takes to count.
    pub(crate) fn rsa() -> Self {
        Self::of_type(KeyType::Rsa(2048), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    fn of_type(kind: KeyType, at: Timestamp) -> Self {
        let mut parameters = SecretKeyParamsBuilder::default();
        parameters
            .key_type(kind)
            .created_at(pgp_time(at))
            .can_certify(true)
            .can_sign(true)
            .can_encrypt(EncryptionCaps::None)
            .primary_user_id("Archive <archive@example.org>".into());
        Self(parameters.build().unwrap().generate(rand08::thread_rng()).unwrap())
    }

    pub(crate) fn public(&self) -> Vec<u8> {
        SignedPublicKey::from(self.0.clone()).to_bytes().unwrap()
    }

    pub(crate) fn armoured(&self) -> String {
        SignedPublicKey::from(self.0.clone()).to_armored_string(pgp::composed::ArmorOptions::default()).unwrap()
    }

    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::read(&self.public()).unwrap()
    }

    pub(crate) fn fingerprint(&self) -> String {
        format!("{:X}", self.0.fingerprint())
    }

    fn config(&self, signing: Signing) -> SignatureConfig {
        let mut config = SignatureConfig::v4(signing.kind, self.0.primary_key.algorithm(), signing.hash);
        let mut packets = vec![
            SubpacketData::SignatureCreationTime(pgp_time(signing.at)),
            SubpacketData::IssuerFingerprint(self.0.fingerprint()),
        ];
        packets
            .extend(signing.expires_secs.map(|secs| SubpacketData::SignatureExpirationTime(Duration::from_secs(secs))));
        config.hashed_subpackets = packets.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect();
        config.unhashed_subpackets =
            vec![Subpacket::regular(SubpacketData::IssuerKeyId(self.0.legacy_key_id())).unwrap()];
        config
    }

    /// The signature by which the key binds its own name: one of this key, but not over data.
    pub(crate) fn self_signature(&self) -> Vec<u8> {
        let signature = self.0.details.users[0].signatures[0].clone();
        pgp::composed::DetachedSignature::new(signature).to_bytes().unwrap()
    }

    /// A detached signature, binary.
    pub(crate) fn sign(&self, bytes: &[u8], signing: Signing) -> Vec<u8> {
        let signature = self.config(signing).sign(&self.0.primary_key, &Password::empty(), bytes).unwrap();
        pgp::composed::DetachedSignature::new(signature).to_bytes().unwrap()
    }

    /// A clear-signed text.
    pub(crate) fn clear_sign(&self, text: &str, signing: Signing) -> String {
        let config = self.config(Signing { kind: SignatureType::Text, ..signing });
        let message = CleartextSignedMessage::new(text, config, &self.0.primary_key, &Password::empty()).unwrap();
        message.to_armored_string(pgp::composed::ArmorOptions::default()).unwrap()
    }
}

/// A repository of one suite (`stable`, codename `bookworm`), one component and one architecture.
pub(crate) struct Archive {
    pub(crate) packages: Vec<(String, Vec<u8>)>,
    pub(crate) index: String,
    pub(crate) date: &'static str,
    pub(crate) valid_until: Option<&'static str>,
}

impl Archive {
    pub(crate) fn new(packages: &[(&str, &str, Vec<u8>)]) -> Self {
        let mut index = String::new();
        let mut files = Vec::new();
        for (name, version, bytes) in packages {
            let path = format!("pool/main/{name}_{version}_amd64.deb");
            write!(
                index,
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\nSize: {}\nSHA256: {}\nDescription: a test\n over two lines\n\n",
                bytes.len(),
                sha256(bytes)
            )
            .unwrap();
            files.push((path, bytes.clone()));
        }
        Self { packages: files, index, date: "Sun, 01 Mar 2026 10:00:00 UTC", valid_until: None }
    }

    pub(crate) fn release(&self) -> String {
        let packed = xz(self.index.as_bytes());
        let until = self.valid_until.map(|until| format!("Valid-Until: {until}\n")).unwrap_or_default();
        format!(
            "Origin: Test\nSuite: stable\nCodename: bookworm\nDate: {}\n{until}Acquire-By-Hash: yes\nArchitectures: amd64\nComponents: main\nMD5Sum:\n 00000000000000000000000000000000 1 main/binary-amd64/Packages.xz\nSHA256:\n {} {} main/binary-amd64/Packages\n {} {} main/binary-amd64/Packages.xz\n",
            self.date,
            sha256(self.index.as_bytes()),
            self.index.len(),
            sha256(&packed),
            packed.len()
        )
    }

    /// Writes it down, signed by a key.
    pub(crate) fn publish(&self, root: &Path, key: &Key) {
        self.write(root);
        let signed = key.clear_sign(&self.release(), Signing::default());
        std::fs::write(root.join("dists/bookworm/InRelease"), signed).unwrap();
    }

    /// Writes it down without a signature.
    pub(crate) fn write(&self, root: &Path) {
        let suite = root.join("dists/bookworm");
        std::fs::create_dir_all(suite.join("main/binary-amd64")).unwrap();
        std::fs::write(suite.join("main/binary-amd64/Packages.xz"), xz(self.index.as_bytes())).unwrap();
        std::fs::write(suite.join("Release"), self.release()).unwrap();
        for (path, bytes) in &self.packages {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
