//! The boot event log: what firmware and boot loaders say they measured (TCG PC Client Platform Firmware Profile, 10).

pub mod facts;
