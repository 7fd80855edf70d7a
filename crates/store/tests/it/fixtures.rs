//! Things to store. A number tells one from another: the same number makes the same thing.

use vouchsafe_model::device::{DeviceKeys, HostFacts};
use vouchsafe_model::finding::FindingCode;
use vouchsafe_model::pcr::{PcrBank, PcrIndex, PcrSet, PcrValue};
use vouchsafe_model::token::JoinToken;
use vouchsafe_model::{
    AttestationId, Coverage, Device, DeviceId, DeviceState, EndorsementGrade, EnrolmentId, Finding, HashAlgorithm,
    Image, ImageDocument, ImageId, ReferenceValues, Sha256Digest, Timestamp, TokenId, Verdict,
};
use vouchsafe_store::{
    AcceptedAttestation, BootUpdate, BootVersion, EnrolmentOutcome, ImaAhead, ImaAheadPart, ImaListChange, ImaListPart,
    ImageMove, InitialTrust, NewEnrolment, NonceUse, Standing, Store, StoredEvidence, TpmReading, TrustSequence,
    TrustUpdate,
};

/// What the verdicts here looked at.
const COVERAGE: Coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: false };

/// When the tests take place, and so many seconds later.
pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_unix_secs(1_800_000_000 + secs)
}

fn entropy(number: u32) -> [u8; 10] {
    let [a, b, c, d] = number.to_be_bytes();
    [0, 0, 0, 0, 0, 0, a, b, c, d]
}

/// A digest of its own for each kind of thing and number.
pub(crate) fn digest(kind: u8, number: u32) -> Sha256Digest {
    let mut bytes = [kind; 32];
    bytes.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Sha256Digest::new(bytes)
}

pub(crate) fn token_id(number: u32) -> TokenId {
    TokenId::new(at(i64::from(number)), &entropy(number))
}

/// A token for any number of devices.
pub(crate) fn token(number: u32) -> JoinToken {
    JoinToken {
        id: token_id(number),
        secret_digest: digest(b't', number),
        label: format!("rack {number}"),
        created_at: at(0),
        expires_at: at(3600),
        max_uses: u32::MAX,
        uses: 0,
        pinned_ek: None,
        image: None,
        sha1_consent: false,
        revoked_at: None,
    }
}

pub(crate) fn image_id(number: u32) -> ImageId {
    format!("web@{number:03}").parse().unwrap()
}

pub(crate) fn pcrs(number: u32) -> PcrBank {
    let value = |pcr: PcrIndex| (pcr, PcrValue::new(digest(pcr.get(), number).as_bytes().to_vec()).unwrap());
    PcrBank { bank: HashAlgorithm::Sha256, values: PcrIndex::all().map(value).collect() }
}

pub(crate) fn image(number: u32) -> Image {
    Image {
        id: image_id(number),
        created_at: at(i64::from(number)),
        reference: ReferenceValues { banks: vec![pcrs(number)], ignored: PcrSet::from_bits(0b1010).unwrap() },
        retired_at: None,
        activated_at: at(i64::from(number) + 60),
        document: None,
    }
}

/// An image with a document that supersedes these.
pub(crate) fn documented(number: u32, supersedes: &[u32]) -> Image {
    let document = ImageDocument {
        digest: digest(b'd', number),
        supersedes: supersedes.iter().copied().map(image_id).collect(),
        overlap_secs: 86_400,
        max_age_secs: Some(u64::MAX),
        signed_by: Some(format!("key {number}")),
    };
    Image { document: Some(document), ..image(number) }
}

pub(crate) fn ek_digest(number: u32) -> Sha256Digest {
    digest(b'e', number)
}

pub(crate) fn device_id(number: u32) -> DeviceId {
    DeviceId::from_ek_digest(&ek_digest(number))
}

pub(crate) fn enrolment_id(number: u32) -> EnrolmentId {
    EnrolmentId::new(at(0), &entropy(number))
}

/// A device as its enrolment of this number leaves it.
pub(crate) fn device(number: u32, enrolment: u32) -> Device {
    let of_enrolment = |what: u8| digest(what, enrolment).as_bytes().to_vec();
    Device {
        id: device_id(number),
        state: DeviceState::Active,
        revocation_reason: None,
        endorsement: EndorsementGrade::Vendor,
        sha1_consent: false,
        enrolled_at: at(0),
        image: None,
        certificate_expires_at: at(86_400),
        certificate_digest: digest(b'c', enrolment),
        keys: DeviceKeys {
            enrolment: enrolment_id(enrolment),
            ek_digest: ek_digest(number),
            ek_certificate: Some(digest(b'E', number).as_bytes().to_vec()),
            ak_public: of_enrolment(b'a'),
            ak_name: of_enrolment(b'n'),
            tls_spki: of_enrolment(b's'),
        },
        facts: HostFacts { hostname: format!("host-{number}"), ..HostFacts::default() },
    }
}

