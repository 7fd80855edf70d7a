//! Trust scores in closed form: Beta reputation with forgetting (Jøsang & Ismail, "The Beta Reputation System", 2002).
//!
//! A [`TrustCurve`] is everything that is needed to know a score at any instant: what evidence was counted per factor and
//! when, the parameters, and the ceilings. It is plain data, so whoever holds one can evaluate it *at the instant of the
//! question* without asking its maker. What counts as evidence, and how much, is not here: that is the trust engine's.

mod curve;
mod explanation;
mod factor;
mod score;

pub use curve::{Ceiling, CurvePoint, TrustCurve, Veto};
pub use explanation::{CeilingPart, FactorPart, ScoreExplanation};
pub use factor::{FactorName, FactorParams, FactorState, InvalidFactorParams};
pub use score::TrustScore;
