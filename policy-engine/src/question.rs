//! Questions whose texts are known to be within bounds.

use vouchsafe_model::Obligation;
use vouchsafe_wire::v1::agent::{Access, Application, HttpRequest, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;

/// The most that all texts of one question may be together, in bytes: what is asked is logged, and the log has a bound. An
/// HTTP request and the terms of AuthZEN are counted apart.
pub const MAX_TEXT_LEN: usize = 6 * 1024;

/// The most that all texts of an HTTP request may be together, in bytes, its body not counted.
pub const MAX_HTTP_LEN: usize = 16 * 1024;

/// A question that is within its bounds. There is no other way to a decision than through one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question(AskDecision);

/// Why a question is not decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// A text that has to say something says nothing.
    #[error("{field} is empty")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// A text is too long.
    #[error("{field} is longer than {max} bytes")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How long it may be.
        max: usize,
    },
    /// A list is too long.
    #[error("{field} has more than {max} entries")]
    TooMany {
        /// Which.
        field: &'static str,
        /// How many it may have.
        max: usize,
    },
    /// A text has a control character, which would reach logs and terminals.
    #[error("{field} has a control character")]
    ControlCharacter {
        /// Which.
        field: &'static str,
    },
    /// All texts together are too long.
    #[error("the texts of {part} are longer than {max} bytes together")]
    TooLongTogether {
        /// Of the question, or of a part of it.
        part: &'static str,
        /// How long they may be.
        max: usize,
    },
}

impl Question {
    /// Checks the bounds of a question.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(ask: AskDecision) -> Result<Self, QuestionError> {
        let mut texts = Texts { total: 0 };
        let AskDecision { device: _, user, application, network: _, request, understands } = &ask;
        texts.one("request.action", &request.action, Request::MAX_ACTION_LEN)?;
        texts.one("request.resource", &request.resource, Request::MAX_RESOURCE_LEN)?;
        if let Some(User { id, roles, authenticated_at: _, factors }) = user {
            texts.one("user.id", id, User::MAX_TEXT_LEN)?;
            texts.list("user.roles", roles, User::MAX_ROLES, User::MAX_TEXT_LEN)?;
            texts.list("user.factors", factors, User::MAX_FACTORS, User::MAX_TEXT_LEN)?;
        }
        if let Some(Application { id, version }) = application {
            texts.one("application.id", id, Application::MAX_TEXT_LEN)?;
            if let Some(version) = version {
                texts.one("application.version", version, Application::MAX_TEXT_LEN)?;
            }
        }
        texts.list("understands", understands, AskDecision::MAX_UNDERSTANDS, Obligation::MAX_CODE_LEN)?;
        texts.within("the question", MAX_TEXT_LEN)?;
        request.http.as_ref().map_or(Ok(()), check_http)?;
        request.access.as_ref().map_or(Ok(()), check_access)?;
        Ok(Self(ask))
    }

    /// What is asked.
    pub fn ask(&self) -> &AskDecision {
        &self.0
    }
}

fn check_http(http: &HttpRequest) -> Result<(), QuestionError> {
    let HttpRequest { method, scheme, host, path, raw_path, query, headers, body, body_is_partial: _ } = http;
    let mut texts = Texts { total: 0 };
    texts.one("request.http.method", method, HttpRequest::MAX_METHOD_LEN)?;
    texts.one("request.http.path", path, HttpRequest::MAX_PATH_LEN)?;
    texts.one("request.http.raw_path", raw_path, HttpRequest::MAX_PATH_LEN)?;
    texts.maybe_empty("request.http.host", host, HttpRequest::MAX_HOST_LEN)?;
    if let Some(scheme) = scheme {
        texts.one("request.http.scheme", scheme, HttpRequest::MAX_METHOD_LEN)?;
    }
    if let Some(query) = query {
        texts.maybe_empty("request.http.query", query, HttpRequest::MAX_PATH_LEN)?;
    }
    if headers.len() > HttpRequest::MAX_HEADERS {
        return Err(QuestionError::TooMany { field: "request.http.headers", max: HttpRequest::MAX_HEADERS });
    }
    for (name, values) in headers {
        texts.one("request.http.headers", name, HttpRequest::MAX_HEADER_NAME_LEN)?;
        values.iter().try_for_each(|value| texts.maybe_empty("request.http.headers", value, MAX_HTTP_LEN))?;
    }
    texts.within("request.http", MAX_HTTP_LEN)?;
    if body.as_ref().is_some_and(|body| body.len() > HttpRequest::MAX_BODY_LEN) {
        return Err(QuestionError::TooLong { field: "request.http.body", max: HttpRequest::MAX_BODY_LEN });
    }
    Ok(())
}

