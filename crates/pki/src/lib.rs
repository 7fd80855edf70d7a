//! The private certificate authority: a root that signs one intermediate, which signs short-lived leaves.
//!
//! A leaf names its holder by one SPIFFE ID (X509-SVID) and by nothing that the holder asked for. Keys are kept in files
//! that their owner alone can read; what is signed with them is decided by the caller, who has verified the request.
//! Nothing here reads a clock: `now` and serial numbers are arguments. Private keys and ECDSA nonces alone come from
//! the generator of aws-lc, because a key drawn from a caller's bytes would be as weak as the caller.

pub mod authority;
mod ca_certificate;
pub mod csr;
mod der;
pub mod files;
pub mod issue;
pub mod key;
pub mod peer;
pub mod pem;
mod profile;
mod signature;

pub use authority::{Authority, CreateError, OpenError, RenewError};
pub use ca_certificate::BadAuthority;
pub use csr::{Csr, CsrRejected, VerifiedCsr};
pub use issue::{IssueError, IssuedCertificate, LeafRequest, LeafUsage};
pub use key::{IssuerKey, KeyAlgorithm, LocalKey};
pub use peer::{NotIdentified, PeerCertificate};
pub use profile::Serial;
