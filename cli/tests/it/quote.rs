//! `verify quote` on quotes that nobody here made.

use std::path::{Path, PathBuf};

use crate::support::{Ran, data, run_in, vouchsafe};

/// A quote, by its files.
struct Quote {
    ak: PathBuf,
    message: PathBuf,
    signature: PathBuf,
    pcrs: PathBuf,
    nonce: Option<&'static str>,
}

impl Quote {
    fn verify(&self, more: &[&str]) -> Ran {
        let nonce = self.nonce.map(|nonce| format!("--nonce={nonce}"));
        let file = |option: &str, path: &Path| format!("--{option}={}", path.display());
        let fixed = [
            file("ak", &self.ak),
            file("message", &self.message),
            file("signature", &self.signature),
            file("pcrs", &self.pcrs),
        ];
        let line = ["verify".to_owned(), "quote".to_owned()].into_iter().chain(fixed).chain(nonce);
        vouchsafe(line.chain(more.iter().map(|&option| option.to_owned())))
    }
}

/// Every quote of the data, with every file that goes with it. PCR values that are not in our form are written to `dir`.
fn quotes(written: &Path) -> Vec<Quote> {
    let mut quotes = Vec::new();
    if let Some(dir) = data("attestation/quotes/gce-cos-85-nonce9009") {
        quotes.extend((0..3).map(|number| Quote {
            ak: dir.join("ak_pub.tpmt_public.bin"),
            message: dir.join(format!("quote{number}.tpms_attest.bin")),
            signature: dir.join(format!("quote{number}.tpmt_signature.bin")),
            pcrs: in_our_form(&dir.join(format!("quote{number}.pcrs.json")), written),
            nonce: Some("9009"),
        }));
    }
    if let Some(dir) = data("attestation/quotes/keylime-simulator") {
        quotes.extend(["ak.pub", "akpub.pem"].into_iter().map(|ak| Quote {
            ak: dir.join(ak),
            message: dir.join("quote.out"),
            signature: dir.join("quotesig.out"),
            pcrs: dir.join("quotepcr.out"),
            nonce: None,
        }));
    }
    quotes
}

/// Writes `{"hash": 11, "pcrs": {…}}`, as another tool has it, as `{"sha256": {…}}`.
fn in_our_form(path: &Path, written: &Path) -> PathBuf {
    let theirs: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let bank = match theirs["hash"].as_u64() {
        Some(0x04) => "sha1",
        Some(0x0B) => "sha256",
        Some(0x0C) => "sha384",
        other => panic!("bank {other:?}"),
    };
    let ours = written.join(path.file_name().unwrap());
    std::fs::write(&ours, serde_json::json!({ bank: theirs["pcrs"] }).to_string()).unwrap();
    ours
}

#[test]
fn every_good_quote_is_authentic() {
    let dir = tempfile::tempdir().unwrap();
    for quote in quotes(dir.path()) {
        let ran = quote.verify(&["--format", "json"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", quote.message.display());
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((&report["authentic"], &report["pcrs"]), (&true.into(), &"matched".into()), "{report}");
        assert_eq!(report["reason"], serde_json::Value::Null);
        let nonce = if quote.nonce.is_some() { "matched" } else { "not_given" };
        assert_eq!(report["nonce"], nonce);
        if let Some(nonce) = quote.nonce {
            assert_eq!(report["signed"]["nonce"], nonce);
        }
        let pem = quote.ak.extension().is_some_and(|extension| extension == "pem");
        assert_eq!(report["ak"], if pem { "unknown" } else { "checked" });
        assert_eq!(quote.verify(&[]).stdout.lines().next(), Some("authentic: yes"));
    }
}

/// One bit of every byte, another one each time, so that every position of a bit is flipped somewhere.
#[test]
fn one_flipped_bit_anywhere_in_message_or_signature_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for mut quote in quotes(dir.path()) {
        for is_message in [true, false] {
            let original = if is_message { quote.message.clone() } else { quote.signature.clone() };
            let bytes = std::fs::read(&original).unwrap();
            let flipped = dir.path().join("flipped");
            for position in 0..bytes.len() {
                let mut copy = bytes.clone();
                copy[position] ^= 1 << (position % 8);
                std::fs::write(&flipped, &copy).unwrap();
                *(if is_message { &mut quote.message } else { &mut quote.signature }) = flipped.clone();
                let ran = quote.verify(&[]);
                assert_eq!(ran.code, 2, "byte {position} of {}: {ran:?}", original.display());
                assert!(ran.stdout.starts_with("authentic: no\nreason: "), "{}", ran.stdout);
            }
            *(if is_message { &mut quote.message } else { &mut quote.signature }) = original;
        }
    }
}

#[test]
fn a_flipped_bit_in_a_pcr_value_or_in_the_nonce_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    for mut quote in quotes(dir.path()) {
        let bytes = std::fs::read(&quote.pcrs).unwrap();
        let is_json = bytes.starts_with(b"{");
        // A value in the JSON, a digest of the first list in the binary form.
        let position = if is_json { bytes.iter().rposition(u8::is_ascii_hexdigit).unwrap() } else { 132 + 4 + 4 + 2 };
        let mut copy = bytes;
        copy[position] = if is_json && copy[position] == b'0' {
            b'1'
        } else if is_json {
            b'0'
        } else {
            copy[position] ^ 1
        };
        let original = std::mem::replace(&mut quote.pcrs, dir.path().join("pcrs"));
        std::fs::write(&quote.pcrs, &copy).unwrap();
        let ran = quote.verify(&["--format", "json"]);
        assert_eq!(ran.code, 2, "{}: {ran:?}", original.display());
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((&report["authentic"], &report["reason"]["code"]), (&false.into(), &"quote.wrong_digest".into()));
        assert!(report["signed"].is_object(), "the key did sign it: {report}");

        quote.pcrs = original;
        quote.nonce = Some("9008");
        let ran = quote.verify(&["--format", "json"]);
        assert_eq!(ran.code, 2);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["reason"]["code"], "quote.wrong_qualifying_data");
    }
}

