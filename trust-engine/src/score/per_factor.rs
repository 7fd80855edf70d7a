//! One of something for each factor of a device.

use serde::{Deserialize, Serialize};
use vouchsafe_model::trust::FactorName;

/// One `T` for each factor of a device: none can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerFactor<T> {
    freshness: T,
    tenure: T,
    boot: T,
    runtime: T,
    image_age: T,
    conduct: T,
}

impl<T> PerFactor<T> {
    /// Asks for each factor's in turn, and stops at the first that there is none of.
    pub(crate) fn try_from_fn<E>(mut make: impl FnMut(FactorName) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            freshness: make(FactorName::Freshness)?,
            tenure: make(FactorName::Tenure)?,
            boot: make(FactorName::Boot)?,
            runtime: make(FactorName::Runtime)?,
            image_age: make(FactorName::ImageAge)?,
            conduct: make(FactorName::Conduct)?,
        })
    }

    /// This factor's.
    pub(crate) const fn of(&self, name: FactorName) -> &T {
        match name {
            FactorName::Freshness => &self.freshness,
            FactorName::Tenure => &self.tenure,
            FactorName::Boot => &self.boot,
            FactorName::Runtime => &self.runtime,
            FactorName::ImageAge => &self.image_age,
            FactorName::Conduct => &self.conduct,
        }
    }

    /// This factor's, to be changed.
    pub(crate) const fn of_mut(&mut self, name: FactorName) -> &mut T {
        match name {
            FactorName::Freshness => &mut self.freshness,
            FactorName::Tenure => &mut self.tenure,
            FactorName::Boot => &mut self.boot,
            FactorName::Runtime => &mut self.runtime,
            FactorName::ImageAge => &mut self.image_age,
            FactorName::Conduct => &mut self.conduct,
        }
    }
}

impl<T: Copy> PerFactor<T> {
    /// The same for all.
    pub(crate) const fn all(value: T) -> Self {
        Self { freshness: value, tenure: value, boot: value, runtime: value, image_age: value, conduct: value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_factor_has_its_own() {
        let mut each = PerFactor::try_from_fn(|name| Ok::<_, ()>(name.name().to_owned())).unwrap();
        for name in FactorName::DEVICE {
            assert_eq!(each.of(name), name.name());
            assert_eq!(serde_json::to_value(&each).unwrap()[name.name()], name.name());
            each.of_mut(name).push('!');
            assert_eq!(each.of(name), &format!("{name}!"));
        }
    }

    #[test]
    fn none_may_be_missing_or_unknown() {
        let mut json = serde_json::to_value(PerFactor::all(1)).unwrap();
        json["beauty"] = 1.into();
        assert!(serde_json::from_value::<PerFactor<i32>>(json.clone()).is_err());
        let object = json.as_object_mut().unwrap();
        object.remove("beauty");
        object.remove("boot");
        assert!(serde_json::from_value::<PerFactor<i32>>(json).is_err());
    }
}
