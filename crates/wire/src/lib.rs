//! What travels: the only serialised types between agent, engines, operators and enforcement points.
//!
//! One module per version; [`v1`] is the only one. Types here carry no logic but their own shape, limits and the layout
//! of what is signed. JSON; bytes as standard base64 with padding.

mod bytes;
pub mod v1;

pub use bytes::{Bytes, InvalidBase64};
