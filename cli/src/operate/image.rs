//! `vouchsafe image`.

use anyhow::Context as _;
use vouchsafe_model::{Image, ImageId};
use vouchsafe_wire::v1::operate::CaptureImage;

use super::resolve;
use crate::args::FormatArgs;
use crate::args::image::{CaptureArgs, ImageCommand};
use crate::client::{Client, Endpoint};
use crate::output::image::Difference;
use crate::{host, output};

pub(super) async fn run(client: &Client, command: ImageCommand) -> anyhow::Result<()> {
    match command {
        ImageCommand::Capture(args) => capture(client, args).await,
        ImageCommand::List(args) => {
            let images: Vec<Image> = client.read_all(&Endpoint::v1(["images"]), args.limit.limit).await?;
            output::show(args.format.format, &images, || output::image::list(&images, host::now()))
        }
        ImageCommand::Show(args) => show(args.format, &read(client, &args.image).await?),
        ImageCommand::Diff(args) => {
            let difference = Difference::between(&read(client, &args.one).await?, &read(client, &args.other).await?);
            output::show(args.format.format, &difference, || difference.text())
        }
        ImageCommand::Retire(args) => {
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
