//! `vouchsafe device`.

use anyhow::Context as _;
use vouchsafe_model::{DeviceState, TrustScore};
use vouchsafe_trust_engine::result::{Expected, KeySet, UnverifiedToken};
use vouchsafe_wire::v1::operate::{AssignImage, DeviceSummary, DeviceView, RevokeDevice, TrustView};

use crate::args::FormatArgs;
use crate::args::device::{DeviceCommand, ResultArgs, ResultFormat, TrustArgs};
use crate::args::value::DevicePrefix;
use crate::client::{Client, Endpoint};
use crate::failure::Hint as _;
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
        DeviceCommand::Result(args) => result(client, args).await,
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

/// Fetches a result. What is shown of it was verified by the engine's published keys, as any relying party would.
async fn result(client: &Client, args: ResultArgs) -> anyhow::Result<()> {
    let endpoint = at(&args.device.device, "result").with_some("nonce", args.nonce.as_ref());
    let token = client.read_text(&endpoint).await?;
    let keys = client.read_text(&Endpoint::v1(["result-keys"])).await?;
    let keys = KeySet::parse(keys.as_bytes()).context("the engine's keys cannot be used")?;
    let expected = Expected { keys: &keys, nonce: args.nonce.as_ref(), now: host::now() };
    let token_read = UnverifiedToken::parse(&token).context("the engine's answer is no attestation result")?;
    let claims = token_read
        .verify(&expected)
        .context("the engine's attestation result does not verify")
        .hint("if it is about a time, compare the clocks of this machine and the server; if not, do not rely on it")?;
    match args.format {
        ResultFormat::Text => host::print(&output::result::claims(&claims, host::now())),
        ResultFormat::Json => host::print(&output::json(&claims)?),
        ResultFormat::Jwt => host::print(&format!("{token}\n")),
    }
}

fn at(device: &DevicePrefix, what: &str) -> Endpoint {
    Endpoint::v1(["devices", device.as_str(), what])
}

fn show(FormatArgs { format }: FormatArgs, device: &DeviceView) -> anyhow::Result<()> {
    output::show::<DeviceView>(format, device, || output::device::view(device, host::now()))
}
