//! What the gate has to say of a policy: where, what, and what to write instead.

use std::fmt;

use serde::{Deserialize, Serialize};
use vouchsafe_wire::v1::problem::ProblemFinding;

use super::gate::{GateError, Location};

/// Whether a policy is refused for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The policy is not put in charge.
    Error,
    /// It may be meant, and rarely is.
    Warning,
}

/// What was found. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FindingKind {
    /// A file is no Rego.
    #[serde(rename = "policy.unreadable")]
    Unreadable,
    /// The rule that decides is not there, or the compiler refuses it.
    #[serde(rename = "policy.unusable")]
    Unusable,
    /// A rule needs itself.
    #[serde(rename = "rule.recursion")]
    Recursion,
    /// Rules need rules, too far down.
    #[serde(rename = "rule.too_deep")]
    RulesTooDeep,
    /// Expressions are nested too deep.
    #[serde(rename = "expression.too_deep")]
    ExpressionsTooDeep,
    /// A builtin whose cost nobody can see beforehand.
    #[serde(rename = "builtin.unbounded")]
    Unbounded,
    /// A function that is neither defined nor built in.
    #[serde(rename = "builtin.unknown")]
    UnknownBuiltin,
    /// A builtin whose value is another each time.
    #[serde(rename = "builtin.nondeterministic")]
    Nondeterministic,
    /// A builtin whose value is not that of OPA's.
    #[serde(rename = "builtin.differs")]
    BuiltinDiffers,
    /// A part of the input that the schema does not have.
    #[serde(rename = "input.unknown_field")]
    UnknownField,
    /// A part of the data that the bundle does not have.
    #[serde(rename = "data.unknown")]
    UnknownData,
    /// A negation that is true when what it asks of is missing.
    #[serde(rename = "negation.missing")]
    NegatedMissing,
    /// An order between values that are not numbers.
    #[serde(rename = "comparison.not_numbers")]
    NotNumbers,
    /// An order between values of which the type of one is unknown.
    #[serde(rename = "comparison.unknown_type")]
    UnknownType,
    /// A comparison with a text that the input never has.
    #[serde(rename = "comparison.never_equal")]
    NeverEqual,
    /// A line that is read as the end of the line above.
    #[serde(rename = "layout.joined_line")]
    JoinedLine,
    /// A test that does not pass.
    #[serde(rename = "test.failed")]
    TestFailed,
    /// The process that examined the policy did not survive it.
    #[serde(rename = "gate.died")]
    GateDied,
}

impl FindingKind {
    /// Its name: `input.unknown_field`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "policy.unreadable",
            Self::Unusable => "policy.unusable",
            Self::Recursion => "rule.recursion",
            Self::RulesTooDeep => "rule.too_deep",
            Self::ExpressionsTooDeep => "expression.too_deep",
            Self::Unbounded => "builtin.unbounded",
            Self::UnknownBuiltin => "builtin.unknown",
            Self::Nondeterministic => "builtin.nondeterministic",
            Self::BuiltinDiffers => "builtin.differs",
            Self::UnknownField => "input.unknown_field",
            Self::UnknownData => "data.unknown",
            Self::NegatedMissing => "negation.missing",
            Self::NotNumbers => "comparison.not_numbers",
            Self::UnknownType => "comparison.unknown_type",
            Self::NeverEqual => "comparison.never_equal",
            Self::JoinedLine => "layout.joined_line",
            Self::TestFailed => "test.failed",
            Self::GateDied => "gate.died",
        }
    }
}

/// One thing that the gate has to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// Where; nowhere in particular when it is about the policy as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Whether the policy is refused for it.
    pub severity: Severity,
    /// What.
    pub code: FindingKind,
    /// In words.
    pub message: String,
    /// What to write instead, or to do about it.
    pub instead: String,
}

impl Finding {
    /// Something for which the policy is refused.
    pub(crate) fn error(
        code: FindingKind,
        location: impl Into<Option<Location>>,
        message: impl Into<String>,
        instead: impl Into<String>,
    ) -> Self {
        let (location, message, instead) = (location.into(), message.into(), instead.into());
        Self { location, severity: Severity::Error, code, message, instead }
    }

    /// Something that is rarely meant.
    pub(crate) fn warning(
        code: FindingKind,
        location: impl Into<Option<Location>>,
        message: impl Into<String>,
        instead: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, location, message, instead) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{} ({})", self.message, self.code.name())
    }
}

impl From<&Finding> for ProblemFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.name().to_owned(),
            place: finding.location.as_ref().map(ToString::to_string),
            message: finding.message.clone(),
            instead: finding.instead.clone(),
        }
    }
}

impl From<&GateError> for Finding {
    fn from(error: &GateError) -> Self {
        let (code, location, instead) = match error {
            GateError::Recursion { location, .. } => {
                (FindingKind::Recursion, location, "break the circle; a variable needs a name that no rule has")
            }
            GateError::RulesTooDeep { location, .. } => {
                (FindingKind::RulesTooDeep, location, "let rules need fewer rules that need rules")
            }
            GateError::ExpressionsTooDeep { location } => {
                (FindingKind::ExpressionsTooDeep, location, "give parts of the expression rules of their own")
            }
            GateError::ReadTooOften { location, .. } => (
                FindingKind::ExpressionsTooDeep,
                location,
                "give what is in the brackets a rule or a variable of its own, or write it in data.json",
            ),
            GateError::Unbounded { location, advice, .. } => (FindingKind::Unbounded, location, *advice),
        };
        // The place is told beside the message.
        let message = error.to_string();
        let told = format!("{location}: ");
        let message = message.strip_prefix(&told).unwrap_or(&message);
        Self::error(code, location.clone(), message, instead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_is_written() {
        for code in [FindingKind::Unreadable, FindingKind::JoinedLine, FindingKind::GateDied] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }

    #[test]
    fn what_the_gate_refuses_is_told_without_its_place_twice() {
        let location = Location { file: "a.rego".to_owned(), line: 3, column: 1 };
        let finding = Finding::from(&GateError::ExpressionsTooDeep { location: location.clone() });
        assert_eq!(finding.location, Some(location));
        assert_eq!(finding.to_string(), "a.rego:3:1: expressions are nested deeper than 64 (expression.too_deep)");
    }
}
