//! What is produced from the command line's own description: completions and manual pages.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::args::Cli;
use crate::args::produce::{CompletionsArgs, ManArgs};
use crate::host;

/// Prints the completions of a shell.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vouchsafe", &mut script);
    host::print(&String::from_utf8(script).context("the completions are no UTF-8 text")?)
}

/// Writes a manual page for every command.
///
/// # Errors
/// When the folder or a page cannot be written.
pub(crate) fn manual(args: &ManArgs) -> anyhow::Result<()> {
    let dir = &args.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let pages = write_pages(&command, dir)?;
    host::print(&format!("{pages} manual pages are in {}\n", dir.display()))
}

fn write_pages(command: &clap::Command, dir: &Path) -> anyhow::Result<usize> {
    let page = clap_mangen::Man::new(command.clone()).manual("Vouchsafe");
    let path = dir.join(page.get_filename());
    let mut text = Vec::new();
    page.render(&mut text).context("cannot render a manual page")?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.into_iter().try_fold(1, |pages, command| Ok(pages + write_pages(command, dir)?))
}
