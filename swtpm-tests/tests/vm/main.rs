//! The whole system on a machine that really boots measured: QEMU, OVMF, a software TPM, Debian's kernel.
//!
//! `make test` runs the short story: one guest that enrols, attests and is allowed. `make test-vm` runs all, one after the other; each
//! test boots as often as it needs, some ten seconds each.
#![expect(clippy::indexing_slicing, reason = "JSON answers are indexed by what they must have")]

mod boots;
mod denial;
mod firmware;
mod replay;
mod runtime;
mod story;
mod updates;
