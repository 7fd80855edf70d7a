//! `Release`: which indexes a suite has, by SHA-256, and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use time::{Date, Month, PrimitiveDateTime, Time};
use vouchsafe_model::{Sha256Digest, Timestamp};

use crate::control::{ControlError, Stanza, stanzas};

/// How far the clock of a repository may be ahead of ours.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);

/// Why a `Release` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseRejected {
    /// It is no paragraph of fields.
    #[error("it is malformed: {0}")]
    Fields(#[from] ControlError),
    /// It is not one paragraph.
    #[error("it has {0} paragraphs, and one is expected")]
    Paragraphs(usize),
    /// It lacks a field.
    #[error("it has no field {0}")]
    NoField(&'static str),
    /// A date is none.
    #[error("its {field} '{text}' is no date such as 'Sat, 11 Jul 2026 10:16:37 UTC'")]
    Date {
        /// The field.
        field: &'static str,
        /// What it says.
        text: String,
    },
    /// A line of digests is none.
    #[error("its line '{0}' is no SHA-256 with a size and a path")]
    Line(String),
    /// It lists a path twice.
    #[error("it lists {0} twice")]
    Duplicate(String),
    /// It is of another suite: someone serves one suite in the place of another.
    #[error("it is of the suite '{suite}' (codename '{codename}'), and {wanted} was asked for")]
    Suite {
        /// Its suite.
        suite: String,
        /// Its codename.
        codename: String,
        /// What was asked for.
        wanted: String,
    },
    /// It says that it comes from the future.
    #[error("it is of {0}, which is in the future")]
    Future(Timestamp),
    /// It has ended: someone may be holding newer ones back.
    #[error("it was valid until {0}")]
    Expired(Timestamp),
    /// It is older than it may be.
    #[error("it is of {date}, and at most {} days are accepted", max_age.as_secs() / 86_400)]
    TooOld {
        /// When it was made.
        date: Timestamp,
        /// The greatest age.
        max_age: Duration,
    },
    /// It is older than one that was seen before: someone serves an old index again.
    #[error("it is of {date}, and one of {seen} was seen before")]
    WentBack {
        /// When it was made.
        date: Timestamp,
        /// When the one was made that was seen before.
        seen: Timestamp,
    },
}

/// What is asked of the age of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It must not have ended, come from the future, be older than one that was seen before, or older than this. Suites
    /// that never change carry no end; for them the greatest age is all there is.
    Fresh {
        /// The greatest age, if there is one.
        max_age: Option<Duration>,
    },
    /// Any age is accepted. Whoever controls the way to the repository can then serve packages with known holes.
    DangerAcceptStale,
}

/// A file that a `Release` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// A `Release` that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    suite: String,
    codename: String,
    date: Timestamp,
    valid_until: Option<Timestamp>,
    architectures: Vec<String>,
    files: BTreeMap<String, IndexFile>,
    by_hash: bool,
    all_is_in_each: bool,
}

