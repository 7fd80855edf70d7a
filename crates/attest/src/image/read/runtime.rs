//! The runtime section, whose lines are checked where they stand; what they mean is for [`crate::ima`] to say.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use vouchsafe_model::HashAlgorithm;

use super::{BadItem, Several, Text, check_len, too_many};
use crate::ima::{
    MAX_DIGESTS_PER_PATH, MAX_EXCLUSIONS, MAX_KEY_LEN, MAX_KEYS, MAX_PATH_LEN, MAX_PATHS, MAX_RULES, RuntimeSection,
};

/// Reads `[runtime]`.
pub(in super::super) fn runtime<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RuntimeSection>, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Raw {
        #[serde(default, deserialize_with = "super::list::<_, _, { MAX_KEYS }>")]
        keys: Option<Vec<Text<Line<MAX_KEY_LEN>>>>,
        #[serde(default, deserialize_with = "super::list::<_, _, { MAX_KEYS }>")]
        keyring_keys: Option<Vec<Text<Line<MAX_KEY_LEN>>>>,
        #[serde(default, deserialize_with = "super::list::<_, _, { MAX_EXCLUSIONS }>")]
        exclude: Option<Vec<Text<Line<MAX_PATH_LEN>>>>,
        #[serde(default, deserialize_with = "super::list::<_, _, { MAX_RULES }>")]
        rules: Option<Vec<Text<Line<{ 2 * MAX_PATH_LEN }>>>>,
        #[serde(default, deserialize_with = "path_digests")]
        digests: BTreeMap<String, Vec<String>>,
    }
    fn lines<const MAX: usize>(lines: Option<Vec<Text<Line<MAX>>>>) -> Vec<String> {
        lines.into_iter().flatten().map(|Text(Line(line))| line).collect()
    }
    let Raw { keys, keyring_keys, exclude, rules, digests } = Raw::deserialize(deserializer)?;
    Ok(Some(RuntimeSection {
        keys: lines(keys),
        keyring_keys: lines(keyring_keys),
        exclude: lines(exclude),
        rules: lines(rules),
        digests,
    }))
}

/// A text of a bounded length.
struct Line<const MAX: usize>(String);

impl<const MAX: usize> FromStr for Line<MAX> {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        check_len("a text", text, MAX).map(|()| Self(text.to_owned()))
    }
}

/// Reads the digests of paths: one, or a list of them, each `ALGORITHM:HEX` or `verity:ALGORITHM:HEX`.
fn path_digests<'de, D>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Paths;
    impl<'de> Visitor<'de> for Paths {
        type Value = BTreeMap<String, Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of paths and their digests")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut paths = BTreeMap::new();
            while let Some(Text(Path(path))) = map.next_key()? {
                if paths.len() == MAX_PATHS {
                    return Err(too_many("paths", MAX_PATHS));
                }
                let Several(digests) = map.next_value::<Several<PathDigest, MAX_DIGESTS_PER_PATH>>()?;
                paths.insert(path, digests.into_iter().map(|digest| digest.0).collect());
            }
            Ok(paths)
        }
    }
    deserializer.deserialize_map(Paths)
}

/// A path.
struct Path(String);

impl FromStr for Path {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        check_len("a path", text, MAX_PATH_LEN)?;
        if text.is_empty() { Err(BadItem::EmptyPath) } else { Ok(Self(text.to_owned())) }
    }
}

/// `ALGORITHM:HEX` or `verity:ALGORITHM:HEX`, kept in lower case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PathDigest(String);

impl FromStr for PathDigest {
    type Err = BadItem;

    fn from_str(text: &str) -> Result<Self, BadItem> {
        let is_digest = text.strip_prefix("verity:").unwrap_or(text).split_once(':').is_some_and(|(algorithm, hex)| {
            let digits =
                algorithm.parse().map_or(0, |algorithm: HashAlgorithm| algorithm.digest_len().saturating_mul(2));
            digits > 0 && hex.len() == digits && hex.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        if is_digest { Ok(Self(text.to_ascii_lowercase())) } else { Err(BadItem::NoDigest) }
    }
}
