//! What somebody may have meant.

/// The word that is nearest to what was written, if one is near.
pub(super) fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |word: &&str| {
        let most = (written.chars().count().max(word.chars().count()) / 3).max(1);
        let distance = distance(written, word);
        (distance <= most).then_some(distance)
    };
    words.into_iter().filter_map(|word| near(&word).map(|distance| (distance, word))).min().map(|(_, word)| word)
}

/// How many characters have to be put in, taken out, changed, or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=other.len()).collect());
    for (row, from) in one.iter().enumerate() {
        let mut here = vec![row + 1];
        for (column, to) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&last, column) + usize::from(from != to);
            let mut best = changed.min(at(&last, column + 1) + 1).min(at(&here, column) + 1);
            let swapped = row > 0 && column > 0 && one.get(row - 1) == Some(to) && other.get(column - 1) == Some(from);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            here.push(best);
        }
        before = std::mem::replace(&mut last, here);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant() {
        let words = ["score", "state", "verdict", "vetoes"];
        for (written, meant) in [
            ("scor", Some("score")),
            ("socre", Some("score")),
            ("stat", Some("state")),
            ("Verdict", Some("verdict")),
            ("image", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, words), meant, "{written}");
        }
    }
}
