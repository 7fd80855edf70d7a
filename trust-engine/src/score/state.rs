//! What the events of a device come to. From it follows the score at any instant.
//!
//! Every field is a sum, a maximum or the latest of something, so that two events of one instant come to the same in
//! either order; where they contradict each other, the worse one holds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vouchsafe_model::trust::{Ceiling, FactorName, FactorParams, FactorState, TrustCurve, Veto};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{EndorsementGrade, Sha256Digest, Timestamp};

use super::allowance::Allowance;
use super::event::{Attested, ComparedImage, TrustEvent};
use super::model_file::{Fault, PerFault, TrustModel};
use super::per_factor::PerFactor;

/// What the events of a device come to.
///
/// It is made by one model, whose hash it carries. Under another model it means something else: whoever reads one whose
/// [`model`](Self::model) is not the present one computes it again, by [`replay`] over the events.
///
/// Events come in the order in which they were recorded. Of an event whose instant is before that of what it would
/// improve on (a clock was set back, a replica is behind), what speaks for the device does not count, and what speaks
/// against it counts as of the later instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustState {
    format: Format,
    model: Sha256Digest,
    began_at: Timestamp,
    as_of: Timestamp,
    enrolment: Option<Enrolment>,
    certificate: Option<Certificate>,
    factors: PerFactor<FactorState>,
    allowances: PerFault<Allowances>,
    /// When evidence last did not fail.
    vouched_at: Option<Timestamp>,
    /// When evidence last agreed in everything.
    affirmed_at: Option<Timestamp>,
    /// When evidence last failed.
    failed_at: Option<Timestamp>,
    /// When evidence was last compared with an image and did not fail.
    compared: Option<Compared>,
    /// When there was last nothing to compare it with.
    uncompared_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    restored_at: Option<Timestamp>,
}

/// How many faults of one kind still count: what was booted and what runs count their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowances {
    device: Allowance,
    boot: Allowance,
    runtime: Allowance,
}

impl Allowances {
    const fn unused(at: Timestamp) -> Self {
        let unused = Allowance::unused(at);
        Self { device: unused, boot: unused, runtime: unused }
    }

    const fn of_mut(&mut self, name: FactorName) -> &mut Allowance {
        match name {
            FactorName::Boot => &mut self.boot,
            FactorName::Runtime => &mut self.runtime,
            FactorName::Freshness | FactorName::Tenure | FactorName::ImageAge | FactorName::Conduct => &mut self.device,
        }
    }
}

/// The latest enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrolment {
    at: Timestamp,
    endorsement: EndorsementGrade,
}

/// The latest certificate that is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    known_at: Timestamp,
    expires_at: Timestamp,
}

/// The image that evidence was last compared with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compared {
    at: Timestamp,
    image_created_at: Timestamp,
}

/// The form in which a state is stored: 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format;

impl Format {
    const NUMBER: u32 = 1;
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(Self::NUMBER)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            Self::NUMBER => Ok(Self),
            other => Err(serde::de::Error::custom(format_args!("a trust state of format {other}, not 1"))),
        }
    }
}

/// Counts events, oldest first, from nothing. `None` when there are none.
pub fn replay<'a>(
    model: &TrustModel,
    events: impl IntoIterator<Item = (Timestamp, &'a TrustEvent)>,
) -> Option<TrustState> {
    events.into_iter().fold(None, |state, (at, event)| {
        Some(state.unwrap_or_else(|| TrustState::begin(model, at)).absorb(model, event, at))
    })
}

impl TrustState {
    /// A device of which nothing is known but that it exists since `at`: nobody vouches for its EK, it never attested,
    /// and its score is zero. Its enrolment is the first event to be counted.
    pub fn begin(model: &TrustModel, at: Timestamp) -> Self {
        let unused = Allowances::unused(at);
        Self {
            format: Format,
            model: model.hash(),
            began_at: at,
            as_of: at,
            enrolment: None,
            certificate: None,
            factors: PerFactor::all(FactorState::unknown(at)),
            allowances: PerFault { warning: unused, contraindicated: unused, refused: unused, denied: unused },
            vouched_at: None,
            affirmed_at: None,
            failed_at: None,
            compared: None,
            uncompared_at: None,
            revoked_at: None,
            restored_at: None,
        }
    }

    /// The model that made it.
    pub fn model(&self) -> Sha256Digest {
        self.model
    }

    /// The latest instant of which it knows. Where that is further ahead of the present than
    /// [`FactorState::CLOCK_TOLERANCE`], an event was recorded by a wrong clock: the positive evidence of that instant
    /// counts nothing until then, and a [`replay`] of the events up to the present is what the device is worth.
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// Whether a denial at `at` would count at all. One that would not need not be recorded.
    pub fn counts_denial_at(&self, model: &TrustModel, at: Timestamp) -> bool {
        let per_day = model.cost(Fault::Denied).counted_per_day;
        self.allowances.of(Fault::Denied).device.share_at(per_day, at) > 0.0
    }

