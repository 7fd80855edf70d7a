//! The doors of enforcement points that speak a protocol of their own, and of those that watch.

mod envoy;
mod forward_auth;
mod kubernetes;
mod obligations;
mod support;
mod watch;
