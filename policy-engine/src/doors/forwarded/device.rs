//! Which device a request comes from, by what a point says of the client's certificate.

use vouchsafe_model::spiffe::{PeerRole, SpiffeId, TrustDomain};
use vouchsafe_model::{DeviceId, Reason, Sha256Digest};

use super::{certificate, xfcc};
use crate::records::RecordTable;

/// What a point says of a client's certificate, which it has verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presented {
    /// Whom it names; `None` when that is nobody of ours.
    pub(super) identity: Option<SpiffeId>,
    /// SHA-256 of it, where that is told.
    pub(super) certificate: Option<Sha256Digest>,
}

/// Why a certificate that a point tells of leads to no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrecognised {
    /// It cannot be read.
    Malformed,
    /// Two things that the point says of it contradict each other.
    Contradictory,
}

impl Presented {
    /// By a principal, such as Envoy's: the first URI of the certificate.
    pub(crate) fn by_principal(principal: &str) -> Self {
        Self { identity: principal.parse().ok(), certificate: None }
    }

    /// By the certificate itself, as text.
    pub(crate) fn by_certificate(text: &str) -> Result<Self, Unrecognised> {
        let peer = certificate::read(text).ok_or(Unrecognised::Malformed)?;
        Ok(Self { identity: Some(peer.identity), certificate: Some(peer.certificate_digest) })
    }

    /// By the field `x-forwarded-client-cert`.
    pub(crate) fn by_xfcc(text: &str) -> Result<Self, Unrecognised> {
        xfcc::read(text)
    }

    /// What both say together.
    pub(crate) fn agree(self, other: &Self) -> Result<Self, Unrecognised> {
        fn both<T: PartialEq + Clone>(one: Option<T>, other: Option<&T>) -> Result<Option<T>, Unrecognised> {
            match (one, other) {
                (Some(one), Some(other)) if one != *other => Err(Unrecognised::Contradictory),
                (one, other) => Ok(one.or_else(|| other.cloned())),
            }
        }
        Ok(Self {
            identity: both(self.identity, other.identity.as_ref())?,
            certificate: both(self.certificate, other.certificate.as_ref())?,
        })
    }

    /// Whether it names a device.
    pub(crate) fn is_device(&self) -> bool {
        matches!(self.identity, Some(SpiffeId { role: PeerRole::Device(_), .. }))
    }
}

/// The device that a certificate leads to; or why it leads to none, which is then unknown to the policy.
///
/// A device has one certificate at a time. One that it had before was replaced for some reason, and is not taken even while
/// it is valid: whoever kept its key would go on being that device.
pub(super) fn recognise(
    presented: &Result<Presented, Unrecognised>,
    domain: &TrustDomain,
    records: &RecordTable,
) -> (Option<DeviceId>, Option<Reason>) {
    let presented = match presented {
        Ok(presented) => presented,
        Err(Unrecognised::Malformed) => {
            let message = "What the point passed on of the client's certificate cannot be read.";
            let fix = "Have the point pass on exactly one certificate, that of its client.";
            return (None, Some(note("device.certificate_unreadable", message, fix)));
        }
        Err(Unrecognised::Contradictory) => {
            let message = "What the point passed on of the client's certificate contradicts itself.";
            let fix = "Have the point replace what clients send of certificates by what it has seen itself.";
            return (None, Some(note("device.certificate_contradictory", message, fix)));
        }
    };
    let id = match &presented.identity {
        Some(SpiffeId { trust_domain, role: PeerRole::Device(id) }) if trust_domain == domain => *id,
        _ => {
            let message = format!("The client's certificate is not that of a device of {domain}.");
            let fix = "Connect with the certificate of an enrolled device.";
            return (None, Some(note("device.not_named", &message, fix)));
        }
    };
    let current = records.get(&id).map(|known| known.record().certificate_digest);
    match (presented.certificate, current) {
        (Some(presented), Some(current)) if presented != current => {
            let message = "The client's certificate is not the one that the device has now.";
            (None, Some(note("device.certificate_not_current", message, "Connect anew with the present certificate.")))
        }
        _ => (Some(id), None),
    }
}

fn note(code: &str, message: &str, fix: &str) -> Reason {
    Reason { code: code.to_owned(), message: message.to_owned(), fix: Some(fix.to_owned()) }
}
