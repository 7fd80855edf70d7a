//! Data that operators write while the engine runs, over that of the bundle.
//!
//! Nobody signs it, no test is run with it, and it is gone when the engine stops, as in OPA. So there is none but below the
//! paths that the settings list, and every change makes another policy with a hash of its own, under which decisions are
//! logged from then on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vouchsafe_policies::Bundle;
use vouchsafe_wire::v1::opa::{PatchOperation, PatchVerb};

use crate::charge::ActivateError;

/// The most that everything written may be together as JSON, in bytes.
pub const MAX_WRITTEN_LEN: usize = 1024 * 1024;
/// The most steps of a path.
pub const MAX_STEPS: usize = 16;
/// The longest step of a path, in bytes.
pub const MAX_STEP_LEN: usize = 256;
/// The most paths below which data may be written.
pub const MAX_WRITABLE: usize = 64;

/// A place below `data`: `bans/users`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataPath(Vec<String>);

/// A text that is no place below `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path below data has 1 to {MAX_STEPS} steps with '/' between, none empty, '.' or '..', and no control characters"
)]
pub struct NoDataPath;

/// A change at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum DataChange {
    /// Puts a value there, in place of whatever is there.
    Put(Value),
    /// Puts a value there if there is none.
    PutIfAbsent(Value),
    /// Does these operations below it, all or none.
    Patch(Vec<PatchOperation>),
    /// Removes it.
    Remove,
}

/// Why data was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The settings do not let anybody write there.
    #[error("data may not be written there")]
    NotWritable,
    /// There is nothing there.
    #[error("there is nothing at {place}")]
    NotFound {
        /// Where.
        place: String,
    },
    /// There is something there, and it was not to be replaced.
    #[error("there is something there already")]
    Exists,
    /// A step leads into something that has no inside, or nowhere in an array.
    #[error("{place} is nowhere that a value could be put")]
    NoPlace {
        /// Where.
        place: String,
    },
    /// An operation lacks its value.
    #[error("an operation has no value")]
    NoValue,
    /// There would be too much.
    #[error("what is written would be larger than {MAX_WRITTEN_LEN} bytes together")]
    TooLarge,
    /// The policy does not go together with it.
    #[error("the policy does not go together with this data")]
    Refused(#[source] ActivateError),
}

impl DataPath {
    /// The place of these steps.
    ///
    /// # Errors
    /// When they lead nowhere, or could be read in two ways.
    pub fn new(steps: Vec<String>) -> Result<Self, NoDataPath> {
        let is_step = |step: &String| {
            (1..=MAX_STEP_LEN).contains(&step.len())
                && step != "."
                && step != ".."
                && !step.chars().any(|character| character.is_control() || character == '/')
        };
        let valid = (1..=MAX_STEPS).contains(&steps.len()) && steps.iter().all(is_step);
        if valid { Ok(Self(steps)) } else { Err(NoDataPath) }
    }

    /// The steps that lead from another place to this one, if it is at or below that.
    fn below(&self, root: &Self) -> Option<&[String]> {
        self.0.strip_prefix(root.0.as_slice())
    }
}

impl FromStr for DataPath {
    type Err = NoDataPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text.split('/').map(str::to_owned).collect())
    }
}

impl TryFrom<String> for DataPath {
    type Error = NoDataPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DataPath> for String {
    fn from(path: DataPath) -> Self {
        path.to_string()
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.join("/"))
    }
}

/// A bundle and what was written over it.
#[derive(Clone)]
pub(crate) struct Written {
    bundle: Arc<Bundle>,
    writable: Arc<[DataPath]>,
    /// By the writable path that it is at or below; none where something was removed.
    roots: BTreeMap<DataPath, Option<Value>>,
}

impl Written {
    pub(crate) fn nothing_over(bundle: Bundle, mut writable: Vec<DataPath>) -> Self {
        // What is below another place is written there.
        writable.sort();
        writable.dedup_by(|later, earlier| later.below(earlier).is_some());
        Self { bundle: Arc::new(bundle), writable: writable.into(), roots: BTreeMap::new() }
    }

