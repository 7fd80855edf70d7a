//! Finding a chain from an EK certificate to a trusted root (RFC 5280, 6.1; RFC 4158 on building paths).
//!
//! Names only propose issuers; signatures decide. Where several certificates bear the issuer's name, each is tried, the
//! likeliest first, and the search backs out of dead ends. It is bounded twice over: by [`MAX_INTERMEDIATES`] in depth,
//! and by [`MAX_SIGNATURE_CHECKS`] in work, so that certificates made to branch and to cross cost no more than honest
//! ones. A certificate occurs once in a path, so that circles end.

use vouchsafe_model::Timestamp;
use vouchsafe_model::hash::to_hex;

use super::anchors::{AnchorRole, Pool, TrustAnchors};
use super::certificate::{Certificate, ExtendedUsage};
use super::notes::ChainNote;
use super::{ChainFault, NOT_YET_VALID_ALLOWANCE};

/// How many certificates may stand between an EK certificate and a root. The longest that a vendor has is four.
pub const MAX_INTERMEDIATES: usize = 8;

/// How many signatures are checked for one EK certificate, over all the paths that are tried.
pub const MAX_SIGNATURE_CHECKS: usize = 64;

/// Where the search for a chain ended.
pub(super) enum PathOutcome<'a> {
    /// At a trusted root.
    Anchored {
        /// The root.
        root: &'a Certificate,
        /// What is odd on the way.
        notes: Vec<ChainNote>,
    },
    /// Nowhere: nothing is wrong with what there is, but no trusted root is reached.
    Unanchored(ChainNote),
    /// At something that no honest chain has.
    Faulty(ChainFault),
}

/// Looks for a chain from `leaf` to a root of `anchors`, by way of its intermediates and of `presented` ones.
pub(super) fn find<'a>(
    leaf: &'a Certificate,
    anchors: &'a TrustAnchors,
    presented: &'a Pool,
    now: Timestamp,
) -> PathOutcome<'a> {
    let mut search = Search { anchors, presented, now, checks_left: MAX_SIGNATURE_CHECKS, fault: None, dead_end: None };
    let mut path = vec![leaf];
    match (search.climb(&mut path), search.fault, search.dead_end) {
        (Some(root), ..) => PathOutcome::Anchored { root, notes: notes_on(&path, root, now) },
        (None, Some(fault), _) => PathOutcome::Faulty(fault),
        (None, None, Some((_, note))) => PathOutcome::Unanchored(note),
        // A climb that ends without root or fault ends somewhere; should it not, the leaf's issuer is what is missing.
        (None, None, None) => PathOutcome::Unanchored(missing_issuer(leaf)),
    }
}

struct Search<'a> {
    anchors: &'a TrustAnchors,
    presented: &'a Pool,
    now: Timestamp,
    checks_left: usize,
    /// The first thing that no honest chain has.
    fault: Option<ChainFault>,
    /// The farthest place from which no way led on, and how far it is.
    dead_end: Option<(usize, ChainNote)>,
}

/// How the key identifiers of a certificate and its supposed issuer compare; the likeliest pair first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum KeyIdentifiers {
    Match,
    Absent,
    Differ,
}

