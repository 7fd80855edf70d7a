//! Measurement logs between the wire and the verifier: what came of them, and what is known of the host's boot already.
//!
//! The event log is stored once and named by its digest from then on. The IMA list is replayed part by part, and what the
//! next quote needs of it is how far ([`progress`]). Parts that come ahead of their quote are replayed tentatively and
//! count when a later quote reaches beyond them ([`ahead`]). The list itself is kept for those who ask afterwards
//! ([`kept`]).

mod ahead;
pub(crate) mod kept;
mod progress;
mod received;

pub use ahead::AheadRejected;
pub(crate) use kept::KeptList;
pub(crate) use progress::{Progress, Resumed};
pub use received::LogRejected;
pub(crate) use received::{NextPart, Received};