/// The first enrolment of a device, by token 1.
pub(crate) fn enrolment(number: u32) -> NewEnrolment {
    NewEnrolment {
        device: device(number, number),
        token: token_id(1),
        replaces: None,
        now: at(0),
        trust: InitialTrust { event: r#"{"enrolled":true}"#.to_owned(), state: r#"{"n":0}"#.to_owned() },
    }
}

/// Creates token 1.
pub(crate) async fn create_token(store: &dyn Store) {
    store.create_token(&token(1)).await.unwrap();
}

/// Enrols a device by token 1.
pub(crate) async fn enrol(store: &dyn Store, number: u32) -> Standing {
    match store.complete_enrolment(&enrolment(number)).await.unwrap() {
        EnrolmentOutcome::Enrolled(standing) => *standing,
        other => panic!("device {number} did not enrol: {other:?}"),
    }
}

/// Creates token 1 and enrols device 1.
pub(crate) async fn first_device(store: &dyn Store) -> Standing {
    create_token(store).await;
    enrol(store, 1).await
}

pub(crate) async fn standing(store: &dyn Store, number: u32) -> Standing {
    store.standing(device_id(number)).await.unwrap().expect("the device is enrolled")
}

/// An update on top of this row, so many seconds into the test.
pub(crate) fn update(follows: TrustSequence, secs: i64) -> TrustUpdate {
    TrustUpdate {
        follows,
        at: at(secs),
        event: format!(r#"{{"secs":{secs}}}"#),
        state: format!(r#"{{"after":{follows}}}"#),
    }
}

pub(crate) fn attestation_id(number: u32) -> AttestationId {
    AttestationId::new(at(i64::from(number)), &entropy(number))
}

pub(crate) fn nonce(number: u32) -> NonceUse {
    NonceUse { digest: digest(b'N', number), expires_at: at(i64::from(number) + 300) }
}

/// Evidence of this number for a device that stands so, as many seconds into the test.
pub(crate) fn accepted(standing: &Standing, number: u32) -> AcceptedAttestation {
    let now = at(i64::from(number));
    let findings = vec![Finding::new(FindingCode::TpmReset)];
    AcceptedAttestation {
        device: standing.device.id,
        enrolment: standing.device.keys.enrolment,
        nonce: nonce(number),
        verdict: Verdict::new(attestation_id(number), now, now, standing.device.image.clone(), COVERAGE, findings),
        moves: None,
        evidence: StoredEvidence {
            message: digest(b'm', number).as_bytes().to_vec(),
            signature: digest(b'S', number).as_bytes().to_vec(),
            pcrs: pcrs(number),
            tpm: TpmReading {
                clock_ms: u64::MAX - u64::from(number),
                reset_count: u32::MAX,
                restart_count: number,
                safe: number % 2 == 1,
                firmware_version: 0xF123_4567_89AB_CDEF,
            },
            received_at: now,
        },
        facts: None,
        trust: update(standing.trust.sequence, i64::from(number)),
        boot: None,
    }
}

/// Evidence of this number for a device that stands so, by which it moves to this image.
pub(crate) fn accepted_and_moved(standing: &Standing, number: u32, to: u32) -> AcceptedAttestation {
    let evidence = accepted(standing, number);
    let (now, findings) = (evidence.evidence.received_at, evidence.verdict.findings().to_vec());
    let verdict = Verdict::new(attestation_id(number), now, now, Some(image_id(to)), COVERAGE, findings);
    let moves = Some(ImageMove { from: standing.device.image.clone(), to: image_id(to) });
    AcceptedAttestation { verdict, moves, ..evidence }
}

/// A boot event log of this number.
pub(crate) fn event_log(number: u32) -> Vec<u8> {
    digest(b'L', number).as_bytes().repeat(1000)
}

/// Its digest, as far as the store knows.
pub(crate) fn event_log_digest(number: u32) -> Sha256Digest {
    digest(b'l', number)
}

/// The state of an IMA replay, larger than a page of the file.
pub(crate) fn ima_state(number: u32) -> String {
    format!(r#"{{"entries":{number},"pcr":"{}"}}"#, digest(b'i', number).to_string().repeat(100))
}

/// What evidence of this number says of the device's boot, which is its first.
pub(crate) fn boot_update(accepted: &AcceptedAttestation, follows: Option<BootVersion>, number: u32) -> BootUpdate {
    BootUpdate {
        follows,
        enrolment: accepted.enrolment,
        boot: Some("boot-1".to_owned()),
        reset_count: u32::MAX,
        restart_count: number,
        event_log: None,
        ima: Some(ima_state(number)),
        list: ImaListChange::Stays,
        at: accepted.evidence.received_at,
    }
}

/// Evidence of this number for a device that stands so, which says so much of its boot.
pub(crate) fn accepted_with_boot(
    standing: &Standing,
    follows: Option<BootVersion>,
    number: u32,
    change: impl FnOnce(&mut BootUpdate),
) -> AcceptedAttestation {
    let evidence = accepted(standing, number);
    let mut boot = boot_update(&evidence, follows, number);
    change(&mut boot);
    AcceptedAttestation { boot: Some(boot), ..evidence }
}

/// A part of the list of this boot that came ahead of its quote.
pub(crate) fn ahead(number: u32) -> ImaAhead {
    ImaAhead {
        boot: "boot-1".to_owned(),
        offset: u64::MAX - u64::from(number),
        state: ima_state(number),
        at: at(i64::from(number)),
    }
}

/// A part of this number of an IMA list.
pub(crate) fn part(number: u32, offset: u64, len: u64) -> ImaListPart {
    ImaListPart { offset, len, deflated: digest(b'I', number).as_bytes().repeat(20) }
}

/// Such a part ahead of its quote, the first or a further one.
pub(crate) fn ahead_part(begins: bool, part: ImaListPart) -> ImaAheadPart {
    ImaAheadPart { begins, part: Some(part) }
}

/// What held no whole entry.
pub(crate) const NO_PART: ImaAheadPart = ImaAheadPart { begins: false, part: None };
