//! `vouchsafe image build`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use vouchsafe_model::{HashAlgorithm, ImageId};

use super::FormatArgs;

/// Makes a golden image from what a distribution ships.
///
/// Every file that the packages ship gets the digest of its content into the image, so that an IMA list can be held
/// against it. What the packages are is known by signatures: of the repository's index, of an RPM, or of a SHA256SUMS
/// beside packages in a folder. A run that was stopped goes on where it was.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  The packages of a host, from its repositories:
    dpkg-query -W > packages
    vouchsafe image build --image web@2026.1 --packages packages --output web-2026.1.toml \\
      --debian 'https://deb.example.org/debian bookworm main' \\
      --debian 'https://deb.example.org/debian-security bookworm-security main'

  A folder of RPM packages, with the boot section of an image that was captured:
    vouchsafe image build --image db@7 --folder /srv/rpms --keyring RPM-GPG-KEY-example \\
      --base db-6.toml --output db-7.toml

Not in any package, and so not in the image: what is made when packages are installed (ld.so.cache,
initial file systems, byte code), changed files below /etc, diversions and alternatives.")]
pub(crate) struct BuildArgs {
    /// What the image is called.
    #[arg(long, value_name = "NAME@VERSION")]
    pub(crate) image: ImageId,
    /// Where the image is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// An image whose boot section, PCR values, periods and runtime rules are taken over; all but its digests.
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    /// Where the digests of each package are kept for the next run [default: vouchsafe below the user's cache folder].
    ///
    /// Whoever can write to it decides what may run.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Where packages come from.
#[derive(Args, Debug)]
#[command(next_help_heading = "Which packages")]
pub(crate) struct SourceArgs {
    /// A Debian repository: http, https, file or the path of a mirror; and behind it its suite and components, unless
    /// --suite and --component say these.
    #[arg(long, value_name = "URL [SUITE [COMPONENT...]]", required_unless_present = "folder")]
    pub(crate) debian: Vec<String>,
    /// A suite or codename of the repositories that name none.
    #[arg(long, value_name = "SUITE", requires = "debian")]
    pub(crate) suite: Vec<String>,
    /// A component of the repositories that name none.
    #[arg(long, value_name = "COMPONENT", default_value = "main")]
    pub(crate) component: Vec<String>,
    /// An architecture. Packages for all are taken in as well.
    #[arg(long, value_name = "ARCH", default_value = "amd64")]
    pub(crate) arch: Vec<String>,
    /// The packages that are wanted of the repositories, one to a line: what `dpkg-query -W` prints, or names alone.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["all", "folder"])]
    pub(crate) packages: Option<PathBuf>,
    /// Every package that the repositories have, in every version.
    #[arg(long, conflicts_with = "packages")]
    pub(crate) all: bool,
    /// Goes on when packages are wanted that no repository has, and tells which.
    #[arg(long, requires = "packages")]
    pub(crate) skip_missing: bool,
    /// A folder of .deb and .rpm packages, and the folders in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Vec<PathBuf>,
}

/// Who must have signed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Who must have signed")]
pub(crate) struct TrustArgs {
    /// A keyring, binary or armoured [default for repositories: Debian's own, where it is installed].
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring: Vec<PathBuf>,
    /// The greatest age of a repository's index, such as 14d. Suites that never change carry no end of their own.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    pub(crate) max_index_age: Option<Duration>,
    /// Takes what nobody signed: whoever is on the way, or can write to the folder, decides what may run.
    #[arg(long, conflicts_with = "keyring")]
    pub(crate) danger_unsigned: bool,
    /// Takes indexes of any age: whoever is on the way can serve packages with known holes.
    #[arg(long, conflicts_with = "max_index_age")]
    pub(crate) danger_accept_stale: bool,
}

/// What is made of them.
#[derive(Args, Debug)]
#[command(next_help_heading = "What is written")]
pub(crate) struct WhatArgs {
    /// A hash that the kernels log (`ima_hash=`).
    #[arg(long, value_name = "HASH", default_value = "sha256")]
    pub(crate) hash: Vec<HashAlgorithm>,
    /// `executable`: programs, libraries, scripts, modules and firmware alone. Without it every file is written, which
    /// `ima_policy=tcb` needs: it measures all that root reads.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) only: Option<Only>,
    /// Under which path files of /bin, /sbin and /lib* are written. A kernel with a merged /usr measures /usr/bin/x for
    /// /bin/x, another /bin/x; `both` is right on either and admits nothing but the same content.
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub(crate) usr_merge: UsrMerge,
}

/// Which files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Those that can come to run.
    Executable,
}

/// Under which paths files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsrMerge {
    /// As shipped and below /usr.
    #[default]
    Both,
    /// Below /usr alone.
    Merged,
    /// As shipped.
    AsShipped,
}
