//! The end of an enrolment: what is stored in one transaction, and what it comes to.

use vouchsafe_model::token::TokenRefusal;
use vouchsafe_model::{Device, EnrolmentId, Timestamp, TokenId};

use crate::devices::Standing;
use crate::trust::InitialTrust;

/// An enrolment whose proofs were all checked, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrolment {
    /// The device as it is to be stored if it is new. Its id is that of its EK.
    ///
    /// A device that is known keeps its `enrolled_at` and, if it has one, its image; it takes all else from here.
    pub device: Device,
    /// The token that lets it in.
    pub token: TokenId,
    /// The enrolment whose keys the device had when this one began; `None` when it was not known then.
    ///
    /// Of enrolments of one device that run at the same time, the first to complete wins; the others are overtaken.
    pub replaces: Option<EnrolmentId>,
    /// The present instant: the token is checked for it, and the certificate is issued at it.
    pub now: Timestamp,
    /// The first row of its trust history, if it is new.
    pub trust: InitialTrust,
}

/// What became of an enrolment.
#[derive(Clone, Debug, PartialEq)]
pub enum EnrolmentOutcome {
    /// The device is new. The token was counted.
    Enrolled(Box<Standing>),
    /// The device was known: it has new keys and a new certificate, and keeps its history, its trust and its image. The
    /// token was counted.
    Reenrolled(Box<Standing>),
    /// This very enrolment completed before, with the same keys: the device has a new certificate. The token was not
    /// counted again, nor asked.
    Repeated(Box<Standing>),
    /// Another enrolment of the device completed since this one began. Nothing was changed.
    Overtaken,
    /// The token lets nobody in. Nothing was changed.
    Refused(TokenRefusal),
    /// The device is revoked. Nothing was changed.
    Revoked,
}
