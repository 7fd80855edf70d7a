//! The most of everything that may travel. Readers refuse more; writers never send more.

/// A TPM public area, in bytes: an RSA-4096 key with its parameters is 560.
pub const PUBLIC_AREA: usize = 1024;
/// An X.509 certificate or a PKCS#10 request, in bytes.
pub const CERTIFICATE: usize = 8 * 1024;
/// Intermediate certificates that an agent may send along with its EK certificate.
pub const EK_INTERMEDIATES: usize = 8;
/// A signed TPM structure (`TPMS_ATTEST`), in bytes.
pub const ATTEST_STRUCTURE: usize = 1024;
/// A TPM signature (`TPMT_SIGNATURE`), in bytes: RSA-4096 is 518.
pub const SIGNATURE: usize = 1024;
/// `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET`, in bytes.
pub const CREDENTIAL: usize = 1024;
/// The secret of a credential, in bytes.
pub const ACTIVATED_SECRET: usize = 64;
/// What the engine asks an agent to bring back unread, in bytes.
pub const TICKET: usize = 16 * 1024;
/// A nonce, in bytes.
pub const NONCE: usize = 96;
/// A join token as it is handed to a device, in characters.
pub const JOIN_TOKEN: usize = 256;
/// The body of an enrolment message, in bytes.
pub const ENROL_BODY: usize = 160 * 1024;
/// The payload of evidence, in bytes.
pub const EVIDENCE_PAYLOAD: usize = 128 * 1024;
/// A boot event log, in bytes: what ACPI reserves for it is 64 KiB as a rule.
pub const EVENT_LOG: usize = 1024 * 1024;
/// A boot event log as it travels, compressed, in bytes.
pub const EVENT_LOG_COMPRESSED: usize = 384 * 1024;
/// A part of an IMA list, in bytes. A longer list travels in several.
pub const IMA_PART: usize = 1024 * 1024;
/// A part of an IMA list as it travels, compressed, in bytes. Half of an entry are digests, which do not shrink.
pub const IMA_PART_COMPRESSED: usize = IMA_PART + 1024;
/// What is asked for at once of an IMA list that is kept: parts are added until they are so many bytes, compressed.
pub const IMA_LIST_PAGE: usize = 4 * 1024 * 1024;
/// The name of a boot, in bytes.
pub const BOOT_ID: usize = 64;
/// The body of an attestation, in bytes: both logs in base64, and the rest.
pub const ATTEST_BODY: usize = 3 * 1024 * 1024;
/// The body of a part of a log that is sent ahead, in bytes.
pub const LOG_BODY: usize = 2 * 1024 * 1024;
/// A dbx update file, in bytes.
pub const DBX: usize = 128 * 1024;
/// A golden image's document, in bytes, signed or not.
pub const IMAGE_BODY: usize = 128 * 1024 * 1024;
/// The body of a question for a decision, in bytes.
pub const DECISION_BODY: usize = 64 * 1024;
/// Questions that may be asked at once.
pub const DECISIONS: usize = 100;
/// The body of questions that are asked at once, in bytes.
pub const DECISIONS_BODY: usize = 1024 * 1024;
/// A request that a point passes on whole to have it decided, in bytes: its header, and as much of its body as is looked at.
pub const FORWARDED_BODY: usize = 128 * 1024;
/// Watches that are open at once.
pub const WATCHES: usize = 4096;
/// Watches that one caller has open at once.
pub const WATCHES_PER_CALLER: usize = 1024;
/// The body of an AuthZEN evaluation or search, in bytes.
pub const ACCESS_BODY: usize = 64 * 1024;
/// The body of AuthZEN evaluations that are asked at once, in bytes.
pub const ACCESSES_BODY: usize = 1024 * 1024;
/// The body of a question to the Data API, in bytes: a document and what is around it.
pub const DATA_BODY: usize = 96 * 1024;
/// The body of a change of data, in bytes.
pub const DATA_CHANGE_BODY: usize = 256 * 1024;
/// A policy that an operator activates, packed as a bundle, in bytes.
pub const POLICY_BODY: usize = 8 * 1024 * 1024;
/// What of a policy is named in the answer that refuses it: so many findings, and how many there are.
pub const POLICY_FINDINGS: usize = 100;
/// The body of an operator's request, in bytes.
pub const OPERATE_BODY: usize = 256 * 1024;
/// Rows of one page.
pub const PAGE: u32 = 500;
/// Points of one score curve.
pub const CURVE_POINTS: u32 = 500;
