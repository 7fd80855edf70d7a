//! The trust model: how much each kind of evidence counts, and how that becomes a score. A versioned TOML file.

mod error;
mod read;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use vouchsafe_model::trust::{FactorName, FactorParams, Veto};
use vouchsafe_model::{EndorsementGrade, Sha256Digest, TrustScore};

use super::per_factor::PerFactor;
pub use error::ModelFileError;

/// A trust model, checked: every factor, fault, grade and veto is there, and every number is in its range.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustModel {
    name: String,
    version: String,
    hash: Sha256Digest,
    factors: PerFactor<FactorParams>,
    max_gap: Duration,
    unmeasured: f64,
    affirming: Earned,
    warning: Earned,
    faults: PerFault<Cost>,
    endorsement: BTreeMap<EndorsementGrade, f64>,
    ceilings: BTreeMap<Veto, TrustScore>,
}

/// What evidence that does not fail earns. 0 where it earns nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Earned {
    /// Up to how much positive evidence it raises a factor, whatever the factor had before.
    pub(crate) level: PerFactor<f64>,
    /// How much positive evidence it adds for each day that it covers.
    pub(crate) per_day: PerFactor<f64>,
}

impl Earned {
    /// Whether it is evidence about this factor at all.
    pub(crate) fn speaks_for(&self, name: FactorName) -> bool {
        *self.level.of(name) > 0.0 || *self.per_day.of(name) > 0.0
    }
}

/// What a fault costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// How much negative evidence it adds.
    pub(crate) against: PerFactor<f64>,
    /// How many of them count in a day.
    pub(crate) counted_per_day: f64,
}

/// What counts against a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Evidence in which something is missing or weak.
    Warning,
    /// Evidence that contradicts the reference values.
    Contraindicated,
    /// Evidence that is not authentic.
    Refused,
    /// A request that was denied.
    Denied,
}

/// One of something for each fault.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerFault<T> {
    pub(crate) warning: T,
    pub(crate) contraindicated: T,
    pub(crate) refused: T,
    pub(crate) denied: T,
}

impl<T> PerFault<T> {
    pub(crate) const fn of(&self, fault: Fault) -> &T {
        match fault {
            Fault::Warning => &self.warning,
            Fault::Contraindicated => &self.contraindicated,
            Fault::Refused => &self.refused,
            Fault::Denied => &self.denied,
        }
    }

    pub(crate) const fn of_mut(&mut self, fault: Fault) -> &mut T {
        match fault {
            Fault::Warning => &mut self.warning,
            Fault::Contraindicated => &mut self.contraindicated,
            Fault::Refused => &mut self.refused,
            Fault::Denied => &mut self.denied,
        }
    }
}

/// The model that comes with the engine.
const BUILTIN: &str = include_str!("../../../models/default.toml");

impl TrustModel {
    /// The longest model file, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Reads a model and checks it.
    ///
    /// # Errors
    /// The first thing that is missing or out of its range, by name.
    pub fn parse(text: &str) -> Result<Self, ModelFileError> {
        let mut model = read::parse(text)?;
        model.hash = sha256(&model.canonical());
        Ok(model)
    }

