//! `vouchsafe image`.

use std::path::Path;

use anyhow::Context as _;
use vouchsafe_attest::image::MAX_TEXT_LEN;
use vouchsafe_model::{Image, ImageId};
use vouchsafe_pki::files;
use vouchsafe_wire::v1::operate::{CaptureImage, DryRun, ImageSource, Measurements};

use super::resolve;
use crate::args::FormatArgs;
use crate::args::image::{CaptureArgs, OnlineCommand};
use crate::client::{Client, Endpoint};
use crate::image::{ServerImageCommand, document};
use crate::output::image::Difference;
use crate::{host, output};

pub(super) async fn run(client: &Client, command: ServerImageCommand) -> anyhow::Result<()> {
    let command = match command {
        ServerImageCommand::Online(command) => command,
        ServerImageCommand::Diff { one, other, format } => {
            let difference = Difference::between(&read(client, &one).await?, &read(client, &other).await?);
            return output::show(format.format, &difference, || difference.text());
        }
    };
    match command {
        OnlineCommand::Capture(args) => capture(client, args).await,
        OnlineCommand::Import(args) => {
            let image = client.post(&Endpoint::v1(["image-documents"]), &source(&args.file)?).await?;
            show(args.format, &image)
        }
        OnlineCommand::DryRun(args) => {
            let endpoint = Endpoint::v1(["image-documents", "dry-run"]);
            let run: DryRun = client.post(&endpoint, &source(&args.file)?).await?;
            output::show(args.format.format, &run, || output::dry_run::view(&run))
        }
        OnlineCommand::List(args) => {
            let images: Vec<Image> = client.read_all(&Endpoint::v1(["images"]), args.limit.limit).await?;
            output::show(args.format.format, &images, || output::image::list(&images, host::now()))
        }
        OnlineCommand::Show(args) => show(args.format, &read(client, &args.image).await?),
        OnlineCommand::Retire(args) => {
            let endpoint = Endpoint::v1(["images", &args.image.to_string(), "retire"]);
            show(args.format, &client.trigger(&endpoint).await?)
        }
    }
}

async fn capture(client: &Client, args: CaptureArgs) -> anyhow::Result<()> {
    let id: ImageId = format!("{}@{}", args.name, args.version).parse().context("the image cannot be named so")?;
    if let Some(output) = &args.output {
        let device = resolve(client, &args.device).await?;
        let measured: Measurements =
            client.read(&Endpoint::v1(["devices", &device.to_string(), "measurements"])).await?;
        let image = document::captured(&id, &measured, args.ignore.unwrap_or_default(), args.ima.as_deref())?;
        return document::write(output, &image);
    }
    let asked = CaptureImage {
        id,
        device: resolve(client, &args.device).await?,
        ignore: args.ignore.unwrap_or_default(),
        assign: args.assign,
    };
    show(args.format, &client.post(&Endpoint::v1(["images"]), &asked).await?)
}

async fn read(client: &Client, image: &ImageId) -> anyhow::Result<Image> {
    client.read(&Endpoint::v1(["images", &image.to_string()])).await
}

fn show(FormatArgs { format }: FormatArgs, image: &Image) -> anyhow::Result<()> {
    output::show(format, image, || output::image::view(image, host::now()))
}

/// The text of an image, or the envelope that holds it: an envelope is JSON, and no image begins like it.
fn source(file: &Path) -> anyhow::Result<ImageSource> {
    let bytes = files::read_file(file, 2 * MAX_TEXT_LEN).context("cannot use the image")?;
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", file.display()))?;
    let is_envelope = text.trim_start().starts_with('{');
    Ok(if is_envelope { ImageSource::Envelope(text) } else { ImageSource::Text(text) })
}
