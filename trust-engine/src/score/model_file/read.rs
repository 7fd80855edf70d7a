//! TOML → trust model, with every check that types do not make.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use vouchsafe_model::trust::{FactorName, FactorParams, Veto};
use vouchsafe_model::{EndorsementGrade, Sha256Digest, TrustScore};

use super::error::{FORMAT, MAX_AMOUNT, MAX_COUNTED_PER_DAY, MAX_GAP_SECS, MAX_NAME_LEN, ModelFileError};
use super::{Cost, Earned, PerFactor, PerFault, TrustModel};

/// How far the sum of the weights may be from 1: what is lost in writing a third as a decimal.
const WEIGHT_TOLERANCE: f64 = 1e-9;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    format: u32,
    name: String,
    version: String,
    factors: BTreeMap<FactorName, FactorParams>,
    evidence: EvidenceFile,
    endorsement: BTreeMap<EndorsementGrade, f64>,
    ceilings: BTreeMap<Veto, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceFile {
    max_gap_secs: u64,
    unmeasured: f64,
    affirming: EarnedFile,
    warning: WarningFile,
    contraindicated: CostFile,
    refused: CostFile,
    denied: CostFile,
}

type Amounts = BTreeMap<FactorName, f64>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EarnedFile {
    level: Amounts,
    per_day: Amounts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarningFile {
    level: Amounts,
    per_day: Amounts,
    against: Amounts,
    counted_per_day: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CostFile {
    against: Amounts,
    counted_per_day: f64,
}

/// Reads and checks a model. Its hash is not computed yet.
pub(super) fn parse(text: &str) -> Result<TrustModel, ModelFileError> {
    if text.len() > TrustModel::MAX_BYTES {
        return Err(ModelFileError::TooLong { len: text.len() });
    }
    let file: ModelFile = toml::from_str(text)?;
    if file.format != FORMAT {
        return Err(ModelFileError::Format { found: file.format });
    }
    let factors = factors(&file.factors)?;
    let evidence = file.evidence;
    if !(1..=MAX_GAP_SECS).contains(&evidence.max_gap_secs) {
        return Err(ModelFileError::MaxGapOutOfRange { secs: evidence.max_gap_secs });
    }
    if !(0.0..=1.0).contains(&evidence.unmeasured) {
        return Err(ModelFileError::UnmeasuredOutOfRange { value: evidence.unmeasured });
    }
    let model = TrustModel {
        name: name("name", file.name)?,
        version: name("version", file.version)?,
        hash: Sha256Digest::new([0; 32]),
        factors,
        max_gap: Duration::from_secs(evidence.max_gap_secs),
        unmeasured: evidence.unmeasured,
        affirming: Earned {
            level: amounts("affirming.level", &evidence.affirming.level)?,
            per_day: amounts("affirming.per_day", &evidence.affirming.per_day)?,
        },
        warning: Earned {
            level: amounts("warning.level", &evidence.warning.level)?,
            per_day: amounts("warning.per_day", &evidence.warning.per_day)?,
        },
        faults: PerFault {
            warning: cost("warning", &evidence.warning.against, evidence.warning.counted_per_day)?,
            contraindicated: cost_of("contraindicated", &evidence.contraindicated)?,
            refused: cost_of("refused", &evidence.refused)?,
            denied: cost_of("denied", &evidence.denied)?,
        },
        endorsement: endorsement(file.endorsement)?,
        ceilings: ceilings(&file.ceilings)?,
    };
    check_earned(&model)?;
    Ok(model)
}

fn name(field: &'static str, text: String) -> Result<String, ModelFileError> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if (1..=MAX_NAME_LEN).contains(&text.len()) && text.bytes().all(is_name) {
        Ok(text)
    } else {
        Err(ModelFileError::Name { field })
    }
}

fn factors(read: &BTreeMap<FactorName, FactorParams>) -> Result<PerFactor<FactorParams>, ModelFileError> {
    let factors =
        PerFactor::try_from_fn(|factor| read.get(&factor).copied().ok_or(ModelFileError::MissingFactor { factor }))?;
    let sum: f64 = FactorName::DEVICE.iter().map(|factor| factors.of(*factor).weight()).sum();
    if (sum - 1.0).abs() > WEIGHT_TOLERANCE { Err(ModelFileError::WeightsSum { sum }) } else { Ok(factors) }
}

fn amounts(kind: &'static str, read: &Amounts) -> Result<PerFactor<f64>, ModelFileError> {
    if read.contains_key(&FactorName::ImageAge) {
        return Err(ModelFileError::ImageAgeFromEvidence { kind });
    }
    PerFactor::try_from_fn(|factor| match read.get(&factor).copied().unwrap_or(0.0) {
        value if (0.0..=MAX_AMOUNT).contains(&value) => Ok(value),
        value => Err(ModelFileError::AmountOutOfRange { kind, factor, value }),
    })
}

fn cost_of(kind: &'static str, read: &CostFile) -> Result<Cost, ModelFileError> {
    cost(kind, &read.against, read.counted_per_day)
}

fn cost(kind: &'static str, against: &Amounts, counted_per_day: f64) -> Result<Cost, ModelFileError> {
    if !(1.0..=MAX_COUNTED_PER_DAY).contains(&counted_per_day) {
        return Err(ModelFileError::CountedPerDayOutOfRange { kind, value: counted_per_day });
    }
    Ok(Cost { against: amounts(kind, against)?, counted_per_day })
}

fn endorsement(read: BTreeMap<EndorsementGrade, f64>) -> Result<BTreeMap<EndorsementGrade, f64>, ModelFileError> {
    let mut better = 1.0;
    for grade in [EndorsementGrade::Vendor, EndorsementGrade::Pinned, EndorsementGrade::None] {
        let value = *read.get(&grade).ok_or(ModelFileError::MissingEndorsement { grade })?;
        if !(value > 0.0 && value <= 1.0) {
            return Err(ModelFileError::EndorsementOutOfRange { grade, value });
        }
        if value > better {
            return Err(ModelFileError::EndorsementOrder { grade });
        }
        better = value;
    }
    Ok(read)
}

fn ceilings(read: &BTreeMap<Veto, f64>) -> Result<BTreeMap<Veto, TrustScore>, ModelFileError> {
    Veto::ALL
        .into_iter()
        .map(|veto| match read.get(&veto).copied() {
            None => Err(ModelFileError::MissingCeiling { veto }),
            Some(value) if !(0.0..=100.0).contains(&value) => Err(ModelFileError::CeilingOutOfRange { veto, value }),
            Some(value) if veto == Veto::Revoked && value > 0.0 => Err(ModelFileError::RevokedWorthSomething { value }),
            Some(value) => Ok((veto, TrustScore::new(value))),
        })
        .collect()
}

/// What evidence earns: once for each factor, within its cap, and no more for weaker evidence. That the score is
/// monotone in good evidence, and that the order of simultaneous evidence does not matter, rests on this.
fn check_earned(model: &TrustModel) -> Result<(), ModelFileError> {
    let (affirming, warning) = (&model.affirming, &model.warning);
    for factor in FactorName::DEVICE {
        let level = affirming.level.of(factor).max(*warning.level.of(factor));
        let per_day = affirming.per_day.of(factor).max(*warning.per_day.of(factor));
        if level > 0.0 && per_day > 0.0 {
            return Err(ModelFileError::EarnedTwice { factor });
        }
        if warning.level.of(factor) > affirming.level.of(factor)
            || warning.per_day.of(factor) > affirming.per_day.of(factor)
        {
            return Err(ModelFileError::WarningEarnsMore { factor });
        }
        if level <= 0.0 && per_day <= 0.0 && factor != FactorName::ImageAge {
            return Err(ModelFileError::NeverEarned { factor });
        }
        let cap = model.factor(factor).cap();
        if level > cap {
            return Err(ModelFileError::LevelAboveCap { kind: "affirming.level", factor, level, cap });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::model_file::BUILTIN;

    /// What is said, with its cause, of the default model with one line of it changed.
    fn refusal(from: &str, to: &str) -> String {
        let changed = BUILTIN.replacen(from, to, 1);
        assert!(changed != BUILTIN, "the default model has no {from}");
        let error = TrustModel::parse(&changed).unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {}", source.to_string().lines().last().unwrap_or_default()),
            None => error.to_string(),
        }
    }

    #[test]
    fn every_check_names_what_is_wrong() {
        let report: Vec<String> = [
            ("format = 1", "format = 2"),
            ("name = \"default\"", "name = \"two words\""),
            ("version = \"1\"", "version = \"\""),
            ("[factors.boot]", "[factors.beauty]"),
            ("weight = 0.26", "weight = 0.27"),
            ("unknown_image = 40", "unknown_image = 101"),
            ("revoked = 0", "revoked = 1"),
            ("never_attested = 0", "#"),
            ("pinned = 0.3", "#"),
            ("pinned = 0.3", "pinned = 0"),
            ("none = 0.05", "none = 0.4"),
            ("max_gap_secs = 3600", "max_gap_secs = 0"),
            ("unmeasured = 0.5", "unmeasured = 1.5"),
            ("against = { conduct = 0.3 }", "against = { conduct = -0.3 }"),
            ("against = { conduct = 0.3 }", "against = { image_age = 0.3 }"),
            ("counted_per_day = 5", "counted_per_day = 0.5"),
            ("counted_per_day = 5", "counted_per_day = nan"),
            ("level = { freshness = 40, boot = 30, runtime = 30 }", "level = { freshness = 40, boot = 30 }"),
            (
                "level = { freshness = 40, boot = 30, runtime = 30 }",
                "level = { freshness = 41, boot = 30, runtime = 30 }",
            ),
            (
                "level = { freshness = 40, boot = 30, runtime = 30 }",
                "level = { tenure = 1, freshness = 40, boot = 30, runtime = 30 }",
            ),
            (
                "level = { freshness = 40, boot = 30, runtime = 30 }",
                "level = { freshness = 30, boot = 30, runtime = 30 }",
            ),
        ]
        .into_iter()
        .map(|(from, to)| refusal(from, to))
        .collect();
        insta::assert_snapshot!(report.join("\n"), @r"
        the trust model is of format 2; this engine reads format 1
        name must be 1 to 64 letters, digits, '.', '_', '+' and '-'
        version must be 1 to 64 letters, digits, '.', '_', '+' and '-'
        the trust model cannot be read: unknown variant `beauty`, expected one of `freshness`, `tenure`, `boot`, `runtime`, `image_age`, `conduct`
        the weights of the factors add up to 1.01, and must add up to 1
        ceilings.unknown_image is 101, and must be 0 to 100
        ceilings.revoked is 1, and must be 0: a revoked device is worth nothing by any model
        ceilings.never_attested is missing
        endorsement.pinned is missing
        endorsement.pinned is 0, and must be more than 0 and at most 1
        endorsement.none is more than that of the next better grade
        evidence.max_gap_secs is 0, and must be 1 to 86400
        evidence.unmeasured is 1.5, and must be 0 to 1
        evidence.denied.conduct is -0.3, and must be 0 to 1000000
        evidence.denied.image_age: the age of an image follows from when it was made, not from evidence
        evidence.denied.counted_per_day is 0.5, and must be 1 to 1000
        evidence.denied.counted_per_day is NaN, and must be 1 to 1000
        evidence.warning earns more for runtime than evidence.affirming
        evidence.affirming.level.freshness is 41, more than the factor's cap of 40
        evidence.affirming and evidence.warning: tenure has a level and an amount per day; it takes one of them
        evidence.warning earns more for freshness than evidence.affirming
        ");
    }

    #[test]
    fn a_missing_factor_is_named() {
        let (before, from) = BUILTIN.split_once("[factors.conduct]").unwrap();
        let (_, after) = from.split_once("[evidence]").unwrap();
        let without = format!("{before}[evidence]{after}");
        assert_eq!(TrustModel::parse(&without).unwrap_err().to_string(), "factors.conduct is missing");
    }

    #[test]
    fn a_factor_that_nothing_raises_is_named() {
        let without = BUILTIN.replace(", runtime = 30 }", " }").replace(", runtime = 6 }", " }");
        let error = TrustModel::parse(&without).unwrap_err();
        assert_eq!(error.to_string(), "evidence.affirming earns nothing for runtime; it could never rise");
    }

    #[test]
    fn what_no_model_has_is_refused() {
        assert!(refusal("format = 1", "format = 1\nscore = 100").contains("unknown field `score`"));
        assert!(refusal("revoked = 0", "revoked = 0\nbored = 0").contains("unknown variant `bored`"));
        assert!(
            refusal("against = { conduct = 0.3 }", "against = { conduct = 0.3 }\nlevel = {}").contains("unknown field")
        );
        assert!(refusal("base_rate = 0.01", "base_rate = 1.01").contains("base_rate is 1.01"));
        assert!(refusal("base_rate = 0.01", "base_rate = 0.01\nbase_rate = 0.01").contains("duplicate key"));
    }

    #[test]
    fn a_file_longer_than_the_bound_is_not_even_read() {
        let longest = format!("{BUILTIN}{}", "#".repeat(TrustModel::MAX_BYTES - BUILTIN.len()));
        assert!(TrustModel::parse(&longest).is_ok());
        let error = TrustModel::parse(&format!("{longest}#")).unwrap_err();
        assert!(matches!(error, ModelFileError::TooLong { len } if len == TrustModel::MAX_BYTES + 1));
    }
}
