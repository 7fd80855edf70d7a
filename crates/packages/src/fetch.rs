//! Where files come from: a web server, or a folder that mirrors one. What comes is not trusted; digests are.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::{StatusCode, Url};

/// How long a connection may take to come about, and how long a server may be silent.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request that failed on the way is made again.
const ATTEMPTS: u32 = 3;
/// How long to wait before that; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The place cannot be one.
    #[error("'{place}' is no place of a repository: {expected}")]
    Place {
        /// The place.
        place: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A path would lead out of the repository.
    #[error("the path '{0}' leads out of the repository")]
    Path(String),
    /// There is no such file.
    #[error("there is no {0}")]
    NotFound(String),
    /// The server refused.
    #[error("{place} answered {status}")]
    Status {
        /// What was asked for.
        place: String,
        /// The answer.
        status: u16,
    },
    /// The server could not be asked.
    #[error("cannot fetch {place}")]
    Http {
        /// What was asked for.
        place: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The client could not be set up.
    #[error("cannot set up a client for HTTP")]
    Client(#[source] reqwest::Error),
    /// The file could not be opened or read.
    #[error("cannot read {place}")]
    Read {
        /// The file.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is longer than it may be.
    #[error("{place} has more than {max} bytes")]
    TooLong {
        /// The file.
        place: String,
        /// The bound.
        max: u64,
    },
}

impl FetchError {
    /// Whether another attempt may go better.
    fn is_transient(&self) -> bool {
        match self {
            Self::Http { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// A place that files come from.
#[derive(Clone, Debug)]
pub struct Mirror(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Folder(PathBuf),
    Http { client: Client, base: Url },
}

impl Mirror {
    /// Takes `http://…`, `https://…`, `file:///…` or the path of a folder.
    ///
    /// HTTP goes through the proxy that the environment names (`http_proxy`, `https_proxy`, `no_proxy`). Servers of HTTPS are
    /// known by the roots of this machine; that protects who looks, not what comes, which the signatures do.
    ///
    /// # Errors
    /// When the place cannot be one. Nothing is fetched yet.
    pub fn open(place: &str) -> Result<Self, FetchError> {
        let invalid = |expected| FetchError::Place { place: place.chars().take(200).collect(), expected };
        if let Some(path) = place.strip_prefix("file://") {
            let path = Some(path).filter(|path| path.starts_with('/'));
            return path.map(Self::folder).ok_or_else(|| invalid("file:// has an absolute path behind it"));
        }
        if !place.starts_with("http://") && !place.starts_with("https://") {
            return if place.contains("://") {
                Err(invalid("http, https, file, or the path of a folder"))
            } else {
                Ok(Self::folder(place))
            };
        }
        let mut base: Url = place.parse().map_err(|_| invalid("a URL"))?;
        if base.query().is_some() || base.fragment().is_some() || base.cannot_be_a_base() {
            return Err(invalid("a URL without query and fragment"));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        // The first to install a provider decides; here that is always the one of the house.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client = Client::builder()
            .user_agent("vouchsafe")
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(FetchError::Client)?;
        Ok(Self(Arc::new(Kind::Http { client, base })))
    }

    /// Takes a folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Kind::Folder(path.into())))
    }

    /// Begins to read a file. What can fail on the way is tried again.
    pub(crate) fn open_file(&self, path: &str) -> Result<Box<dyn Read + Send>, FetchError> {
        check_path(path)?;
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.try_open(path) {
                Err(error) if error.is_transient() => std::thread::sleep(pause),
                done => return done,
            }
            pause = pause.saturating_mul(2);
        }
        self.try_open(path)
    }

    /// Reads a whole file that may have so many bytes.
    pub(crate) fn read_file(&self, path: &str, max: u64) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        let place = || self.place(path);
        let read = self.open_file(path)?.take(max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|source| FetchError::Read { place: place(), source })?;
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if len > max { Err(FetchError::TooLong { place: place(), max }) } else { Ok(bytes) }
    }

    /// What a file is called in messages. Credentials in a URL are not shown.
    pub(crate) fn place(&self, path: &str) -> String {
        match self.0.as_ref() {
            Kind::Folder(folder) => folder.join(path).display().to_string(),
            Kind::Http { base, .. } => {
                let mut base = base.clone();
                // Only URLs without a host have no place for these.
                base.set_username("").unwrap_or_default();
                base.set_password(None).unwrap_or_default();
                format!("{base}{path}")
            }
        }
    }

    fn try_open(&self, path: &str) -> Result<Box<dyn Read + Send>, FetchError> {
        let place = || self.place(path);
        match self.0.as_ref() {
            Kind::Folder(folder) => match File::open(folder.join(path)) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FetchError::NotFound(place())),
                Err(source) => Err(FetchError::Read { place: place(), source }),
            },
            Kind::Http { client, base } => {
                let mut url = base.clone();
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty().extend(path.split('/'));
                }
                let answer = client.get(url).send();
                let answer =
                    answer.map_err(|source| FetchError::Http { place: place(), source: source.without_url() })?;
                match answer.status() {
                    StatusCode::OK => Ok(Box::new(answer)),
                    StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::NotFound(place())),
                    status => Err(FetchError::Status { place: place(), status: status.as_u16() }),
                }
            }
        }
    }
}

/// Paths come out of indexes: they must stay below the repository.
pub(crate) fn check_path(path: &str) -> Result<(), FetchError> {
    let fits = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
    if path.split('/').all(fits) && !path.chars().any(char::is_control) && path.len() <= 1024 {
        Ok(())
    } else {
        Err(FetchError::Path(path.chars().take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_repository() {
        check_path("pool/main/h/hello/hello_2.10-3+b1_amd64.deb").unwrap();
        for path in ["", "/etc/passwd", "a/../b", "..", "a//b", "a/./b", "a/", "a\\b", "a\nb"] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn places_are_told_apart() {
        for place in ["ftp://example.org/debian", "file://relative", "https://example.org/?x=1", "http://"] {
            assert!(matches!(Mirror::open(place), Err(FetchError::Place { .. })), "{place}");
        }
        assert_eq!(Mirror::open("file:///srv/debian").unwrap().place("a/b"), "/srv/debian/a/b");
        let secret = Mirror::open("https://user:secret@example.org/debian").unwrap();
        assert_eq!(secret.place("dists/x/InRelease"), "https://example.org/debian/dists/x/InRelease");
    }

    #[test]
    fn a_file_is_read_to_the_bound_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"12345").unwrap();
        let mirror = Mirror::folder(folder.path());
        assert_eq!(mirror.read_file("a", 5).unwrap(), b"12345");
        assert!(matches!(mirror.read_file("a", 4), Err(FetchError::TooLong { max: 4, .. })));
        assert!(matches!(mirror.read_file("b", 4), Err(FetchError::NotFound(_))));
    }
}
