//! Boot loaders that their makers revoked (threat 18).

use vouchsafe_attest::forge::boot_log::image_list;
use vouchsafe_model::FindingCode;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_wire::v1::operate::ImportDbx;

use crate::measured::{BOOT, LOADER_PATH, codes, the, told};
use crate::world::{World, bytes, sha256};

/// A signed update of June in a year, that revokes these images.
fn update(year: u16, images: &[&[u8]]) -> ImportDbx {
    let pkcs7 = [0x9D, 0xD2, 0xAF, 0x4A, 0xDF, 0x68, 0xEE, 0x49, 0x8A, 0xA9, 0x34, 0x7D, 0x37, 0x56, 0x65, 0xA7];
    let time = [&year.to_le_bytes()[..], &[6, 1], &[0; 12]].concat();
    let head = [&time[..], &28u32.to_le_bytes(), &[0, 2, 0xF1, 0x0E], &pkcs7, &[0x30; 4]].concat();
    ImportDbx { file: bytes(&[head, bare(images)].concat()) }
}

fn bare(images: &[&[u8]]) -> Vec<u8> {
    let digests: Vec<[u8; 32]> = images.iter().map(|image| *sha256(image).as_bytes()).collect();
    image_list(&digests)
}

#[tokio::test]
async fn a_boot_by_a_revoked_loader_fails_from_the_next_attestation_on() {
    let mut world = World::new().await;
    let mut machine = world.golden_machine().await;
    let view = world.engine.import_dbx("x64", &update(2024, &[b"an old loader"])).await.unwrap();
    assert_eq!((view.arch.as_str(), view.entries), ("x64", 1));
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());

    world.engine.import_dbx("x64", &update(2025, &[b"an old loader", BOOT.loader])).await.unwrap();
    for restart in [false, true] {
        if restart {
            world.restart().await;
        }
        let logs = machine.logs();
        assert!(logs.event_log.is_none(), "the stored log is looked at");
        let verdict = machine.attest_with(&world, logs).await.unwrap();
        assert_eq!(verdict.status(), VerdictStatus::Contraindicated);
        assert_eq!(codes(&verdict), [FindingCode::BootImageRevoked]);
        let finding = the(&verdict, FindingCode::BootImageRevoked);
        assert_eq!(finding.path.as_deref(), Some(LOADER_PATH));
        assert_eq!(finding.event, Some(machine.event_with(b"d\0e\0b\0i\0a\0n\0")));
        assert!(finding.found.as_ref().unwrap().contains(&sha256(BOOT.loader).to_string()), "{finding}");
        assert_eq!(world.score(machine.device.id), 0.0);
    }
}

#[tokio::test]
async fn an_older_list_does_not_take_the_place_of_a_newer_one() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    world.engine.import_dbx("x64", &update(2025, &[BOOT.loader])).await.unwrap();
    for older in [update(2024, &[b"an old loader"]), ImportDbx { file: bytes(&bare(&[b"without a time"])) }] {
        let refused = world.engine.import_dbx("x64", &older).await.unwrap_err();
        assert!(refused.to_string().starts_with("file: is older than the one in force"), "{refused}");
    }
    // That of another architecture is another list, and counts beside it; the same again changes nothing.
    world.engine.import_dbx("aa64", &update(2020, &[b"another"])).await.unwrap();
    world.engine.import_dbx("x64", &update(2025, &[BOOT.loader])).await.unwrap();
    let listed = world.engine.list_dbx().await.unwrap();
    assert_eq!(listed.iter().map(|view| view.arch.as_str()).collect::<Vec<_>>(), ["aa64", "x64"]);
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::BootImageRevoked]);
}

#[tokio::test]
async fn a_file_that_is_no_dbx_and_an_architecture_that_is_no_name_are_refused() {
    let world = World::new().await;
    let good = update(2025, &[BOOT.loader]);
    let mut cut = good.file.as_slice().to_vec();
    cut.pop();
    for (arch, file, why) in [
        ("x64", bytes(b"no dbx"), "file: neither"),
        ("x64", bytes(&cut), "file: from byte"),
        ("x64", bytes(&[]), "file: neither"),
        ("", good.file.clone(), "arch: must be"),
        ("../x64", good.file.clone(), "arch: must be"),
        ("seventeen-letters", good.file.clone(), "arch: must be"),
    ] {
        let refused = world.engine.import_dbx(arch, &ImportDbx { file }).await.unwrap_err();
        assert!(refused.to_string().starts_with(why), "{refused}");
    }
    assert!(world.engine.list_dbx().await.unwrap().is_empty());
}
