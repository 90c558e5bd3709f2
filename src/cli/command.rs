//! The commands and the options that all of them have.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use super::{
    account, backup, bench, changes, demo, dump, environment, fs, ingest, link, publish, quota,
    retention, salvage, serve, snapshot, status, table, token, trickle, verify,
};

/// Azure Synapse Link for Dataverse and its data lake, on one machine.
///
/// Rows go into a crash-safe log, come out as versioned CSV snapshots with a model.json, and stand in a lake that
/// Azure's own clients read. Start with `lakestage demo`.
#[derive(Debug, Parser)]
#[command(
    name = "lakestage",
    version,
    max_term_width = 100,
    propagate_version = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 the work failed, 2 wrong usage.\n\n\
A first session:\n  \
lakestage init contoso --organization org1\n  \
lakestage table add account.json\n  \
lakestage ingest account rows.csv\n  \
lakestage link new --table account\n  \
lakestage snapshot\n  \
lakestage fs cat dataverse-contoso-org1/model.json\n  \
lakestage serve"
)]
pub(crate) struct Cli {
    /// The folder that everything stands in
    #[arg(
        long,
        global = true,
        help_heading = "Everywhere",
        env = "LAKESTAGE_DATA",
        value_name = "FOLDER",
        default_value = "lakestage-data"
    )]
    pub data: PathBuf,

    /// Write JSON for scripts instead of text for people; errors too
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole of it on sample data, then serve the lake
    Demo(demo::DemoArgs),
    /// Serve the lake on the Blob and the DFS port
    Serve(serve::ServeArgs),
    /// Serve the lake and keep it up to date: near-real-time files and snapshots
    Run(trickle::RunArgs),
    /// Create an environment
    Init(environment::InitArgs),
    /// Add tables from schema files, and show them
    Table(table::TableArgs),
    /// Take rows into a table
    Ingest(ingest::IngestArgs),
    /// Link tables to a lake, and show the links
    Link(link::LinkArgs),
    /// Say which storage accounts links can publish to
    Account(account::AccountArgs),
    /// Publish links to their storage accounts, and compare what is there
    Publish(publish::PublishArgs),
    /// Publish what was committed since the last snapshot
    Snapshot(snapshot::SnapshotArgs),
    /// Show the changes of a table, from a token on
    Changes(changes::ChangesArgs),
    /// Say how long changes are kept, and show who keeps them
    Retention(retention::RetentionArgs),
    /// Say how much an environment may hold, and show what it holds
    Quota(quota::QuotaArgs),
    /// Show environments, tables and links in numbers
    Status(status::StatusArgs),
    /// Write a backup of an environment while others go on writing
    Backup(backup::BackupArgs),
    /// Restore a backup as an environment that is not there
    Restore(backup::RestoreArgs),
    /// Look for damage in environments and in what their lakes show
    Verify(verify::VerifyArgs),
    /// Keep what is whole of a damaged environment, in a new data folder
    Salvage(salvage::SalvageArgs),
    /// Show what stands in an environment's files
    Dump(dump::DumpArgs),
    /// Work with the files of the emulator's lake
    Fs(fs::FsArgs),
    /// Measure on this machine
    Bench(bench::BenchArgs),
    /// Issue a bearer token for an account of the emulator
    Token(token::TokenArgs),
}

impl Cli {
    /// Whether a running `serve` of the same folder carries the command out.
    pub(crate) fn can_be_forwarded(&self) -> bool {
        !matches!(
            self.command,
            Command::Bench(_)
                | Command::Demo(_)
                | Command::Serve(_)
                | Command::Run(_)
                | Command::Token(_)
        )
    }
}

/// A path of the command line, as seen from the folder it was typed in.
pub(crate) fn resolve(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }
}
