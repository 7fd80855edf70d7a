//! `vouchsafe device`.

use vouchsafe_model::{DeviceState, TrustScore};
use vouchsafe_wire::v1::operate::{AssignImage, DeviceSummary, DeviceView, RevokeDevice, TrustView};

use crate::args::FormatArgs;
use crate::args::device::{DeviceCommand, TrustArgs};
use crate::args::value::DevicePrefix;
use crate::client::{Client, Endpoint};
use crate::output::chart;
use crate::{host, output};

pub(super) async fn run(client: &Client, command: DeviceCommand) -> anyhow::Result<()> {
    match command {
        DeviceCommand::List(args) => {
            let is_filtered = args.state.is_some() || args.image.is_some();
            let endpoint = Endpoint::v1(["devices"])
                .with_some("state", args.state.map(|state| DeviceState::from(state).name()))
                .with_some("image", args.image);
            let devices: Vec<DeviceSummary> = client.read_all(&endpoint, args.limit.limit).await?;
            output::show(args.format.format, &devices, || output::device::list(&devices, is_filtered, host::now()))
        }
        DeviceCommand::Show(args) => {
            let device: DeviceView = client.read(&Endpoint::v1(["devices", args.device.device.as_str()])).await?;
            show(args.format, &device)
        }
        DeviceCommand::Trust(args) => trust(client, args).await,
        DeviceCommand::Assign(args) => {
            let asked = AssignImage { image: args.image.image };
            let device: DeviceView = client.put(&at(&args.device.device, "image"), &asked).await?;
            show(args.format, &device)
        }
        DeviceCommand::Revoke(args) => {
            let asked = RevokeDevice { reason: args.reason };
            let device: DeviceView = client.post(&at(&args.device.device, "revoke"), &asked).await?;
            show(args.format, &device)
        }
        DeviceCommand::Restore(args) => {
            let device: DeviceView = client.trigger(&at(&args.device.device, "restore")).await?;
            show(args.format, &device)
        }
    }
}

async fn trust(client: &Client, args: TrustArgs) -> anyhow::Result<()> {
    let now = host::now();
    let endpoint = at(&args.device.device, "trust")
        .with_some("at", args.at.map(|at| at.resolve(now)))
        .with_some("threshold", args.threshold.map(TrustScore::points))
        .with("span_secs", args.span.as_secs())
        .with("points", chart::COLUMNS);
    let view: TrustView = client.read(&endpoint).await?;
    output::show(args.format.format, &view, || output::trust::view(&view, now))
}

fn at(device: &DevicePrefix, what: &str) -> Endpoint {
    Endpoint::v1(["devices", device.as_str(), what])
}

fn show(FormatArgs { format }: FormatArgs, device: &DeviceView) -> anyhow::Result<()> {
    output::show::<DeviceView>(format, device, || output::device::view(device, host::now()))
}
