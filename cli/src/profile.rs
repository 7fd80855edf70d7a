//! The operator's profile: where the server is, and who the operator is to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use vouchsafe_pki::files;

use crate::args::ProfileArgs;
use crate::failure::{Hint as _, with_hint};

/// The name of a profile's file.
pub(crate) const FILE_NAME: &str = "operator.toml";
/// Where a profile is looked for last.
const SYSTEM_DIR: &str = "/var/lib/vouchsafe";
/// The longest profile that is read, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// A profile. Its paths are relative to its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// The API: `https://engine.example.org:8443`.
    pub(crate) url: String,
    /// The operator's certificate and its intermediate, PEM.
    pub(crate) certificate: PathBuf,
    /// The operator's private key, PKCS#8 in PEM, readable by its owner alone.
    pub(crate) key: PathBuf,
    /// The roots by which the server is known, PEM.
    pub(crate) trust_bundle: PathBuf,
}

/// What the environment says about profiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `VOUCHSAFE_PROFILE`.
    pub(crate) profile: Option<PathBuf>,
    /// `VOUCHSAFE_DIR`.
    pub(crate) dir: Option<PathBuf>,
}

impl Environment {
    /// Reads it. A variable that is empty is as if it were not set.
    pub(crate) fn read() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { profile: path("VOUCHSAFE_PROFILE"), dir: path("VOUCHSAFE_DIR") }
    }
}

impl Profile {
    /// Finds the profile that the options, the environment or the usual places name, and reads it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(crate) fn find(args: &ProfileArgs, environment: &Environment) -> anyhow::Result<Self> {
        Self::read(&locate(args, environment, &[Path::new("."), Path::new(SYSTEM_DIR)])?)
    }

    /// Reads a profile and makes its paths relative to the current folder.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = files::read_file(path, MAX_LEN).map_err(|error| match &error {
            files::ReadFileError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                with_hint(error.into(), not_yours())
            }
            files::ReadFileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => with_hint(
                error.into(),
                "name an existing operator.toml; `vouchsafe init` and `vouchsafe credential issue` make one",
            ),
            _ => error.into(),
        })?;
        let text = String::from_utf8(text).with_context(|| format!("{} is no UTF-8 text", path.display()))?;
        let profile: Self = toml::from_str(&text)
            .with_context(|| format!("{} is no operator profile", path.display()))
            .hint("it needs url, certificate, key and trust_bundle, and nothing else")?;
        let dir = path.parent().unwrap_or(Path::new("."));
        Ok(Self {
            url: profile.url,
            certificate: dir.join(profile.certificate),
            key: dir.join(profile.key),
            trust_bundle: dir.join(profile.trust_bundle),
        })
    }

    /// The text of a profile whose files lie beside it: `{name}.crt`, `{name}.key` and the trust bundle.
    pub(crate) fn text_for(url: &str, certificate: &str, key: &str, trust_bundle: &str) -> anyhow::Result<String> {
        let profile = Self {
            url: url.to_owned(),
            certificate: certificate.into(),
            key: key.into(),
            trust_bundle: trust_bundle.into(),
        };
        let settings = toml::to_string(&profile).context("cannot write the profile")?;
        Ok(format!(
            "# An operator's access to a Vouchsafe server. Use it with --profile, or name its folder in VOUCHSAFE_DIR.\n\
             # Paths are relative to this file. The key is as good as a password: copy it with care.\n{settings}"
        ))
    }
}

/// Where the profile is. What is named must be there; of the usual places the first that has one is taken.
fn locate(args: &ProfileArgs, environment: &Environment, usual: &[&Path]) -> anyhow::Result<PathBuf> {
    let in_dir = |dir: &PathBuf| dir.join(FILE_NAME);
    let named = (args.profile.clone())
        .or_else(|| args.dir.as_ref().map(in_dir))
        .or_else(|| environment.profile.clone())
        .or_else(|| environment.dir.as_ref().map(in_dir));
    if let Some(path) = named {
        return Ok(path);
    }
    let places: Vec<PathBuf> = usual.iter().map(|dir| dir.join(FILE_NAME)).collect();
    for path in &places {
        match fs::metadata(path) {
            Ok(_) => return Ok(path.clone()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at {}", path.display())).hint(not_yours());
            }
        }
    }
    let looked: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
    let none = || -> anyhow::Result<PathBuf> {
        bail!(
            "no operator profile was found: neither --profile nor --dir is given, and there is no {}",
            looked.join(" and no ")
        )
    };
    none().hint(
        "on the server's machine, name the folder that `vouchsafe init` made: --dir DIR, or VOUCHSAFE_DIR=DIR\n\
         hint: elsewhere, let an operator make you a folder with `vouchsafe credential issue --role operator`, and name that\n\
         hint: if there is no server yet, make one: vouchsafe init --help",
    )
}

fn not_yours() -> &'static str {
    "only its owner may read it: run this as that user (sudo -u …), or let an operator make you an access of your own with \
     `vouchsafe credential issue --role operator`"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::report;

    fn write(dir: &Path) -> PathBuf {
        let path = dir.join(FILE_NAME);
        fs::write(&path, Profile::text_for("https://localhost:8443", "a.crt", "a.key", "roots.pem").unwrap()).unwrap();
        path
    }

    #[test]
    fn a_profile_names_files_beside_itself() {
        let dir = tempfile::tempdir().unwrap();
        let profile = Profile::read(&write(dir.path())).unwrap();
        assert_eq!(profile.url, "https://localhost:8443");
        assert_eq!(profile.key, dir.path().join("a.key"));
        assert_eq!(profile.trust_bundle, dir.path().join("roots.pem"));
    }

    #[test]
    fn options_go_before_the_environment_and_this_before_the_usual_places() {
        let usual = tempfile::tempdir().unwrap();
        let found = write(usual.path());
        let all = Environment { profile: Some("env.toml".into()), dir: Some("env".into()) };
        let only_dir = Environment { profile: None, ..all.clone() };
        let option = |profile: Option<&str>, dir: Option<&str>| ProfileArgs {
            profile: profile.map(PathBuf::from),
            dir: dir.map(PathBuf::from),
        };
        let locate = |args: &ProfileArgs, environment| locate(args, environment, &[usual.path()]).unwrap();
        assert_eq!(locate(&option(Some("p.toml"), None), &all), Path::new("p.toml"));
        assert_eq!(locate(&option(None, Some("d")), &all), Path::new("d/operator.toml"));
        assert_eq!(locate(&option(None, None), &all), Path::new("env.toml"));
        assert_eq!(locate(&option(None, None), &only_dir), Path::new("env/operator.toml"));
        assert_eq!(locate(&option(None, None), &Environment::default()), found);
    }

    #[test]
    fn without_a_profile_the_error_says_what_to_do() {
        let error = locate(&ProfileArgs::default(), &Environment::default(), &[Path::new("/nowhere")]).unwrap_err();
        insta::assert_snapshot!(report(&error));
    }

    #[test]
    fn a_profile_with_an_unknown_or_a_missing_setting_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        for text in
            ["url = 1", "url = 'https://a'", "", "\0", "url='a'\ncertificate='b'\nkey='c'\ntrust_bundle='d'\nx=1"]
        {
            fs::write(&path, text).unwrap();
            let error = report(&Profile::read(&path).unwrap_err());
            assert!(error.contains("is no operator profile") && error.contains("hint: it needs url"), "{error}");
        }
        fs::write(&path, vec![b'#'; MAX_LEN + 1]).unwrap();
        assert!(report(&Profile::read(&path).unwrap_err()).contains("longer than the maximum of 65536 bytes"));
    }
}