    /// The model that comes with the engine: `models/default.toml`.
    ///
    /// # Errors
    /// None in a build that passed its tests.
    pub fn builtin() -> Result<Self, ModelFileError> {
        Self::parse(BUILTIN)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, in its maker's words.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of what the model says, by which every score names it.
    ///
    /// Comments, order, and how a number is spelled do not matter; name, version and every number do. Two files with one
    /// hash give the same scores.
    pub fn hash(&self) -> Sha256Digest {
        self.hash
    }

    /// The longest time between two good attestations that earns in full what time earns.
    pub fn max_gap(&self) -> Duration {
        self.max_gap
    }

    /// Of what good evidence earns boot or runtime, the share that it earns where nothing was compared.
    pub fn unmeasured_share(&self) -> f64 {
        self.unmeasured
    }

    /// The parameters of a factor.
    pub fn factor(&self, name: FactorName) -> &FactorParams {
        self.factors.of(name)
    }

    /// The most that a score may be while this veto is in force.
    pub fn ceiling(&self, veto: Veto) -> TrustScore {
        self.ceilings.get(&veto).copied().unwrap_or(TrustScore::ZERO)
    }

    /// The share of the caps of boot and runtime that counts when the EK is vouched for so well.
    pub fn endorsed_share(&self, grade: EndorsementGrade) -> f64 {
        self.endorsement.get(&grade).copied().unwrap_or(0.0)
    }

    pub(crate) fn affirming(&self) -> &Earned {
        &self.affirming
    }

    pub(crate) fn warning(&self) -> &Earned {
        &self.warning
    }

    pub(crate) fn cost(&self, fault: Fault) -> &Cost {
        self.faults.of(fault)
    }

    /// What the model says, in one fixed order and with every number as the bits of its IEEE 754 binary64, so that no
    /// way of printing numbers is part of the hash.
    fn canonical(&self) -> String {
        let mut text = format!("vouchsafe trust model 1\nname={}\nversion={}\n", self.name, self.version);
        let mut put = |path: std::fmt::Arguments<'_>, value: f64| {
            // Writing to a String does not fail. Adding 0 makes -0 the same as 0.
            let _ = writeln!(text, "{path}={:016x}", (value + 0.0).to_bits());
        };
        for name in FactorName::DEVICE {
            let params = self.factor(name);
            put(format_args!("{name}.base_rate"), params.base_rate());
            put(format_args!("{name}.prior_weight"), params.prior_weight());
            put(format_args!("{name}.half_life_secs"), params.half_life_secs());
            put(format_args!("{name}.forgiveness_half_life_secs"), params.forgiveness_half_life_secs());
            put(format_args!("{name}.cap"), params.cap());
            put(format_args!("{name}.weight"), params.weight());
            for (kind, earned) in [("affirming", self.affirming), ("warning", self.warning)] {
                put(format_args!("{name}.{kind}.level"), *earned.level.of(name));
                put(format_args!("{name}.{kind}.per_day"), *earned.per_day.of(name));
            }
            for fault in [Fault::Warning, Fault::Contraindicated, Fault::Refused, Fault::Denied] {
                put(format_args!("{name}.{fault:?}.against"), *self.cost(fault).against.of(name));
            }
        }
        for fault in [Fault::Warning, Fault::Contraindicated, Fault::Refused, Fault::Denied] {
            put(format_args!("{fault:?}.counted_per_day"), self.cost(fault).counted_per_day);
        }
        put(format_args!("max_gap_secs"), self.max_gap.as_secs_f64());
        put(format_args!("unmeasured"), self.unmeasured);
        for (grade, share) in &self.endorsement {
            put(format_args!("endorsement.{grade}"), *share);
        }
        for (veto, ceiling) in &self.ceilings {
            put(format_args!("ceilings.{veto}"), ceiling.points());
        }
        text
    }
}

fn sha256(text: &str) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest(&SHA256, text.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_model_is_valid_and_named() {
        let model = TrustModel::builtin().unwrap();
        assert_eq!((model.name(), model.version()), ("default", "1"));
        assert_eq!(model.ceiling(Veto::UnknownImage), TrustScore::new(40.0));
        for veto in [Veto::Revoked, Veto::CertificateExpired, Veto::AttestationFailed, Veto::NeverAttested] {
            assert_eq!(model.ceiling(veto), TrustScore::ZERO, "{veto}");
        }
    }

    #[test]
    fn how_a_model_is_written_does_not_change_its_hash() {
        let model = TrustModel::builtin().unwrap();
        let bare: Vec<&str> = BUILTIN
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
            .collect();
        let bare = bare.join("\n");
        assert!(bare.len() < BUILTIN.len() / 2, "the comments are most of the file");
        assert_eq!(TrustModel::parse(&bare).unwrap(), model);
        let spelled = BUILTIN.replace("unknown_image = 40", "unknown_image = 4.0e1");
        assert!(spelled != BUILTIN);
        assert_eq!(TrustModel::parse(&spelled).unwrap().hash(), model.hash());
    }

    #[test]
    fn whatever_a_model_says_changes_its_hash() {
        let mut hashes = vec![TrustModel::builtin().unwrap().hash()];
        for (from, to) in [
            ("name = \"default\"", "name = \"other\""),
            ("version = \"1\"", "version = \"2\""),
            ("max_gap_secs = 3600", "max_gap_secs = 3601"),
            ("unmeasured = 0.5", "unmeasured = 0.51"),
            ("unknown_image = 40", "unknown_image = 41"),
            ("pinned = 0.3", "pinned = 0.31"),
            ("prior_weight = 10", "prior_weight = 11"),
            ("counted_per_day = 5", "counted_per_day = 6"),
            ("against = { conduct = 0.3 }", "against = { conduct = 0.31 }"),
        ] {
            let changed = BUILTIN.replacen(from, to, 1);
            assert!(changed != BUILTIN, "the default model has no {from}");
            let hash = TrustModel::parse(&changed).unwrap().hash();
            assert!(!hashes.contains(&hash), "{to}");
            hashes.push(hash);
        }
    }

    #[test]
    fn the_hash_is_the_same_in_every_build() {
        insta::assert_snapshot!(TrustModel::builtin().unwrap().hash(), @"589ec6346811bb08579eb92426058cb0845d5a7036a3a85384e2b99590f4c796");
    }
}
