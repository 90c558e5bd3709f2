//! `lakestage link`

mod change;
mod new;
mod policy;
mod status;
mod table_choice;

use anyhow::Result;
use clap::{Args, Subcommand};
use lakestage::{DataFolder, LakeAddress};
use lakestage_engine::{Environment, LinkStatus};

use super::environment::EnvironmentArg;
use super::run::Session;
use table_choice::table_options_help;

/// Link tables to a lake, change the links and show them.
#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    #[command(subcommand)]
    command: LinkCommand,
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
    /// Link tables to a lake
    ///
    /// Creates the filesystem dataverse-<environment>-<organization> with a folder for each table. The first snapshot
    /// fills them.
    #[command(after_help = concat!("Examples:\n  \
lakestage link new --table account --table contact\n  \
lakestage link new --all --to folder:/srv/lake\n  \
lakestage link new --table account,mode=append-only --table contact,partition=month\n  \
lakestage link new --all --incremental 15m\n\n", table_options_help!()))]
    New(new::NewArgs),
    /// Show the links
    #[command(
        visible_alias = "list",
        after_help = "Examples:\n  lakestage link status\n  lakestage link status lake --json"
    )]
    Status(status::StatusArgs),
    /// Add tables to a link, or take them out
    Tables(change::TablesArgs),
    /// Say which snapshots go to the lake, and how many may wait for it
    ///
    /// A lake that is away for days gets its newest state once it is there again, or each state that the link had at its
    /// hours. For the latter snapshots are taken here and wait; their near-real-time files come with them. What is not
    /// said is as for a new link.
    #[command(after_help = "Examples:\n  \
lakestage link policy site --publish all --backlog 168\n  \
lakestage link policy site --publish every:24 --when-full take-no-more\n  \
lakestage link policy site --publish newest")]
    Policy(policy::PolicyArgs),
    /// Let a link rest; changes wait until it is resumed
    #[command(after_help = "Example:\n  lakestage link pause lake")]
    Pause(change::NameArgs),
    /// Let a paused link publish again
    #[command(after_help = "Example:\n  lakestage link resume lake")]
    Resume(change::NameArgs),
    /// Remove a link
    ///
    /// The filesystem stays as it is unless --delete-data is given. It must be removed before the environment is linked
    /// to the same lake again.
    #[command(
        after_help = "Examples:\n  lakestage link unlink lake\n  lakestage link unlink lake --delete-data"
    )]
    Unlink(change::UnlinkArgs),
}

pub(crate) fn run(args: &LinkArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        LinkCommand::New(args) => new::run(args, session),
        LinkCommand::Status(args) => status::run(args, session),
        LinkCommand::Tables(args) => change::tables(args, session),
        LinkCommand::Policy(args) => policy::run(args, session),
        LinkCommand::Pause(args) => change::pause(args, session),
        LinkCommand::Resume(args) => change::resume(args, session),
        LinkCommand::Unlink(args) => change::unlink(args, session),
    }
}

fn find(
    session: &Session<'_>,
    environment: &EnvironmentArg,
    name: &str,
) -> Result<(Environment, LinkStatus)> {
    let environment = session
        .data
        .environment(environment.environment.as_deref())?;
    let link = environment.link(name)?;
    Ok((environment, link))
}

/// What locations in `model.json` start with, unless the link says otherwise.
fn default_endpoint(data: &DataFolder, lake: &LakeAddress) -> Result<String> {
    let account = match lake {
        LakeAddress::Emulator { account } => account.clone(),
        LakeAddress::Folder(_) => lakestage_emulator::DEFAULT_ACCOUNT_NAME.to_owned(),
        LakeAddress::Account(name) => {
            let options = data.accounts().options(name)?;
            options.endpoint.account().to_owned()
        }
    };
    Ok(azure_endpoint(&account))
}

/// The address the real account of that name has, as the service writes it.
pub(crate) fn azure_endpoint(account: &str) -> String {
    format!("https://{account}.dfs.core.windows.net:443")
}

/// The lake that a link writes to.
pub(crate) fn lake_of(
    session: &Session<'_>,
    link: &LinkStatus,
) -> Result<Box<dyn lakestage_engine::Lake>> {
    let address: LakeAddress = link.lake.parse().map_err(anyhow::Error::msg)?;
    session.data.lake(&address, &link.filesystem)
}
