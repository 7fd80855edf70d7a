//! Tells what a crash left half-written from what was damaged later.
//!
//! A write follows another only after that one is on the disk. What a crash can have left half-written is therefore the
//! last write alone; and it shows in one of two ways: the file ends in the midst of a line, or some of its blocks never
//! came to the disk and read as zeros, which no line has. A line that is whole and whose check is wrong was not left so by
//! a crash, wherever it stands.
//!
//! Only a single wrong bit in the last byte of the log, its line break, would look like the first of these; that one is
//! looked for. What is cut nobody was told of: an answer waits for the disk.

use crate::line;

/// The longest write, in bytes: entries that waited, and the lines around them. See [`crate::queue`].
pub(crate) const MAX_WRITE_LEN: usize = 24 * 1024 * 1024;

/// Whether what follows the last good line of a log may have been left so by a crash. `tail` begins with the line that
/// cannot be read and goes to the end of the file.
pub(crate) fn is_torn(tail: &[u8]) -> bool {
    if tail.len() > MAX_WRITE_LEN || later_write_begins(tail) {
        return false;
    }
    if has_unwritten_block(tail) {
        return true;
    }
    !tail.contains(&b'\n') && !is_whole_but_for_its_end(tail)
}

/// Whether a line behind the first begins a write: then what is before it was on the disk. A line may stand behind zeros
/// that took the place of whole lines.
fn later_write_begins(tail: &[u8]) -> bool {
    let later = tail.split(|byte| matches!(byte, b'\n' | 0)).skip(1);
    later.filter_map(|line| line::parse(line).ok()).any(|framed| framed.begins_write)
}

/// Zeros at the beginning, at the end, or two together: blocks begin and end anywhere in a write, and a flipped bit makes
/// neither of a line's first or last byte nor of two others zeros.
fn has_unwritten_block(tail: &[u8]) -> bool {
    tail.first() == Some(&0) || tail.last() == Some(&0) || tail.windows(2).any(|pair| pair == [0, 0])
}

/// Whether it is a line with another byte in the place of its line break.
fn is_whole_but_for_its_end(tail: &[u8]) -> bool {
    tail.split_last().is_some_and(|(_, line)| line::parse(line).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Kind, write_other};

    /// Lines, of which those of the given places begin a write.
    fn lines(begins: &[bool]) -> Vec<u8> {
        let mut text = Vec::new();
        begins.iter().for_each(|begins| write_other(&mut text, Kind::Checkpoint, "\"a note\"", *begins));
        text
    }

    #[test]
    fn a_write_cut_anywhere_is_torn() {
        let line = lines(&[true]);
        for length in 1..line.len() {
            assert!(is_torn(&line[..length]), "{length}");
        }
        // Of several lines, the first was read if it is whole; what is left begins with the one that is not.
        assert!(!is_torn(&line), "nothing is wrong with it");
    }

    #[test]
    fn blocks_that_never_came_to_the_disk_are_torn() {
        let whole = lines(&[true, false, false]);
        let first = whole.len() / 3;
        for (start, end) in [(0, first), (0, 1), (first / 2, first + 9), (5, whole.len()), (0, whole.len())] {
            let mut holed = whole.clone();
            holed[start..end].fill(0);
            assert!(is_torn(&holed), "{start}..{end}");
        }
        // So near the end that the first lines are good: what is left is one line with zeros at its end.
        let mut holed = lines(&[false]);
        *holed.last_mut().unwrap() = 0;
        assert!(is_torn(&holed));
    }

    #[test]
    fn what_was_written_before_another_write_began_is_damage() {
        let mut holed = lines(&[true, false, true]);
        holed[..20].fill(0);
        assert!(!is_torn(&holed));
        let line = holed.len() / 3;
        holed[..2 * line].fill(0);
        assert!(!is_torn(&holed), "the zeros end where the line begins");
    }

    #[test]
    fn no_flipped_bit_looks_like_a_crash() {
        for whole in [lines(&[true]), lines(&[false, false])] {
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_torn(&flipped), "bit {bit}: {:?}", String::from_utf8_lossy(&flipped));
            }
        }
    }

    #[test]
    fn more_than_any_write_has_is_damage() {
        assert!(is_torn(&vec![0; MAX_WRITE_LEN]));
        assert!(!is_torn(&vec![0; MAX_WRITE_LEN + 1]));
    }
}
