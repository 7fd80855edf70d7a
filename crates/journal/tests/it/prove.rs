//! Checkpoints and proofs of inclusion: what they prove, and that they prove nothing else.

use std::process::Command;
use std::time::Duration;

use data_encoding::BASE64;
use vouchsafe_journal::{
    CheckpointKey, FaultKind, JournalSettings, MAX_PROOF_LEN, NoteRejected, Proof, ProofRejected, ProveError,
    SignCheckpoint as _, SignedCheckpoint, VerifyError, verify,
};

use crate::fixtures::{Place, SIGNER, Signer, entry, finish, id, number_of};

fn keys() -> [CheckpointKey; 1] {
    [SIGNER.public_key().clone()]
}

async fn filled() -> Place {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    place.fill(0..75).await;
    assert!(place.segments().len() > 2);
    place
}

fn prove(place: &Place, number: u32) -> Proof {
    let (journal, writing) = place.open().unwrap();
    let proof = journal.view().prove(id(number)).unwrap().unwrap();
    drop(journal);
    writing.finish();
    proof
}

#[tokio::test]
async fn every_entry_is_proven_by_a_text_that_is_verified_alone() {
    let place = filled().await;
    for number in 0..75 {
        let text = prove(&place, number).to_text();
        let proof = Proof::parse(&text).unwrap();
        proof.verify(&keys()).unwrap();
        assert_eq!((number_of(proof.record()), proof.record().number), (number, u64::from(number)));
        assert_eq!(proof.to_text(), text);
    }
}

#[tokio::test]
async fn another_key_proves_nothing() {
    let place = filled().await;
    let proof = prove(&place, 5);
    let other = Signer::new().public_key().clone();
    assert_eq!(proof.verify(std::slice::from_ref(&other)), Err(ProofRejected::Note(NoteRejected::OtherKey)));
    assert_eq!(proof.verify(&[]), Err(ProofRejected::Note(NoteRejected::OtherKey)));
    assert_eq!(proof.verify(&[other, keys()[0].clone()]), Ok(()));
}

#[tokio::test]
async fn every_changed_character_of_a_proof_is_noticed() {
    let place = filled().await;
    let text = prove(&place, 33).to_text();
    for (place, character) in text.char_indices() {
        let with = if character == 'A' { "B" } else { "A" };
        let mut changed = text.clone();
        changed.replace_range(place..place + character.len_utf8(), with);
        let outcome = Proof::parse(&changed).and_then(|proof| proof.verify(&keys()));
        assert!(outcome.is_err(), "byte {place}: {changed}");
    }
}

#[tokio::test]
async fn a_path_to_another_root_proves_nothing() {
    let (one, other) = (filled().await, Place::new());
    other.fill(100..110).await;
    let [proof, foreign] = [prove(&one, 3).to_text(), prove(&other, 104).to_text()];
    let (head, _) = proof.split_once("\n\n").unwrap();
    let (_, note) = foreign.split_once("\n\n").unwrap();
    let mixed = Proof::parse(&format!("{head}\n\n{note}")).unwrap();
    assert_eq!(mixed.verify(&keys()), Err(ProofRejected::NotIncluded));
    assert!(!ProofRejected::NotIncluded.is_unreadable());
}

