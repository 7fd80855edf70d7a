//! IMA lists: what each device measured in its present boot, as far as its quotes vouched for it.
//!
//! A list is kept in parts that hold whole entries, as the caller compressed them; the store never looks into one. It is kept
//! whole or not at all: what would not fit is noted, and what was kept of it goes.

use std::fmt;

use crate::logs::BootVersion;

/// A part of an IMA list.
#[derive(Clone, PartialEq, Eq)]
pub struct ImaListPart {
    /// Where it begins, in bytes from the beginning of the list.
    pub offset: u64,
    /// How many bytes of the list it holds; never none.
    pub len: u64,
    /// These bytes, compressed by the caller.
    pub deflated: Vec<u8>,
}

impl ImaListPart {
    /// Where the next one begins.
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

impl fmt::Debug for ImaListPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, len, deflated } = self;
        write!(f, "ImaListPart({len} bytes from {offset}, {} deflated)", deflated.len())
    }
}

/// What accepted evidence changes of the list that is kept of its device. Whatever came ahead and is not vouched for by it
/// goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImaListChange {
    /// Nothing: nothing new was vouched for.
    Stays,
    /// The list goes on here with this part, if any: what is kept from here on gives way to it.
    ///
    /// From 0 it begins anew, whatever was kept or lost before. When what is kept does not end here, the list is
    /// [`Incomplete`](ImaListLost::Incomplete).
    From {
        /// Where, in bytes from the beginning of the list.
        offset: u64,
        /// The part that begins there.
        part: Option<ImaListPart>,
    },
    /// What came ahead is vouched for: it takes the place of what is kept from where it begins. This part follows it.
    TakesAhead {
        /// The part that begins where the last one that came ahead ends.
        part: Option<ImaListPart>,
    },
}

/// A part of a list that came ahead of its quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImaAheadPart {
    /// Whether it is the first: what came ahead before gives way to it.
    pub begins: bool,
    /// The part; `None` when it held no whole entry.
    pub part: Option<ImaListPart>,
}

/// Why a list is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImaListLost {
    /// It is longer than any list that is kept: see [`limits`](crate::limits).
    TooLong,
    /// The lists of all devices took all the room that there is for them.
    NoRoom,
    /// Its parts do not follow each other: something before them was never kept.
    Incomplete,
}

impl ImaListLost {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TooLong, Self::NoRoom, Self::Incomplete];

    /// Its name, as it is stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NoRoom => "no_room",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What is kept of the list of a device's present boot, all as of one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImaList {
    /// The boot record that it belongs to.
    pub version: BootVersion,
    /// The parts that quotes vouched for, each where the one before it ends, the first at 0.
    pub parts: Vec<ImaListPart>,
    /// Why there are none, when the list is not kept.
    pub lost: Option<ImaListLost>,
    /// The parts that came ahead of their quote, each where the one before it ends.
    pub ahead: Vec<ImaListPart>,
}
