//! Which parts of an input a policy may look at.

/// All of a document, or some of its fields and of each of them some part. What is not wanted is left `null`: to fill it in
/// would be a third of the work of a decision, for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    All,
    /// That it is there, and these of its fields.
    Fields(Vec<(String, Wanted)>),
}

impl Wanted {
    /// Nothing but that it is there.
    pub const NOTHING: Self = Self::Fields(Vec::new());

    /// All that lies at and below these places.
    pub(crate) fn at<'a>(places: impl IntoIterator<Item = &'a Vec<String>>) -> Self {
        let mut wanted = Self::NOTHING;
        places.into_iter().for_each(|place| wanted.add(place));
        wanted
    }

    fn add(&mut self, place: &[String]) {
        match (&mut *self, place) {
            (Self::All, _) => {}
            (Self::Fields(_), []) => *self = Self::All,
            (Self::Fields(fields), [first, rest @ ..]) => {
                let position = fields.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
                    fields.push((first.clone(), Self::NOTHING));
                    fields.len() - 1
                });
                if let Some((_, wanted)) = fields.get_mut(position) {
                    wanted.add(rest);
                }
            }
        }
    }

    /// What is wanted of a field; `None` when nothing is, not even whether it is there.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::All => Some(&Self::All),
            // So few that looking through them takes less than hashing a name.
            Self::Fields(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, wanted)| wanted),
        }
    }

    /// Whether anything is wanted of the place that these steps lead to.
    pub fn has(&self, steps: &[&str]) -> bool {
        steps.iter().try_fold(self, |wanted, step| wanted.field(step)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(places: &[&str]) -> Wanted {
        let steps = |place: &&str| place.split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect();
        Wanted::at(&places.iter().map(steps).collect::<Vec<Vec<_>>>())
    }

    #[test]
    fn what_lies_at_below_and_above_a_place_is_wanted_and_nothing_beside_it() {
        let wanted = at(&["device.verdict.status", "network"]);
        for steps in [
            &["device"][..],
            &["device", "verdict"],
            &["device", "verdict", "status", "any"],
            &["network", "encrypted"],
        ] {
            assert!(wanted.has(steps), "{steps:?}");
        }
        for steps in [&["user"][..], &["device", "claims"], &["device", "verdict", "findings"]] {
            assert!(!wanted.has(steps), "{steps:?}");
        }
    }

    #[test]
    fn the_whole_takes_in_its_parts_in_either_order() {
        assert_eq!(at(&["device", "device.score"]), at(&["device.score", "device"]));
        assert_eq!(at(&["device.score", ""]), Wanted::All);
    }
}
