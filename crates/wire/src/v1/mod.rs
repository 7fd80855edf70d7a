//! Version 1.

pub mod agent;
pub mod attest;
pub mod authzen;
pub mod decide;
pub mod enrol;
pub mod limits;
pub mod logs;
pub mod opa;
pub mod operate;
pub mod policy;
pub mod problem;
pub mod record;
pub mod watch;
