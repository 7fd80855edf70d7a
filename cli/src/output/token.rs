//! Join tokens.

use std::path::Path;

use serde::Serialize;
use vouchsafe_model::{Timestamp, TokenId};
use vouchsafe_wire::v1::operate::{CreatedToken, TokenView};

use super::table::Columns;
use super::{instant, or_dash};

/// A token that was written to a file, without its secret.
#[derive(Serialize)]
pub(crate) struct WrittenToken<'a> {
    pub(crate) id: TokenId,
    pub(crate) expires_at: Timestamp,
    pub(crate) file: &'a Path,
}

/// A token that was written to a file, and what comes next.
pub(crate) fn written(token: &CreatedToken, file: &Path, now: Timestamp) -> String {
    let file = file.display();
    format!(
        "token    {id}\nfile     {file} (a secret: for the device alone)\nexpires  {expires}\n\n\
         On the device, as root:\n  vouchsafe-agent enrol --join {file}\n  vouchsafe-agent run\n\
         To withdraw it: vouchsafe token revoke {id}\n",
        id = token.id,
        expires = instant::with_distance(token.join.expires_at, now),
    )
}

/// The tokens as a table.
pub(crate) fn list(tokens: &[TokenView], now: Timestamp) -> String {
    if tokens.is_empty() {
        return "There is no join token. Make one: vouchsafe token create --out join.json\n".to_owned();
    }
    let mut columns = Columns::new(["ID", "STATE", "USES", "EXPIRES", "IMAGE", "PINNED EK", "LABEL"]).right(2);
    for token in tokens {
        columns.row([
            token.id.to_string(),
            state(token, now).to_owned(),
            format!("{}/{}", token.uses, token.max_uses),
            instant::distance(token.expires_at, now),
            or_dash(token.image.as_ref()),
            or_dash(token.pinned_ek.map(|ek| ek.to_string().chars().take(12).collect::<String>())),
            if token.label.is_empty() { "-".to_owned() } else { token.label.clone() },
        ]);
    }
    columns.text("")
}

/// A token that was withdrawn.
pub(crate) fn revoked(token: &TokenView) -> String {
    format!("token {} is withdrawn; it enrolled {} of {} devices\n", token.id, token.uses, token.max_uses)
}

fn state(token: &TokenView, now: Timestamp) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if now >= token.expires_at {
        "expired"
    } else if token.uses >= token.max_uses {
        "spent"
    } else {
        "good"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_list_says_which_tokens_are_good() {
        insta::assert_snapshot!(list(&samples::tokens(), samples::now()));
        assert!(list(&[], samples::now()).starts_with("There is no join token."));
    }

    #[test]
    fn a_written_token_says_what_comes_next_and_not_its_secret() {
        let text = written(&samples::created_token(), Path::new("join.json"), samples::now());
        assert!(!text.contains(samples::SECRET), "{text}");
        insta::assert_snapshot!(text);
    }
}
