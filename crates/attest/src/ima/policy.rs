//! What may run on a host, compiled once and shared by all that run the same image.

use std::sync::Arc;

use super::digest::FileDigest;
use super::key::{FileKey, FileKeyRejected};
use super::path::{MAX_PATH_LEN, as_listed, is_plain, printable};
use super::pattern::{Pattern, PatternProblem};
use super::rule::{Rule, RuleKind, RuleProblem};
use super::section::RuntimeSection;
use super::table::{DigestTable, Hashed, ListedDigest, MAX_TABLE_LEN};

/// The most paths of a policy.
pub const MAX_PATHS: usize = 1_000_000;
/// The most digests of one path.
pub const MAX_DIGESTS_PER_PATH: usize = 64;
/// The most keys of each list.
pub const MAX_KEYS: usize = 64;
/// The most exclusions.
pub const MAX_EXCLUSIONS: usize = 256;
/// The most rules.
pub const MAX_RULES: usize = 64;

/// What may run: a union of the runtime sections of one or more images. A clone shares everything.
///
/// An entry is accepted by any one of them: while an update goes on, old and new are both valid, and a file is allowed
/// the digests of both.
#[derive(Clone, Debug, Default)]
pub struct RuntimePolicy {
    parts: Vec<Arc<Part>>,
}

/// One compiled section.
#[derive(Debug)]
struct Part {
    digests: DigestTable,
    keys: Vec<FileKey>,
    keyring_keys: Vec<FileKey>,
    exclusions: Vec<Pattern>,
    rules: Vec<Rule>,
}

/// Why a runtime section cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimePolicyError {
    /// More of something than is taken.
    #[error("{count} {what}; at most {max} are taken")]
    TooMany {
        /// Of what: `paths`, `keys` ...
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many are taken.
        max: usize,
    },
    /// Paths and digests take too much memory.
    #[error("paths and digests of more than {MAX_TABLE_LEN} bytes")]
    TooLarge,
    /// A key cannot be used.
    #[error("{list}, number {number}: {problem}")]
    Key {
        /// `keys` or `keyring_keys`.
        list: &'static str,
        /// Which of them; the first is 1.
        number: usize,
        /// Why not.
        problem: FileKeyRejected,
    },
    /// An exclusion matches too much, or nothing.
    #[error("exclude '{pattern}': {problem}")]
    Exclusion {
        /// The pattern, control characters escaped.
        pattern: String,
        /// What is wrong with it.
        problem: PatternProblem,
    },
    /// A rule cannot be read.
    #[error("rule '{rule}': {problem}")]
    Rule {
        /// The rule, control characters escaped.
        rule: String,
        /// What is wrong with it.
        problem: RuleProblem,
    },
    /// A path that no entry can have.
    #[error(
        "digests, '{path}': neither an absolute path in its plain form nor a name without control characters; at most \
         {MAX_PATH_LEN} bytes"
    )]
    Path {
        /// The path, control characters escaped.
        path: String,
    },
    /// A path without a digest: it would only forbid what is forbidden anyhow.
    #[error("digests, '{path}': no digest")]
    NoDigest {
        /// The path.
        path: String,
    },
    /// A digest that is none.
    #[error(
        "digests, '{path}': '{digest}' is no digest such as sha256:<64 hexadecimal digits> or verity:sha256:<64 hexadecimal digits>"
    )]
    Digest {
        /// The path.
        path: String,
        /// The digest, control characters escaped.
        digest: String,
    },
}

/// What a policy says of a digest at a path.
pub(super) enum Listing {
    /// The path is not listed.
    Unlisted,
    /// It is listed with this digest.
    Listed,
    /// It is listed with others, which are told.
    Other(String),
}

impl RuntimePolicy {
    /// Compiles a runtime section.
    ///
    /// # Errors
    /// When a line of it cannot be used; the error names the line.
    pub fn compile(section: &RuntimeSection) -> Result<Self, RuntimePolicyError> {
        at_most("paths", section.digests.len(), MAX_PATHS)?;
        at_most("exclusions", section.exclude.len(), MAX_EXCLUSIONS)?;
        at_most("rules", section.rules.len(), MAX_RULES)?;
        let digests = section.digests.iter().map(|(path, digests)| listed(path, digests)).collect::<Result<_, _>>()?;
        let exclusion = |text: &String| {
            Pattern::parse(text).map_err(|problem| RuntimePolicyError::Exclusion { pattern: shown(text), problem })
        };
        let rule = |text: &String| {
            Rule::parse(text).map_err(|problem| RuntimePolicyError::Rule { rule: shown(text), problem })
        };
        let part = Part {
            digests: DigestTable::new(digests).ok_or(RuntimePolicyError::TooLarge)?,
            keys: keys("keys", &section.keys)?,
            keyring_keys: keys("keyring_keys", &section.keyring_keys)?,
            exclusions: section.exclude.iter().map(exclusion).collect::<Result<_, _>>()?,
            rules: section.rules.iter().map(rule).collect::<Result<_, _>>()?,
        };
        Ok(Self { parts: vec![Arc::new(part)] })
    }