    /// The same over another bundle.
    pub(crate) fn over(&self, bundle: Bundle) -> Self {
        Self { bundle: Arc::new(bundle), ..self.clone() }
    }

    /// What is in charge: the bundle itself while nothing is written.
    pub(crate) fn bundle(&self) -> Bundle {
        if self.roots.is_empty() {
            return Bundle::clone(&self.bundle);
        }
        let mut data = self.bundle.data().clone();
        for (root, value) in &self.roots {
            match value {
                // What the bundle has in the way is replaced: the settings say that this place is for writing.
                Some(value) => place_for(&mut data, &root.0).clone_from(value),
                None => drop(remove(&mut data, &root.0)),
            }
        }
        let Value::Object(data) = data else { return Bundle::clone(&self.bundle) };
        self.bundle.with_data(data)
    }

    /// The same with a change.
    pub(crate) fn changed(&self, path: &DataPath, change: DataChange) -> Result<Self, WriteError> {
        let (root, steps) =
            self.writable.iter().find_map(|root| Some((root, path.below(root)?))).ok_or(WriteError::NotWritable)?;
        let of_bundle = || look(self.bundle.data(), &root.0).cloned();
        let value = self.roots.get(root).cloned().unwrap_or_else(of_bundle);
        let mut roots = self.roots.clone();
        roots.insert(root.clone(), apply(value, steps, change)?);
        let length: usize = roots.values().flatten().map(|value| value.to_string().len()).sum();
        if length > MAX_WRITTEN_LEN { Err(WriteError::TooLarge) } else { Ok(Self { roots, ..self.clone() }) }
    }
}

/// Changes what is at the end of these steps.
fn apply(value: Option<Value>, steps: &[String], change: DataChange) -> Result<Option<Value>, WriteError> {
    // One step above, so that the root itself can come and go like everything else.
    let mut above = Value::Object(value.map(|value| (ROOT.to_owned(), value)).into_iter().collect());
    let steps: Vec<String> = std::iter::once(ROOT.to_owned()).chain(steps.iter().cloned()).collect();
    match change {
        DataChange::PutIfAbsent(_) if look(&above, &steps).is_some() => return Err(WriteError::Exists),
        DataChange::Put(value) | DataChange::PutIfAbsent(value) => put(&mut above, &steps, value)?,
        DataChange::Remove => drop(remove(&mut above, &steps).ok_or_else(|| not_found(&steps))?),
        DataChange::Patch(operations) => {
            for PatchOperation { op, path, value } in operations {
                let place = [steps.as_slice(), pointer(&path)?.as_slice()].concat();
                operate(&mut above, &place, op, value)?;
            }
        }
    }
    Ok(above.as_object_mut().and_then(|above| above.remove(ROOT)))
}

/// Any name would do.
const ROOT: &str = "data";

fn operate(above: &mut Value, place: &[String], op: PatchVerb, value: Option<Value>) -> Result<(), WriteError> {
    match op {
        PatchVerb::Remove => remove(above, place).map(drop).ok_or_else(|| not_found(place)),
        PatchVerb::Replace => {
            look(above, place).ok_or_else(|| not_found(place))?;
            replace(above, place, value.ok_or(WriteError::NoValue)?)
        }
        PatchVerb::Add => insert(above, place, value.ok_or(WriteError::NoValue)?),
    }
}

fn not_found(place: &[String]) -> WriteError {
    WriteError::NotFound { place: place.join("/") }
}

fn no_place(place: &[String]) -> WriteError {
    WriteError::NoPlace { place: place.join("/") }
}

/// The steps of a JSON Pointer (RFC 6901).
fn pointer(text: &str) -> Result<Vec<String>, WriteError> {
    if text.is_empty() || text == "/" {
        return Ok(Vec::new());
    }
    let steps = text.strip_prefix('/').unwrap_or(text).split('/');
    let steps: Vec<String> = steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    if steps.len() > MAX_STEPS { Err(no_place(&steps)) } else { Ok(steps) }
}

fn index(step: &str) -> Option<usize> {
    let is_plain = step == "0" || !step.starts_with('0');
    step.parse().ok().filter(|_| is_plain && step.bytes().all(|byte| byte.is_ascii_digit()))
}

