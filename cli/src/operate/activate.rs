//! `vouchsafe policy activate`: seen, agreed to, and only then in charge.

use std::process::ExitCode;

use vouchsafe_wire::v1::policy::PolicyStatus;

use super::policy::{endpoint, status};
use super::replay::{self, Compared};
use crate::args::Format;
use crate::args::policy::ActivateArgs;
use crate::client::{CallFailed, Client, explained};
use crate::failure::{FAILED, Hint as _, with_hint};
use crate::output::activation::{self, ActivationReport};
use crate::policy::candidate::CandidateFiles;
use crate::{host, output, policy};

/// The code of the server's answer to a policy that does not pass its gate.
const REFUSED_BY_SERVER: &str = "policy.refused";

pub(super) async fn run(client: &Client, args: &ActivateArgs) -> anyhow::Result<ExitCode> {
    refuse_unasked(args.yes, host::can_ask())?;
    let candidate = CandidateFiles::read(&args.candidate.candidate)?;
    // What the candidate is held against is asked before, so that whatever comes into charge meanwhile is noticed.
    let before = status(client).await?;
    refuse_followed(&before)?;
    let comparison = match replay::compare(client, &args.candidate, candidate.bundle()).await? {
        Compared::Refused(report) => return replay::refused(&report, args.format.format),
        Compared::Replayed(report) => report,
    };
    let seen = output::replay::report(&comparison);
    match args.format.format {
        Format::Text => host::print(&seen)?,
        Format::Json if !args.yes => host::complain(&seen),
        Format::Json => {}
    }
    if !args.yes && !host::ask(&activation::question(candidate.bundle().hash(), &before))? {
        host::complain("nothing was activated\n");
        return Ok(ExitCode::from(FAILED));
    }
    match client.put_bytes::<PolicyStatus>(&endpoint(), candidate.into_packed(), before.policy).await {
        Ok(now) => {
            let report = ActivationReport { comparison: &comparison, before: before.policy, policy: &now };
            output::show(args.format.format, &report, || activation::done(&report))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(CallFailed::Refused(problem)) if problem.code == REFUSED_BY_SERVER => {
            host::complain(&activation::refused(&problem));
            Ok(ExitCode::from(policy::REFUSED))
        }
        Err(failed) => Err(not_known(failed)),
    }
}

/// Nobody is there to be asked, and nobody said that nobody need be.
fn refuse_unasked(yes: bool, can_ask: bool) -> anyhow::Result<()> {
    if yes || can_ask {
        return Ok(());
    }
    Err(anyhow::anyhow!("there is no terminal to ask whether to activate the policy; nothing was activated"))
        .hint("--yes activates it unasked; `vouchsafe policy replay` says what it would change")
}

/// The server would say so as well, but only after all was compared.
fn refuse_followed(before: &PolicyStatus) -> anyhow::Result<()> {
    if !before.source.is_followed() {
        return Ok(());
    }
    let source = &before.source;
    Err(anyhow::anyhow!("the server takes its policy from a signed source ({source}); nothing was activated"))
        .hint("publish the next revision there: vouchsafe policy bundle DIR --revision N --key FILE --output FILE")
}

/// A call that broke off, or took too long, may have had its effect.
fn not_known(failed: CallFailed) -> anyhow::Error {
    let is_known = matches!(&failed, CallFailed::Refused(problem) if problem.status < 500);
    let error = explained(failed);
    if is_known {
        return error;
    }
    with_hint(error, "it may have come into charge all the same: vouchsafe policy status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_where_nobody_is_there_and_nothing_is_activated_unasked() {
        for (yes, can_ask, goes_on) in
            [(false, false, false), (false, true, true), (true, false, true), (true, true, true)]
        {
            assert_eq!(refuse_unasked(yes, can_ask).is_ok(), goes_on, "{yes} {can_ask}");
        }
    }
}