impl Release {
    /// Reads a `Release`. MD5 and SHA-1 in it are not looked at.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(text: &str) -> Result<Self, ReleaseRejected> {
        let mut paragraphs = stanzas(text).collect::<Result<Vec<_>, _>>()?;
        let count = paragraphs.len();
        let stanza = paragraphs.pop().filter(|_| count == 1).ok_or(ReleaseRejected::Paragraphs(count))?;
        let text = |name| stanza.get(name).unwrap_or_default().to_owned();
        let date = date_field(&stanza, "Date")?.ok_or(ReleaseRejected::NoField("Date"))?;
        let lines = stanza.lines("SHA256").ok_or(ReleaseRejected::NoField("SHA256"))?;
        Ok(Self {
            suite: text("Suite"),
            codename: text("Codename"),
            date,
            valid_until: date_field(&stanza, "Valid-Until")?,
            architectures: text("Architectures").split_whitespace().map(str::to_owned).collect(),
            files: files(lines)?,
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            all_is_in_each: text("No-Support-for-Architecture-all").split_whitespace().any(|word| word == "Packages"),
        })
    }

    /// Checks that it is of the suite that was asked for, and fresh.
    ///
    /// `seen` is the date of the latest one that was seen of this suite.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(
        &self,
        suite: &str,
        now: Timestamp,
        freshness: Freshness,
        seen: Option<Timestamp>,
    ) -> Result<(), ReleaseRejected> {
        if self.suite != suite && self.codename != suite {
            let (suite, codename, wanted) = (self.suite.clone(), self.codename.clone(), suite.to_owned());
            return Err(ReleaseRejected::Suite { suite, codename, wanted });
        }
        let Freshness::Fresh { max_age } = freshness else { return Ok(()) };
        if self.date > now.plus(MAX_CLOCK_SKEW) {
            return Err(ReleaseRejected::Future(self.date));
        }
        if let Some(until) = self.valid_until.filter(|until| *until < now) {
            return Err(ReleaseRejected::Expired(until));
        }
        if let Some(max_age) = max_age.filter(|max_age| now.since(self.date) > *max_age) {
            return Err(ReleaseRejected::TooOld { date: self.date, max_age });
        }
        match seen.filter(|seen| *seen > self.date) {
            Some(seen) => Err(ReleaseRejected::WentBack { date: self.date, seen }),
            None => Ok(()),
        }
    }

    /// When it was made.
    pub fn date(&self) -> Timestamp {
        self.date
    }

    /// Its name: `bookworm`.
    pub fn codename(&self) -> &str {
        &self.codename
    }

    /// The file that it lists under this path.
    pub fn file(&self, path: &str) -> Option<IndexFile> {
        self.files.get(path).copied()
    }

    /// Whether its files can also be fetched by their digests, which no update in between can mix up.
    pub fn by_hash(&self) -> bool {
        self.by_hash
    }

    /// Whether packages for all architectures have an index of their own.
    pub fn all_is_separate(&self) -> bool {
        !self.all_is_in_each && self.architectures.iter().any(|architecture| architecture == "all")
    }
}

fn files(lines: &[&str]) -> Result<BTreeMap<String, IndexFile>, ReleaseRejected> {
    let mut files = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let invalid = || ReleaseRejected::Line(line.chars().take(200).collect());
        let mut words = line.split_whitespace();
        let (Some(digest), Some(len), Some(path), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(invalid());
        };
        let file =
            IndexFile { len: len.parse().map_err(|_| invalid())?, sha256: digest.parse().map_err(|_| invalid())? };
        // Debian lists some files of contrib and non-free under two spellings, never one path with two digests.
        if files.insert(path.to_owned(), file).is_some_and(|earlier| earlier != file) {
            return Err(ReleaseRejected::Duplicate(path.to_owned()));
        }
    }
    Ok(files)
}

