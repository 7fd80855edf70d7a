//! Images as documents: tried before they count, signed by who may, and never changed under their name.

use std::convert::Infallible;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use vouchsafe_attest::dsse::DsseKey;
use vouchsafe_attest::image::signed::sign;
use vouchsafe_attest::image::{CommandText, GoldenImage};
use vouchsafe_model::{FindingCode, Timestamp};
use vouchsafe_store::{Page, PageLimit};
use vouchsafe_trust_engine::operate::OperateRejected;
use vouchsafe_wire::v1::operate::ImageSource;

use crate::measured::{BOOT, FILES, digest_of, told};
use crate::world::World;

const OTHER_LINE: &str = "/vmlinuz root=/dev/sda1 ro lockdown=integrity";

fn with_other_line(mut image: GoldenImage) -> GoldenImage {
    for line in image.boot.iter_mut().flat_map(|boot| boot.command_lines.iter_mut().flatten()) {
        if line.text == CommandText::Exact(BOOT.command_line.to_owned()) {
            line.text = CommandText::Exact(OTHER_LINE.to_owned());
        }
    }
    image
}

async fn images(world: &World) -> usize {
    world.engine.list_images(Page::first(PageLimit::default())).await.unwrap().items.len()
}

#[tokio::test]
async fn a_dry_run_names_who_would_fail_and_why_and_stores_nothing() {
    let world = World::new().await;
    let machine = world.golden_machine().await;
    let mut other = world.golden_machine().await;
    let silent = world.machine().await;
    let name = world.record(machine.device.id).image.unwrap();
    let next = with_other_line(machine.image(&world, &format!("{}@2", name.name())));
    let (before, record) = (images(&world).await, world.record(machine.device.id));

    let run = world.engine.dry_run(ImageSource::Text(next.to_text()), None).await.unwrap();
    assert_eq!(run.image, next.id);
    let [device] = &run.devices[..] else { panic!("{run:?}") };
    assert_eq!((device.device, device.fails, device.image.as_ref()), (machine.device.id, true, Some(&name)));
    assert_eq!(device.hostname, "host");
    let [finding] = &device.findings[..] else { panic!("{device:?}") };
    assert_eq!(finding.code, FindingCode::CommandLineMismatch);
    assert_eq!(finding.event, Some(machine.event_with(b"kernel_cmdline")));
    assert_eq!(finding.expected.as_deref(), Some(OTHER_LINE));
    assert_eq!(finding.found.as_deref(), Some(BOOT.command_line));

    // A name that nobody bears is tried on all; who never vouched is told apart.
    let stranger = machine.image(&world, "stranger@1");
    let run = world.engine.dry_run(ImageSource::Text(stranger.to_text()), None).await.unwrap();
    let mut tried: Vec<_> = run.devices.iter().map(|device| (device.device, device.fails)).collect();
    tried.sort_unstable();
    let mut expected = vec![(machine.device.id, false), (other.device.id, false)];
    expected.sort_unstable();
    assert_eq!(tried, expected, "{run:?}");
    assert_eq!(run.unseen, [silent.device.id]);

    assert_eq!(images(&world).await, before, "a dry run stored its image");
    assert_eq!(world.record(machine.device.id), record);
    let verdict = other.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_operator_gets_to_make_an_image_from_is_what_the_device_vouched_for() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    let refused = world.engine.measurements(machine.device.id).await.unwrap_err();
    assert!(matches!(refused, OperateRejected::NothingQuoted), "{refused}");
    machine.attest(&world).await;
    let measured = world.engine.measurements(machine.device.id).await.unwrap();
    assert_eq!(measured.event_log.unwrap().inflate(1 << 20).unwrap(), machine.log.clone().unwrap());
    assert_eq!(measured.pcrs, machine.device.host.tpm.pcrs(&crate::world::selection("sha256:0-15")));
}

struct Signer {
    pair: EcdsaKeyPair,
    key: DsseKey,
}

impl Signer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
        Self { key: DsseKey::from_spki_der(spki.as_ref()).unwrap(), pair }
    }

    fn envelope(&self, text: &str) -> String {
        let by = |message: &[u8]| {
            Ok::<_, Infallible>(self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
        };
        sign(text, self.key.id(), by).unwrap().to_json()
    }
}