#[test]
fn what_is_no_proof_is_refused_and_says_why() {
    let told = |text: &str| Proof::parse(text).unwrap_err();
    let form = "the text is no proof of a log (c2sp.org/tlog-proof@v1): ";
    assert_eq!(told("").to_string(), format!("{form}there is no empty line in it"));
    assert_eq!(told("x\n\n").to_string(), format!("{form}it begins with another line"));
    assert_eq!(told("c2sp.org/tlog-proof@v1\nindex 0\n\n").to_string(), format!("{form}it has no entry"));
    let extra = BASE64.encode(b"0\tx");
    assert!(told(&format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex 0\n\n")).is_unreadable());
    assert_eq!(Proof::parse(&" ".repeat(MAX_PROOF_LEN + 1)), Err(ProofRejected::TooLong));
    assert!(!matches!(Proof::parse(&" ".repeat(MAX_PROOF_LEN)), Err(ProofRejected::TooLong)));
}

#[tokio::test]
async fn an_entry_that_no_checkpoint_covers_is_proven_a_moment_later() {
    let mut place = Place::new();
    place.settings.checkpoint_interval = Duration::from_millis(300);
    let (journal, writing) = place.open().unwrap();
    journal.append(entry(1)).await.unwrap();
    assert!(matches!(journal.view().prove(id(1)), Err(ProveError::NotSigned)));
    assert!(journal.view().prove(id(2)).unwrap().is_none());
    tokio::time::sleep(Duration::from_millis(500)).await;
    journal.view().prove(id(1)).unwrap().unwrap().verify(&keys()).unwrap();
    let checkpoint = journal.checkpoint().unwrap();
    assert_eq!((checkpoint.checkpoint().size, checkpoint.verify(&keys())), (1, Ok(())));
    finish(writing).await;
}

#[tokio::test]
async fn checkpoints_come_after_so_many_entries() {
    let mut place = Place::new();
    place.settings.checkpoint_entries = 10;
    place.settings.checkpoint_interval = Duration::from_secs(3600);
    let (journal, writing) = place.open().unwrap();
    for number in 0..9 {
        journal.append(entry(number)).await.unwrap();
    }
    assert!(journal.checkpoint().is_none());
    journal.append(entry(9)).await.unwrap();
    journal.append(entry(10)).await.unwrap();
    assert_eq!(journal.checkpoint().unwrap().checkpoint().size, 10);
    finish(writing).await;
    let found = place.verify().unwrap();
    assert_eq!((found.checkpoints, found.unsigned), (2, 0));
}

#[tokio::test]
async fn a_log_must_fit_a_checkpoint_from_elsewhere() {
    let place = filled().await;
    let (journal, writing) = place.open().unwrap();
    let pinned = SignedCheckpoint::parse(journal.checkpoint().unwrap().note()).unwrap();
    finish(writing).await;
    place.fill(75..80).await;
    verify(&place.folder, &keys(), Some(&pinned), &mut |_| {}).unwrap();

    // A log that was written anew, with the same key and name, from its beginning.
    let rewritten = Place::new();
    rewritten.fill(1..81).await;
    let error = verify(&rewritten.folder, &keys(), Some(&pinned), &mut |_| {}).unwrap_err();
    let VerifyError::Fault(fault) = error else { panic!("{error}") };
    assert_eq!(fault.kind, FaultKind::Contradicted { what: "root of the tree" });

    let shorter = Place::new();
    shorter.fill(0..10).await;
    let error = verify(&shorter.folder, &keys(), Some(&pinned), &mut |_| {}).unwrap_err();
    let VerifyError::Fault(fault) = error else { panic!("{error}") };
    assert_eq!(fault.kind, FaultKind::SignedEntriesMissing { signed: 75, found: 10 });
}

#[tokio::test]
async fn openssl_verifies_the_signature_of_a_checkpoint() {
    let place = Place::new();
    place.fill(0..3).await;
    let (journal, writing) = place.open().unwrap();
    let checkpoint = journal.checkpoint().unwrap();
    finish(writing).await;
    let (text, signatures) = checkpoint.note().rsplit_once("\n\n").unwrap();
    let (_, signature) = signatures.trim_end().rsplit_once(' ').unwrap();
    let signature = BASE64.decode(signature.as_bytes()).unwrap();
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (key, text) = (write("key.der", &SIGNER.spki_der()), write("text", format!("{text}\n").as_bytes()));
    let signature = write("signature", &signature[4..]);
    let openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-keyform", "DER", "-verify"])
        .args([key.as_os_str(), "-signature".as_ref(), signature.as_os_str(), text.as_os_str()])
        .output();
    let Ok(openssl) = openssl else { return println!("skipped: there is no openssl here") };
    assert!(openssl.status.success(), "{openssl:?}");
}

#[test]
fn only_p256_keys_are_keys_of_a_log() {
    let der = SIGNER.spki_der();
    assert!(CheckpointKey::from_spki_der(&der).is_ok());
    let mut compressed = der.clone();
    compressed[26] = 2;
    for other in [&[][..], &der[1..], &der[..der.len() - 1], &[&der[..], &[0]].concat(), &compressed] {
        assert!(CheckpointKey::from_spki_der(other).is_err());
    }
}

#[tokio::test]
async fn notes_that_are_none_of_ours_are_refused() {
    let place = Place::new();
    place.fill(0..3).await;
    let (journal, writing) = place.open().unwrap();
    let note = journal.checkpoint().unwrap().note().to_owned();
    finish(writing).await;
    let parse = |note: &str| SignedCheckpoint::parse(note).and_then(|note| note.verify(&keys()));
    assert_eq!(parse(&note), Ok(()));
    let signature = note.lines().last().unwrap().to_owned();
    // Signatures of others are passed over, and so is their number, up to a bound.
    let cosigned = |others: usize| format!("{note}{}", "\u{2014} witness.example AAAAAAAA\n".repeat(others));
    assert_eq!(parse(&cosigned(15)), Ok(()));
    assert!(parse(&cosigned(16)).is_err());
    for (from, to) in [
        ("\n3\n", "\n03\n"),
        ("\n3\n", "\n+3\n"),
        ("\ntime ", "\ntimes "),
        ("\nkept 0\n", "\n"),
        ("\nkept 0\n", "\nkept 0\nmore\n"),
        ("\n\n", "\n"),
        (signature.as_str(), "- no dash AAAA"),
    ] {
        assert!(matches!(parse(&note.replacen(from, to, 1)), Err(NoteRejected::Malformed { .. })), "{from:?}");
    }
    assert_eq!(parse(&note.replacen("\n3\n", "\n4\n", 1)), Err(NoteRejected::Forged));
    assert_eq!(parse(&note.replace("example.org", "example.net")), Err(NoteRejected::Forged));
    let renamed = note.replacen("example.org", "example.net", 1);
    assert_eq!(parse(&renamed), Err(NoteRejected::OtherKey), "the key is another log's");
    assert_eq!(parse(&"x".repeat(16 * 1024 + 1)), Err(NoteRejected::TooLong));
}
