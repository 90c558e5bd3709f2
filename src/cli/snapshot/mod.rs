//! `lakestage snapshot`

mod at;
mod diff;
mod list;
mod pin;
mod publish;
mod read;

pub(crate) use publish::{LinkSnapshot, snapshot_text};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lakestage_engine::{Environment, LinkStatus};

use self::at::At;
use super::environment::EnvironmentArg;
use super::run::Session;

/// Publish what was committed since the last snapshot, and work with the snapshots that are kept.
///
/// A snapshot is one consistent cut over all tables of a link. Partitions without change keep their files. Readers
/// follow model.json, which is replaced last and at once. The newest five are kept unless the link says otherwise, and
/// those that are pinned.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
lakestage snapshot\n  \
lakestage snapshot lake --json\n  \
lakestage snapshot list\n  \
lakestage snapshot diff\n  \
lakestage snapshot read account --at 2026-11-25T08:00:00Z"
)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    command: Option<SnapshotCommand>,

    #[command(flatten)]
    publish: PublishArgs,
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// The link; all links where it is left out
    link: Option<String>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Show the snapshots that can be read
    #[command(after_help = "Example:\n  lakestage snapshot list")]
    List(list::ListArgs),
    /// Write a table as it stands in a snapshot
    ///
    /// The rows come as they stand in the files: an append-only table has a row for each change.
    #[command(after_help = "Examples:\n  \
lakestage snapshot read account > account.csv\n  \
lakestage snapshot read account --at previous --format jsonl\n  \
lakestage snapshot read account --at v4598")]
    Read(read::ReadArgs),
    /// Compare two snapshots
    #[command(after_help = "Examples:\n  \
lakestage snapshot diff\n  \
lakestage snapshot diff --from 2026-11-25T08:00:00Z --to newest --rows")]
    Diff(diff::DiffArgs),
    /// Keep a snapshot beyond its time
    #[command(after_help = "Examples:\n  \
lakestage snapshot pin year-end\n  \
lakestage snapshot pin audit --at v4598 --until 2027-03-31T00:00:00Z")]
    Pin(pin::PinArgs),
    /// Let a pinned snapshot go
    #[command(after_help = "Example:\n  lakestage snapshot unpin year-end")]
    Unpin(pin::UnpinArgs),
}

/// Which link's snapshots are meant.
#[derive(Debug, Args)]
struct LinkArg {
    /// The link; needed only where there are several
    #[arg(long, value_name = "LINK")]
    link: Option<String>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

impl LinkArg {
    fn find(&self, session: &Session<'_>) -> Result<(Environment, LinkStatus)> {
        let name = self.environment.environment.as_deref();
        let environment = session.data.environment(name)?;
        if let Some(link) = &self.link {
            let link = environment.link(link)?;
            return Ok((environment, link));
        }
        let mut links = environment.links();
        match (links.pop(), links.is_empty()) {
            (Some(only), true) => Ok((environment, only)),
            (None, _) => bail!("there is no link yet; create one with `lakestage link new --all`"),
            (Some(last), false) => {
                let mut names: Vec<String> = links.into_iter().map(|link| link.name).collect();
                names.push(last.name);
                bail!("name the link with --link: there are {}", names.join(", "))
            }
        }
    }
}

pub(crate) fn run(args: &SnapshotArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        None => publish::run(&args.publish, session),
        Some(SnapshotCommand::List(args)) => list::run(args, session),
        Some(SnapshotCommand::Read(args)) => read::run(args, session),
        Some(SnapshotCommand::Diff(args)) => diff::run(args, session),
        Some(SnapshotCommand::Pin(args)) => pin::run(args, session),
        Some(SnapshotCommand::Unpin(args)) => pin::unpin(args, session),
    }
}
