//! `vouchsafe image`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use vouchsafe_model::ImageId;
use vouchsafe_model::pcr::PcrSet;

use super::build::BuildArgs;
use super::value::DevicePrefix;
use super::{FormatArgs, LimitArgs, ProfileArgs, value};

/// Golden images: what devices are compared with.
///
/// An image is a text in TOML that lives in git. capture, list, show and retire ask the server; keygen, sign, verify, merge
/// and check work on files, without one; diff does either.
#[derive(Args, Debug)]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    #[command(flatten)]
    Online(OnlineCommand),
    Diff(DiffArgs),
    #[command(flatten)]
    Offline(OfflineCommand),
}

/// What the server is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum OnlineCommand {
    Capture(CaptureArgs),
    Import(ImportArgs),
    DryRun(DryRunArgs),
    List(ListArgs),
    Show(ShowArgs),
    Retire(RetireArgs),
}

/// What is done with files.
#[derive(Debug, Subcommand)]
pub(crate) enum OfflineCommand {
    Build(Box<BuildArgs>),
    Check(CheckArgs),
    Merge(MergeArgs),
    Keygen(KeygenArgs),
    Sign(SignArgs),
    Verify(VerifyArgs),
}

/// Makes a golden image from what a device last quoted.
///
/// Do this with a device whose state you know to be good: from then on the image is what "good" means.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image capture --device uws2 --name web --version 2026.1 --assign

  PCR 1 differs between otherwise equal hosts (serial numbers), PCR 5 between disks:
    vouchsafe image capture --device uws2 --name web --version 2026.1 --ignore 1,5

  As a document for git, with what was booted and what runs:
    vouchsafe image capture --device uws2 --name web --version 2026.1 --output web-2026.1.toml")]
pub(crate) struct CaptureArgs {
    /// The device: its id, or the first 4 or more characters of it that no other has.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: DevicePrefix,
    /// What the versions of the image share.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) name: String,
    /// Which of them this is.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) version: String,
    /// PCRs that may have any value, such as 1,5.
    #[arg(long, value_name = "PCRS", value_parser = value::pcrs)]
    pub(crate) ignore: Option<PcrSet>,
    /// Compares the device with the image from now on.
    #[arg(long, conflicts_with = "output")]
    pub(crate) assign: bool,
    /// Writes the image as a document instead of storing it: review it, sign it, import it. What was booted is taken from
    /// the device's event log, what runs from the IMA list that the server keeps of it.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// A copy of the device's IMA list (`binary_runtime_measurements`) in place of the one that the server keeps. Either
    /// counts as far as it replays to the quoted PCR 10.
    #[arg(long, value_name = "FILE", requires = "output", conflicts_with = "boot_only")]
    pub(crate) ima: Option<PathBuf>,
    /// Leaves out what runs: devices that are compared with the image are asked for no IMA list.
    #[arg(long, requires = "output")]
    pub(crate) boot_only: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Imports a golden image: devices may be assigned it, and those of what it supersedes may move to it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image import web-2026.2.toml.dsse
  vouchsafe image import web-2026.2.toml

The second, unsigned, works only with a server that was given no keys for images (images.keys).")]
pub(crate) struct ImportArgs {
    /// The image, or the envelope that `vouchsafe image sign` made of it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Says which of today's devices an image would fail, and why. Nothing is changed.
///
/// What each device booted is held against the image, and what it runs: its IMA list, as far as its quotes vouched for it. A
/// list that the server does not keep, since it is too long or there was no room for it, is not guessed at: the device is
/// told with what could not be judged.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image dry-run web-2026.2.toml
  vouchsafe image dry-run web-2026.2.toml.dsse --format json")]
pub(crate) struct DryRunArgs {
    /// The image, or the envelope that `vouchsafe image sign` made of it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

fn name(text: &str) -> Result<String, String> {
    part(text, &format!("{text}@1"))
}

fn version(text: &str) -> Result<String, String> {
    part(text, &format!("image@{text}"))
}

fn part(text: &str, whole: &str) -> Result<String, String> {
    match whole.parse::<ImageId>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("1 to {} of a-z A-Z 0-9 . _ + - after a letter or digit", ImageId::MAX_PART_LEN)),
    }
}

/// Lists the golden images by name.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image list")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Shows the PCR values that an image expects.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image show web@2026.1
  vouchsafe image show web@2026.1 --format json > web-2026.1.json")]
pub(crate) struct ShowArgs {
    /// The image.
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) image: ImageId,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Shows in what two images differ: of the server, or of two files.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image diff web@2026.1 web@2026.2
  vouchsafe image diff web-2026.1.toml web-2026.2.toml

What ends in .toml, or has a slash in it, is a file.")]
pub(crate) struct DiffArgs {
    /// The old image.
    #[arg(value_name = "OLD")]
    pub(crate) one: ImageSource,
    /// The new image.
    #[arg(value_name = "NEW")]
    pub(crate) other: ImageSource,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// An image of the server, or one in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageSource {
    Known(ImageId),
    File(PathBuf),
}

impl FromStr for ImageSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A version may end in .toml, but a file's name more often does.
        let extension = Path::new(text).extension();
        if text.contains('/') || extension.is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
            return Ok(Self::File(text.into()));
        }
        text.parse().map(Self::Known).map_err(|_| "NAME@VERSION, or a file that ends in .toml".to_owned())
    }
}

/// Reads an image and looks for what is allowed in it and seldom meant.
///
/// Exits 1, with line and column, when the file is no image. What is told otherwise are warnings; with --strict they exit 2.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image check web-2026.1.toml
  vouchsafe image check web-2026.1.toml --strict --format json")]
pub(crate) struct CheckArgs {
    /// The image.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Exits 2 when there is a warning.
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Makes one image of several, which allows what any of them allows.
///
/// Name, time and version are those of the first. Settings that contradict each other are refused: exits 2.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image merge boot.toml runtime.toml --output web-2026.1.toml
  vouchsafe image merge web-a.toml web-b.toml web-c.toml --output web.toml")]
pub(crate) struct MergeArgs {
    /// The images.
    #[arg(value_name = "FILE", required = true, num_args = 1..=64)]
    pub(crate) files: Vec<PathBuf>,
    /// Where to write the image. What was there is overwritten.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Makes a key that signs images: FILE, for its owner alone, and FILE.pub, for everybody.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image keygen images.key")]
pub(crate) struct KeygenArgs {
    /// Where to write the private key. Nothing is overwritten.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Signs the text of an image as it stands, and writes it with the signature to FILE.dsse.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image sign web-2026.1.toml --key images.key

Key:
  A P-256 or P-384 key as PKCS#8 in PEM that its owner alone can read, as
  `vouchsafe image keygen` or `openssl genpkey` make it.")]
pub(crate) struct SignArgs {
    /// The image.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The private key.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

/// Checks who signed an image. Exits 0 if one of the keys did, 2 if none did or it is no image, 1 if a file is unusable.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image verify web-2026.1.toml.dsse --key images.key.pub
  vouchsafe image verify web-2026.1.toml.dsse --key old.pub --key new.pub --text web.toml

Keys:
  Public keys in PEM: Ed25519, P-256, P-384, RSA.")]
pub(crate) struct VerifyArgs {
    /// The image with its signature.
    #[arg(value_name = "FILE.dsse")]
    pub(crate) file: PathBuf,
    /// A public key that may have signed it. May be given more than once.
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
    /// Where to write the text that was signed. What was there is overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Withdraws an image: devices that are compared with it get a warning.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image retire web@2025.4")]
pub(crate) struct RetireArgs {
    /// The image.
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) image: ImageId,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
