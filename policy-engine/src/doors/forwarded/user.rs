//! Who the user is, by the fields in which identity-aware proxies tell it.

use vouchsafe_wire::v1::agent::User;

/// The fields that tell of the user: the name, and the roles, separated by commas. They are no part of the headers that
/// policies see, for there they would be believed whoever sent them.
pub(super) const FIELDS: [&str; 2] = ["x-forwarded-user", "x-forwarded-groups"];

/// What a request says of its user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim<'a> {
    user: Option<&'a str>,
    roles: Vec<&'a str>,
}

/// What the fields of a request say of its user; `None` when that is nothing.
pub(super) fn claimed<'a>(fields: &[(&'a [u8], &'a [u8])]) -> Option<Claim<'a>> {
    let values = |wanted: &'static str| {
        let named = fields.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        // What is no text has no normal form either, and is refused for that.
        named.map(|(_, value)| std::str::from_utf8(value).unwrap_or_default().trim())
    };
    let [user, roles] = FIELDS;
    if values(user).next().is_none() && values(roles).next().is_none() {
        return None;
    }
    let roles = values(roles).flat_map(|value| value.split(',')).map(str::trim).filter(|role| !role.is_empty());
    let mut users = values(user);
    // Two names are nobody's.
    let user = users.next().filter(|_| users.next().is_none());
    Some(Claim { user, roles: roles.collect() })
}

impl Claim<'_> {
    /// The field that is there.
    pub(super) fn field(&self) -> &'static str {
        let [user, roles] = FIELDS;
        if self.user.is_some() { user } else { roles }
    }

    /// The user that the point has verified; `None` when it tells of none. Roles alone are nobody's.
    pub(super) fn read(&self) -> Option<User> {
        let id = self.user.filter(|id| !id.is_empty())?.to_owned();
        let roles = self.roles.iter().map(|role| (*role).to_owned()).collect();
        Some(User { id, roles, authenticated_at: None, factors: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim<'a>(fields: &[(&'a str, &'a str)]) -> Option<Claim<'a>> {
        claimed(&fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect::<Vec<_>>())
    }

    #[test]
    fn a_user_is_a_name_with_roles() {
        let user = claim(&[("X-Forwarded-User", " ada "), ("x-forwarded-groups", "ops, dev,,"), ("x-a", "b")]);
        let user = user.unwrap().read().unwrap();
        assert_eq!((user.id.as_str(), user.roles), ("ada", vec!["ops".to_owned(), "dev".to_owned()]));
    }

    #[test]
    fn roles_without_a_name_and_two_names_are_nobodys() {
        assert_eq!(claim(&[("x-a", "b")]), None);
        for fields in [
            &[("x-forwarded-groups", "ops")][..],
            &[("x-forwarded-user", "")],
            &[("x-forwarded-user", "ada"), ("X-Forwarded-User", "bob")],
        ] {
            assert_eq!(claim(fields).unwrap().read(), None, "{fields:?}");
        }
    }
}
