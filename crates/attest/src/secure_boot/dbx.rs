//! A list of revocations, ready to be asked.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::Sha256Digest;

use crate::eventlog::facts::{SignatureEntry, SignatureKind};

/// What is revoked, from one update or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dbx {
    images: BTreeSet<Sha256Digest>,
    to_be_signed: BTreeSet<Sha256Digest>,
    certificates: BTreeMap<Sha256Digest, RevokedCertificate>,
}

/// A certificate that is revoked as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Its subject, if it can be read.
    pub subject: Option<String>,
    /// Its DER form.
    pub der: Vec<u8>,
}

impl Dbx {
    /// Adds entries. Those of kinds that say nothing here are left out.
    pub fn extend<'a>(&mut self, entries: impl IntoIterator<Item = &'a SignatureEntry>) {
        for entry in entries {
            match &entry.kind {
                SignatureKind::Sha256 { digest } => {
                    self.images.insert(*digest);
                }
                SignatureKind::X509Sha256 { digest } => {
                    self.to_be_signed.insert(*digest);
                }
                SignatureKind::X509 { sha256, subject, der } => {
                    let certificate = RevokedCertificate { subject: subject.clone(), der: der.clone() };
                    self.certificates.insert(*sha256, certificate);
                }
                SignatureKind::Other { .. } => {}
            }
        }
    }

    /// Images, by their Authenticode SHA-256.
    pub fn images(&self) -> &BTreeSet<Sha256Digest> {
        &self.images
    }

    /// Certificates, by SHA-256 of their to-be-signed part.
    pub fn to_be_signed(&self) -> &BTreeSet<Sha256Digest> {
        &self.to_be_signed
    }

    /// Certificates, by SHA-256 of the whole.
    pub fn certificates(&self) -> &BTreeMap<Sha256Digest, RevokedCertificate> {
        &self.certificates
    }

    /// How many revocations there are.
    pub fn len(&self) -> usize {
        [self.images.len(), self.to_be_signed.len(), self.certificates.len()].iter().sum()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> FromIterator<&'a SignatureEntry> for Dbx {
    fn from_iter<I: IntoIterator<Item = &'a SignatureEntry>>(entries: I) -> Self {
        let mut dbx = Self::default();
        dbx.extend(entries);
        dbx
    }
}
