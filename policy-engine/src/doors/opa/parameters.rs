//! The parameters of a query that OPA knows. Others are ignored, as OPA does.

use axum::extract::Query;
use axum::http::Uri;
use serde_json::Value;
use vouchsafe_model::ijson;

use super::error::Fault;

/// What is wanted beside the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) explain: Option<Explain>,
    pub(super) metrics: Option<Metrics>,
    pub(super) provenance: bool,
    pub(super) pretty: bool,
}

/// How much is wanted of how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metrics {
    /// OPA's `metrics`.
    Few,
    /// OPA's `instrument`.
    More,
}

/// How much of an explanation is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Explain {
    /// What the policy printed.
    Notes,
    /// That, and the lines that were not reached.
    Fails,
    /// That, and the lines that were evaluated.
    Full,
}

impl Parameters {
    /// The parameters, and the text of `input` if there is one.
    pub(super) fn read(uri: &Uri) -> Result<(Self, Option<String>), Fault> {
        let unreadable = |_| Fault::parameter("the query of the URL cannot be read");
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(unreadable)?;
        let (mut parameters, mut input) = (Self::default(), None);
        for (name, value) in pairs {
            match name.as_str() {
                "explain" => parameters.explain = Explain::read(&value)?,
                "metrics" if flag(&name, &value)? => parameters.metrics = parameters.metrics.max(Some(Metrics::Few)),
                "instrument" if flag(&name, &value)? => parameters.metrics = Some(Metrics::More),
                "provenance" => parameters.provenance = flag(&name, &value)?,
                "pretty" => parameters.pretty = flag(&name, &value)?,
                // OPA takes the last one. Whoever else reads the URL may take the first.
                "input" if input.is_some() => return Err(Fault::parameter("the parameter 'input' stands twice")),
                "input" => input = Some(value),
                _ => {}
            }
        }
        Ok((parameters, input))
    }
}

impl Explain {
    fn read(text: &str) -> Result<Option<Self>, Fault> {
        match text {
            "off" | "" => Ok(None),
            "notes" => Ok(Some(Self::Notes)),
            "fails" => Ok(Some(Self::Fails)),
            "full" | "debug" => Ok(Some(Self::Full)),
            _ => Err(Fault::parameter("the parameter 'explain' is notes, fails, full, debug or off")),
        }
    }
}

/// A flag is set when it is there, unless it says otherwise.
fn flag(name: &str, text: &str) -> Result<bool, Fault> {
    match text {
        "" | "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::parameter(format!("the parameter '{}' is true or false", name.escape_debug()))),
    }
}

/// The document of the parameter `input`.
pub(super) fn document(text: &str) -> Result<Value, Fault> {
    ijson::parse(text.as_bytes()).map_err(|error| Fault::json("parameter contains malformed input document", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<(Parameters, Option<String>), Fault> {
        Parameters::read(&format!("/v1/data/a/b?{query}").parse().unwrap())
    }

    #[test]
    fn flags_are_set_by_being_there() {
        let (parameters, input) = read("metrics&pretty=true&provenance=false&instrument=&other=1").unwrap();
        let expected = Parameters { metrics: Some(Metrics::More), pretty: true, ..Parameters::default() };
        assert_eq!((parameters, input), (expected, None));
        assert!(read("metrics=maybe").is_err());
    }

    #[test]
    fn explanations_are_of_some_kinds() {
        for (text, kind) in [
            ("notes", Some(Explain::Notes)),
            ("fails", Some(Explain::Fails)),
            ("full", Some(Explain::Full)),
            ("debug", Some(Explain::Full)),
            ("off", None),
        ] {
            assert_eq!(read(&format!("explain={text}")).unwrap().0.explain, kind, "{text}");
        }
        assert!(read("explain=all").is_err());
    }

    #[test]
    fn an_input_stands_once_and_is_decoded_once() {
        assert_eq!(read("input=%7B%22a%22%3A%22%2525%22%7D").unwrap().1.as_deref(), Some(r#"{"a":"%25"}"#));
        assert!(read("input={}&input={}").is_err());
        assert!(document("{").is_err() && document(r#"{"a":1,"a":1}"#).is_err());
    }
}
