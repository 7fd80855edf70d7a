//! `vouchsafe policy` on the server.

use std::process::ExitCode;

use vouchsafe_wire::v1::policy::PolicyStatus;

use super::{activate, client, replay};
use crate::args::policy::ServerPolicyCommand;
use crate::client::{Client, Endpoint};
use crate::{host, output};

pub(super) async fn run(command: ServerPolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        ServerPolicyCommand::Status(args) => {
            let status = status(&client(&args.profile)?).await?;
            output::show(args.format.format, &status, || output::policy_status::view(&status, host::now()))?;
            Ok(ExitCode::SUCCESS)
        }
        ServerPolicyCommand::Replay(args) => replay::run(&client(&args.profile)?, &args).await,
        ServerPolicyCommand::Activate(args) => activate::run(&client(&args.profile)?, &args).await,
    }
}

/// The policy in charge.
pub(super) async fn status(client: &Client) -> anyhow::Result<PolicyStatus> {
    client.read(&endpoint()).await
}

/// Where the policy in charge is.
pub(super) fn endpoint() -> Endpoint {
    Endpoint::v1(["policy"])
}
