//! `vouchsafe log` on the server.

use vouchsafe_model::Outcome;
use vouchsafe_policy_engine::log::explain::ExplainedDecision;
use vouchsafe_wire::v1::decide::RecordedDecision;

use super::resolve;
use crate::args::log::{OnlineLogCommand, QueryArgs};
use crate::client::{Client, Endpoint};
use crate::{host, output};

pub(super) async fn run(client: &Client, command: OnlineLogCommand) -> anyhow::Result<()> {
    match command {
        OnlineLogCommand::Query(args) => query(client, *args).await,
        OnlineLogCommand::Show(args) => {
            let endpoint = Endpoint::v1(["decisions", &args.id.to_string()]);
            host::print(&output::json(&client.read::<RecordedDecision>(&endpoint).await?)?)
        }
        OnlineLogCommand::Explain(args) => {
            let endpoint = Endpoint::v1(["decisions", &args.id.to_string(), "explain"]);
            let explained: ExplainedDecision = client.read(&endpoint).await?;
            output::show(args.format.format, &explained, || output::explained::decision(&explained))
        }
        OnlineLogCommand::Prove(args) => {
            host::print(&client.read_text(&Endpoint::v1(["decisions", &args.id.to_string(), "proof"])).await?)
        }
        OnlineLogCommand::Checkpoint(_) => {
            host::print(&client.read_text(&Endpoint::v1(["decision-log", "checkpoint"])).await?)
        }
        OnlineLogCommand::Key(_) => host::print(&client.read_text(&Endpoint::v1(["decision-log", "key"])).await?),
    }
}

async fn query(client: &Client, args: QueryArgs) -> anyhow::Result<()> {
    let device = match &args.device {
        Some(device) => Some(resolve(client, device).await?),
        None => None,
    };
    let now = host::now();
    let mut endpoint = Endpoint::v1(["decisions"])
        .with_some("device", device)
        .with_some("user", args.user)
        .with_some("resource", args.resource)
        .with_some("outcome", args.outcome.map(|outcome| Outcome::from(outcome).name()))
        .with_some("since", args.since.map(|since| since.resolve(now)))
        .with_some("until", args.until.map(|until| until.resolve(now)));
    if args.oldest_first {
        endpoint = endpoint.with("oldest_first", true);
    }
    let decisions: Vec<RecordedDecision> = client.read_all(&endpoint, args.limit).await?;
    output::show(args.format.format, &decisions, || output::log::list(&decisions))
}
