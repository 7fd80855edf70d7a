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
/// The body of an attestation, in bytes.
pub const ATTEST_BODY: usize = 256 * 1024;
/// The body of a question for a decision, in bytes.
pub const DECISION_BODY: usize = 64 * 1024;
/// The body of an operator's request, in bytes.
pub const OPERATE_BODY: usize = 256 * 1024;
/// Rows of one page.
pub const PAGE: u32 = 500;
/// Points of one score curve.
pub const CURVE_POINTS: u32 = 500;
