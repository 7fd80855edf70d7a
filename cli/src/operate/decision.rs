//! `vouchsafe decision`.

use std::process::ExitCode;

use vouchsafe_model::{Decision, Outcome};
use vouchsafe_wire::v1::agent::{Application, Network, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;

use super::resolve;
use crate::args::decision::{AskArgs, DecisionCommand, FlowProperty};
use crate::client::{Client, Endpoint};
use crate::output;

/// The exit code of a deny.
const DENIED: u8 = 3;

pub(super) async fn run(client: &Client, command: DecisionCommand) -> anyhow::Result<ExitCode> {
    let DecisionCommand::Ask(args) = command;
    let format = args.format.format;
    let asked = question(client, *args).await?;
    let decision: Decision = client.post(&Endpoint::v1(["decision"]), &asked).await?;
    output::show(format, &decision, || output::decision::view(&decision))?;
    Ok(match decision.outcome() {
        Outcome::Allow => ExitCode::SUCCESS,
        Outcome::Deny => ExitCode::from(DENIED),
    })
}

async fn question(client: &Client, args: AskArgs) -> anyhow::Result<AskDecision> {
    let device = match &args.device {
        Some(device) => Some(resolve(client, device).await?),
        None => None,
    };
    let network = network(&args);
    let (roles, factors, authenticated_at) = (args.roles, args.factors, args.authenticated_at);
    Ok(AskDecision {
        device,
        user: args.user.map(|id| User { id, roles, authenticated_at, factors }),
        application: args.app.map(|id| Application { id, version: args.app_version }),
        network,
        request: Request::new(args.action, args.resource),
        understands: args.understands,
    })
}

/// The flow as it was described; unknown if nothing was said of it.
fn network(args: &AskArgs) -> Option<Network> {
    if args.flow.is_empty() && args.source_ip.is_none() {
        return None;
    }
    let is = |property| args.flow.contains(&property);
    Some(Network {
        source_ip: args.source_ip,
        authenticated: is(FlowProperty::Authenticated),
        encrypted: is(FlowProperty::Encrypted),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn flow(arguments: &[&str]) -> Result<Option<Network>, clap::Error> {
        let fixed = ["vouchsafe", "decision", "ask", "--action", "read", "--resource", "db:orders"];
        let cli = Cli::try_parse_from(fixed.iter().chain(arguments))?;
        let Command::Decision(crate::args::decision::DecisionArgs { command: DecisionCommand::Ask(args), .. }) =
            cli.command
        else {
            panic!("another command")
        };
        Ok(network(&args))
    }

    #[test]
    fn a_flow_is_unknown_unless_it_is_described() {
        assert_eq!(flow(&[]).unwrap(), None);
        assert_eq!(flow(&["--no-flow"]).unwrap(), None);
        let neither = Network { source_ip: None, authenticated: false, encrypted: false };
        assert_eq!(flow(&["--flow", "neither"]).unwrap(), Some(neither.clone()));
        let from = Network { source_ip: Some([10, 0, 0, 1].into()), ..neither.clone() };
        assert_eq!(flow(&["--source-ip", "10.0.0.1"]).unwrap(), Some(from));
        let both = Network { authenticated: true, encrypted: true, ..neither };
        assert_eq!(flow(&["--flow", "authenticated,encrypted"]).unwrap(), Some(both));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(flow(&["--no-flow", "--flow", "encrypted"]).is_err());
        assert!(flow(&["--no-flow", "--source-ip", "10.0.0.1"]).is_err());
        assert!(flow(&["--flow", "fast"]).is_err());
        assert!(flow(&["--role", "sales"]).is_err(), "a role without a user");
    }
}