fn date_field(stanza: &Stanza<'_>, field: &'static str) -> Result<Option<Timestamp>, ReleaseRejected> {
    let Some(text) = stanza.get(field) else { return Ok(None) };
    let date = parse_date(text).map(Some);
    date.ok_or_else(|| ReleaseRejected::Date { field, text: text.chars().take(64).collect() })
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`: as RFC 2822 writes dates, in UTC.
fn parse_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_whitespace();
    words.next().filter(|weekday| weekday.len() == 4 && weekday.ends_with(','))?;
    let day: u8 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let month = Month::try_from(u8::try_from(month).ok()?.checked_add(1)?).ok()?;
    let year: i32 = words.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let mut clock = words.next()?.split(':').map(|number| number.parse::<u8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let zone = words.next()?;
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let date = Date::from_calendar_date(year, month, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn release(extra: &str) -> Result<Release, ReleaseRejected> {
        Release::parse(&format!(
            "Suite: stable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nArchitectures: all amd64\n{extra}SHA256:\n {DIGEST} 3 main/binary-amd64/Packages\n"
        ))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const FRESH: Freshness = Freshness::Fresh { max_age: None };

    #[test]
    fn a_release_says_what_it_lists() {
        let release = release("").unwrap();
        assert_eq!(release.date(), at("2026-07-11T10:16:37Z"));
        assert_eq!(release.file("main/binary-amd64/Packages").unwrap().len, 3);
        assert_eq!(release.file("main/binary-amd64/Packages.xz"), None);
        assert!(release.all_is_separate() && !release.by_hash());
    }

    #[test]
    fn a_release_is_of_the_suite_that_was_asked_for() {
        let release = release("").unwrap();
        let now = at("2026-07-12T00:00:00Z");
        for suite in ["stable", "bookworm"] {
            assert_eq!(release.check(suite, now, FRESH, None), Ok(()));
        }
        for suite in ["bullseye", "", "bookworm-updates"] {
            assert!(matches!(release.check(suite, now, FRESH, None), Err(ReleaseRejected::Suite { .. })), "{suite}");
        }
    }

    #[test]
    fn a_release_lasts_until_it_ends_and_not_a_second_longer() {
        let release = release("Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n").unwrap();
        assert_eq!(release.check("stable", at("2026-07-18T10:16:37Z"), FRESH, None), Ok(()));
        let late = at("2026-07-18T10:16:38Z");
        let end = at("2026-07-18T10:16:37Z");
        assert_eq!(release.check("stable", late, FRESH, None), Err(ReleaseRejected::Expired(end)));
        assert_eq!(release.check("stable", late, Freshness::DangerAcceptStale, None), Ok(()));
    }

    #[test]
    fn a_release_comes_neither_from_the_future_nor_after_a_later_one_nor_too_late() {
        let release = release("").unwrap();
        let date = release.date();
        assert_eq!(release.check("stable", date.minus(MAX_CLOCK_SKEW), FRESH, None), Ok(()));
        let early = date.minus(MAX_CLOCK_SKEW + Duration::from_secs(1));
        assert_eq!(release.check("stable", early, FRESH, None), Err(ReleaseRejected::Future(date)));
        let later = date.plus(Duration::from_secs(1));
        assert_eq!(release.check("stable", later, FRESH, Some(date)), Ok(()));
        let went_back = ReleaseRejected::WentBack { date, seen: later };
        assert_eq!(release.check("stable", later, FRESH, Some(later)), Err(went_back));
        let day = Duration::from_secs(86_400);
        let within = Freshness::Fresh { max_age: Some(day) };
        assert_eq!(release.check("stable", date.plus(day), within, None), Ok(()));
        let too_old = release.check("stable", date.plus(day + Duration::from_secs(1)), within, None);
        assert_eq!(too_old, Err(ReleaseRejected::TooOld { date, max_age: day }));
    }

    #[test]
    fn what_is_malformed_is_named() {
        assert_eq!(Release::parse(""), Err(ReleaseRejected::Paragraphs(0)));
        assert_eq!(Release::parse("Date: Sat, 11 Jul 2026 10:16:37 UTC\n"), Err(ReleaseRejected::NoField("SHA256")));
        assert!(matches!(release("Date: x\n"), Err(ReleaseRejected::Fields(ControlError::Duplicate { .. }))));
        assert!(matches!(release("Valid-Until: soon\n"), Err(ReleaseRejected::Date { field: "Valid-Until", .. })));
        let lines = |lines: &[&str]| files(lines);
        assert!(matches!(lines(&["00 3 a"]), Err(ReleaseRejected::Line(_))));
        assert!(matches!(lines(&[&format!("{DIGEST} -1 a")]), Err(ReleaseRejected::Line(_))));
        assert!(matches!(
            lines(&[&format!("{DIGEST} 1 a"), &format!("{DIGEST} 2 a")]),
            Err(ReleaseRejected::Duplicate(_))
        ));
    }

    #[test]
    fn dates_are_read_in_utc_alone() {
        assert_eq!(parse_date("Sat,  1 Aug 2026 00:00:00 UTC"), Some(at("2026-08-01T00:00:00Z")));
        for text in [
            "",
            "Sat, 32 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 2026 10:16:37 CEST",
            "11 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 2026 10:16:37 UTC x",
            "Sat, 11 Jul 2026 25:16:37 UTC",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
