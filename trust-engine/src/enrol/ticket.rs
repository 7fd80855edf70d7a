//! Tickets: what the engine must remember between the two messages of an enrolment, carried by the agent.
//!
//! Sealed with AES-256-GCM, so that the agent can neither read nor change it, and so that nothing is stored for a host
//! that never comes back. An engine that restarted in between opens it all the same.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use vouchsafe_model::{EndorsementGrade, EnrolmentId, HostFacts, ImageId, Sha256Digest, Timestamp, TokenId};

use crate::secrets::EngineSecret;

/// An enrolment that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) enrolment: EnrolmentId,
    pub(crate) token: TokenId,
    /// The enrolment whose keys the device had when this one began.
    pub(crate) replaces: Option<EnrolmentId>,
    pub(crate) expires_at: Timestamp,
    /// SHA-256 of the secret in the credential. The secret itself is 32 random bytes, so its digest tells nothing of it.
    pub(crate) secret_digest: Sha256Digest,
    pub(crate) endorsement: EndorsementGrade,
    pub(crate) ek_digest: Sha256Digest,
    pub(crate) ek_certificate: Option<vouchsafe_wire::Bytes<{ vouchsafe_wire::v1::limits::CERTIFICATE }>>,
    pub(crate) ak_public: vouchsafe_wire::Bytes<{ vouchsafe_wire::v1::limits::PUBLIC_AREA }>,
    pub(crate) tls_public: vouchsafe_wire::Bytes<{ vouchsafe_wire::v1::limits::PUBLIC_AREA }>,
    /// Whether it is quoted in the SHA-1 bank, having no other, with the token's consent.
    pub(crate) sha1_bank: bool,
    /// The image that its token assigns.
    pub(crate) image: Option<ImageId>,
    pub(crate) facts: HostFacts,
}

/// Seals and opens tickets.
pub(crate) struct TicketSeal(LessSafeKey);

/// Why a ticket is not honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketRejected {
    /// It was not sealed here, or was changed since.
    #[error("the ticket is not one that this engine gave out")]
    Unknown,
    /// It is too old.
    #[error("the ticket expired at {expired_at}")]
    Expired {
        /// When.
        expired_at: Timestamp,
    },
}

/// Entropy of one ticket: the GCM nonce, random for each. At 2^32 tickets the chance that two share one is 2^-33
/// (NIST SP 800-38D, 8.3 allows no more under one key).
pub(crate) const TICKET_ENTROPY: usize = NONCE_LEN;

impl TicketSeal {
    /// `None` only if the library refuses a key of 32 bytes.
    pub(crate) fn new(secret: &EngineSecret) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, secret.ticket_key().as_slice()).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Seals a ticket: GCM nonce, ciphertext, tag.
    pub(crate) fn seal(&self, ticket: &Ticket, entropy: [u8; TICKET_ENTROPY]) -> Option<Vec<u8>> {
        let mut sealed = serde_json::to_vec(ticket).ok()?;
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(entropy), Aad::empty(), &mut sealed).ok()?;
        Some([entropy.as_slice(), &sealed].concat())
    }

    /// Opens a ticket that is still good.
    pub(crate) fn open(&self, sealed: &[u8], now: Timestamp) -> Result<Ticket, TicketRejected> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(TicketRejected::Unknown)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::empty(), &mut body).map_err(|_| TicketRejected::Unknown)?;
        let ticket: Ticket = serde_json::from_slice(opened).map_err(|_| TicketRejected::Unknown)?;
        if now >= ticket.expires_at {
            return Err(TicketRejected::Expired { expired_at: ticket.expires_at });
        }
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_wire::Bytes;

    fn ticket(expires_at: Timestamp) -> Ticket {
        Ticket {
            enrolment: EnrolmentId::new(Timestamp::UNIX_EPOCH, &[1; 10]),
            token: TokenId::new(Timestamp::UNIX_EPOCH, &[2; 10]),
            replaces: None,
            sha1_bank: false,
            image: None,
            expires_at,
            secret_digest: Sha256Digest::new([3; 32]),
            endorsement: EndorsementGrade::Vendor,
            ek_digest: Sha256Digest::new([4; 32]),
            ek_certificate: Some(Bytes::new(vec![5; 8 * 1024]).unwrap()),
            ak_public: Bytes::new(vec![6; 1024]).unwrap(),
            tls_public: Bytes::new(vec![7; 1024]).unwrap(),
            facts: HostFacts { hostname: "h".repeat(256), ..HostFacts::default() },
        }
    }

    fn seal() -> TicketSeal {
        TicketSeal::new(&EngineSecret::new([1; 32])).unwrap()
    }

    #[test]
    fn is_opened_by_an_engine_that_restarted() {
        let ticket = ticket(Timestamp::from_unix_secs(10));
        let sealed = seal().seal(&ticket, [0; 12]).unwrap();
        assert_eq!(seal().open(&sealed, Timestamp::from_unix_secs(9)), Ok(ticket));
    }

    #[test]
    fn the_largest_fits_what_the_wire_allows() {
        let sealed = seal().seal(&ticket(Timestamp::UNIX_EPOCH), [0; 12]).unwrap();
        assert!(sealed.len() <= vouchsafe_wire::v1::limits::TICKET, "{} bytes", sealed.len());
    }

    #[test]
    fn ends_when_it_says() {
        let expires_at = Timestamp::from_unix_secs(10);
        let sealed = seal().seal(&ticket(expires_at), [0; 12]).unwrap();
        assert_eq!(seal().open(&sealed, expires_at), Err(TicketRejected::Expired { expired_at: expires_at }));
    }

    #[test]
    fn one_flipped_bit_anywhere_makes_it_unknown() {
        let sealed = seal().seal(&ticket(Timestamp::from_unix_secs(10)), [0; 12]).unwrap();
        for position in (0..sealed.len()).step_by(97).chain([0, 11, 12, sealed.len() - 1]) {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(seal().open(&changed, Timestamp::UNIX_EPOCH), Err(TicketRejected::Unknown));
        }
        for length in [0, 11, 12, 27, sealed.len() - 1] {
            assert_eq!(seal().open(&sealed[..length], Timestamp::UNIX_EPOCH), Err(TicketRejected::Unknown));
        }
    }

    #[test]
    fn of_another_engine_is_unknown() {
        let other = TicketSeal::new(&EngineSecret::new([2; 32])).unwrap();
        let sealed = other.seal(&ticket(Timestamp::from_unix_secs(10)), [0; 12]).unwrap();
        assert_eq!(seal().open(&sealed, Timestamp::UNIX_EPOCH), Err(TicketRejected::Unknown));
    }
}