#[test]
fn a_message_with_its_size_in_front_is_the_same_message() {
    let dir = tempfile::tempdir().unwrap();
    for mut quote in quotes(dir.path()) {
        let bytes = std::fs::read(&quote.message).unwrap();
        let size = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        quote.message = dir.path().join("sized");
        std::fs::write(&quote.message, [&size[..], &bytes].concat()).unwrap();
        assert_eq!(quote.verify(&[]).code, 0);
        std::fs::write(&quote.message, [&[0, 1][..], &bytes].concat()).unwrap();
        assert_eq!(quote.verify(&[]).code, 2, "another size in front is a fault");
    }
}

#[test]
fn what_is_authentic_and_what_is_not_reads_so() {
    let dir = tempfile::tempdir().unwrap();
    let quotes = quotes(dir.path());
    let Some(quote) = quotes.first() else { return };
    insta::assert_snapshot!("authentic", quote.verify(&[]).stdout);
    insta::assert_snapshot!("authentic_json", quote.verify(&["--format=json"]).stdout);
    let other = Quote { nonce: Some("1234"), ..clone(quote) };
    insta::assert_snapshot!("other_nonce", other.verify(&[]).stdout);
    let Some(stranger) = quotes.last() else { return };
    let other = Quote { ak: stranger.ak.clone(), ..clone(quote) };
    insta::assert_snapshot!("other_key_json", other.verify(&["--format=json"]).stdout);
}

fn clone(quote: &Quote) -> Quote {
    Quote {
        ak: quote.ak.clone(),
        message: quote.message.clone(),
        signature: quote.signature.clone(),
        pcrs: quote.pcrs.clone(),
        nonce: quote.nonce,
    }
}

#[test]
fn a_key_with_which_quotes_can_be_forged_is_refused_whatever_it_signed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(quote) = quotes(dir.path()).into_iter().next() else { return };
    let mut public = std::fs::read(&quote.ak).unwrap();
    // TPMT_PUBLIC: type, nameAlg, then objectAttributes, whose bit 16 is restricted (TPM 2.0 Part 2, 8.3).
    public[5] &= !1;
    let quote = Quote { ak: dir.path().join("ak"), ..clone(&quote) };
    std::fs::write(&quote.ak, public).unwrap();
    let ran = quote.verify(&[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.contains("(ak.not_restricted)"), "{}", ran.stdout);
}

#[test]
fn unusable_input_exits_1_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let Some(quote) = quotes(dir.path()).into_iter().next() else { return };
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let missing = dir.path().join("missing");
    let empty = write("empty", b"");
    let huge = write("huge", &vec![0; 1 << 20]);
    let text = write("text", b"this is no key at all\n");
    let certificate = write("certificate.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let cases = [
        ("a missing AK", Quote { ak: missing.clone(), ..clone(&quote) }),
        ("an empty AK", Quote { ak: empty.clone(), ..clone(&quote) }),
        ("a text for an AK", Quote { ak: text.clone(), ..clone(&quote) }),
        ("a certificate for an AK", Quote { ak: certificate, ..clone(&quote) }),
        ("a huge AK", Quote { ak: huge.clone(), ..clone(&quote) }),
        ("a missing message", Quote { message: missing.clone(), ..clone(&quote) }),
        ("an empty message", Quote { message: empty.clone(), ..clone(&quote) }),
        ("a huge message", Quote { message: huge.clone(), ..clone(&quote) }),
        ("a folder for a message", Quote { message: dir.path().to_owned(), ..clone(&quote) }),
        ("a missing signature", Quote { signature: missing.clone(), ..clone(&quote) }),
        ("an empty signature", Quote { signature: empty, ..clone(&quote) }),
        ("missing PCRs", Quote { pcrs: missing, ..clone(&quote) }),
        ("a text for PCRs", Quote { pcrs: text, ..clone(&quote) }),
        ("huge PCRs", Quote { pcrs: huge, ..clone(&quote) }),
        ("PCRs of another kind of JSON", Quote { pcrs: write("a.json", b"{\"sha256\": [1]}"), ..clone(&quote) }),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(what, quote)| {
            let ran = quote.verify(&[]);
            assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{what}: {ran:?}");
            format!("{what}\n{}", ran.stderr.replace(&dir.path().display().to_string(), "DIR").trim_end())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_message_or_a_signature_that_is_something_else_is_not_authentic() {
    let dir = tempfile::tempdir().unwrap();
    let Some(quote) = quotes(dir.path()).into_iter().next() else { return };
    std::fs::write(dir.path().join("text"), "this is no quote at all, whatever it may say of itself\n").unwrap();
    for swapped in [
        Quote { message: dir.path().join("text"), ..clone(&quote) },
        Quote { signature: dir.path().join("text"), ..clone(&quote) },
        Quote { message: quote.signature.clone(), signature: quote.message.clone(), ..clone(&quote) },
    ] {
        assert_eq!(swapped.verify(&[]).code, 2);
    }
    assert_eq!(run_in(dir.path(), ["verify", "quote"]).code, 1);
}
