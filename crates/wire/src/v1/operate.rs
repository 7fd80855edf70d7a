//! What operators ask for and are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::trust::{CurvePoint, ScoreExplanation};
use vouchsafe_model::{
    DeviceId, DeviceState, EndorsementGrade, Finding, HostFacts, Image, ImageId, Sha256Digest, Timestamp, TokenId,
    TrustScore, Verdict,
};

use super::enrol::JoinFile;
use super::limits;
use crate::bytes::Bytes;

/// One page of a list; `next` asks for the one after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins: pass it as `after`. Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /v1/tokens`: a join token for so many devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// What it is for, in the operator's words.
    #[serde(default)]
    pub label: String,
    /// How long it is good, in seconds.
    pub ttl_secs: u64,
    /// How many devices it may enrol.
    pub max_uses: u32,
    /// The one EK it is for: SHA-256 of its SubjectPublicKeyInfo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_ek: Option<Sha256Digest>,
    /// The image that its devices are assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// Consents to the SHA-1 bank on devices whose TPM has no other.
    #[serde(default)]
    pub danger_sha1: bool,
}

/// A new token: the only time that its secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Its name.
    pub id: TokenId,
    /// The file to hand to the device.
    pub join: JoinFile,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its name.
    pub id: TokenId,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many devices it may enrol.
    pub max_uses: u32,
    /// How many it did.
    pub uses: u32,
    /// The one EK it is for.
    pub pinned_ek: Option<Sha256Digest>,
    /// The image that its devices are assigned.
    pub image: Option<ImageId>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

/// A device, in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceSummary {
    /// Its name.
    pub id: DeviceId,
    /// What it calls itself.
    pub hostname: String,
    /// Whether it may take part.
    pub state: DeviceState,
    /// How well its EK is vouched for.
    pub endorsement: EndorsementGrade,
    /// The golden image that it is compared with.
    pub image: Option<ImageId>,
    /// Its score at this instant.
    pub score: TrustScore,
    /// What its last evidence came to.
    pub verdict: Option<Verdict>,
}

/// A device, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceView {
    /// Its summary.
    #[serde(flatten)]
    pub summary: DeviceSummary,
    /// When it first enrolled.
    pub enrolled_at: Timestamp,
    /// Why it was revoked.
    pub revocation_reason: Option<String>,
    /// When its certificate ends.
    pub certificate_expires_at: Timestamp,
    /// SHA-256 of its EK's SubjectPublicKeyInfo.
    pub ek_digest: Sha256Digest,
    /// Its AK: `TPMT_PUBLIC`.
    pub ak_public: Bytes<{ limits::PUBLIC_AREA }>,
    /// What it says of itself.
    pub facts: HostFacts,
}

/// `POST /v1/devices/{id}/revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeDevice {
    /// Why, for those who read it later.
    pub reason: String,
}

impl RevokeDevice {
    /// The longest reason, in bytes.
    pub const MAX_REASON_LEN: usize = 1024;
}

/// `PUT /v1/devices/{id}/image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignImage {
    /// The image, or none.
    pub image: Option<ImageId>,
}

/// `GET /v1/devices/{id}/trust`: the score at an instant, why, and how it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrustView {
    /// The device.
    pub device: DeviceId,
    /// The score and its parts.
    pub explanation: ScoreExplanation,
    /// The score over time, around the instant that was asked for.
    pub curve: Vec<CurvePoint>,
    /// When it falls below the threshold that was asked for, if nothing new is heard.
    pub below_at: Option<Timestamp>,
    /// That threshold.
    pub threshold: TrustScore,
}

/// `POST /v1/images`: an image from what a device last quoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureImage {
    /// The image's name and version.
    pub id: ImageId,
    /// The device whose last authentic quote is taken.
    pub device: DeviceId,
    /// PCRs that may have any value.
    #[serde(default)]
    pub ignore: vouchsafe_model::pcr::PcrSet,
    /// Whether the device is assigned the image at once.
    #[serde(default)]
    pub assign: bool,
}

/// `POST /v1/image-documents` and `POST /v1/image-documents/dry-run`: a golden image as a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ImageSource {
    /// The text, signed by nobody. An engine that was given keys for images takes none of these.
    Text(String),
    /// A DSSE envelope that holds the text, as `vouchsafe image sign` makes it.
    Envelope(String),
}

