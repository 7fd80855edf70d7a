//! The words of the domain, one type each, in the order in which data flows:
//! evidence → verdict → trust score → decision → permit.
//!
//! Everything here is a value: nothing reads a clock, draws randomness, opens a file or waits. Instants and entropy are
//! arguments. The nouns are those of RATS (RFC 9334), TCG and NIST SP 800-207.

pub mod decision;
pub mod device;
pub mod endorsement;
pub mod finding;
pub mod hash;
pub mod id;
pub mod ijson;
pub mod image;
pub mod obligation;
pub mod pcr;
pub mod spiffe;
pub mod time;
pub mod token;
pub mod trust;
pub mod vector;
pub mod verdict;

pub use decision::{Decision, Outcome, Reason};
pub use device::{Device, DeviceState, HostFacts};
pub use endorsement::EndorsementGrade;
pub use finding::{Finding, FindingCode, Severity};
pub use hash::{HashAlgorithm, Sha256Digest};
pub use id::{AttestationId, DecisionId, DeviceId, EnrolmentId, TokenId};
pub use image::{Image, ImageDocument, ImageId, ReferenceValues};
pub use obligation::Obligation;
pub use pcr::{PcrBank, PcrIndex, PcrSelection};
pub use time::Timestamp;
pub use trust::TrustScore;
pub use vector::{Coverage, TrustVector};
pub use verdict::Verdict;
