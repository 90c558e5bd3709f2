//! `lakestage link tables`, `pause`, `resume` and `unlink`

use anyhow::Result;
use clap::{Args, Subcommand};
use lakestage_engine::{Environment, LinkTableOptions};
use serde_json::json;

use super::table_choice::{TableChoice, table_options_help};
use super::{find, lake_of};
use crate::cli::environment::EnvironmentArg;
use crate::cli::output;
use crate::cli::run::Session;
use crate::cli::status::link_text;

#[derive(Debug, Args)]
pub(super) struct NameArgs {
    /// The link
    #[arg(default_value = "lake")]
    name: String,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
pub(super) struct TablesArgs {
    #[command(subcommand)]
    command: TablesCommand,
}

#[derive(Debug, Subcommand)]
enum TablesCommand {
    /// Add tables; the next snapshot is their initial sync
    #[command(after_help = concat!("Examples:\n  \
lakestage link tables add contact\n  \
lakestage link tables add contact,partition=month opportunity --link lake\n\n", table_options_help!()))]
    Add(AddArgs),
    /// Take tables out: a snapshot without them is published, and their folders are removed
    #[command(after_help = "Example:\n  lakestage link tables remove contact opportunity")]
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The tables, with their options
    #[arg(value_name = "TABLE[,OPTION=VALUE...]", required = true)]
    tables: Vec<TableChoice>,

    #[command(flatten)]
    link: LinkArg,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The tables
    #[arg(value_name = "TABLE", required = true)]
    tables: Vec<String>,

    #[command(flatten)]
    link: LinkArg,
}

#[derive(Debug, Args)]
struct LinkArg {
    /// The link
    #[arg(long = "link", value_name = "LINK", default_value = "lake")]
    name: String,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
pub(super) struct UnlinkArgs {
    /// The link
    name: String,

    /// Remove the filesystem with everything in it as well
    #[arg(long)]
    delete_data: bool,

    #[command(flatten)]
    environment: EnvironmentArg,
}

pub(super) fn tables(args: &TablesArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        TablesCommand::Add(args) => add(args, session),
        TablesCommand::Remove(args) => remove(args, session),
    }
}

fn add(args: &AddArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = find(session, &args.link.environment, &args.link.name)?;
    let lake = lake_of(session, &link)?;
    let tables: Vec<LinkTableOptions> = args.tables.iter().map(|t| t.0.clone()).collect();
    environment.add_link_tables(&link.name, &*lake, &tables)?;
    show(&environment, &link.name, session)
}

fn remove(args: &RemoveArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = find(session, &args.link.environment, &args.link.name)?;
    let lake = lake_of(session, &link)?;
    environment.remove_link_tables(&link.name, &*lake, &args.tables)?;
    show(&environment, &link.name, session)
}

pub(super) fn pause(args: &NameArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = find(session, &args.environment, &args.name)?;
    environment.pause_link(&link.name)?;
    show(&environment, &link.name, session)
}

pub(super) fn resume(args: &NameArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = find(session, &args.environment, &args.name)?;
    environment.resume_link(&link.name)?;
    show(&environment, &link.name, session)
}

fn show(environment: &Environment, link: &str, session: &Session<'_>) -> Result<()> {
    let status = environment.link(link)?;
    output::print(session.console, session.json, &status, link_text)
}

pub(super) fn unlink(args: &UnlinkArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = find(session, &args.environment, &args.name)?;
    let lake = lake_of(session, &link)?;
    environment.unlink(&link.name, &*lake, args.delete_data)?;
    let done = json!({ "unlinked": link.name, "dataDeleted": args.delete_data });
    output::print(session.console, session.json, &done, |_| {
        let (filesystem, lake) = (&link.filesystem, &link.lake);
        match args.delete_data {
            true => format!(
                "the link {} is gone, and so is {filesystem} in {lake}",
                link.name
            ),
            false => format!(
                "the link {} is gone; {filesystem} in {lake} stays as it is, and must be removed before it is linked again",
                link.name
            ),
        }
    })
}
