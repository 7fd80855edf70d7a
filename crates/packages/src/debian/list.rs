//! Which packages are wanted.

use crate::limits::{MAX_LIST_LEN, MAX_PACKAGES};

/// Why a list of packages is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It is longer than any.
    #[error("it has {0} bytes, and at most {MAX_LIST_LEN} are possible")]
    TooLong(usize),
    /// It names more packages than any.
    #[error("it names more than {MAX_PACKAGES} packages")]
    TooMany,
    /// A line names no package.
    #[error("line {line} names no package: '{text}'")]
    Line {
        /// Which line, counted from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// It names no package at all.
    #[error("it names no package")]
    Empty,
}

/// A package that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// For what it is built; any when there is none.
    pub arch: Option<String>,
    /// Its version; the latest when there is none.
    pub version: Option<String>,
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(arch) = &self.arch {
            write!(f, ":{arch}")?;
        }
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        Ok(())
    }
}

/// Which packages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageList {
    /// Every package that the indexes list, in every version.
    All,
    /// These.
    Named(Vec<Wanted>),
}

impl PackageList {
    /// Reads the output of `dpkg-query -W`, which is exactly what a host has: name, colon and architecture where there may
    /// be several, and the version behind a tab. A line may also have the name alone.
    ///
    /// # Errors
    /// When a line names no package, or none does.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_LIST_LEN {
            return Err(ListError::TooLong(text.len()));
        }
        let mut wanted = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if wanted.len() >= MAX_PACKAGES {
                return Err(ListError::TooMany);
            }
            let invalid = || ListError::Line { line: at.saturating_add(1), text: line.chars().take(80).collect() };
            wanted.push(parse_line(line).ok_or_else(invalid)?);
        }
        if wanted.is_empty() { Err(ListError::Empty) } else { Ok(Self::Named(wanted)) }
    }
}

fn parse_line(line: &str) -> Option<Wanted> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next());
    if words.next().is_some() {
        return None;
    }
    let (name, arch) = name.split_once(':').map_or((name, None), |(name, arch)| (name, Some(arch)));
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let fits = is_word(name) && arch.is_none_or(is_word);
    fits.then(|| Wanted { name: name.to_owned(), arch: arch.map(str::to_owned), version: version.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_dpkg_query_is_a_list() {
        let list = PackageList::parse("# a host\nadduser\t3.134\nlibc6:amd64\t2.36-9+deb12u10\n\nhello\n").unwrap();
        let PackageList::Named(wanted) = list else { panic!("a list has names") };
        let texts: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["adduser 3.134", "libc6:amd64 2.36-9+deb12u10", "hello"]);
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        assert_eq!(PackageList::parse("\n# nothing\n"), Err(ListError::Empty));
        for text in ["a\nb c d\n", "a\n../b\n", "a\nb:\n", "a\n:amd64 1\n"] {
            assert!(matches!(PackageList::parse(text), Err(ListError::Line { line: 2, .. })), "{text}");
        }
        let long = "a\n".repeat(MAX_PACKAGES);
        assert!(PackageList::parse(&long).is_ok());
        assert_eq!(PackageList::parse(&format!("{long}a\n")), Err(ListError::TooMany));
    }
}