    /// Counts one event that happened at `at`.
    ///
    /// The model must be the one that made the state; under another one the numbers would be a mixture of both. The
    /// state keeps the hash of the one that began it, so that such a mixture does not pass for either.
    #[must_use]
    pub fn absorb(mut self, model: &TrustModel, event: &TrustEvent, at: Timestamp) -> Self {
        self.as_of = self.as_of.max(at);
        match event {
            TrustEvent::Enrolled { endorsement, certificate_expires_at } => {
                self.enrol(*endorsement, at);
                self.certify(*certificate_expires_at, at);
            }
            TrustEvent::Attested(attested) => self.attest(model, attested, at),
            TrustEvent::EvidenceRefused { .. } => self.fail(model, Fault::Refused, |_| true, at),
            // Nothing has been compared with it yet: the next evidence will be.
            TrustEvent::ImageAssigned { .. } => {}
            TrustEvent::ImageCleared {} => self.compare(model, None, at),
            TrustEvent::CertificateRenewed { expires_at } => self.certify(*expires_at, at),
            TrustEvent::Revoked {} => self.revoked_at = latest(self.revoked_at, self.restored_at.max(Some(at))),
            TrustEvent::Restored {} => self.restored_at = latest(self.restored_at, Some(at)),
            TrustEvent::Denied { .. } => self.pay(model, Fault::Denied, |_| true, at),
        }
        self
    }

    /// The score over time, if nothing more is heard of the device.
    pub fn curve(&self, model: &TrustModel) -> TrustCurve {
        let factors = FactorName::DEVICE
            .into_iter()
            .map(|name| (name, self.endorsed(model, name), *self.factors.of(name)))
            .collect();
        let ceilings = self.vetoes().map(|(veto, from)| Ceiling { veto, ceiling: model.ceiling(veto), from }).collect();
        TrustCurve::new(model.hash(), factors, ceilings)
    }

    /// A TPM that nobody vouches for may be a program that measures what it likes: of what it says of boot and runtime
    /// less counts.
    fn endorsed(&self, model: &TrustModel, name: FactorName) -> FactorParams {
        let params = *model.factor(name);
        match name {
            FactorName::Boot | FactorName::Runtime => {
                let grade = self.enrolment.map_or(EndorsementGrade::None, |enrolment| enrolment.endorsement);
                params.with_share_of_cap(model.endorsed_share(grade))
            }
            FactorName::Freshness | FactorName::Tenure | FactorName::ImageAge | FactorName::Conduct => params,
        }
    }

    /// What holds the score down, and since or from when. Where two things of one instant decide it, the worse does.
    fn vetoes(&self) -> impl Iterator<Item = (Veto, Timestamp)> {
        let unless =
            |bad: Option<Timestamp>, good: Option<Timestamp>| bad.filter(|bad| good.is_none_or(|good| good <= *bad));
        let enrolled_at = self.enrolment.map_or(self.began_at, |enrolment| enrolment.at);
        let never_attested = self.vouched_at.is_none_or(|vouched| vouched < enrolled_at).then_some(enrolled_at);
        let unknown_image = match self.compared {
            Some(compared) => unless(self.uncompared_at, Some(compared.at)),
            None => Some(self.uncompared_at.unwrap_or(enrolled_at)),
        };
        [
            (Veto::Revoked, unless(self.revoked_at, self.restored_at)),
            (Veto::CertificateExpired, self.certificate.map(|certificate| certificate.expires_at)),
            (Veto::AttestationFailed, unless(self.failed_at, self.vouched_at)),
            (Veto::NeverAttested, never_attested),
            (Veto::UnknownImage, unknown_image),
        ]
        .into_iter()
        .filter_map(|(veto, from)| from.map(|from| (veto, from)))
    }

    fn enrol(&mut self, endorsement: EndorsementGrade, at: Timestamp) {
        self.enrolment = Some(match self.enrolment {
            Some(known) if at <= known.at => Enrolment { endorsement: endorsement.min(known.endorsement), ..known },
            Some(_) | None => Enrolment { at, endorsement },
        });
    }

    fn certify(&mut self, expires_at: Timestamp, at: Timestamp) {
        self.certificate = Some(match self.certificate {
            Some(known) if at <= known.known_at => {
                Certificate { expires_at: expires_at.min(known.expires_at), ..known }
            }
            Some(_) | None => Certificate { known_at: at, expires_at },
        });
    }

    fn attest(&mut self, model: &TrustModel, attested: &Attested, at: Timestamp) {
        self.certify(attested.certificate_expires_at, at);
        // What was quoted was so no later than it was appraised, nor than it was recorded.
        let quoted_at = attested.quoted_at.min(attested.appraised_at).min(at);
        match attested.status {
            VerdictStatus::Affirming => self.vouch(model, attested, quoted_at, at),
            VerdictStatus::Warning => {
                self.vouch(model, attested, quoted_at, at);
                // That nobody assigned an image is no fault of the device; the ceiling speaks for it.
                if attested.image.is_some() {
                    self.pay(model, Fault::Warning, |name| attested.has_fault(name), at);
                }
            }
            VerdictStatus::Contraindicated => {
                self.fail(model, Fault::Contraindicated, |name| attested.has_fault(name), at);
            }
        }
    }

