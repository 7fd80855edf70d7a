//! What is revoked: updates of `dbx`, and boots that use what they list (threat 18).

mod dbx;
mod revoked;
mod update;

pub use dbx::{Dbx, RevokedCertificate};
pub use revoked::revoked;
pub use update::{DbxUpdate, MAX_UPDATE_LEN, UpdateError};
