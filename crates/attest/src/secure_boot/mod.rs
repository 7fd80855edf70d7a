//! What is revoked: updates of `dbx`, boots that use what they list (threat 18), and the levels of shim.

mod dbx;
mod revoked;
mod sbat;
mod update;

pub use dbx::{Dbx, RevokedCertificate};
pub use revoked::revoked;
pub use sbat::SbatLevel;
pub(crate) use sbat::{Lacking, SbatEntry, is_component};
pub use update::{DbxUpdate, MAX_UPDATE_LEN, UpdateError};
