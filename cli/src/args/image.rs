//! `vouchsafe image`.

use clap::{Args, Subcommand};
use vouchsafe_model::ImageId;
use vouchsafe_model::pcr::PcrSet;

use super::value::DevicePrefix;
use super::{FormatArgs, LimitArgs, ProfileArgs, value};

/// Golden images: the PCR values that devices are compared with.
#[derive(Args, Debug)]
pub(crate) struct ImageArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    Capture(CaptureArgs),
    List(ListArgs),
    Show(ShowArgs),
    Diff(DiffArgs),
    Retire(RetireArgs),
}

/// Makes a golden image from what a device last quoted.
///
/// Do this with a device whose state you know to be good: from then on the image is what "good" means.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image capture --device uws2 --name web --version 2026.1 --assign

  PCR 1 differs between otherwise equal hosts (serial numbers), PCR 5 between disks:
    vouchsafe image capture --device uws2 --name web --version 2026.1 --ignore 1,5")]
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
    #[arg(long)]
    pub(crate) assign: bool,
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

/// Shows the PCRs in which two images differ.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe image diff web@2026.1 web@2026.2")]
pub(crate) struct DiffArgs {
    /// The one image.
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) one: ImageId,
    /// The other image.
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) other: ImageId,
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
