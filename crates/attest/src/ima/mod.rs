//! The IMA measurement list: what the kernel says it measured while it ran.
//!
//! [`Entries`] reads the list in either of the kernel's forms (Documentation/security/IMA-templates.rst). [`ImaState`] takes
//! it in, part by part as it grows: each part is replayed to the value of PCR 10 that a TPM signed, and each entry is held
//! against a [`RuntimePolicy`]. [`ListReport`] does the same once and for a whole file, without a TPM.
//!
//! Nothing in a list is believed because it is in the list: an entry counts when its template hash is part of what PCR 10
//! was extended with. Three things are not covered even then: the names of violations, as a violation extends a constant
//! (`ima_add_violation`); the names of templates, which are not hashed; and entries of other PCRs. None of them is ever a
//! reason to trust something.

mod advance;
mod ascii;
mod binary;
mod boot_aggregate;
mod buffer;
mod certificate;
mod digest;
mod entry;
mod error;
mod fields;
mod findings;
mod judge;
mod key;
mod list;
mod offline;
mod path;
mod pattern;
mod policy;
mod replay;
mod rule;
mod section;
mod signature;
mod state;
mod table;
mod template;

pub use advance::{Advance, ImaContext};
pub use boot_aggregate::BootAggregates;
pub use digest::{DigestKind, FileDigest};
pub use entry::Entry;
pub use error::{ImaError, ImaProblem};
pub use fields::Fields;
pub use findings::MAX_FINDINGS;
pub use key::{FileKey, FileKeyRejected, MAX_KEY_LEN};
pub use list::{Entries, ListFormat};
pub use offline::{ListReport, SignatureCounts};
pub use path::{MAX_PATH_LEN, printable};
pub use pattern::PatternProblem;
pub use policy::{
    MAX_DIGESTS_PER_PATH, MAX_EXCLUSIONS, MAX_KEYS, MAX_PATHS, MAX_RULES, RuntimePolicy, RuntimePolicyError,
};
pub use rule::{MAX_INITRAMFS_ENTRIES, RuleProblem};
pub use section::RuntimeSection;
pub use signature::{FileSignature, SignatureFault, SignatureKind};
pub use state::{ImaCounts, ImaState, MAX_BOOT_AGGREGATES, MAX_LEARNED_KEYS};
pub use template::{MAX_TEMPLATE_DATA_LEN, MAX_TEMPLATE_NAME_LEN};
