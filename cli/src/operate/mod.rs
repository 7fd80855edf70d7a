//! What operators do, over the API alone: nothing here opens the server's database.

mod activate;
mod credential;
mod dbx;
mod decision;
mod device;
mod image;
mod log;
mod policy;
mod replay;
mod token;

use std::process::ExitCode;

use vouchsafe_model::DeviceId;
use vouchsafe_wire::v1::operate::DeviceView;

use crate::args::ProfileArgs;
use crate::args::credential::CredentialArgs;
use crate::args::decision::DecisionArgs;
use crate::args::device::DeviceArgs;
use crate::args::log::OnlineLogCommand;
use crate::args::policy::ServerPolicyCommand;
use crate::args::secureboot::ImportArgs;
use crate::args::token::TokenArgs;
use crate::args::value::DevicePrefix;
use crate::client::{Client, Endpoint};
use crate::host;
use crate::image::ServerImageCommand;
use crate::profile::{Environment, Profile};

/// An operator's command.
#[derive(Debug)]
pub(crate) enum Operation {
    Token(TokenArgs),
    Device(DeviceArgs),
    Image(ProfileArgs, ServerImageCommand),
    ImportDbx(ImportArgs),
    Credential(CredentialArgs),
    Decision(DecisionArgs),
    Log(ProfileArgs, OnlineLogCommand),
    Policy(ServerPolicyCommand),
}

/// Runs an operator's command.
///
/// # Errors
/// When there is no profile, the server cannot be reached or refuses, or a file cannot be written.
pub(crate) async fn run(operation: Operation) -> anyhow::Result<ExitCode> {
    match operation {
        Operation::Token(args) => token::run(&client(&args.profile)?, args.command).await?,
        Operation::Device(args) => device::run(&client(&args.profile)?, args.command).await?,
        Operation::Image(profile, command) => image::run(&client(&profile)?, command).await?,
        Operation::ImportDbx(args) => dbx::import(&client(&args.profile)?, &args).await?,
        Operation::Log(profile, command) => log::run(&client(&profile)?, command).await?,
        Operation::Credential(args) => credential::run(&args.profile, args.command).await?,
        Operation::Policy(command) => return policy::run(command).await,
        Operation::Decision(args) => return decision::run(&client(&args.profile)?, args.command).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn client(args: &ProfileArgs) -> anyhow::Result<Client> {
    Client::open(&Profile::find(args, &Environment::read())?, host::now())
}

/// The whole id of a device that was named by the beginning of it.
async fn resolve(client: &Client, device: &DevicePrefix) -> anyhow::Result<DeviceId> {
    match device.whole() {
        Some(id) => Ok(id),
        None => Ok(client.read::<DeviceView>(&Endpoint::v1(["devices", device.as_str()])).await?.summary.id),
    }
}
