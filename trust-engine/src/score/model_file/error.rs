//! Why a trust model is not used, and the bounds of what one may say.

use vouchsafe_model::EndorsementGrade;
use vouchsafe_model::trust::{FactorName, Veto};

use super::TrustModel;

/// The form of file that is read.
pub(super) const FORMAT: u32 = 1;
/// The largest amount of evidence.
pub(super) const MAX_AMOUNT: f64 = 1e6;
/// The most faults of a kind that count in a day.
pub(super) const MAX_COUNTED_PER_DAY: f64 = 1000.0;
/// The longest gap that is earned for in full, in seconds.
pub(super) const MAX_GAP_SECS: u64 = 86_400;
/// The longest name and the longest version, in bytes.
pub(super) const MAX_NAME_LEN: usize = 64;

/// Why a trust model is not used.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// It is longer than any model needs to be.
    #[error("the trust model has {len} bytes; the most is {max}", max = TrustModel::MAX_BYTES)]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// It is no TOML, or does not have the fields that a model has.
    #[error("the trust model cannot be read")]
    Toml(#[from] toml::de::Error),
    /// It is of another form.
    #[error("the trust model is of format {found}; this engine reads format {FORMAT}")]
    Format {
        /// Which.
        found: u32,
    },
    /// Its name or version is none.
    #[error("{field} must be 1 to {MAX_NAME_LEN} letters, digits, '.', '_', '+' and '-'")]
    Name {
        /// Which of the two.
        field: &'static str,
    },
    /// A factor has no parameters.
    #[error("factors.{factor} is missing")]
    MissingFactor {
        /// Which.
        factor: FactorName,
    },
    /// The weights of the factors are not shares of a whole.
    #[error("the weights of the factors add up to {sum}, and must add up to 1")]
    WeightsSum {
        /// What they come to.
        sum: f64,
    },
    /// A veto has no ceiling.
    #[error("ceilings.{veto} is missing")]
    MissingCeiling {
        /// Which.
        veto: Veto,
    },
    /// A ceiling is no score.
    #[error("ceilings.{veto} is {value}, and must be 0 to 100")]
    CeilingOutOfRange {
        /// Which.
        veto: Veto,
        /// What it is.
        value: f64,
    },
    /// A revoked device would be worth something.
    #[error("ceilings.revoked is {value}, and must be 0: a revoked device is worth nothing by any model")]
    RevokedWorthSomething {
        /// How much.
        value: f64,
    },
    /// An endorsement grade has no share.
    #[error("endorsement.{grade} is missing")]
    MissingEndorsement {
        /// Which.
        grade: EndorsementGrade,
    },
    /// A share is none.
    #[error("endorsement.{grade} is {value}, and must be more than 0 and at most 1")]
    EndorsementOutOfRange {
        /// Which.
        grade: EndorsementGrade,
        /// What it is.
        value: f64,
    },
    /// A worse endorsement would count for more.
    #[error("endorsement.{grade} is more than that of the next better grade")]
    EndorsementOrder {
        /// Which.
        grade: EndorsementGrade,
    },
    /// An amount of evidence is none.
    #[error("evidence.{kind}.{factor} is {value}, and must be 0 to {MAX_AMOUNT}")]
    AmountOutOfRange {
        /// Where: `affirming.level`.
        kind: &'static str,
        /// Which factor's.
        factor: FactorName,
        /// What it is.
        value: f64,
    },
    /// Evidence would count for the age of an image, which follows from the image alone.
    #[error("evidence.{kind}.image_age: the age of an image follows from when it was made, not from evidence")]
    ImageAgeFromEvidence {
        /// Where.
        kind: &'static str,
    },
    /// A factor would be raised to a level and also grow.
    #[error(
        "evidence.affirming and evidence.warning: {factor} has a level and an amount per day; it takes one of them"
    )]
    EarnedTwice {
        /// Which.
        factor: FactorName,
    },
    /// A factor could never rise.
    #[error("evidence.affirming earns nothing for {factor}; it could never rise")]
    NeverEarned {
        /// Which.
        factor: FactorName,
    },
    /// A level is more than the factor keeps.
    #[error("evidence.{kind}.{factor} is {level}, more than the factor's cap of {cap}")]
    LevelAboveCap {
        /// Where.
        kind: &'static str,
        /// Which factor's.
        factor: FactorName,
        /// The level.
        level: f64,
        /// The cap.
        cap: f64,
    },
    /// Weaker evidence would earn more.
    #[error("evidence.warning earns more for {factor} than evidence.affirming")]
    WarningEarnsMore {
        /// Which.
        factor: FactorName,
    },
    /// The number of faults that count in a day is none.
    #[error("evidence.{kind}.counted_per_day is {value}, and must be 1 to {MAX_COUNTED_PER_DAY}")]
    CountedPerDayOutOfRange {
        /// Which fault.
        kind: &'static str,
        /// What it is.
        value: f64,
    },
    /// What was not measured would earn more than what was.
    #[error("evidence.unmeasured is {value}, and must be 0 to 1")]
    UnmeasuredOutOfRange {
        /// What it is.
        value: f64,
    },
    /// The longest gap is none.
    #[error("evidence.max_gap_secs is {secs}, and must be 1 to {MAX_GAP_SECS}")]
    MaxGapOutOfRange {
        /// What it is.
        secs: u64,
    },
}