    /// A policy that lists nothing but keys that may sign files.
    pub fn trusting(keys: Vec<FileKey>) -> Self {
        let part = Part {
            digests: DigestTable::empty(),
            keys,
            keyring_keys: Vec::new(),
            exclusions: Vec::new(),
            rules: Vec::new(),
        };
        Self { parts: vec![Arc::new(part)] }
    }

    /// All that any of these allows. Nothing is copied: the union shares what they hold.
    #[must_use]
    pub fn merge<'a>(policies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut parts: Vec<Arc<Part>> = Vec::new();
        for part in policies.into_iter().flat_map(|policy| &policy.parts) {
            if !parts.iter().any(|known| Arc::ptr_eq(known, part)) {
                parts.push(Arc::clone(part));
            }
        }
        Self { parts }
    }

    /// How many paths are listed; those of several images count for each.
    pub fn paths(&self) -> usize {
        self.parts.iter().map(|part| part.digests.len()).sum()
    }

    /// How much memory the digests take, in bytes, about. Policies that share an image share it.
    pub fn memory_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.digests.memory()).sum()
    }

    pub(super) fn listing(&self, path: Hashed<'_>, digest: &FileDigest<'_>) -> Listing {
        let mut found = self.parts.iter().filter_map(|part| part.digests.find(path)).peekable();
        if found.peek().is_none() {
            return Listing::Unlisted;
        }
        let mut other = String::new();
        for digests in found {
            if digests.contain(digest) {
                return Listing::Listed;
            }
            let or = if other.is_empty() { "" } else { " or " };
            other.push_str(or);
            other.push_str(&digests.to_string());
        }
        Listing::Other(other)
    }

    /// Makes look-ups of these paths short ones.
    pub(super) fn warm(&self, paths: &[Hashed<'_>]) {
        self.parts.iter().for_each(|part| part.digests.warm(paths));
    }

    /// The exclusion that the path matches.
    pub(super) fn exclusion(&self, path: &[&[u8]]) -> Option<&str> {
        let mut patterns = self.parts.iter().flat_map(|part| &part.exclusions);
        patterns.find(|pattern| pattern.matches(path)).map(|pattern| pattern.text.as_str())
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.parts.iter().flat_map(|part| &part.rules)
    }

    /// The paths that end the initramfs.
    pub(super) fn markers(&self) -> impl Iterator<Item = &[u8]> {
        self.rules().filter_map(|rule| match &rule.kind {
            RuleKind::Initramfs { marker } => Some(marker.as_slice()),
            _ => None,
        })
    }

    /// The keys that may sign files.
    pub(super) fn keys(&self) -> impl Iterator<Item = &FileKey> {
        self.parts.iter().flat_map(|part| &part.keys)
    }

    /// Whether this certificate may be loaded on a keyring.
    pub(super) fn allows_key(&self, key: &FileKey, der: &[u8]) -> bool {
        self.parts.iter().any(|part| {
            part.keyring_keys.iter().any(|listed| listed.vouches_for(key, der))
                || part.keys.iter().any(|listed| listed.is_same(key))
        })
    }
}

fn listed(path: &str, digests: &[String]) -> Result<(Vec<u8>, Vec<ListedDigest>), RuntimePolicyError> {
    let name = as_listed(path);
    let is_name = !name.is_empty() && name.len() <= MAX_PATH_LEN && !name.iter().any(u8::is_ascii_control);
    if !is_name || (name.starts_with(b"/") && !is_plain(&name)) {
        return Err(RuntimePolicyError::Path { path: shown(path) });
    }
    if digests.is_empty() {
        return Err(RuntimePolicyError::NoDigest { path: shown(path) });
    }
    at_most("digests of one path", digests.len(), MAX_DIGESTS_PER_PATH)?;
    let digest = |text: &String| {
        ListedDigest::parse(text).ok_or_else(|| RuntimePolicyError::Digest { path: shown(path), digest: shown(text) })
    };
    let digests = digests.iter().map(digest).collect::<Result<_, _>>()?;
    Ok((name.into_owned(), digests))
}

fn keys(list: &'static str, texts: &[String]) -> Result<Vec<FileKey>, RuntimePolicyError> {
    at_most(list, texts.len(), MAX_KEYS)?;
    let mut keys = Vec::new();
    for (number, text) in (1usize..).zip(texts) {
        let read = FileKey::read_all(text.as_bytes());
        keys.extend(read.map_err(|problem| RuntimePolicyError::Key { list, number, problem })?);
    }
    at_most(list, keys.len(), MAX_KEYS)?;
    Ok(keys)
}

fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), RuntimePolicyError> {
    if count > max { Err(RuntimePolicyError::TooMany { what, count, max }) } else { Ok(()) }
}

fn shown(text: &str) -> String {
    printable(text.as_bytes()).into_owned()
}
