//! Segments: their names, first lines and last lines.

use serde::{Deserialize, Serialize};
use vouchsafe_model::{DecisionId, Sha256Digest, Timestamp};

use crate::checkpoint::Origin;
use crate::fault::FaultKind;
use crate::hash;
use crate::tree::Edge;

/// What the name of a segment ends in.
const SUFFIX: &str = ".vjl";
/// The digits of a segment's name: those of the largest number there is.
const DIGITS: usize = 20;
/// The format of this version.
const FORMAT: &str = "vouchsafe-journal/1";
/// No log has as many entries: so no number that a file claims can be counted over.
pub(crate) const MAX_ENTRIES: u64 = 1 << 62;

/// The name of the segment that begins with this entry.
pub(crate) fn file_name(first: u64) -> String {
    format!("{first:0DIGITS$}{SUFFIX}")
}

/// The first entry of the segment of this name; `None` when it is no segment's name.
pub(crate) fn first_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(SUFFIX)?;
    let is_name = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| digits.parse().ok()).flatten()
}

/// What a log is after a number of entries: all that is needed to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) edge: Edge,
    pub(crate) chain: Sha256Digest,
}

impl State {
    /// A log without entries.
    pub(crate) fn new(origin: &Origin) -> Self {
        Self { edge: Edge::new(), chain: hash::seed(origin.as_str()) }
    }

    /// The number of the next entry.
    pub(crate) fn next(&self) -> u64 {
        self.edge.size()
    }

    /// Goes on by an entry.
    pub(crate) fn push(&mut self, leaf: Sha256Digest) {
        self.edge.push(leaf);
        self.chain = hash::link(&self.chain, &leaf);
    }
}

/// The first line of a segment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHeader {
    format: String,
    origin: String,
    first: u64,
    at: Timestamp,
    chain: Sha256Digest,
    edge: Vec<Sha256Digest>,
}

/// What the first line of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) origin: Origin,
    pub(crate) at: Timestamp,
    pub(crate) state: State,
}

impl Header {
    pub(crate) fn to_json(&self) -> String {
        let Self { origin, at, state } = self;
        let written = WrittenHeader {
            format: FORMAT.to_owned(),
            origin: origin.to_string(),
            first: state.next(),
            at: *at,
            chain: state.chain,
            edge: state.edge.subtrees().to_vec(),
        };
        // Texts and numbers always have a JSON form.
        serde_json::to_string(&written).unwrap_or_default()
    }

    pub(crate) fn from_json(json: &str) -> Result<Self, FaultKind> {
        let unusable = |what: String| FaultKind::Header { what };
        let written: WrittenHeader = serde_json::from_str(json).map_err(|error| unusable(error.to_string()))?;
        if written.format != FORMAT {
            return Err(unusable(format!("its format is {:?} and not {FORMAT:?}", written.format)));
        }
        let origin = written.origin.parse().map_err(|error| unusable(format!("{error}")))?;
        let edge = Edge::from_parts(written.first, written.edge).filter(|edge| edge.size() < MAX_ENTRIES);
        let edge = edge.ok_or_else(|| unusable("its tree is not one of so many entries".to_owned()))?;
        Ok(Self { origin, at: written.at, state: State { edge, chain: written.chain } })
    }
}

/// The times and names of some entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extent {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
    pub(crate) lowest: DecisionId,
    pub(crate) highest: DecisionId,
}

/// The last line of a segment: what makes it possible to pass over the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    pub(crate) entries: u64,
    pub(crate) at: Timestamp,
    pub(crate) extent: Option<Extent>,
}

/// What is known of a segment without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    /// Its first entry.
    pub(crate) first: u64,
    /// The first entry after it.
    pub(crate) next: u64,
    /// How long it is, as far as it is on the disk.
    pub(crate) bytes: u64,
    /// When it was begun.
    pub(crate) begun_at: Timestamp,
    /// The times and names of its entries, if it has any.
    pub(crate) extent: Option<Extent>,
}

impl SegmentInfo {
    /// A segment that has a header of so many bytes and nothing else.
    pub(crate) fn begun(first: u64, bytes: u64, begun_at: Timestamp) -> Self {
        Self { first, next: first, bytes, begun_at, extent: None }
    }

    /// Counts an entry.
    pub(crate) fn include(&mut self, id: DecisionId, at: Timestamp) {
        self.next += 1;
        let extent = self.extent.get_or_insert(Extent { earliest: at, latest: at, lowest: id, highest: id });
        extent.earliest = extent.earliest.min(at);
        extent.latest = extent.latest.max(at);
        extent.lowest = extent.lowest.min(id);
        extent.highest = extent.highest.max(id);
    }

    /// How many entries it has.
    pub(crate) fn entries(&self) -> u64 {
        self.next - self.first
    }

    /// The last line that fits it.
    pub(crate) fn seal(&self, at: Timestamp) -> Seal {
        Seal { entries: self.entries(), at, extent: self.extent }
    }

    /// Whether there may be an entry of this name in it.
    pub(crate) fn may_hold(&self, id: DecisionId) -> bool {
        self.extent.is_some_and(|extent| (extent.lowest..=extent.highest).contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_the_numbers_do() {
        assert_eq!(file_name(7), "00000000000000000007.vjl");
        for first in [0, 7, u64::MAX] {
            assert_eq!(first_of(&file_name(first)), Some(first));
        }
        for name in
            ["", ".vjl", "7.vjl", "00000000000000000007", "0000000000000000000x.vjl", "99999999999999999999.vjl"]
        {
            assert_eq!(first_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let origin: Origin = "example.org/decisions/1".parse().unwrap();
        let mut state = State::new(&origin);
        for number in 0..11_u8 {
            state.push(hash::leaf(&[number]));
        }
        let header = Header { origin, at: Timestamp::UNIX_EPOCH, state };
        let json = header.to_json();
        assert_eq!(Header::from_json(&json), Ok(header));
        for (from, to) in
            [("journal/1", "journal/2"), ("\"first\":11", "\"first\":12"), ("example.org", "a b"), ("{", "[")]
        {
            assert!(Header::from_json(&json.replacen(from, to, 1)).is_err(), "{from}");
        }
        let endless = format!("{{\"first\":{}", u64::MAX);
        assert!(Header::from_json(&json.replacen("{\"first\":11", &endless, 1)).is_ok(), "the text is not there");
    }
}
