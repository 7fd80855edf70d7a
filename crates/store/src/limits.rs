//! The bounds of what is stored. Whoever reads from a stranger has narrower ones; these hold for everybody, so that no
//! caller's mistake fills the disk.

/// The longest label of a token, in bytes.
pub const MAX_LABEL_BYTES: usize = 256;
/// The most bytes of an image's reference values, as JSON.
pub const MAX_REFERENCE_BYTES: usize = 256 * 1024;
/// The most bytes of an image's document, and the most of the envelope that it was signed in.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024 * 1024;
/// The longest name of the key that signed an image's document, in bytes.
pub const MAX_KEY_NAME_BYTES: usize = 1024;
/// The most images that one image supersedes.
pub const MAX_SUPERSEDED_IMAGES: usize = 256;
/// The most bytes of an event or of a state.
pub const MAX_TRUST_BYTES: usize = 64 * 1024;
/// The longest reason of a revocation, in bytes.
pub const MAX_REASON_BYTES: usize = 1024;
/// The most bytes of what a host says of itself, as JSON.
pub const MAX_FACTS_BYTES: usize = 16 * 1024;
/// The most bytes of a device's public key or of its TPM name.
pub const MAX_KEY_BYTES: usize = 4 * 1024;
/// The most bytes of an EK certificate.
pub const MAX_EK_CERTIFICATE_BYTES: usize = 16 * 1024;
/// The most bytes of a quote's message (`TPMS_ATTEST`) or of its signature.
pub const MAX_QUOTE_BYTES: usize = 8 * 1024;
/// The most bytes of a verdict, as JSON.
pub const MAX_VERDICT_BYTES: usize = 1024 * 1024;
/// The most bytes of a boot event log.
pub const MAX_EVENT_LOG_BYTES: usize = 1024 * 1024;
/// The longest name of a boot, in bytes.
pub const MAX_BOOT_NAME_BYTES: usize = 128;
/// The most bytes of the state of an IMA replay, as JSON.
pub const MAX_IMA_STATE_BYTES: usize = 1024 * 1024;
/// The most bytes of a part of an IMA list, compressed.
pub const MAX_IMA_PART_DEFLATED_BYTES: usize = 2 * 1024 * 1024;
/// The most parts of an IMA list that is kept.
pub const MAX_IMA_LIST_PARTS: u64 = 512;
/// The most bytes of an IMA list that is kept, as the device has it.
pub const MAX_IMA_LIST_BYTES: u64 = 256 * 1024 * 1024;
/// The most bytes of an IMA list that is kept, compressed. What came ahead may for a while take as much again.
pub const MAX_IMA_LIST_DEFLATED_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes that the IMA lists of all devices take, compressed, unless the store is opened with another bound: a
/// server that runs for weeks measures some thousand files, which is 0.3 MB, so that ten thousand of them fit.
pub const IMA_LISTS_DEFLATED_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// The most bytes of a forbidden signature database.
pub const MAX_DBX_BYTES: usize = 1024 * 1024;
/// The longest name of an architecture, in bytes.
pub const MAX_ARCH_BYTES: usize = 32;
/// The most architectures that have a forbidden signature database.
pub const MAX_DBX_ARCHITECTURES: usize = 16;
/// The longest code of a refusal, in bytes.
pub const MAX_CODE_BYTES: usize = 128;
/// The longest detail of a refusal, in bytes.
pub const MAX_DETAIL_BYTES: usize = 4 * 1024;
