//! `vouchsafe policy eval`: any rule of any Rego, for any input.

use std::io::{self, Read as _};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use vouchsafe_pki::files;
use vouchsafe_policies::{Bundle, DataDocument, limits};
use vouchsafe_policy_engine::RegoVersion;
use vouchsafe_policy_engine::confined::TrialOutcome;
use vouchsafe_policy_engine::evaluate::EvaluationLimits;
use vouchsafe_policy_engine::trial::Trial;

use super::REFUSED;
use crate::args::Format;
use crate::args::policy::EvalArgs;
use crate::confined;
use crate::output::trial::{failure, outcome};
use crate::{failure, host};

/// The longest input that is read, in bytes.
const MAX_INPUT_LEN: usize = 64 * 1024 * 1024;

/// What one evaluation may take here, where nobody waits at a door.
fn patient() -> EvaluationLimits {
    const MEMORY: NonZeroU64 = NonZeroU64::new(1 << 30).unwrap();
    EvaluationLimits { time: Duration::from_secs(20), instructions: 1_000_000_000, memory: MEMORY }
}

pub(super) fn run(args: EvalArgs) -> anyhow::Result<ExitCode> {
    let format = args.format.format;
    let answered = trial(args).and_then(|trial| Ok(confined::child().evaluate(trial, patient())?));
    match answered {
        Ok(answered) => {
            let failed = matches!(answered, TrialOutcome::Failed { .. });
            if failed && format == Format::Text {
                host::complain(&outcome(&answered, format));
            } else {
                host::print(&outcome(&answered, format))?;
            }
            Ok(if failed { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
        }
        Err(error) if format == Format::Json => {
            host::print(&failure("trial.unreadable", &format!("{error:#}"), None))?;
            Ok(ExitCode::from(REFUSED))
        }
        Err(error) => {
            failure::fail(&error);
            Ok(ExitCode::from(REFUSED))
        }
    }
}

/// Reads what the command line names.
fn trial(args: EvalArgs) -> anyhow::Result<Trial> {
    let mut paths = args.policy;
    // `--policy` takes all that follows it, also the query if that comes next.
    let query = match args.query {
        Some(query) => query,
        None if paths.len() > 1 => paths.pop().map(|last| last.display().to_string()).unwrap_or_default(),
        None => return Err(anyhow!("no place to evaluate is named: end with data.PACKAGE.RULE")),
    };
    let (mut policies, mut data) = (Vec::new(), DataDocument::default());
    for path in &paths {
        read_policy(path, &mut policies, &mut data)?;
    }
    for path in &args.data {
        let content = files::read_file(path, limits::BUNDLE_BYTES)?;
        data.merge("data.json", &content).with_context(|| format!("cannot use {}", path.display()))?;
    }
    let input = args.input.map(|path| read_input(&path)).transpose()?;
    let version = if args.rego_v0 { RegoVersion::V0 } else { RegoVersion::V1 };
    Ok(Trial { policies, version, data: data.into_value(), input, query })
}

fn read_policy(path: &PathBuf, policies: &mut Vec<(String, String)>, data: &mut DataDocument) -> anyhow::Result<()> {
    if path.is_dir() {
        let bundle = Bundle::from_dir(path).with_context(|| format!("cannot read the policy in {}", path.display()))?;
        policies.extend(bundle.policies().iter().map(|file| (file.path().to_owned(), file.text().to_owned())));
        let text = serde_json::to_vec(bundle.data()).context("cannot pass the data on")?;
        return data.merge("data.json", &text).with_context(|| format!("cannot use the data in {}", path.display()));
    }
    let text = String::from_utf8(files::read_file(path, limits::FILE_BYTES)?)
        .with_context(|| format!("{} is no text", path.display()))?;
    policies.push((path.display().to_string(), text));
    Ok(())
}

fn read_input(path: &Path) -> anyhow::Result<String> {
    let content = if path == Path::new("-") {
        let mut content = Vec::new();
        let most = u64::try_from(MAX_INPUT_LEN).unwrap_or(u64::MAX);
        io::stdin().lock().take(most).read_to_end(&mut content).context("cannot read standard input")?;
        content
    } else {
        files::read_file(path, MAX_INPUT_LEN)?
    };
    String::from_utf8(content).with_context(|| format!("{} is no text", path.display()))
}