fn step_into<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(step),
        Value::Array(array) => array.get(index(step)?),
        _ => None,
    }
}

fn step_into_mut<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(object) => object.get_mut(step),
        Value::Array(array) => array.get_mut(index(step)?),
        _ => None,
    }
}

fn look<'a>(value: &'a Value, steps: &[String]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| step_into(value, step))
}

fn look_mut<'a>(value: &'a mut Value, steps: &[String]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |value, step| step_into_mut(value, step))
}

fn remove(value: &mut Value, steps: &[String]) -> Option<Value> {
    let (last, before) = steps.split_last()?;
    match look_mut(value, before)? {
        Value::Object(object) => object.remove(last),
        Value::Array(array) => index(last).filter(|index| *index < array.len()).map(|index| array.remove(index)),
        _ => None,
    }
}

/// Puts a value where there is a place for it: in an object, or in an array before the element that is there or at its end.
fn insert(value: &mut Value, steps: &[String], new: Value) -> Result<(), WriteError> {
    let (last, before) = steps.split_last().ok_or_else(|| no_place(steps))?;
    match look_mut(value, before).ok_or_else(|| not_found(before))? {
        Value::Object(object) => drop(object.insert(last.clone(), new)),
        Value::Array(array) => {
            let index = if last == "-" { Some(array.len()) } else { index(last) };
            let index = index.filter(|index| *index <= array.len()).ok_or_else(|| no_place(steps))?;
            array.insert(index, new);
        }
        _ => return Err(no_place(steps)),
    }
    Ok(())
}

fn replace(value: &mut Value, steps: &[String], new: Value) -> Result<(), WriteError> {
    look_mut(value, steps).ok_or_else(|| not_found(steps))?.clone_from(&new);
    Ok(())
}

/// Puts a value at the end of these steps, making the objects that lead there. Nothing else is replaced on the way.
fn put(value: &mut Value, steps: &[String], new: Value) -> Result<(), WriteError> {
    let mut here = value;
    for (position, step) in steps.iter().enumerate() {
        let Value::Object(object) = here else { return Err(no_place(steps.get(..position).unwrap_or_default())) };
        let absent = if position + 1 == steps.len() { Value::Null } else { Value::Object(Map::new()) };
        here = object.entry(step.clone()).or_insert(absent);
    }
    *here = new;
    Ok(())
}

