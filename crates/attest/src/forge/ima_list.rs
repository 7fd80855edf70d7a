//! IMA lists as a kernel writes them, and as none would.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex};

use super::{ForgedTpm, pcr_value};
use crate::digest::algorithm;

const BANKS: [HashAlgorithm; 4] =
    [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];

/// A measurement list in both forms, with the PCR 10 that it makes.
#[derive(Clone, Debug)]
pub struct ImaList {
    binary: Vec<u8>,
    ascii: String,
    starts: Vec<usize>,
    pcr10: BTreeMap<HashAlgorithm, Vec<u8>>,
}

impl ImaList {
    /// An empty list.
    pub fn new() -> Self {
        let pcr10 = BANKS.into_iter().map(|bank| (bank, vec![0; bank.digest_len()])).collect();
        Self { binary: Vec::new(), ascii: String::new(), starts: Vec::new(), pcr10 }
    }

    /// A list that begins with the boot aggregate of these PCRs, as a kernel from 5.9 on makes it.
    pub fn at_boot(pcrs: &PcrBank) -> Self {
        let end = if pcrs.bank == HashAlgorithm::Sha1 { 8 } else { 10 };
        let values = pcrs.values.iter().filter(|(pcr, _)| pcr.get() < end).map(|(_, value)| value.as_bytes());
        let aggregate = crate::digest::digest_of(algorithm(pcrs.bank).expect("a bank of the TPM"), values);
        let mut list = Self::new();
        let digest = digest_ng(pcrs.bank.name(), aggregate.as_ref());
        list.entry("ima-ng", &[&digest, b"boot_aggregate\0"]);
        list
    }

    /// Measures a file of this content (`ima-ng`, SHA-256).
    pub fn file(&mut self, path: &str, content: &[u8]) -> &mut Self {
        let digest = digest_ng("sha256", digest(&SHA256, content).as_ref());
        self.entry("ima-ng", &[&digest, &name(path)])
    }

    /// Measures a file with what its `security.ima` holds (`ima-sig`, SHA-256).
    pub fn signed(&mut self, path: &str, content: &[u8], signature: &[u8]) -> &mut Self {
        let digest = digest_ng("sha256", digest(&SHA256, content).as_ref());
        self.entry("ima-sig", &[&digest, &name(path), signature])
    }

    /// Measures a buffer (`ima-buf`): a key on a keyring, a command line.
    pub fn buffer(&mut self, of: &str, buffer: &[u8]) -> &mut Self {
        let digest = digest_ng("sha256", digest(&SHA256, buffer).as_ref());
        self.entry("ima-buf", &[&digest, &name(of), buffer])
    }

    /// Notes that a file changed while it was measured.
    pub fn violation(&mut self, path: &str) -> &mut Self {
        let data = fields(&[&digest_ng("sha256", &[0; 32]), &name(path)]);
        self.raw(10, [0; 20], "ima-ng", &data)
    }