/// Whether a part of what is known of a device was held against an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// It was.
    Judged,
    /// The image says nothing of it.
    NotAsked,
    /// It was not: the device's IMA list is longer than any that is kept.
    ListTooLong,
    /// It was not: the lists of other devices took all the room that there is for them.
    ListHadNoRoom,
    /// It was not: the device's IMA list is not known from its beginning.
    ListIncomplete,
}

impl Judged {
    /// Why it was not, where the image asks for it.
    pub const fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Judged | Self::NotAsked => None,
            Self::ListTooLong => Some("the device's IMA list is longer than any that is kept"),
            Self::ListHadNoRoom => Some("there was no room left for the device's IMA list"),
            Self::ListIncomplete => Some("the device's IMA list is not known from its beginning"),
        }
    }
}

/// What an image would make of one of today's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunDevice {
    /// The device.
    pub device: DeviceId,
    /// What it calls itself.
    pub hostname: String,
    /// The image that it is compared with today.
    pub image: Option<ImageId>,
    /// Whether it would fail, by what was judged.
    pub fails: bool,
    /// Whether what it booted was held against the image.
    pub boot: Judged,
    /// Whether what it runs was: its IMA list, as far as its quotes vouched for it.
    pub runtime: Judged,
    /// What would be found.
    pub findings: Vec<Finding>,
}

/// What an image would make of today's devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// The image.
    pub image: ImageId,
    /// The devices that are compared with an image of its name, or with one that it supersedes; all, when there is none.
    pub devices: Vec<DryRunDevice>,
    /// Devices that never vouched, of which nothing can be said.
    pub unseen: Vec<DeviceId>,
    /// Where the rest of the devices begins: pass it as `after`. Absent when these are the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/devices/{id}/measurements`: what a device last vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Measurements {
    /// The device.
    pub device: DeviceId,
    /// The evidence.
    pub attestation: vouchsafe_model::AttestationId,
    /// When it came.
    pub received_at: Timestamp,
    /// The PCRs that its TPM signed.
    pub pcrs: vouchsafe_model::PcrBank,
    /// The boot event log, if it has one.
    pub event_log: Option<super::logs::Deflated<{ limits::EVENT_LOG_COMPRESSED }>>,
}

/// `GET /v1/devices/{id}/ima-list`: a part of what a device measured since it booted, as far as its quotes vouched for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImaListPage {
    /// The device.
    pub device: DeviceId,
    /// How many bytes the whole list has.
    pub len: u64,
    /// How many entries.
    pub entries: u64,
    /// The bank that it is replayed in.
    pub bank: vouchsafe_model::HashAlgorithm,
    /// The value of PCR 10 behind its last entry.
    pub pcr10: vouchsafe_model::pcr::PcrValue,
    /// The parts from where was asked for, each where the one before it ends; the first may begin before. None when the list
    /// is no longer than that.
    pub parts: Vec<ImaListPiece>,
}

/// A piece of an IMA list: whole entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImaListPiece {
    /// Where it begins, in bytes from the beginning of the list.
    pub offset: u64,
    /// The bytes.
    pub log: super::logs::Deflated<{ limits::IMA_PART_COMPRESSED }>,
}

/// `PUT /v1/secure-boot/dbx/{arch}`: a dbx update file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportDbx {
    /// The file, as its maker published it.
    pub file: Bytes<{ limits::DBX }>,
}

/// What is revoked for an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DbxView {
    /// The architecture: `x64`.
    pub arch: String,
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
    /// The time that is signed with it.
    pub timestamp: Option<Timestamp>,
    /// How many entries it has.
    pub entries: u64,
    /// When it was imported.
    pub imported_at: Timestamp,
}

/// An image, as operators see it.
pub type ImageView = Image;

/// `POST /v1/credentials`: a certificate for an operator or an enforcement point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueCredential {
    /// What its holder may be.
    pub role: CredentialRole,
    /// The holder's name.
    pub name: vouchsafe_model::spiffe::PeerName,
    /// PKCS#10 request (DER) for a key that never leaves its holder.
    pub certificate_request: Bytes<{ limits::CERTIFICATE }>,
    /// How long it is good, in seconds.
    pub ttl_secs: u64,
}

/// What a credential's holder may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialRole {
    /// Operates the engines.
    Operator,
    /// Asks for decisions.
    Enforcement,
}

/// A credential's certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuedCredential {
    /// The certificate and its intermediates, PEM.
    pub chain_pem: String,
    /// The roots by which the engine is known, PEM.
    pub trust_bundle_pem: String,
    /// When it ends.
    pub expires_at: Timestamp,
}