fn check_access(access: &Access) -> Result<(), QuestionError> {
    let mut texts = Texts { total: 0 };
    for (field, text) in [
        ("request.access.subject.type", &access.subject.r#type),
        ("request.access.subject.id", &access.subject.id),
        ("request.access.action.name", &access.action.name),
        ("request.access.resource.type", &access.resource.r#type),
        ("request.access.resource.id", &access.resource.id),
    ] {
        texts.one(field, text, Access::MAX_TEXT_LEN)?;
    }
    // Names and values of JSON always have a text.
    let length = serde_json::to_string(access).map_or(usize::MAX, |text| text.len());
    let (part, max) = ("request.access", Access::MAX_LEN);
    if length > max { Err(QuestionError::TooLongTogether { part, max }) } else { Ok(()) }
}

struct Texts {
    total: usize,
}

impl Texts {
    fn within(&self, part: &'static str, max: usize) -> Result<(), QuestionError> {
        if self.total > max { Err(QuestionError::TooLongTogether { part, max }) } else { Ok(()) }
    }

    fn one(&mut self, field: &'static str, text: &str, max: usize) -> Result<(), QuestionError> {
        if text.is_empty() { Err(QuestionError::Empty { field }) } else { self.maybe_empty(field, text, max) }
    }

    fn maybe_empty(&mut self, field: &'static str, text: &str, max: usize) -> Result<(), QuestionError> {
        self.total += text.len();
        if text.len() > max {
            Err(QuestionError::TooLong { field, max })
        } else if text.chars().any(char::is_control) {
            Err(QuestionError::ControlCharacter { field })
        } else {
            Ok(())
        }
    }

    fn list(
        &mut self,
        field: &'static str,
        texts: &[String],
        max_entries: usize,
        max: usize,
    ) -> Result<(), QuestionError> {
        if texts.len() > max_entries {
            return Err(QuestionError::TooMany { field, max: max_entries });
        }
        texts.iter().try_for_each(|text| self.one(field, text, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_wire::v1::agent::Network;

    fn ask() -> AskDecision {
        AskDecision {
            device: None,
            user: Some(User { id: "alice".into(), roles: vec!["ops".into()], authenticated_at: None, factors: vec![] }),
            application: Some(Application { id: "psql".into(), version: Some("16".into()) }),
            network: Some(Network { source_ip: None, authenticated: true, encrypted: true }),
            request: Request::new("read", "db:orders"),
            understands: Vec::new(),
        }
    }

    /// Checks the question after a change.
    fn changed(change: impl FnOnce(&mut AskDecision)) -> Result<Question, QuestionError> {
        let mut ask = ask();
        change(&mut ask);
        Question::check(ask)
    }

    #[test]
    fn every_text_is_taken_at_its_longest_and_refused_one_byte_later() {
        type Field = (&'static str, usize, fn(&mut AskDecision) -> &mut String);
        let fields: [Field; 7] = [
            ("request.action", Request::MAX_ACTION_LEN, |ask| &mut ask.request.action),
            ("request.resource", Request::MAX_RESOURCE_LEN, |ask| &mut ask.request.resource),
            ("user.id", User::MAX_TEXT_LEN, |ask| &mut ask.user.as_mut().unwrap().id),
            ("user.roles", User::MAX_TEXT_LEN, |ask| &mut ask.user.as_mut().unwrap().roles[0]),
            ("application.id", Application::MAX_TEXT_LEN, |ask| &mut ask.application.as_mut().unwrap().id),
            ("application.version", Application::MAX_TEXT_LEN, |ask| {
                ask.application.as_mut().unwrap().version.as_mut().unwrap()
            }),
            ("user.factors", User::MAX_TEXT_LEN, |ask| {
                let factors = &mut ask.user.as_mut().unwrap().factors;
                factors.push(String::new());
                &mut factors[0]
            }),
        ];
        for (field, max, text) in fields {
            assert!(changed(|ask| *text(ask) = "x".repeat(max)).is_ok(), "{field}");
            assert_eq!(changed(|ask| *text(ask) = "x".repeat(max + 1)), Err(QuestionError::TooLong { field, max }));
            assert_eq!(changed(|ask| text(ask).clear()), Err(QuestionError::Empty { field }));
            assert_eq!(changed(|ask| *text(ask) = "a\u{1b}[2J".into()), Err(QuestionError::ControlCharacter { field }));
        }
    }

    #[test]
    fn every_list_is_taken_at_its_longest_and_refused_one_entry_later() {
        type Field = (&'static str, usize, fn(&mut User) -> &mut Vec<String>);
        let fields: [Field; 2] = [
            ("user.roles", User::MAX_ROLES, |user| &mut user.roles),
            ("user.factors", User::MAX_FACTORS, |user| &mut user.factors),
        ];
        for (field, max, list) in fields {
            let of_length = |length| changed(|ask| *list(ask.user.as_mut().unwrap()) = vec!["x".into(); length]);
            assert!(of_length(max).is_ok());
            assert_eq!(of_length(max + 1), Err(QuestionError::TooMany { field, max }));
        }
    }

    #[test]
    fn the_obligations_that_an_asker_meets_are_bounded() {
        let field = "understands";
        let codes = |count, length| changed(|ask| ask.understands = vec!["x".repeat(length); count]);
        let (most, longest) = (AskDecision::MAX_UNDERSTANDS, Obligation::MAX_CODE_LEN);
        assert!(codes(most, longest).is_ok());
        assert_eq!(codes(most + 1, 1), Err(QuestionError::TooMany { field, max: most }));
        assert_eq!(codes(1, longest + 1), Err(QuestionError::TooLong { field, max: longest }));
        assert_eq!(codes(1, 0), Err(QuestionError::Empty { field }));
    }

    #[test]
    fn all_texts_together_are_bounded() {
        let text_len = |ask: &AskDecision| {
            let user = ask.user.as_ref().unwrap();
            let roles: usize = user.roles.iter().map(String::len).sum();
            ask.request.action.len() + ask.request.resource.len() + user.id.len() + roles + "psql".len() + "16".len()
        };
        let with_roles = |over: usize| {
            changed(|ask| {
                ask.user.as_mut().unwrap().roles = vec!["r".repeat(User::MAX_TEXT_LEN); 9];
                ask.request.resource.clear();
                let room = MAX_TEXT_LEN - text_len(ask) + over;
                ask.request.resource = "x".repeat(room);
            })
        };
        assert!(with_roles(0).is_ok());
        let (part, max) = ("the question", MAX_TEXT_LEN);
        assert_eq!(with_roles(1), Err(QuestionError::TooLongTogether { part, max }));
    }

    fn http() -> HttpRequest {
        let (method, host) = ("GET".to_owned(), "wiki.example.org".to_owned());
        HttpRequest { method, host, path: "/a".into(), raw_path: "/a".into(), ..HttpRequest::default() }
    }

    fn with_http(change: impl FnOnce(&mut HttpRequest)) -> Result<Question, QuestionError> {
        let mut http = http();
        change(&mut http);
        changed(|ask| ask.request.http = Some(http))
    }

    #[test]
    fn an_http_request_is_taken_at_its_largest_and_refused_one_byte_later() {
        type Field = (&'static str, usize, fn(&mut HttpRequest) -> &mut String);
        let fields: [Field; 6] = [
            ("request.http.method", HttpRequest::MAX_METHOD_LEN, |http| &mut http.method),
            ("request.http.host", HttpRequest::MAX_HOST_LEN, |http| &mut http.host),
            ("request.http.path", HttpRequest::MAX_PATH_LEN, |http| &mut http.path),
            ("request.http.raw_path", HttpRequest::MAX_PATH_LEN, |http| &mut http.raw_path),
            ("request.http.query", HttpRequest::MAX_PATH_LEN, |http| http.query.get_or_insert_default()),
            ("request.http.body", HttpRequest::MAX_BODY_LEN, |http| http.body.get_or_insert_default()),
        ];
        for (field, max, text) in fields {
            assert!(with_http(|http| *text(http) = "x".repeat(max)).is_ok(), "{field}");
            let too_long = Err(QuestionError::TooLong { field, max });
            assert_eq!(with_http(|http| *text(http) = "x".repeat(max + 1)), too_long);
        }
        let headers =
            |count: usize| with_http(|http| http.headers = (0..count).map(|n| (format!("h{n}"), vec![])).collect());
        assert!(headers(HttpRequest::MAX_HEADERS).is_ok());
        let (field, max) = ("request.http.headers", HttpRequest::MAX_HEADERS);
        assert_eq!(headers(max + 1), Err(QuestionError::TooMany { field, max }));
        let value = |length: usize| with_http(|http| drop(http.headers.insert("h".into(), vec!["x".repeat(length)])));
        let rest = "GET".len() + "wiki.example.org".len() + 2 * "/a".len() + "h".len();
        assert!(value(MAX_HTTP_LEN - rest).is_ok());
        let (part, max) = ("request.http", MAX_HTTP_LEN);
        assert_eq!(value(MAX_HTTP_LEN - rest + 1), Err(QuestionError::TooLongTogether { part, max }));
        let nul = with_http(|http| drop(http.headers.insert("h".into(), vec!["\0".into()])));
        assert_eq!(nul, Err(QuestionError::ControlCharacter { field }));
    }

    #[test]
    fn the_terms_of_authzen_are_taken_at_their_largest_and_refused_one_byte_later() {
        let with = |change: &dyn Fn(&mut Access)| {
            let mut access = Access::default();
            let Access { subject, action, resource, .. } = &mut access;
            let texts =
                [&mut subject.r#type, &mut subject.id, &mut action.name, &mut resource.r#type, &mut resource.id];
            texts.into_iter().for_each(|text| "x".clone_into(text));
            change(&mut access);
            let length = serde_json::to_string(&access).unwrap().len();
            (length, changed(|ask| ask.request.access = Some(access)))
        };
        let (length, plain) = with(&|_| ());
        assert!(plain.is_ok());
        let filled =
            |filling: usize| with(&|access| drop(access.context.insert("c".into(), "x".repeat(filling).into()))).1;
        let room = Access::MAX_LEN - length - r#""c":"""#.len();
        assert!(filled(room).is_ok());
        let (part, max) = ("request.access", Access::MAX_LEN);
        assert_eq!(filled(room + 1), Err(QuestionError::TooLongTogether { part, max }));
        let (field, max) = ("request.access.subject.id", Access::MAX_TEXT_LEN);
        assert!(with(&|access| access.subject.id = "x".repeat(max)).1.is_ok());
        assert_eq!(
            with(&|access| access.subject.id = "x".repeat(max + 1)).1,
            Err(QuestionError::TooLong { field, max })
        );
        assert_eq!(with(&|access| access.subject.id.clear()).1, Err(QuestionError::Empty { field }));
    }
}
