//! Goes through the lines of a segment and holds each against what came before it.

use vouchsafe_model::{DecisionId, Timestamp};

use crate::checkpoint::{Origin, SignedCheckpoint};
use crate::entry::Record;
use crate::fault::{Fault, FaultKind};
use crate::line::{self, Kind, Line, LineFault};
use crate::lines::RawLine;
use crate::segment::{Header, MAX_ENTRIES, Seal, SegmentInfo, State, file_name, first_of};

/// What was read of a segment so far.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) origin: Origin,
    pub(crate) info: SegmentInfo,
    /// The log after the last entry that was read.
    pub(crate) state: State,
    pub(crate) is_sealed: bool,
    pub(crate) checkpoint: Option<SignedCheckpoint>,
    lines: u64,
    /// Where the last line begins that was taken.
    last: u64,
}

/// What a line was.
#[derive(Debug)]
pub(crate) enum Taken {
    Entry { number: u64, id: DecisionId, at: Timestamp, is_dropped: bool },
    Checkpoint,
    Seal,
}

impl Replay {
    /// Begins with the header of the segment of this file name.
    pub(crate) fn begin(name: &str, header: RawLine<'_>) -> Result<Self, Fault> {
        let first = first_of(name);
        let fault = |kind| Fault { segment: name.to_owned(), line: Some(1), offset: Some(0), kind };
        let Line::Other { kind: Kind::Header, json } = parse(header).map_err(|error| fault(error.into()))? else {
            return Err(fault(FaultKind::NoHeader));
        };
        let Header { origin, at, state } = Header::from_json(json).map_err(fault)?;
        if first != Some(state.next()) {
            return Err(fault(FaultKind::Misnamed { found: state.next() }));
        }
        let info = SegmentInfo::begun(state.next(), len_with_break(header), at);
        Ok(Self { origin, info, state, is_sealed: false, checkpoint: None, lines: 1, last: 0 })
    }

    /// Takes the next line.
    pub(crate) fn take(&mut self, raw: RawLine<'_>) -> Result<Taken, Fault> {
        let taken = parse(raw).map_err(FaultKind::from).and_then(|line| self.take_line(line));
        let taken = taken.map_err(|kind| self.fault(kind))?;
        self.lines += 1;
        self.last = self.info.bytes;
        self.info.bytes += len_with_break(raw);
        Ok(taken)
    }

    /// Something that is wrong with the next line.
    pub(crate) fn fault(&self, kind: FaultKind) -> Fault {
        let segment = file_name(self.info.first);
        Fault { segment, line: Some(self.lines + 1), offset: Some(self.info.bytes), kind }
    }

    /// Something that is wrong with the line that was taken last.
    pub(crate) fn fault_in_last(&self, kind: FaultKind) -> Fault {
        Fault { segment: file_name(self.info.first), line: Some(self.lines), offset: Some(self.last), kind }
    }

    fn take_line(&mut self, line: Line<'_>) -> Result<Taken, FaultKind> {
        if self.is_sealed {
            return Err(FaultKind::BehindSeal);
        }
        match line {
            Line::Entry { record, leaf } => {
                let expected = self.state.next();
                let Record { number, id, at, .. } = record;
                if number != expected || expected >= MAX_ENTRIES {
                    return Err(FaultKind::Number { expected, found: number });
                }
                self.state.push(leaf);
                self.info.include(id, at);
                Ok(Taken::Entry { number, id, at, is_dropped: record.body().is_none() })
            }
            Line::Other { kind: Kind::Header, .. } => Err(FaultKind::SecondHeader),
            Line::Other { kind: Kind::Checkpoint, json } => {
                let checkpoint = read_checkpoint(json)?;
                self.compare(&checkpoint)?;
                self.checkpoint = Some(checkpoint);
                Ok(Taken::Checkpoint)
            }
            Line::Other { kind: Kind::Sealed, json } => {
                let seal = read_seal(json)?;
                if seal != self.info.seal(seal.at) {
                    return Err(FaultKind::Seal);
                }
                self.is_sealed = true;
                Ok(Taken::Seal)
            }
        }
    }

    fn compare(&self, signed: &SignedCheckpoint) -> Result<(), FaultKind> {
        let checkpoint = signed.checkpoint();
        let contradicted = |what| Err(FaultKind::Contradicted { what });
        if checkpoint.origin != self.origin {
            contradicted("log")
        } else if checkpoint.size != self.state.next() {
            contradicted("size")
        } else if checkpoint.root != self.state.edge.root() {
            contradicted("root of the tree")
        } else if checkpoint.chain != self.state.chain {
            contradicted("end of the chain")
        } else {
            Ok(())
        }
    }
}

fn parse(raw: RawLine<'_>) -> Result<Line<'_>, LineFault> {
    if !raw.is_whole && raw.bytes.len() <= line::MAX_LINE_LEN {
        return Err(LineFault::CutShort);
    }
    line::parse(raw.bytes).map(|framed| framed.line)
}

fn len_with_break(raw: RawLine<'_>) -> u64 {
    u64::try_from(raw.bytes.len()).unwrap_or(u64::MAX).saturating_add(1)
}

/// The signed note of a line.
pub(crate) fn read_checkpoint(json: &str) -> Result<SignedCheckpoint, FaultKind> {
    let note: String = serde_json::from_str(json).map_err(|_| LineFault::Field { field: "JSON" })?;
    Ok(SignedCheckpoint::parse(&note)?)
}

/// The seal of a line.
pub(crate) fn read_seal(json: &str) -> Result<Seal, FaultKind> {
    serde_json::from_str(json).map_err(|_| FaultKind::Line(LineFault::Field { field: "JSON" }))
}
