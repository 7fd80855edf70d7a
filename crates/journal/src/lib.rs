//! An append-only log of files, for decisions: what was appended is on the disk before the appender is told, and whoever
//! has the log's public key can see that nothing in it was changed, left out or put in.
//!
//! # Files
//! The log is a folder of *segments*, `NNNNNNNNNNNNNNNNNNNN.vjl`, each named by the number of its first entry. A segment is
//! text, one line after another; a line is fields with tabs between them, and its last field is a check over the others:
//!
//! | line | fields |
//! |---|---|
//! | the first | `header`, JSON: format, origin, first number, state of chain and tree before it |
//! | an entry | number, id, instant, JSON; the JSON is empty for an entry that was dropped |
//! | a checkpoint | `checkpoint`, a signed note as a JSON string |
//! | the last | `sealed`, JSON: how many entries, of what times and ids |
//!
//! So `grep -h '^[0-9]' *.vjl | cut -f4` are the entries as JSON lines.
//!
//! # Hashes
//! The hash of an entry is that of a leaf in RFC 9162, 2.1.1, over the text of its line without the check: number, id and
//! instant are bound like the rest. Two things are made of these hashes: a chain, in which each link holds the one before,
//! and a Merkle tree, whose root a checkpoint signs together with the chain's end. Checkpoints are those of public
//! transparency logs (C2SP tlog-checkpoint, in a signed note), and so are proofs of inclusion (C2SP tlog-proof): tools
//! that read theirs read ours.
//!
//! # Crashes
//! A line says whether it begins a write. Writes follow each other only after the former is on the disk, so that what a
//! crash leaves half-written is always in the last write: it is cut off when the log is opened again, and nobody was told
//! that it was kept. Damage anywhere else is an error that names segment, line and byte, and is never repaired.
//!
//! Nothing here knows what an entry means, reads a clock or draws randomness.

mod checkpoint;
mod disk;
mod entry;
mod fault;
mod folder;
mod hash;
mod journal;
mod line;
mod lines;
mod open;
mod proof;
mod queue;
mod replay;
mod retention;
mod segment;
mod settings;
mod shared;
mod torn;
mod tree;
mod verify;
mod view;
mod writer;

pub use checkpoint::{
    Checkpoint, CheckpointKey, InvalidOrigin, KeyRejected, NoteRejected, Origin, SignCheckpoint, SignedCheckpoint,
    SigningFailed,
};
pub use disk::{Disk, SystemDisk};
pub use entry::{Entry, EntryRejected, MAX_BODY_LEN, Record};
pub use fault::{Fault, FaultKind};
pub use journal::{AppendError, Journal, JournalParts, NotWritable, Now, Writing};
pub use line::LineFault;
pub use open::OpenError;
pub use proof::{MAX_PROOF_LEN, Proof, ProofRejected};
pub use settings::{InvalidSettings, JournalSettings};
pub use verify::{Verification, VerifyError, verify};
pub use view::{ProveError, ReadError, Scan, View};
pub use writer::WriteFailed;
