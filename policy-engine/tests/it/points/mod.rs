//! The doors of enforcement points that hold HTTP requests back until they are decided.

mod envoy;
mod forward_auth;
mod support;
