//! Why a list cannot be read.

use vouchsafe_model::HashAlgorithm;

use super::path::MAX_PATH_LEN;
use super::template::{MAX_TEMPLATE_DATA_LEN, MAX_TEMPLATE_NAME_LEN};

/// Where a list stopped being one, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}, at byte {offset}: {problem}")]
pub struct ImaError {
    /// The entry; the first since boot is 1. In an ASCII list this is the line.
    pub entry: u64,
    /// Where the bad part of it begins, in bytes from the start of the list.
    pub offset: u64,
    /// What is wrong.
    pub problem: ImaProblem,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImaProblem {
    /// The PCRs are of a bank whose hash is not supported.
    #[error("lists cannot be replayed in a bank of {0}")]
    Bank(HashAlgorithm),
    /// A list that should be whole ends within an entry.
    #[error("truncated: the last {left} bytes are no whole entry")]
    Truncated {
        /// How many bytes there are of it.
        left: usize,
    },
    /// A column of an ASCII list is not there.
    #[error("the line has no {0}")]
    MissingColumn(&'static str),
    /// More columns than the template has fields.
    #[error("the line goes on behind the last field of its template")]
    TrailingColumn,
    /// A line without an end.
    #[error("a line of more than {max} bytes")]
    LongLine {
        /// The longest that is read.
        max: usize,
    },
    /// The PCR is none.
    #[error("the PCR is no number from 0 to 23")]
    Pcr,
    /// Digits that are none.
    #[error("the {0} is not written in hexadecimal")]
    NotHex(&'static str),
    /// The template hash is no SHA-1 digest.
    #[error("the template hash has {0} bytes instead of 20")]
    TemplateHashLen(usize),
    /// The name of the template.
    #[error("the template's name is not 1 to {MAX_TEMPLATE_NAME_LEN} printable ASCII characters without a space")]
    TemplateName,
    /// A template whose fields are not known: what its line says cannot be hashed again.
    #[error("the template '{0}' is not known, and a line of it cannot be read")]
    UnknownTemplate(String),
    /// The length of template data, or of the name of a template `ima`.
    #[error("{len} bytes of template data; at most {max} are read", max = MAX_TEMPLATE_DATA_LEN)]
    TemplateDataLen {
        /// What the entry says.
        len: u64,
    },
    /// A field goes beyond the template data.
    #[error("the field {field} is cut off by the end of the template data")]
    FieldCutOff {
        /// The field, as the kernel calls it.
        field: &'static str,
    },
    /// Template data goes on behind its last field.
    #[error("{left} bytes of template data behind the last field")]
    TrailingData {
        /// How many.
        left: usize,
    },
    /// A digest whose algorithm or length is wrong.
    #[error("the field {field} is no digest with its algorithm")]
    Digest {
        /// The field, as the kernel calls it.
        field: &'static str,
    },
    /// A number of the wrong size.
    #[error("the field {field} is no number of its size")]
    Number {
        /// The field, as the kernel calls it.
        field: &'static str,
    },
    /// A name that is not ended by its one NUL.
    #[error("the name does not end in its first NUL byte")]
    NameNul,
    /// A name that is longer than any path.
    #[error("a name of {len} bytes; a path has at most {MAX_PATH_LEN}")]
    NameLen {
        /// How long it is.
        len: usize,
    },
}
