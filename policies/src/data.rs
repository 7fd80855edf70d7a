//! Data documents: JSON that means one thing only.
//!
//! A policy's thresholds are read from here, so that a name that stands twice in one object is refused rather than
//! silently decided by the later one ([I-JSON](vouchsafe_model::ijson)), and two files never both give one value.

use serde_json::{Map, Value};
use vouchsafe_model::ijson::{self, NoIJson};

/// What is wrong with a data file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It is no JSON, or no I-JSON: a name stands twice in one object, or a number has more digits than would be kept.
    #[error("{0}")]
    Json(#[from] NoIJson),
    /// Its outermost value is not an object.
    #[error("the outermost value has to be an object")]
    NotAnObject,
    /// Another file gives a value in the same place.
    #[error("another file already gives data.{place}")]
    Conflict {
        /// The place, below `data`.
        place: String,
    },
}

/// Data that is put together from files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataDocument(Map<String, Value>);

impl DataDocument {
    /// Adds a file, below the folders of its path.
    ///
    /// # Errors
    /// When it is no JSON object, or gives what another file gives.
    pub fn merge(&mut self, path: &str, content: &[u8]) -> Result<(), DataError> {
        merge_file(&mut self.0, path, content)
    }

    /// What lies below `data`: always an object.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// Adds a data file to what is known, below the folders of its path.
pub(crate) fn merge_file(into: &mut Map<String, Value>, path: &str, content: &[u8]) -> Result<(), DataError> {
    let Value::Object(mut document) = ijson::parse(content)? else {
        return Err(DataError::NotAnObject);
    };
    let folders = path.split('/').rev().skip(1);
    for folder in folders {
        document = Map::from_iter([(folder.to_owned(), Value::Object(document))]);
    }
    merge(into, document, &mut Vec::new())
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>, place: &mut Vec<String>) -> Result<(), DataError> {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (None, value) => {
                into.insert(key, value);
            }
            (Some(Value::Object(there)), Value::Object(here)) => {
                place.push(key);
                merge(there, here, place)?;
                place.pop();
            }
            (Some(_), _) => {
                place.push(key);
                return Err(DataError::Conflict { place: place.join(".") });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(files: &[(&str, &str)]) -> Result<Value, DataError> {
        let mut data = Map::new();
        for (path, content) in files {
            merge_file(&mut data, path, content.as_bytes())?;
        }
        Ok(Value::Object(data))
    }

    #[test]
    fn a_folder_says_where_its_data_lies() {
        let data =
            merged(&[("data.json", r#"{"a": {"x": 1}}"#), ("a/b/data.json", r#"{"y": [null, -2, 0.5, "z", true]}"#)]);
        assert_eq!(data.unwrap(), json!({"a": {"x": 1, "b": {"y": [null, -2, 0.5, "z", true]}}}));
    }

    #[test]
    fn two_files_never_give_one_value() {
        let error = merged(&[("data.json", r#"{"a": {"b": 1}}"#), ("a/data.json", r#"{"b": 1}"#)]).unwrap_err();
        assert_eq!(error.to_string(), "another file already gives data.a.b");
        assert!(merged(&[("data.json", r#"{"a": 1}"#), ("a/data.json", "{}")]).is_err());
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        let error = merged(&[("data.json", r#"{"a": [{"minimum": 90, "minimum": 10}]}"#)]).unwrap_err();
        assert!(error.to_string().starts_with(r#"the name "minimum" stands twice in one object"#), "{error}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for content in ["[]", "1", "null", r#""text""#] {
            assert!(matches!(merged(&[("data.json", content)]), Err(DataError::NotAnObject)), "{content}");
        }
        for content in ["", "{", "{} {}", r#"{"a": 1e999}"#, r#"{"a": 18446744073709551616}"#, "{'a': 1}"] {
            assert!(matches!(merged(&[("data.json", content)]), Err(DataError::Json(_))), "{content}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let deep = format!(r#"{{"a": {}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(matches!(merged(&[("data.json", &deep)]), Err(DataError::Json(_))));
    }
}
