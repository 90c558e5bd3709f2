//! `lakestage quota`

use anyhow::Result;
use clap::{Args, Subcommand};
use lakestage_engine::{Quota, QuotaStatus};

use super::environment::EnvironmentArg;
use super::output::{self, bytes_text, count_text};
use super::run::Session;

/// How much an environment may hold.
///
/// A commit that would exceed a limit is refused before anything is written; commits that only delete rows are taken.
/// Nothing is removed to make room. Bytes are those of blocks in use, of sealed segments and of commits in the journal;
/// what is in no block yet counts twice, because it will stand in both. Rows are those of all tables.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage quota show\n  \
lakestage quota set --bytes 20000000000 --rows 50000000\n  \
lakestage quota set            # lifts both limits")]
pub(crate) struct QuotaArgs {
    #[command(subcommand)]
    command: QuotaCommand,
}

#[derive(Debug, Subcommand)]
enum QuotaCommand {
    /// Show the limits and what is held
    Show(ShowArgs),
    /// Set the limits; one that is left out is lifted
    Set(SetArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// Bytes that the environment may hold
    #[arg(long)]
    bytes: Option<u64>,

    /// Rows that it may hold
    #[arg(long)]
    rows: Option<u64>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

pub(crate) fn run(args: &QuotaArgs, session: &Session<'_>) -> Result<()> {
    let environment = match &args.command {
        QuotaCommand::Show(args) => &args.environment,
        QuotaCommand::Set(args) => &args.environment,
    };
    let environment = session
        .data
        .environment(environment.environment.as_deref())?;
    if let QuotaCommand::Set(args) = &args.command {
        environment.set_quota(Quota {
            bytes: args.bytes,
            rows: args.rows,
        })?;
    }
    let status = environment.quota_status();
    output::print(session.console, session.json, &status, text)
}

fn text(status: &QuotaStatus) -> String {
    let of = |limit: Option<String>| limit.unwrap_or_else(|| "no limit".to_owned());
    let mut text = format!(
        "bytes: {} of {}\nrows: {} of {}\n",
        bytes_text(status.used_bytes),
        of(status.quota.bytes.map(bytes_text)),
        count_text(status.used_rows),
        of(status.quota.rows.map(count_text)),
    );
    if let Some(warning) = &status.warning {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}