/// An image of one file.
fn image(id: &str) -> GoldenImage {
    let mut image = GoldenImage::new(id.parse().unwrap(), Timestamp::from_unix_secs(1_800_000_000));
    let (path, content) = FILES[0];
    image.runtime.get_or_insert_default().digests.insert(path.to_owned(), vec![digest_of(content)]);
    image
}

#[tokio::test]
async fn an_engine_with_keys_takes_images_that_one_of_them_signed_and_no_others() {
    let (ours, theirs) = (Signer::new(), Signer::new());
    let world = World::with_image_keys(vec![ours.key.clone()]).await;
    let text = image("signed@1").to_text();
    let changed = {
        let mut envelope: serde_json::Value = serde_json::from_str(&ours.envelope(&text)).unwrap();
        let other: serde_json::Value = serde_json::from_str(&ours.envelope(&image("signed@2").to_text())).unwrap();
        envelope["payload"] = other["payload"].clone();
        envelope.to_string()
    };
    for (source, why) in [
        (ImageSource::Text(text.clone()), "is not signed"),
        (ImageSource::Envelope(theirs.envelope(&text)), "sign"),
        (ImageSource::Envelope(changed), "sign"),
        (ImageSource::Envelope("{}".to_owned()), "envelope"),
    ] {
        for refused in [
            world.engine.import_image(source.clone()).await.map(drop),
            world.engine.dry_run(source.clone(), None).await.map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, OperateRejected::Field { field: "image", .. }), "{refused}");
            assert!(refused.to_string().contains(why), "{refused}");
        }
    }
    assert_eq!(images(&world).await, 0);
    let envelope = ours.envelope(&text);
    let taken = world.engine.import_image(ImageSource::Envelope(envelope.clone())).await.unwrap();
    assert_eq!(taken.document.unwrap().signed_by.as_deref(), Some(ours.key.id()));
    // Who asks for it gets the envelope, and may check the signature anew.
    assert_eq!(world.engine.image_text(&taken.id).await.unwrap(), ImageSource::Envelope(envelope));
}

#[tokio::test]
async fn an_engine_without_keys_does_not_pretend_to_have_checked_a_signature() {
    let world = World::new().await;
    let envelope = Signer::new().envelope(&image("signed@1").to_text());
    let refused = world.engine.import_image(ImageSource::Envelope(envelope)).await.unwrap_err();
    assert!(refused.to_string().contains("has no keys for images"), "{refused}");
}

#[tokio::test]
async fn a_name_stands_for_one_document_for_ever() {
    let world = World::new().await;
    let first = image("web@1");
    world.import(&first).await;
    let mut second = first.clone();
    second.max_age = Some("90d".parse().unwrap());
    for document in [&first, &second] {
        let refused = world.engine.import_image(ImageSource::Text(document.to_text())).await.unwrap_err();
        assert!(matches!(&refused, OperateRejected::Exists { id, .. } if id == "web@1"), "{refused}");
    }
    assert_eq!(world.engine.image_text(&first.id).await.unwrap(), ImageSource::Text(first.to_text()));
}

#[tokio::test]
async fn a_text_that_is_no_image_is_refused_with_where_and_why() {
    let world = World::new().await;
    for (text, why) in [
        ("image = \"web@1\"\n", "format"),
        (&image("web@1").to_text().replace("created_at", "made_at"), "made_at"),
        ("nonsense", "line 1"),
        (&image("web@1").to_text().replace("sha256:", "md5:"), "no digest such as"),
    ] {
        let refused = world.engine.import_image(ImageSource::Text(text.to_owned())).await.unwrap_err();
        assert!(matches!(refused, OperateRejected::Field { field: "image", .. }), "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert_eq!(images(&world).await, 0);
}

#[tokio::test]
async fn an_image_grows_old_by_its_own_words() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    let mut old = machine.image(&world, "old@1");
    old.max_age = Some("1h".parse().unwrap());
    world.import(&old).await;
    world.assign(&mut machine, &old.id).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    world.step(&mut machine.device, 3600);
    machine.ask(&world).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(crate::measured::codes(&verdict), [FindingCode::ImageTooOld]);
}