    /// An entry of any template but `ima`, by its fields.
    pub fn entry(&mut self, template: &str, values: &[&[u8]]) -> &mut Self {
        let data = fields(values);
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &data);
        self.raw(10, hash.as_ref().try_into().expect("SHA-1 has 20 bytes"), template, &data)
    }

    /// An entry of the template `ima`.
    pub fn ima(&mut self, path: &str, content: &[u8]) -> &mut Self {
        let content = digest(&SHA1_FOR_LEGACY_USE_ONLY, content);
        let mut hashed = [content.as_ref(), path.as_bytes()].concat();
        hashed.resize(20 + 256, 0);
        let len = u32::try_from(path.len()).expect("a path").to_le_bytes();
        let data = [content.as_ref(), &len, path.as_bytes()].concat();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed);
        self.push(10, hash.as_ref().try_into().expect("SHA-1 has 20 bytes"), "ima", &data, &hashed)
    }

    /// An entry of which everything is told by the caller, right or wrong. PCR 10 is extended as a kernel would.
    pub fn raw(&mut self, pcr: u32, hash: [u8; 20], template: &str, data: &[u8]) -> &mut Self {
        self.push(pcr, hash, template, data, data)
    }

    /// Its binary form.
    pub fn bytes(&self) -> &[u8] {
        &self.binary
    }

    /// Its ASCII form, as far as its templates are `ima-ng`, `ima-sig` and `ima-buf`.
    pub fn ascii(&self) -> &str {
        &self.ascii
    }

    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        self.starts.len().try_into().expect("a short list")
    }

    /// Where an entry begins; the first is 1. The one behind the last begins at the end.
    pub fn start_of(&self, entry: usize) -> usize {
        self.starts.get(entry.saturating_sub(1)).copied().unwrap_or(self.binary.len())
    }

    /// PCR 10 behind the last entry.
    pub fn pcr10(&self, bank: HashAlgorithm) -> PcrValue {
        pcr_value(self.pcr10.get(&bank).expect("a bank of the TPM"))
    }

    fn push(&mut self, pcr: u32, hash: [u8; 20], template: &str, data: &[u8], hashed: &[u8]) -> &mut Self {
        self.starts.push(self.binary.len());
        self.binary.extend(pcr.to_le_bytes());
        self.binary.extend(hash);
        self.binary.extend(sized(template.as_bytes()));
        self.binary.extend(if template == "ima" { data.to_vec() } else { sized(data) });
        self.push_line(pcr, hash, template, data);
        if pcr == 10 {
            for (bank, value) in &mut self.pcr10 {
                let algorithm = algorithm(*bank).expect("a bank of the TPM");
                let measured = if hash == [0; 20] {
                    vec![0xFF; bank.digest_len()]
                } else if *bank == HashAlgorithm::Sha1 {
                    hash.to_vec()
                } else {
                    digest(algorithm, hashed).as_ref().to_vec()
                };
                *value = digest(algorithm, &[value.clone(), measured].concat()).as_ref().to_vec();
            }
        }
        self
    }

    fn push_line(&mut self, pcr: u32, hash: [u8; 20], template: &str, data: &[u8]) {
        let mut line = format!("{pcr:2} {} {template}", to_hex(&hash));
        let mut rest = data;
        let mut position = 0;
        while let Some((len, behind)) = rest.split_first_chunk::<4>() {
            let len = usize::try_from(u32::from_le_bytes(*len)).expect("a length");
            let Some((value, behind)) = behind.split_at_checked(len) else { break };
            let text = match (position, value.iter().position(|byte| *byte == 0)) {
                (0, Some(nul)) => {
                    let (prefix, digest) = value.split_at(nul);
                    format!("{}{}", String::from_utf8_lossy(prefix), to_hex(digest.get(1..).unwrap_or_default()))
                }
                (1, Some(nul)) => String::from_utf8_lossy(value.split_at(nul).0).into_owned(),
                _ => to_hex(value),
            };
            write!(line, " {text}").expect("a string takes all");
            rest = behind;
            position += 1;
        }
        self.ascii.push_str(&line);
        self.ascii.push('\n');
    }
}

impl Default for ImaList {
    fn default() -> Self {
        Self::new()
    }
}

impl ForgedTpm {
    /// Sets PCR 10 to what the list makes it, in every bank.
    pub fn measure_ima(&mut self, list: &ImaList) {
        let ima = PcrIndex::new(10).expect("below 24");
        for (bank, values) in &mut self.pcrs {
            values.insert(ima, list.pcr10(*bank));
        }
    }
}

/// A P-256 key that signs files.
#[derive(Debug)]
pub struct ImaSigner {
    pair: EcdsaKeyPair,
    key_id: [u8; 4],
}

impl ImaSigner {
    /// A new key, which is named by its bits, as evmctl names a bare key.
    pub fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self::named(pair, None)
    }

    /// A key from PKCS #8, named by its bits or by the end of its certificate's subject key identifier.
    pub fn from_pkcs8(pkcs8: &[u8], key_id: Option<[u8; 4]>) -> Self {
        Self::named(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8).expect("a key"), key_id)
    }

    fn named(pair: EcdsaKeyPair, key_id: Option<[u8; 4]>) -> Self {
        let id = digest(&SHA1_FOR_LEGACY_USE_ONLY, pair.public_key().as_ref());
        let key_id = key_id.unwrap_or_else(|| *id.as_ref().last_chunk().expect("20 bytes"));
        Self { pair, key_id }
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(self.pair.public_key()).expect("a public key");
        pem::encode(&pem::Pem::new("PUBLIC KEY", spki.as_ref()))
    }

    /// `security.ima` of a file with this content (version 2, SHA-256).
    pub fn sign(&self, content: &[u8]) -> Vec<u8> {
        self.signature(3, 2, content)
    }

    /// `security.ima` of a file with this fs-verity SHA-256 digest (version 3).
    pub fn sign_verity(&self, root: &[u8]) -> Vec<u8> {
        self.signature(6, 3, &[&[6, 4], root].concat())
    }

    fn signature(&self, kind: u8, version: u8, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message).expect("a signature");
        let len = u16::try_from(signature.as_ref().len()).expect("a short signature").to_be_bytes();
        [&[kind, version, 4], &self.key_id[..], &len, signature.as_ref()].concat()
    }
}

/// `sha256:` NUL digest.
pub fn digest_ng(algorithm: &str, digest: &[u8]) -> Vec<u8> {
    [algorithm.as_bytes(), b":\0", digest].concat()
}

fn name(path: &str) -> Vec<u8> {
    [path.replace(' ', "_").as_bytes(), &[0]].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a short field").to_le_bytes(), bytes].concat()
}

fn fields(values: &[&[u8]]) -> Vec<u8> {
    values.iter().flat_map(|value| sized(value)).collect()
}
