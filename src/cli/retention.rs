//! `lakestage retention`

use anyhow::Result;
use clap::{Args, Subcommand};
use lakestage_engine::{ConsumerStatus, Retention};
use serde::Serialize;

use super::environment::EnvironmentArg;
use super::output::{self, Align, TextTable, bytes_text, count_text, time_text};
use super::run::Session;

/// How long changes are kept for `lakestage changes`, and who keeps them.
///
/// Changes that stand in blocks go when any limit is passed, but never while a link's next snapshot or a consumer
/// that is not silent for too long still needs them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage retention show\n  \
lakestage retention set --days 2 --bytes 500000000\n  \
lakestage retention forget warehouse")]
pub(crate) struct RetentionArgs {
    #[command(subcommand)]
    command: RetentionCommand,
}

#[derive(Debug, Subcommand)]
enum RetentionCommand {
    /// Show the limits and the consumers
    Show(ShowArgs),
    /// Set the limits; one that is left out is lifted
    Set(SetArgs),
    /// Forget a consumer and where it stands
    Forget(ForgetArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// Days to keep a change
    #[arg(long)]
    days: Option<u64>,

    /// Bytes of changes to keep
    #[arg(long)]
    bytes: Option<u64>,

    /// Changes to keep
    #[arg(long)]
    rows: Option<u64>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct ForgetArgs {
    /// The consumer
    name: String,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    retention: Retention,
    consumers: Vec<ConsumerStatus>,
}

pub(crate) fn run(args: &RetentionArgs, session: &Session<'_>) -> Result<()> {
    let environment = match &args.command {
        RetentionCommand::Show(args) => &args.environment,
        RetentionCommand::Set(args) => &args.environment,
        RetentionCommand::Forget(args) => &args.environment,
    };
    let environment = session
        .data
        .environment(environment.environment.as_deref())?;
    match &args.command {
        RetentionCommand::Show(_) => {}
        RetentionCommand::Set(args) => {
            const DAY_S: u64 = 24 * 3_600;
            environment.set_retention(Retention {
                age_s: args.days.map(|days| days.saturating_mul(DAY_S)),
                bytes: args.bytes,
                rows: args.rows,
            })?;
        }
        RetentionCommand::Forget(args) => environment.remove_consumer(&args.name)?,
    }
    let shown = Shown {
        retention: environment.retention(),
        consumers: environment.consumers(),
    };
    output::print(session.console, session.json, &shown, text)
}

fn text(shown: &Shown) -> String {
    let Retention { age_s, bytes, rows } = shown.retention;
    let limits: Vec<String> = [
        age_s.map(|s| format!("{} hours", count_text(s / 3_600))),
        bytes.map(bytes_text),
        rows.map(|rows| format!("{} changes", count_text(rows))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut text = match limits.is_empty() {
        true => "changes are kept without a limit\n".to_owned(),
        false => format!("changes are kept up to {}\n", limits.join(", ")),
    };
    if shown.consumers.is_empty() {
        return text;
    }
    let mut lines = TextTable::new(&[
        ("consumer", Align::Left),
        ("table", Align::Left),
        ("version", Align::Right),
        ("last seen", Align::Left),
        ("state", Align::Left),
    ]);
    for consumer in &shown.consumers {
        lines.row(vec![
            consumer.name.clone(),
            consumer.table.clone(),
            count_text(consumer.version),
            time_text(consumer.last_seen_unix_s),
            if consumer.is_expired {
                "expired"
            } else {
                "keeps what it has not read"
            }
            .to_owned(),
        ]);
    }
    text.push_str(&lines.text("  "));
    text
}