/// The place at the end of these steps, made if it is not there; whatever is in the way becomes an object.
fn place_for<'a>(value: &'a mut Value, steps: &[String]) -> &'a mut Value {
    let mut here = value;
    for step in steps {
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = match here {
            Value::Object(object) => object.entry(step.clone()).or_insert(Value::Null),
            other => other,
        };
    }
    here
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> DataPath {
        text.parse().unwrap()
    }

    fn nothing() -> Written {
        let files = [("a.rego", "package a"), ("data.json", r#"{"bans": {"users": ["eve"]}, "fixed": 1}"#)];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        Written::nothing_over(Bundle::from_files(files).unwrap(), vec![path("bans/users"), path("bans"), path("a/b")])
    }

    fn put_at(written: &Written, place: &str, value: Value) -> Result<Written, WriteError> {
        written.changed(&path(place), DataChange::Put(value))
    }

    fn patched(operations: Value) -> Result<Value, WriteError> {
        let operations = serde_json::from_value(operations).unwrap();
        let written = nothing().changed(&path("bans"), DataChange::Patch(operations))?;
        Ok(written.bundle().data()["bans"].clone())
    }

    #[test]
    fn what_is_written_is_another_bundle_and_nothing_beside_it_changes() {
        let before = nothing();
        let after = put_at(&before, "bans/hosts/x", json!([1])).unwrap();
        assert_eq!(after.bundle().data(), &json!({"bans": {"users": ["eve"], "hosts": {"x": [1]}}, "fixed": 1}));
        assert_ne!(after.bundle().hash(), before.bundle().hash());
        let deep = put_at(&after, "a/b/c", json!(true)).unwrap();
        assert_eq!(deep.bundle().data()["a"], json!({"b": {"c": true}}));
    }

    #[test]
    fn what_is_written_stays_over_another_bundle() {
        let written = put_at(&nothing(), "bans/users", json!(["mallory"])).unwrap();
        let other = [("a.rego".to_owned(), b"package a".to_vec())];
        let over = written.over(Bundle::from_files(other).unwrap());
        assert_eq!(over.bundle().data(), &json!({"bans": {"users": ["mallory"]}}));
    }

    #[test]
    fn nothing_is_written_outside_of_what_the_settings_list() {
        for place in ["fixed", "ban", "bansx", "a", "a/c", "data/bans"] {
            assert!(matches!(put_at(&nothing(), place, json!(1)), Err(WriteError::NotWritable)), "{place}");
        }
    }

    #[test]
    fn what_is_there_can_be_removed_and_what_is_not_cannot() {
        let removed = nothing().changed(&path("bans"), DataChange::Remove).unwrap();
        assert_eq!(removed.bundle().data(), &json!({"fixed": 1}));
        assert!(matches!(removed.changed(&path("bans"), DataChange::Remove), Err(WriteError::NotFound { .. })));
        assert!(nothing().changed(&path("bans/users/0"), DataChange::Remove).is_ok());
        assert!(nothing().changed(&path("bans/users/1"), DataChange::Remove).is_err());
        let absent = DataChange::PutIfAbsent(json!(1));
        assert!(matches!(nothing().changed(&path("bans/users"), absent.clone()), Err(WriteError::Exists)));
        assert!(nothing().changed(&path("bans/other"), absent).is_ok());
    }

    #[test]
    fn a_value_has_no_inside_to_put_anything_in() {
        assert!(matches!(put_at(&nothing(), "bans/users/x", json!(1)), Err(WriteError::NoPlace { .. })));
    }

    #[test]
    fn patches_do_all_or_nothing() {
        let all = json!([
            {"op": "add", "path": "/users/0", "value": "bob"},
            {"op": "add", "path": "users/-", "value": null},
            {"op": "replace", "path": "/users/1", "value": "carol"},
            {"op": "add", "path": "/a~1b", "value": {}},
            {"op": "remove", "path": "/users/0"},
        ]);
        assert_eq!(patched(all).unwrap(), json!({"users": ["carol", null], "a/b": {}}));
        for operation in [
            json!({"op": "remove", "path": "/absent"}),
            json!({"op": "replace", "path": "/absent", "value": 1}),
            json!({"op": "add", "path": "/users/9", "value": 1}),
            json!({"op": "add", "path": "/users/01", "value": 1}),
            json!({"op": "add", "path": "/users/x", "value": 1}),
            json!({"op": "add", "path": "/users/0/x", "value": 1}),
            json!({"op": "add", "path": "/absent/x", "value": 1}),
            json!({"op": "add", "path": "/x"}),
        ] {
            assert!(
                patched(json!([{"op": "add", "path": "/y", "value": 1}, operation.clone()])).is_err(),
                "{operation}"
            );
        }
    }

    #[test]
    fn one_byte_more_than_the_most_is_refused() {
        let of_length = |length: usize| put_at(&nothing(), "a/b", json!("x".repeat(length - 2)));
        assert!(of_length(MAX_WRITTEN_LEN).is_ok());
        assert!(matches!(of_length(MAX_WRITTEN_LEN + 1), Err(WriteError::TooLarge)));
    }

    #[test]
    fn paths_lead_somewhere_and_in_one_way() {
        let long = "s".repeat(MAX_STEP_LEN + 1);
        let deep = vec!["a"; MAX_STEPS + 1].join("/");
        for text in ["", "/", "/a", "a/", "a//b", "a/../b", "./a", "a\n", &long, &deep] {
            assert!(text.parse::<DataPath>().is_err(), "{text:?}");
        }
        assert!(DataPath::new(vec!["a/b".to_owned()]).is_err());
        assert!("s".repeat(MAX_STEP_LEN).parse::<DataPath>().is_ok());
        assert!(vec!["a"; MAX_STEPS].join("/").parse::<DataPath>().is_ok());
    }
}
