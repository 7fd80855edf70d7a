use pgp::crypto::hash::HashAlgorithm;
use vouchsafe_packages::openpgp::{CleartextRefused, Keyring, KeyringError, SignatureRefused, SignedText, Standing};

use crate::forge::{Key, Signing, now};

const TEXT: &str = "Suite: stable\n- a dash\nspaces at the end\nthe last line\n";

fn verify(document: &str, keyring: &Keyring) -> Result<SignedText, CleartextRefused> {
    SignedText::verify(document.as_bytes(), keyring, Standing::Now(now()))
}

#[test]
fn what_is_signed_is_returned_and_nothing_else() {
    let key = Key::new();
    let document = key.clear_sign(TEXT, Signing::default());
    // Spaces at the end of a line are not signed, and so are not returned.
    let signed = verify(&document.replace("at the end\n", "at the end \t\n"), &key.keyring()).unwrap();
    let lines: Vec<_> = signed.text().lines().collect();
    assert_eq!(lines, ["Suite: stable", "- a dash", "spaces at the end", "the last line"]);
    assert_eq!(signed.signer().fingerprint(), key.fingerprint());
    let armoured = Keyring::read(key.armoured().as_bytes()).unwrap();
    verify(&key.clear_sign(TEXT, Signing::default()), &armoured).unwrap();
}

#[test]
fn a_signature_by_another_key_does_not_count() {
    let (key, other) = (Key::new(), Key::new());
    let document = key.clear_sign(TEXT, Signing::default());
    let error = verify(&document, &other.keyring()).unwrap_err();
    assert_eq!(error, CleartextRefused::Refused(SignatureRefused::UnknownKey(key.fingerprint())));
    let both = other.keyring().merge(key.keyring()).unwrap();
    verify(&document, &both).unwrap();
}

#[test]
fn no_changed_byte_of_the_text_passes() {
    let key = Key::new();
    let document = key.clear_sign(TEXT, Signing::default());
    let end = document.find("-----BEGIN PGP SIGNATURE").unwrap();
    let keyring = key.keyring();
    let original = verify(&document, &keyring).unwrap();
    for at in 0..end {
        let mut bytes = document.clone().into_bytes();
        bytes[at] ^= 0x01;
        if let Ok(changed) = SignedText::verify(&bytes, &keyring, Standing::Now(now())) {
            assert_eq!(changed.text(), original.text(), "byte {at}");
        }
    }
    for len in 0..document.trim_end().len() {
        assert!(
            SignedText::verify(&document.as_bytes()[..len], &keyring, Standing::Now(now())).is_err(),
            "cut at {len}"
        );
    }
}

#[test]
fn nothing_stands_around_the_signed_text() {
    let key = Key::new();
    let document = key.clear_sign(TEXT, Signing::default());
    let twice = format!("{document}{document}");
    for bad in [
        format!("Suite: other\n{document}"),
        format!("\n{document}"),
        format!("{document}Suite: other\n"),
        document.replace("-----BEGIN PGP SIGNATURE-----", "x\n-----BEGIN PGP PUBLIC KEY BLOCK-----"),
        twice,
        TEXT.to_owned(),
        String::new(),
    ] {
        assert!(matches!(verify(&bad, &key.keyring()), Err(CleartextRefused::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_signature_counts_from_its_making_to_its_end() {
    let key = Key::new();
    let minute = std::time::Duration::from_secs(60);
    let future = Signing { at: now().plus(minute * 11), ..Signing::default() };
    let error = verify(&key.clear_sign(TEXT, future), &key.keyring()).unwrap_err();
    assert!(matches!(error, CleartextRefused::Refused(SignatureRefused::Future { .. })), "{error}");
    let ended = Signing { at: now().minus(minute), expires_secs: Some(60), ..Signing::default() };
    let error = verify(&key.clear_sign(TEXT, ended), &key.keyring()).unwrap_err();
    assert!(matches!(error, CleartextRefused::Refused(SignatureRefused::Expired { .. })), "{error}");
    let lasting = Signing { at: now().minus(minute), expires_secs: Some(61), ..Signing::default() };
    verify(&key.clear_sign(TEXT, lasting), &key.keyring()).unwrap();
    let young = Key::born(now().plus(minute));
    let error = verify(&young.clear_sign(TEXT, Signing::default()), &young.keyring()).unwrap_err();
    assert!(matches!(error, CleartextRefused::Refused(SignatureRefused::KeyExpired { .. })), "{error}");
}

#[test]
fn broken_hashes_and_other_purposes_do_not_count() {
    let key = Key::rsa();
    let keyring = key.keyring();
    keyring.verify_any(b"data", &[key.sign(b"data", Signing::default())], Standing::Now(now())).unwrap();
    let weak = key.sign(b"data", Signing { hash: HashAlgorithm::Sha1, ..Signing::default() });
    let standing = Standing::Now(now());
    let error = keyring.verify_any(b"data", &[weak], standing).unwrap_err();
    assert!(matches!(error, SignatureRefused::WeakHash { .. }), "{error}");
    let error = keyring.verify_any(b"data", &[key.self_signature()], standing).unwrap_err();
    assert!(matches!(error, SignatureRefused::Purpose(_)), "{error}");
}

#[test]
fn one_good_signature_is_enough_and_one_that_is_forged_is_too_much() {
    let (key, stranger) = (Key::new(), Key::new());
    let keyring = key.keyring();
    let standing = Standing::Now(now());
    let good = key.sign(b"data", Signing::default());
    let unknown = stranger.sign(b"data", Signing::default());
    keyring.verify_any(b"data", &[unknown.clone(), good.clone()], standing).unwrap();
    let forged = key.sign(b"other", Signing::default());
    for signatures in [[good.clone(), forged.clone()], [forged, good.clone()]] {
        let error = keyring.verify_any(b"data", &signatures, standing).unwrap_err();
        assert_eq!(error, SignatureRefused::Bad(key.fingerprint()));
    }
    let many: Vec<_> = (0..33).map(|_| good.clone()).collect();
    keyring.verify_any(b"data", &many[..32], standing).unwrap();
    assert_eq!(keyring.verify_any(b"data", &many, standing), Err(SignatureRefused::TooMany));
}

#[test]
fn signatures_and_keyrings_that_are_cut_short_are_refused() {
    let key = Key::new();
    let signature = key.sign(b"data", Signing::default());
    for len in 0..signature.len() {
        let cut = signature[..len].to_vec();
        assert!(key.keyring().verify_any(b"data", &[cut], Standing::Now(now())).is_err(), "{len}");
    }
    let public = key.public();
    for len in 0..public.len() {
        assert!(Keyring::read(&public[..len]).is_err(), "{len}");
    }
    assert!(matches!(Keyring::read(b"no keyring"), Err(KeyringError::Malformed(_) | KeyringError::NoKey)));
    assert!(matches!(Keyring::read(&vec![0; 16 * 1024 * 1024 + 1]), Err(KeyringError::TooLong(_))));
}

#[test]
fn a_key_that_its_owner_does_not_bind_may_not_sign() {
    let key = Key::new();
    let public = key.public();
    // The last byte belongs to the self-signature.
    let mut flipped = public.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(Keyring::read(&flipped), Err(KeyringError::NoKey | KeyringError::Malformed(_))));
}

#[test]
fn debians_own_keyring_is_read_where_it_is_installed() {
    let Ok(bytes) = std::fs::read("/usr/share/keyrings/debian-archive-keyring.gpg") else {
        eprintln!("skipped: Debian's keyring is not installed");
        return;
    };
    assert!(Keyring::read(&bytes).unwrap().len() >= 3);
}
