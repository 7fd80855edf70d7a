//! PCR values from files, in each of their forms.

use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::quote::pcr_file::{MAX_LEN, PcrFileError, parse};
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex, PcrSelection};

fn selections(text: &str) -> Vec<PcrSelection> {
    text.split('+').map(|part| part.parse().unwrap()).collect()
}

/// Values that tell their PCR and bank.
fn banks(selections: &[PcrSelection]) -> Vec<PcrBank> {
    let value = |bank: HashAlgorithm, pcr: PcrIndex| PcrValue::new(vec![pcr.get() + 1; bank.digest_len()]).unwrap();
    selections
        .iter()
        .map(|selection| PcrBank {
            bank: selection.bank,
            values: selection.pcrs.iter().map(|pcr| (pcr, value(selection.bank, pcr))).collect(),
        })
        .collect()
}

fn values(banks: &[PcrBank]) -> Vec<u8> {
    banks.iter().flat_map(|bank| bank.values.values()).flat_map(|value| value.as_bytes().to_vec()).collect()
}

/// What `tpm2_quote --pcrs_format serialized` writes, with 0xEE where nothing is.
fn serialized(banks: &[PcrBank]) -> Vec<u8> {
    let mut file = u32::try_from(banks.len()).unwrap().to_le_bytes().to_vec();
    for bank in banks {
        let [first, second, third, _] = bank.selection().pcrs.bits().to_le_bytes();
        file.extend(bank.bank.tpm_alg_id().to_le_bytes());
        file.extend([3, first, second, third, 0xEE, 0xEE]);
    }
    file.resize(132, 0xEE);
    let digests: Vec<_> = banks.iter().flat_map(|bank| bank.values.values()).collect();
    file.extend(u32::try_from(digests.len().div_ceil(8)).unwrap().to_le_bytes());
    for list in digests.chunks(8) {
        let end = file.len() + 532;
        file.extend(u32::try_from(list.len()).unwrap().to_le_bytes());
        for digest in list {
            let bytes = digest.as_bytes();
            file.extend(u16::try_from(bytes.len()).unwrap().to_le_bytes());
            file.extend(bytes);
            file.resize(file.len() + 64 - bytes.len(), 0xEE);
        }
        file.resize(end, 0xEE);
    }
    file
}

const SELECTIONS: &str = "sha256:0-11+sha1:1-3+sha384:4,23";

#[test]
fn the_serialized_form_is_read_whatever_the_quote_says() {
    let expected = banks(&selections(SELECTIONS));
    assert_eq!(parse(&serialized(&expected), &[]), Ok(expected.clone()));
    assert_eq!(parse(&serialized(&expected), &selections("sha1:0")), Ok(expected));
}

#[test]
fn the_bare_form_is_read_by_the_selection_of_the_quote() {
    let selections = selections(SELECTIONS);
    let expected = banks(&selections);
    assert_eq!(parse(&values(&expected), &selections), Ok(expected.clone()));
    let len = values(&expected).len();
    let short = parse(&values(&expected)[1..], &selections);
    assert_eq!(short, Err(PcrFileError::UnknownForm { len: len - 1, values: len }));
}

#[test]
fn json_is_read() {
    let json = br#" {"sha256": {"0": "00", "23": "FF"}, "sha1": {}}"#;
    let read = parse(json, &[]).unwrap();
    assert_eq!(read.iter().map(|bank| bank.selection().to_string()).collect::<Vec<_>>(), ["sha1:", "sha256:0,23"]);
}

#[test]
fn json_of_another_shape_is_refused() {
    for json in [
        "{",
        "{}x",
        r#"{"md5":{"0":"00"}}"#,
        r#"{"sha256":{"24":"00"}}"#,
        r#"{"sha256":{"0":"0"}}"#,
        r#"{"sha256":{"0":7}}"#,
        r#"{"sha256":["00"]}"#,
    ] {
        assert!(matches!(parse(json.as_bytes(), &[]), Err(PcrFileError::Json(_))), "{json}");
    }
}

#[test]
fn counts_and_sizes_of_the_serialized_form_are_bounded() {
    let good = serialized(&banks(&selections(SELECTIONS)));
    let with = |offset: usize, value: u8| {
        let mut file = good.clone();
        file[offset] = value;
        parse(&file, &[]).unwrap_err().to_string()
    };
    assert_eq!(with(0, 17), "the number of banks at byte 0 of the PCR file is 17, and at most 16 is possible");
    assert_eq!(with(3, 1), "the number of banks at byte 0 of the PCR file is 16777219, and at most 16 is possible");
    assert_eq!(with(4, 0x27), "TPM_ALG_SHA3_256 in the PCR file is no bank that is supported");
    assert_eq!(
        with(132, 4),
        "the number of lists of digests at byte 132 of the PCR file is 4, and at most 3 is possible"
    );
    assert_eq!(with(136, 9), "the number of digests at byte 136 of the PCR file is 9, and at most 8 is possible");
    assert_eq!(with(140, 65), "the size of a digest at byte 140 of the PCR file is 65, and at most 64 is possible");
    assert_eq!(with(140, 31), "the value of PCR 0 of the sha256 bank has 31 bytes");
    assert_eq!(with(136, 7), "the PCR file selects 17 PCRs and has 16 values");
    assert_eq!(with(7, 0xFE), "the PCR file selects 16 PCRs and has 17 values");
}

#[test]
fn a_bank_twice_is_refused() {
    let twice = banks(&selections("sha256:0+sha256:1"));
    assert_eq!(parse(&serialized(&twice), &[]), Err(PcrFileError::DuplicateBank(HashAlgorithm::Sha256)));
    let refused = parse(&values(&twice), &selections("sha256:0+sha256:1"));
    assert_eq!(refused, Err(PcrFileError::DuplicateBank(HashAlgorithm::Sha256)));
}

#[test]
fn a_file_at_the_greatest_length_is_looked_at_and_a_longer_one_is_not() {
    let json = |len: usize| [b"{}".to_vec(), vec![b' '; len - 2]].concat();
    assert_eq!(parse(&json(MAX_LEN), &[]), Ok(vec![]));
    assert_eq!(parse(&json(MAX_LEN + 1), &[]), Err(PcrFileError::TooLong(MAX_LEN + 1)));
}

#[test]
fn every_truncation_of_the_serialized_form_is_refused() {
    let good = serialized(&banks(&selections("sha256:0-8")));
    for len in 0..good.len() {
        assert!(parse(&good[..len], &[]).is_err(), "{len} bytes");
    }
    assert!(parse(&[&good[..], &[0]].concat(), &[]).is_err());
}

#[test]
fn all_pcrs_of_all_banks_of_a_tpm_survive_each_form() {
    let tpm = ForgedTpm::new();
    let selections = selections("sha1:0-23+sha256:0-23+sha384:0-23+sha512:0-23");
    let all: Vec<_> = selections.iter().map(|selection| tpm.pcrs(selection)).collect();
    assert_eq!(parse(&serialized(&all), &[]), Ok(all.clone()));
    assert_eq!(parse(&values(&all), &selections), Ok(all.clone()));
    let json: serde_json::Map<_, _> =
        all.iter().map(|bank| (bank.bank.to_string(), serde_json::to_value(&bank.values).unwrap())).collect();
    assert_eq!(parse(serde_json::to_string(&json).unwrap().as_bytes(), &[]), Ok(all));
}
