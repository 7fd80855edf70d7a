//! A measured machine: a real guest that boots under QEMU's software emulation with OVMF, a software TPM and Debian's
//! kernel, so that event log, IMA list and PCRs are what firmware, boot loader and kernel made them.
//!
//! A [`Machine`] is the hardware: TPM, firmware variables, and what an operator put on its disk. [`Machine::install`]
//! gives it a [`Software`] behind a boot [`Chain`], [`Machine::boot`] starts it, and a control channel runs commands
//! inside. The machine outlives its boots: TPM, variables and the agent's state are the same after the next one.
//!
//! The root file system of the guest is the initramfs itself, as a ramfs: with `ima_policy=tcb` the kernel measures what
//! root executes, maps and reads there. It measures nothing on a tmpfs, so the agent's state and the commands of the
//! control channel, which are there, leave no trace.
//!
//! A [`GuestWorld`] is a guest with the engine that it enrolled at. What it booted and runs is written down as a golden
//! image in a file ([`ImageFile`]), or built from a [`Release`] of packages, which can be installed while it runs.

mod boot_entry;
mod control;
mod cpio;
mod debian;
mod efi_image;
mod emulator;
mod esp;
mod golden;
mod initrd;
mod install;
mod kernel;
mod logs;
mod machine;
mod packages;
mod parts;
mod process;
mod variables;
mod world;

pub use control::Output;
pub use cpio::Archive;
pub use efi_image::authenticode_sha256;
pub use golden::{ImageFile, supersede};
pub use install::{Chain, Software};
pub use kernel::Kernel;
pub use logs::Logs;
pub use machine::{Machine, SecureBoot, Started};
pub use packages::{Package, Release};
pub use parts::{Missing, Parts};
pub use variables::{SetupVariable, VariableStore, dbx_update};
pub use world::GuestWorld;
