//! Questions whose texts are known to be within bounds.

use vouchsafe_wire::v1::agent::{Application, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;

/// The most that all texts of one question may be together, in bytes: what is asked is logged, and the log has a bound.
pub const MAX_TEXT_LEN: usize = 6 * 1024;

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
    #[error("the texts of the question are longer than {MAX_TEXT_LEN} bytes together")]
    TooLongTogether,
}

impl Question {
    /// Checks the bounds of a question.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(ask: AskDecision) -> Result<Self, QuestionError> {
        let mut texts = Texts { total: 0 };
        let AskDecision { device: _, user, application, network: _, request } = &ask;
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
        if texts.total > MAX_TEXT_LEN {
            return Err(QuestionError::TooLongTogether);
        }
        Ok(Self(ask))
    }

    /// What is asked.
    pub fn ask(&self) -> &AskDecision {
        &self.0
    }
}

struct Texts {
    total: usize,
}

impl Texts {
    fn one(&mut self, field: &'static str, text: &str, max: usize) -> Result<(), QuestionError> {
        self.total += text.len();
        if text.is_empty() {
            Err(QuestionError::Empty { field })
        } else if text.len() > max {
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
            request: Request { action: "read".into(), resource: "db:orders".into() },
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
        assert_eq!(with_roles(1), Err(QuestionError::TooLongTogether));
    }
}
