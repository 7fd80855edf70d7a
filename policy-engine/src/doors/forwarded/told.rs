//! How a decision about an HTTP request is told to a point: to the server behind it, or to the client before it.

use axum::http::StatusCode;
use serde::Serialize;
use vouchsafe_model::{DecisionId, Outcome, Reason};
use vouchsafe_wire::v1::agent::User;

use super::Decided;

/// The fields by which a server behind a point learns what was decided. All of them are set or removed at every allow, so
/// that none that a client sent ever passes.
pub(crate) const IDENTITY_FIELDS: [&str; 5] =
    ["x-vouchsafe-decision-id", "x-vouchsafe-device", "x-vouchsafe-score", "x-vouchsafe-user", "x-vouchsafe-roles"];

/// By these codes of reasons a policy says that nobody is logged in, so that the answer is 401 and not 403.
const UNAUTHENTICATED: [&str; 2] = ["user.unauthenticated", "user.unknown"];

/// What goes with a 401 (RFC 9110, 15.5.2). How somebody logs in is for the point to say, which may replace it.
pub(crate) const ASK_FOR_A_LOGIN: &str = "Bearer";

/// A decision as it is told.
#[derive(Debug)]
pub(crate) struct Told {
    /// Yes or no.
    pub(crate) outcome: Outcome,
    /// The decision's name.
    pub(crate) id: DecisionId,
    /// What a client is answered: 200, 401 or 403.
    pub(crate) status: StatusCode,
    /// For the server behind the point: each of [`IDENTITY_FIELDS`], and its value unless that is not known.
    pub(crate) identity: [(&'static str, Option<String>); 5],
    /// For the client of a request that was denied: JSON.
    pub(crate) body: String,
}

/// What a client learns of a deny: why, and what would change it.
#[derive(Serialize)]
struct Denied<'a> {
    decision_id: DecisionId,
    outcome: Outcome,
    reasons: &'a [Reason],
}

impl From<&Decided> for Told {
    fn from(Decided { answer, user }: &Decided) -> Self {
        let decision = answer.decision();
        let (id, outcome, reasons) = (decision.id(), decision.outcome(), decision.reasons());
        let is_unauthenticated = || reasons.iter().any(|reason| UNAUTHENTICATED.contains(&reason.code.as_str()));
        let status = match outcome {
            Outcome::Allow => StatusCode::OK,
            Outcome::Deny if is_unauthenticated() => StatusCode::UNAUTHORIZED,
            Outcome::Deny => StatusCode::FORBIDDEN,
        };
        // A device without a score is one that is not known: the policy did not see it.
        let score = decision.score();
        let values = [
            Some(id.to_string()),
            decision.device().filter(|_| score.is_some()).map(|device| device.to_string()),
            score.map(|score| score.score.to_string()),
            user.as_ref().map(|user| field_text(&user.id)),
            user.as_ref().map(roles).filter(|roles| !roles.is_empty()),
        ];
        let [mut id_field, mut device, mut score, mut user, mut roles] = IDENTITY_FIELDS.map(|name| (name, None));
        [id_field.1, device.1, score.1, user.1, roles.1] = values;
        let body = match outcome {
            Outcome::Allow => String::new(),
            // Texts always have a JSON form.
            Outcome::Deny => serde_json::to_string(&Denied { decision_id: id, outcome, reasons }).unwrap_or_default(),
        };
        Self { outcome, id, status, identity: [id_field, device, score, user, roles], body }
    }
}

fn roles(user: &User) -> String {
    user.roles.iter().map(|role| field_text(role)).collect::<Vec<_>>().join(",")
}

/// A text as a field may hold it: whatever is not a visible character of ASCII, and `%` and `,`, in percent-encoding.
fn field_text(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b',') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_user_can_end_a_field_or_add_a_role() {
        assert_eq!(field_text("ada@example.org"), "ada@example.org");
        assert_eq!(field_text("a,b%\r\nc ä"), "a%2Cb%25%0D%0Ac%20%C3%A4");
    }
}
