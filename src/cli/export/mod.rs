//! `lakestage export`

mod delta;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::run::Session;

/// Hand tables on in a form that other programs go on with.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(subcommand)]
    command: ExportCommand,
}

#[derive(Debug, Subcommand)]
enum ExportCommand {
    /// Write tables as Delta tables, and then what changed since the last time
    Delta(delta::DeltaArgs),
}

pub(crate) fn run(args: &ExportArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        ExportCommand::Delta(args) => delta::run(args, session),
    }
}