impl<'a> Search<'a> {
    /// Extends the path, whose last certificate still lacks its issuer; leaves it as it was when that fails.
    fn climb(&mut self, path: &mut Vec<&'a Certificate>) -> Option<&'a Certificate> {
        let child = *path.last()?;
        if let Err(algorithm) = &child.scheme {
            let subject = child.subject.to_string();
            self.end_here(path, ChainNote::UnreliableSignature { subject, algorithm: algorithm.clone() });
            return None;
        }
        for root in self.candidates(&[&self.anchors.roots], child) {
            if self.check_link(path, root, AnchorRole::Root) {
                return Some(root);
            }
        }
        let mut circle = false;
        for issuer in self.candidates(&[&self.anchors.intermediates, self.presented], child) {
            if path.iter().any(|known| known.digest == issuer.digest) {
                circle = true;
            } else if path.len() > MAX_INTERMEDIATES {
                self.blame(ChainFault::TooDeep);
            } else if self.check_link(path, issuer, AnchorRole::Intermediate) {
                path.push(issuer);
                if let Some(root) = self.climb(path) {
                    return Some(root);
                }
                path.pop();
            }
        }
        let subject = child.subject.to_string();
        let note = if child.is_self_issued() {
            ChainNote::UntrustedRoot { subject }
        } else if circle {
            ChainNote::IssuerLoop { subject }
        } else {
            missing_issuer(child)
        };
        self.end_here(path, note);
        None
    }

    /// The certificates that bear the issuer's name, the likeliest first: by key identifier, then those whose time is
    /// not over, since a renewed CA certificate has the name and the key of the expired one.
    fn candidates(&self, pools: &[&'a Pool], child: &Certificate) -> Vec<&'a Certificate> {
        if child.issuer.is_empty() {
            return Vec::new();
        }
        let mut candidates = pools.iter().flat_map(|pool| pool.named(child.issuer.key())).collect::<Vec<_>>();
        candidates.sort_by_key(|issuer| (key_identifiers(child, issuer), issuer.not_after < self.now));
        candidates
    }

    /// Whether `issuer` signed the last certificate of the path, and might.
    fn check_link(&mut self, path: &[&Certificate], issuer: &Certificate, role: AnchorRole) -> bool {
        let Some(child) = path.last() else { return false };
        let Some(checks_left) = self.checks_left.checked_sub(1) else {
            self.blame(ChainFault::TooManySignatureChecks);
            return false;
        };
        self.checks_left = checks_left;
        if !child.is_signed_by(issuer) {
            // Another key identifier says that this is only a namesake. Otherwise the signature is broken, or the
            // issuer has a namesake that neither names its key: nobody could tell that from a forgery.
            if key_identifiers(child, issuer) != KeyIdentifiers::Differ {
                let (subject, issuer) = (child.subject.to_string(), issuer.subject.to_string());
                self.blame(ChainFault::BrokenSignature { subject, issuer });
            }
            return false;
        }
        // The leaf is no intermediate, and self-issued ones do not count (RFC 5280, 4.2.1.9).
        let below = path.iter().skip(1).filter(|certificate| !certificate.is_self_issued()).count();
        match check_issuer(issuer, role, below, self.now) {
            Ok(()) => true,
            Err(fault) => {
                self.blame(fault);
                false
            }
        }
    }

    fn blame(&mut self, fault: ChainFault) {
        self.fault.get_or_insert(fault);
    }

    fn end_here(&mut self, path: &[&Certificate], note: ChainNote) {
        if self.dead_end.as_ref().is_none_or(|(len, _)| path.len() > *len) {
            self.dead_end = Some((path.len(), note));
        }
    }
}

/// Whether a certificate may issue others, `below` intermediates being between it and the leaf (RFC 5280, 6.1.4 k to n).
fn check_issuer(issuer: &Certificate, role: AnchorRole, below: usize, now: Timestamp) -> Result<(), ChainFault> {
    let subject = issuer.subject.to_string();
    match check_authority(issuer, role) {
        Ok(()) => {}
        Err(AuthorityFault::NotACa) => return Err(ChainFault::IssuerIsNoCa { issuer: subject }),
        Err(AuthorityFault::MayNotSign) => return Err(ChainFault::IssuerMayNotSign { issuer: subject }),
        Err(AuthorityFault::OtherUsage) => return Err(ChainFault::IssuerIsForOtherUses { issuer: subject }),
    }
    let extensions = &issuer.extensions;
    if let Some(allowed) = extensions.path_len
        && usize::try_from(allowed).is_ok_and(|allowed| below > allowed)
    {
        return Err(ChainFault::PathTooLong { issuer: subject, allowed, found: below });
    }
    check_use(issuer, now)
}

/// Why a certificate may not issue EK certificates, nor certificates that lead to them.
pub(super) enum AuthorityFault {
    NotACa,
    MayNotSign,
    OtherUsage,
}

/// Whether a certificate is a CA's that may issue EK certificates. Its extended key usages bind those that it issues: a
/// vendor's CA for attestation keys certifies keys that are not in the endorsement hierarchy.
pub(super) fn check_authority(issuer: &Certificate, role: AnchorRole) -> Result<(), AuthorityFault> {
    let extensions = &issuer.extensions;
    // Versions 1 and 2 cannot say whether they are a CA's. Only a root may be that old: the operator says it instead.
    let by_choice = role == AnchorRole::Root && issuer.lacks_extensions;
    if extensions.is_ca != Some(true) && !by_choice {
        Err(AuthorityFault::NotACa)
    } else if extensions.may_sign_certificates == Some(false) {
        Err(AuthorityFault::MayNotSign)
    } else if extensions.usage == ExtendedUsage::Other {
        Err(AuthorityFault::OtherUsage)
    } else {
        Ok(())
    }
}

/// What holds for every certificate of a chain.
pub(super) fn check_use(certificate: &Certificate, now: Timestamp) -> Result<(), ChainFault> {
    let not_before = certificate.not_before;
    if not_before > now.plus(NOT_YET_VALID_ALLOWANCE) {
        return Err(ChainFault::NotYetValid { subject: certificate.subject.to_string(), not_before });
    }
    match &certificate.extensions.unknown_critical {
        Some(oid) => {
            Err(ChainFault::UnknownCriticalExtension { subject: certificate.subject.to_string(), oid: oid.clone() })
        }
        None => Ok(()),
    }
}

fn key_identifiers(child: &Certificate, issuer: &Certificate) -> KeyIdentifiers {
    match (&child.extensions.authority_key_id, &issuer.extensions.subject_key_id) {
        (Some(wanted), Some(found)) if wanted == found => KeyIdentifiers::Match,
        (Some(_), Some(_)) => KeyIdentifiers::Differ,
        _ => KeyIdentifiers::Absent,
    }
}

fn missing_issuer(child: &Certificate) -> ChainNote {
    ChainNote::MissingIssuer {
        subject: child.subject.to_string(),
        issuer: child.issuer.to_string(),
        key_id: child.extensions.authority_key_id.as_deref().map(to_hex),
    }
}

/// What is odd about a chain that was found.
fn notes_on(path: &[&Certificate], root: &Certificate, now: Timestamp) -> Vec<ChainNote> {
    let mut notes = Vec::new();
    let issuers = path.iter().skip(1).chain([&root]);
    for (child, issuer) in path.iter().zip(issuers) {
        let (subject, issuer_name) = (child.subject.to_string(), issuer.subject.to_string());
        if key_identifiers(child, issuer) == KeyIdentifiers::Differ {
            notes.push(ChainNote::KeyIdentifierMismatch { subject: subject.clone(), issuer: issuer_name.clone() });
        }
        if child.has_odd_serial() {
            notes.push(ChainNote::OddSerial { subject });
        }
        let not_after = issuer.not_after;
        if not_after < now {
            notes.push(if issuer.digest == root.digest {
                ChainNote::RootExpired { subject: issuer_name, not_after }
            } else {
                ChainNote::IntermediateExpired { subject: issuer_name, not_after }
            });
        }
    }
    notes
}
