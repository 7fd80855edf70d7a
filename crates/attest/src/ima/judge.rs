//! Whether the policy allows what an entry tells.

use vouchsafe_model::FindingCode;
use vouchsafe_model::hash::to_hex;

use super::digest::FileDigest;
use super::fields::Fields;
use super::key::FileKey;
use super::pattern::components;
use super::policy::{Listing, RuntimePolicy};
use super::rule::RuleKind;
use super::signature::{Checked, check};
use super::table::Hashed;

/// What the policy says.
pub(super) enum Judgement<'p> {
    /// The digest is listed, or the key.
    Listed,
    /// A key that may sign files signed it.
    Signed,
    /// A rule or an exclusion lets it pass.
    Passed(&'p str),
    /// It is not allowed.
    Found { code: FindingCode, expected: Option<String>, found: String },
}

impl Judgement<'_> {
    pub(super) fn found(code: FindingCode, expected: Option<String>, found: impl Into<String>) -> Self {
        Self::Found { code, expected, found: found.into() }
    }
}

/// Judges a file.
///
/// What is cheap comes first, and what is checked with a key last. A listed digest needs no signature. A valid signature
/// of a key that may sign files needs no listed digest, even where others are listed: who lists a key leaves to its owner
/// which versions are good.
pub(super) fn file<'p>(
    policy: &'p RuntimePolicy,
    learned: &[FileKey],
    fields: &Fields<'_>,
    name: Hashed<'_>,
    in_initramfs: bool,
) -> Judgement<'p> {
    let Some(digest) = fields.digest else { return Judgement::found(FindingCode::FileUnlisted, None, "no digest") };
    let listing = policy.listing(name, &digest);
    if matches!(listing, Listing::Listed) {
        return Judgement::Listed;
    }
    let path = components(fields.name);
    if let Some(exclusion) = path.as_ref().and_then(|path| policy.exclusion(path)) {
        return Judgement::Passed(exclusion);
    }
    let mut expected = match listing {
        Listing::Other(expected) => Some(expected),
        _ => None,
    };
    for rule in policy.rules() {
        match by_rule(policy, &rule.kind, fields.name, path.as_deref(), &digest, in_initramfs) {
            Some(Listing::Listed) => return Judgement::Passed(&rule.text),
            Some(Listing::Other(other)) => expected = expected.or(Some(other)),
            Some(Listing::Unlisted) | None => {}
        }
    }
    let checked = check(fields.signature, &digest, policy.keys().chain(learned));
    match (checked, expected) {
        (Checked::Valid, _) => Judgement::Signed,
        (Checked::Invalid(fault), _) => {
            let expected = Some("a valid signature".to_owned());
            Judgement::found(FindingCode::FileSignatureInvalid, expected, fault.to_string())
        }
        (_, Some(expected)) => Judgement::found(FindingCode::FileChanged, Some(expected), digest.to_string()),
        (Checked::UnknownKey(id), None) => {
            let found = format!("a signature of key {}, {digest}", to_hex(&id));
            Judgement::found(FindingCode::FileSignatureUnknownKey, None, found)
        }
        (Checked::Unsigned, None) => Judgement::found(FindingCode::FileUnlisted, None, digest.to_string()),
    }
}

/// What a rule says of a file; `None` when it is not for it.
fn by_rule(
    policy: &RuntimePolicy,
    rule: &RuleKind,
    name: &[u8],
    path: Option<&[&[u8]]>,
    digest: &FileDigest<'_>,
    in_initramfs: bool,
) -> Option<Listing> {
    match rule {
        RuleKind::Memfd { like, .. } if rule.names_memfd(name) => match like {
            Some(like) => Some(policy.listing(Hashed::of(like), digest)),
            None => Some(Listing::Listed),
        },
        RuleKind::Initramfs { .. } if in_initramfs && path.is_some() => Some(Listing::Listed),
        RuleKind::Overlay { .. } => {
            let mapped = rule.mapped(path?)?;
            Some(policy.listing(Hashed::of(&mapped), digest))
        }
        _ => None,
    }
}