    /// Counts what evidence that did not fail earns, unless it is from before the last.
    fn vouch(&mut self, model: &TrustModel, attested: &Attested, quoted_at: Timestamp, at: Timestamp) {
        if self.vouched_at.max(self.failed_at).is_some_and(|last| at < last) {
            return;
        }
        let covered =
            |since: Option<Timestamp>| since.map_or(Duration::ZERO, |since| at.since(since)).min(model.max_gap());
        let affirms = attested.status == VerdictStatus::Affirming;
        let kind = if affirms { model.affirming() } else { model.warning() };
        // What any good evidence earns is earned since the last good evidence, and what affirming evidence earns beyond
        // it since the last that affirmed: however the two alternate, no instant is paid for twice.
        let since_vouched = covered(self.vouched_at);
        let since_affirmed = if affirms { covered(self.affirmed_at) } else { Duration::ZERO };
        for name in FactorName::DEVICE.into_iter().filter(|name| kind.speaks_for(*name)) {
            let params = model.factor(name);
            let factor = self.factors.of_mut(name);
            let any = *model.warning().per_day.of(name);
            let grown = grown(any, since_vouched, params)
                + grown(*model.affirming().per_day.of(name) - any, since_affirmed, params);
            let full = *kind.level.of(name) * attested.measured_share(model, name);
            let level = decayed(full, at.since(quoted_at), params);
            let earned = grown + (level - factor.positive_at(params, at)).max(0.0);
            *factor = factor.strengthen(params, earned, at);
        }
        self.vouched_at = Some(at);
        if affirms {
            self.affirmed_at = Some(at);
        }
        self.compare(model, attested.image.as_ref(), at);
    }

    /// Evidence was compared with this image, or there was none.
    fn compare(&mut self, model: &TrustModel, image: Option<&ComparedImage>, at: Timestamp) {
        let Some(image) = image else {
            self.uncompared_at = latest(self.uncompared_at, self.compared.map(|compared| compared.at).max(Some(at)));
            return;
        };
        let created_at = image.created_at.min(at);
        let image_created_at = match self.compared {
            Some(known) if at < known.at => return,
            Some(known) if at == known.at => created_at.min(known.image_created_at),
            Some(_) | None => created_at,
        };
        self.compared = Some(Compared { at, image_created_at });
        let params = model.factor(FactorName::ImageAge);
        *self.factors.of_mut(FactorName::ImageAge) =
            FactorState::unknown(image_created_at).strengthen(params, params.cap(), image_created_at);
    }

    fn fail(&mut self, model: &TrustModel, fault: Fault, concerns: impl Fn(FactorName) -> bool, at: Timestamp) {
        self.failed_at = latest(self.failed_at, self.vouched_at.max(Some(at)));
        self.pay(model, fault, concerns, at);
    }

    /// Counts a fault of this kind, as far as the day's allowances of such faults go, against what it concerns.
    fn pay(&mut self, model: &TrustModel, fault: Fault, concerns: impl Fn(FactorName) -> bool, at: Timestamp) {
        let cost = model.cost(fault);
        let mut left = *self.allowances.of(fault);
        for name in FactorName::DEVICE.into_iter().filter(|name| concerns(*name)) {
            // Several factors may share an allowance, and the fault is one for all of them.
            let mut before = *self.allowances.of(fault);
            let (after, counted) = before.of_mut(name).count(cost.counted_per_day, at);
            *left.of_mut(name) = after;
            let against = cost.against.of(name) * counted;
            if against > 0.0 {
                let factor = self.factors.of_mut(name);
                *factor = factor.weaken(model.factor(name), against, at);
            }
        }
        *self.allowances.of_mut(fault) = left;
    }
}

fn latest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.max(other)
}

/// What an amount per day comes to over `covered`, as of its end: each instant's share has been forgotten for as long as
/// it lies back. So it makes no difference into how many pieces of evidence the time is cut.
fn grown(per_day: f64, covered: Duration, params: &FactorParams) -> f64 {
    const SECS_PER_DAY: f64 = 86_400.0;
    let half_life = params.half_life_secs();
    let remembered_secs =
        half_life / std::f64::consts::LN_2 * -(-covered.as_secs_f64() / half_life * std::f64::consts::LN_2).exp_m1();
    per_day / SECS_PER_DAY * remembered_secs
}

/// What an amount is worth after so long.
fn decayed(amount: f64, elapsed: Duration, params: &FactorParams) -> f64 {
    amount * (-elapsed.as_secs_f64() / params.half_life_secs()).exp2()
}
