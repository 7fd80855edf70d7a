//! `.rpm`: lead, signature header, header, payload (RPM file format, versions 4 and 6).
//!
//! What is signed is the header. It names the digest of the payload, and the digest of each file; both are held against
//! what is there. The header's digests of files are never taken for the answer: that is computed from the content.

mod header;
mod payload;

pub use header::HeaderError;
pub use payload::PayloadError;

use std::collections::BTreeSet;
use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::to_hex;

use crate::archive::Compression;
use crate::contents::Contents;
use crate::digest::{Algorithms, sha256};
use crate::limits::{Limits, MAX_SIGNATURES};
use crate::openpgp::{Keyring, SignatureRefused, Signer, Standing};
use crate::package::{InvalidPackageId, PackageId};
use header::{Header, tag};

const LEAD_LEN: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xED, 0xAB, 0xEE, 0xDB];

/// Why an `.rpm` is refused.
#[derive(Debug, thiserror::Error)]
pub enum RpmError {
    /// It does not begin like one.
    #[error("it does not begin like an RPM package")]
    Lead,
    /// One of its headers is refused.
    #[error("its {which} is refused")]
    Header {
        /// Which header.
        which: &'static str,
        /// Why.
        #[source]
        source: HeaderError,
    },
    /// The digest of the header is not the one beside it.
    #[error("the SHA-256 of its header is {found}, and {expected} is written beside it")]
    HeaderDigest {
        /// What it is.
        found: String,
        /// What is written.
        expected: String,
    },
    /// It holds sources, which no host runs.
    #[error("it is a source package")]
    Source,
    /// It names no package.
    #[error("its header names no package")]
    Id(#[from] InvalidPackageId),
    /// It bears no signature over its header.
    #[error("it bears no signature over its header")]
    Unsigned,
    /// None of its signatures counts.
    #[error("its signature is refused")]
    Signature(#[from] SignatureRefused),
    /// The signature says nothing about the payload.
    #[error("its header is signed, but names neither the SHA-256 of the payload nor of each file")]
    Unbound,
    /// The payload is refused.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// It could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
}

/// An `.rpm` whose headers were read. What it ships comes next.
pub struct Rpm<R> {
    id: PackageId,
    signatures: Header,
    header: Header,
    source: R,
}

impl<R: Read> Rpm<R> {
    /// Reads the headers.
    ///
    /// # Errors
    /// When it is no `.rpm`, is a source package, or its header is not the one that its digest is of.
    pub fn open(mut source: R) -> Result<Self, RpmError> {
        let mut lead = [0; LEAD_LEN];
        source.read_exact(&mut lead).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => RpmError::Lead,
            _ => RpmError::Read(error),
        })?;
        if !lead.starts_with(&LEAD_MAGIC) {
            return Err(RpmError::Lead);
        }
        let in_header = |which| move |source| RpmError::Header { which, source };
        let signatures = Header::read(&mut source, true).map_err(in_header("signature header"))?;
        let header = Header::read(&mut source, false).map_err(in_header("header"))?;
        if header.has(tag::SOURCE_PACKAGE) || !header.has(tag::SOURCE_RPM) {
            return Err(RpmError::Source);
        }
        let expected = signatures.string(tag::SIGNATURE_SHA256).map_err(in_header("signature header"))?;
        let found = sha256(header.bytes()).to_string();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(RpmError::HeaderDigest { found, expected: expected.chars().take(64).collect() });
        }
        let id = read_id(&header).map_err(in_header("header"))??;
        Ok(Self { id, signatures, header, source })
    }

    /// What it calls itself.
    pub fn id(&self) -> &PackageId {
        &self.id
    }

    /// Whose signature over the header counts, and with it over all that the header names.
    ///
    /// # Errors
    /// When there is none, or the header does not name the payload.
    pub fn verify(&self, keyring: &Keyring, standing: Standing) -> Result<Signer, RpmError> {
        let signatures = self.signatures().map_err(|source| RpmError::Header { which: "signature header", source })?;
        if signatures.is_empty() {
            return Err(RpmError::Unsigned);
        }
        let signer = keyring.verify_any(self.header.bytes(), &signatures, standing)?;
        let bound = payload::binding(&self.header).map_err(|source| RpmError::Header { which: "header", source })?;
        if bound { Ok(signer) } else { Err(RpmError::Unbound) }
    }

    /// Hashes every file that it ships.
    ///
    /// # Errors
    /// When the payload is not what the header says, or ships what is refused.
    pub fn read(self, algorithms: &Algorithms, limits: Limits) -> Result<Contents, RpmError> {
        // SHA-256 is what the header's own digests are compared by.
        let asked: BTreeSet<HashAlgorithm> = algorithms.iter().collect();
        let with = Algorithms::new(asked.iter().copied().chain([HashAlgorithm::Sha256])).unwrap_or_default();
        let mut contents = payload::read(&self.header, self.source, &with, limits)?;
        for file in &mut contents.files {
            file.digests.retain(|digest| asked.contains(&digest.algorithm()));
        }
        Ok(contents)
    }

    /// The signatures over the header alone. Those over header and payload together are of RPM 3 and bear MD5.
    fn signatures(&self) -> Result<Vec<Vec<u8>>, HeaderError> {
        let mut signatures = Vec::new();
        for tag in [tag::SIGNATURE_RSA, tag::SIGNATURE_DSA] {
            signatures.extend(self.signatures.binary(tag)?.map(<[u8]>::to_vec));
        }
        for text in self.signatures.strings(tag::SIGNATURE_OPENPGP)?.into_iter().take(MAX_SIGNATURES) {
            signatures.extend(BASE64_STANDARD.decode(text));
        }
        Ok(signatures)
    }
}

fn read_id(header: &Header) -> Result<Result<PackageId, InvalidPackageId>, HeaderError> {
    let text = |tag| header.string(tag).map(Option::unwrap_or_default);
    let (name, version, release, arch) = (text(tag::NAME)?, text(tag::VERSION)?, text(tag::RELEASE)?, text(tag::ARCH)?);
    let epoch = header.numbers(tag::EPOCH)?.first().copied().unwrap_or(0);
    let version = if epoch == 0 { format!("{version}-{release}") } else { format!("{epoch}:{version}-{release}") };
    Ok(PackageId::new(name, &version, arch))
}

/// A reader that hashes what is read through it.
struct Hashing<R> {
    inner: R,
    context: Context,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, context: Context::new(&SHA256) }
    }

    /// Reads the rest, and gives the SHA-256 of all in hexadecimal.
    fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(to_hex(self.context.finish().as_ref()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.context.update(buffer.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// The compression that a header names; gzip when it names none.
fn compression(header: &Header) -> Result<Compression, PayloadError> {
    let named = header.string(tag::PAYLOAD_COMPRESSOR).map_err(PayloadError::Header)?;
    match named.unwrap_or("gzip") {
        "gzip" => Ok(Compression::Gzip),
        "xz" => Ok(Compression::Xz),
        "zstd" => Ok(Compression::Zstd),
        "bzip2" => Ok(Compression::Bzip2),
        "none" | "" => Ok(Compression::None),
        other => Err(PayloadError::Compressor(other.chars().take(32).collect())),
    }
}
