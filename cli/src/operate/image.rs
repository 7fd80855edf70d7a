//! `vouchsafe image`.

use anyhow::Context as _;
use vouchsafe_model::{Image, ImageId};
use vouchsafe_wire::v1::operate::CaptureImage;

use super::resolve;
use crate::args::FormatArgs;
use crate::args::image::{CaptureArgs, OnlineCommand};
use crate::client::{Client, Endpoint};
use crate::image::ServerImageCommand;
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
    let id = format!("{}@{}", args.name, args.version).parse().context("the image cannot be named so")?;
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
