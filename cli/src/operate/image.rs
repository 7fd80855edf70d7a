//! `vouchsafe image`.

use std::path::Path;

use anyhow::{Context as _, ensure};
use vouchsafe_attest::image::MAX_TEXT_LEN;
use vouchsafe_model::{DeviceId, Image, ImageId};
use vouchsafe_pki::files;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::operate::{CaptureImage, DryRun, ImaListPage, ImageSource, Measurements};

use super::resolve;
use crate::args::FormatArgs;
use crate::args::image::{CaptureArgs, OnlineCommand};
use crate::client::{Client, Endpoint};
use crate::image::document::{List, MAX_LIST_LEN};
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
            let run = dry_run(client, &source(&args.file)?).await?;
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
        let list = match &args.ima {
            _ if args.boot_only => None,
            Some(file) => Some(List::read(file)?),
            None => Some(list(client, device).await?),
        };
        let image = document::captured(&id, &measured, args.ignore.unwrap_or_default(), list.as_ref())?;
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

/// The IMA list that the server keeps of a device, put together from its pages.
async fn list(client: &Client, device: DeviceId) -> anyhow::Result<List> {
    let endpoint = Endpoint::v1(["devices", &device.to_string(), "ima-list"]);
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let page: ImaListPage = client.read(&endpoint.clone().with("from", bytes.len())).await?;
        let before = bytes.len();
        for piece in &page.parts {
            // A piece may begin before: small ones are put together while the list grows.
            let begin = usize::try_from(piece.offset).unwrap_or(usize::MAX);
            ensure!(begin <= bytes.len(), "the server left out a piece of the IMA list, before byte {begin}");
            bytes.truncate(begin);
            bytes.extend(piece.log.inflate(limits::IMA_PART).context("a piece of the IMA list cannot be read")?);
            ensure!(bytes.len() <= MAX_LIST_LEN, "the IMA list has more than {MAX_LIST_LEN} bytes");
        }
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) >= page.len {
            return Ok(List { source: "the IMA list that the server keeps".to_owned(), bytes });
        }
        ensure!(bytes.len() > before, "the server's IMA list ends at byte {before} of {}", page.len);
    }
}

/// All of a dry run: the server answers with as many devices as it can judge in a few seconds.
async fn dry_run(client: &Client, source: &ImageSource) -> anyhow::Result<DryRun> {
    let endpoint = Endpoint::v1(["image-documents", "dry-run"]);
    let mut run: DryRun = client.post(&endpoint, source).await?;
    while let Some(after) = run.next.take() {
        let more: DryRun = client.post(&endpoint.clone().with("after", &after), source).await?;
        ensure!(more.next.as_ref() != Some(&after), "the server goes in a circle, at {after}");
        run.devices.extend(more.devices);
        run.unseen.extend(more.unseen);
        run.next = more.next;
    }
    run.devices.sort_by_key(|device| (!device.fails, device.device));
    Ok(run)
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
