//! The order of versions (deb-version(7)).

use std::cmp::Ordering;

/// Which of two versions is the later.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    let (one_epoch, one) = split_epoch(one);
    let (other_epoch, other) = split_epoch(other);
    let (one_upstream, one_revision) = one.rsplit_once('-').unwrap_or((one, "0"));
    let (other_upstream, other_revision) = other.rsplit_once('-').unwrap_or((other, "0"));
    compare_numbers(one_epoch, other_epoch)
        .then_with(|| compare_parts(one_upstream, other_upstream))
        .then_with(|| compare_parts(one_revision, other_revision))
}

fn split_epoch(version: &str) -> (&str, &str) {
    version.split_once(':').unwrap_or(("0", version))
}

/// Letters and digits in turn: letters by their own order, digits as numbers.
fn compare_parts(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (one_letters, one_rest) = split(one, |byte| !byte.is_ascii_digit());
        let (other_letters, other_rest) = split(other, |byte| !byte.is_ascii_digit());
        let (one_digits, one_rest) = split(one_rest, |byte| byte.is_ascii_digit());
        let (other_digits, other_rest) = split(other_rest, |byte| byte.is_ascii_digit());
        let order = compare_letters(one_letters, other_letters).then_with(|| compare_numbers(one_digits, other_digits));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (one_rest, other_rest);
    }
    Ordering::Equal
}

fn split(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `~` comes before the end, the end before letters, letters before everything else.
fn compare_letters(one: &str, other: &str) -> Ordering {
    let weight = |byte: Option<u8>| match byte {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(byte) if byte.is_ascii_alphabetic() => (2, byte),
        Some(byte) => (3, byte),
    };
    let (mut one, mut other) = (one.bytes(), other.bytes());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (one, other) if weight(one) != weight(other) => return weight(one).cmp(&weight(other)),
            _ => {}
        }
    }
}

/// Numbers of any length.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_have_the_order_of_dpkg() {
        // Each is later than the one before it.
        let rising = [
            "0~~",
            "0~",
            "0",
            "0a",
            "0+",
            "1.0~rc1-1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-1+deb12u10",
            "1.0-2",
            "1.0.1",
            "1.2",
            "1.10",
            "9",
            "10",
            "99999999999999999999998",
            "99999999999999999999999",
            "1:0",
        ];
        for (at, earlier) in rising.iter().enumerate() {
            assert_eq!(compare_versions(earlier, earlier), Ordering::Equal);
            for later in &rising[at + 1..] {
                assert_eq!(compare_versions(earlier, later), Ordering::Less, "{earlier} {later}");
                assert_eq!(compare_versions(later, earlier), Ordering::Greater, "{earlier} {later}");
            }
        }
        assert_eq!(compare_versions("1.0", "1.0-0"), Ordering::Equal);
        assert_eq!(compare_versions("0:1.00", "1.0"), Ordering::Equal);
    }

    proptest! {
        #[test]
        fn any_two_texts_have_an_order(one in ".{0,20}", other in ".{0,20}") {
            prop_assert_eq!(compare_versions(&one, &other), compare_versions(&other, &one).reverse());
        }
    }
}
