//! `vouchsafe image` on files: images are checked, merged, compared, signed and verified without a server.
//!
//! What cannot be read as what it should be is unusable input and fails. What can be read and is not to be relied on is
//! refused, which is an answer.

mod build;
pub(crate) mod document;
mod open;
mod progress;
mod signature;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use vouchsafe_attest::image::{Change, Compiled, GoldenImage, MAX_TEXT_LEN, diff, lint, merge};
use vouchsafe_model::ImageId;
use vouchsafe_pki::files;

use crate::args::FormatArgs;
use crate::args::image::{CheckArgs, DiffArgs, ImageCommand, ImageSource, MergeArgs, OfflineCommand, OnlineCommand};
use crate::output::golden::{self, Checked, Differences};
use crate::{host, output};

pub(crate) use open::{OpenedImage, open};

/// The exit code of what is refused.
const REFUSED: u8 = 2;

/// Where a command works.
pub(crate) enum Place {
    Files(FileImageCommand),
    Server(ServerImageCommand),
}

/// What is done with files.
pub(crate) enum FileImageCommand {
    Offline(OfflineCommand),
    Diff(DiffArgs),
}

/// What the server is asked.
#[derive(Debug)]
pub(crate) enum ServerImageCommand {
    Online(OnlineCommand),
    Diff { one: ImageId, other: ImageId, format: FormatArgs },
}

impl Place {
    /// Tells where the command works.
    pub(crate) fn of(command: ImageCommand) -> Self {
        match command {
            ImageCommand::Online(command) => Self::Server(ServerImageCommand::Online(command)),
            ImageCommand::Offline(command) => Self::Files(FileImageCommand::Offline(command)),
            ImageCommand::Diff(DiffArgs { one: ImageSource::Known(one), other: ImageSource::Known(other), format }) => {
                Self::Server(ServerImageCommand::Diff { one, other, format })
            }
            ImageCommand::Diff(args) => Self::Files(FileImageCommand::Diff(args)),
        }
    }
}

/// Runs a command on files.
///
/// # Errors
/// When an input is unusable, or a file cannot be written.
pub(crate) fn run(command: FileImageCommand) -> anyhow::Result<ExitCode> {
    match command {
        FileImageCommand::Diff(args) => compare(&args),
        FileImageCommand::Offline(command) => match command {
            OfflineCommand::Build(args) => build::run(&args).map(|()| ExitCode::SUCCESS),
            OfflineCommand::Check(args) => check(&args),
            OfflineCommand::Merge(args) => merge_files(&args),
            OfflineCommand::Keygen(args) => signature::keygen(&args),
            OfflineCommand::Sign(args) => signature::sign(&args),
            OfflineCommand::Verify(args) => signature::verify(&args),
        },
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let image = read(&args.file)?;
    let warnings = lint(&image);
    Compiled::new(image.clone()).with_context(|| format!("{} is no image that can be used", args.file.display()))?;
    let checked = Checked::of(&image, warnings);
    output::show(args.format.format, &checked, || golden::checked(&checked))?;
    let is_refused = args.strict && !checked.warnings.is_empty();
    Ok(if is_refused { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn compare(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (ImageSource::File(one), ImageSource::File(other)) = (&args.one, &args.other) else {
        bail!("one is a file and the other an image of the server: give two of a kind");
    };
    let (one, other) = (read(one)?, read(other)?);
    let changes: Vec<Change> = diff(&one, &other);
    let differences = Differences { old: one.id, new: other.id, changes };
    output::show(args.format.format, &differences, || golden::differences(&differences))?;
    Ok(ExitCode::SUCCESS)
}

fn merge_files(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    let images = args.files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let merged = match merge(&images) {
        Ok(merged) => merged,
        Err(conflict) => {
            host::complain(&format!("refused: {conflict}\n"));
            return Ok(ExitCode::from(REFUSED));
        }
    };
    merged.check().context("the images cannot be merged")?;
    write(&args.output, merged.to_text().as_bytes())?;
    host::print(&format!("{} of {} images is in {}\n", merged.id, images.len(), args.output.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<GoldenImage> {
    let bytes = files::read_file(path, MAX_TEXT_LEN).context("cannot use the image")?;
    GoldenImage::parse_bytes(&bytes).with_context(|| format!("{} is no image", path.display()))
}

/// Writes a public file, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let Some(name) = path.file_name() else { bail!("{} names no file", path.display()) };
    let mut unfinished = name.to_owned();
    unfinished.push(files::UNFINISHED_SUFFIX);
    let unfinished = path.with_file_name(unfinished);
    fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path)).with_context(context)
}
