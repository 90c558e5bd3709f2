//! `lakestage link`

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use lakestage::LakeAddress;
use lakestage_engine::{
    DeletePartition, Environment, Granularity, LinkStatus, LinkTableOptions, Mode, ModelSettings,
    NewLink, PartitionNames,
};

use super::environment::EnvironmentArg;
use super::output;
use super::run::Session;

/// Link tables to a lake, and show the links.
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
    #[command(after_help = "Examples:\n  \
lakestage link new --table account --table contact\n  \
lakestage link new --all --to folder:/srv/lake\n  \
lakestage link new --table account,mode=append-only --table contact,partition=month\n\n\
What may follow a table's name:\n  \
mode=in-place        an update replaces its row, a delete removes it; needs createdon, and is the default there\n  \
mode=append-only     a changed row is added once a snapshot, a deleted one with IsDelete; always partitioned by year\n  \
partition=year|month a file a year, or a month, of createdon\n  \
deletes=no-date      append-only: rows of deletes go into 1.csv (default)\n  \
deletes=original     append-only: rows of deletes go into the partition that the row was in")]
    New(NewArgs),
    /// Show the links
    List(ListArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    /// A name for the link
    #[arg(default_value = "lake")]
    name: String,

    /// A table to link, with its options; may be given several times
    #[arg(
        long = "table",
        value_name = "TABLE[,OPTION=VALUE...]",
        required_unless_present = "all"
    )]
    tables: Vec<TableChoice>,

    /// Link every table that has change tracking on
    #[arg(long, conflicts_with = "tables")]
    all: bool,

    /// The lake: emulator, emulator:<account> or folder:<path>
    #[arg(long, default_value = "emulator")]
    to: LakeAddress,

    /// What the locations in model.json start with
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// How many snapshots stay readable, or all
    #[arg(long, value_name = "COUNT", default_value = "5")]
    keep_snapshots: KeptSnapshots,

    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    environment: EnvironmentArg,
}

/// What no public source settles about the service's model.json.
#[derive(Debug, Args)]
struct ModelArgs {
    /// How many digits model.json says that decimals have; the scale is the column's own
    #[arg(long, value_name = "DIGITS", default_value_t = ModelSettings::default().decimal_precision)]
    decimal_precision: u32,

    /// What partitions are called in model.json
    #[arg(long, value_enum, default_value_t = PartitionNamesArg::Partition)]
    partition_names: PartitionNamesArg,

    /// Leave Athena:PartitionMonth out of partitions by month
    #[arg(long)]
    no_month_annotation: bool,

    /// The language of the labels in the metadata, as Windows numbers them
    #[arg(long, value_name = "CODE", default_value_t = ModelSettings::default().label_language_code)]
    label_language_code: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartitionNamesArg {
    /// As the partition, such as 2024
    Partition,
    /// As the snapshot file without its ending, such as 2024_1700000000
    File,
}

impl From<&ModelArgs> for ModelSettings {
    fn from(args: &ModelArgs) -> Self {
        ModelSettings {
            decimal_precision: args.decimal_precision,
            partition_names: match args.partition_names {
                PartitionNamesArg::Partition => PartitionNames::Partition,
                PartitionNamesArg::File => PartitionNames::File,
            },
            month_annotation: !args.no_month_annotation,
            label_language_code: args.label_language_code,
        }
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
}

/// How many snapshots a link keeps, as text.
#[derive(Debug, Clone, Copy)]
struct KeptSnapshots(Option<u32>);

impl FromStr for KeptSnapshots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = text.parse().ok().filter(|count| (1..=100).contains(count));
        match (text, count) {
            ("all", _) => Ok(KeptSnapshots(None)),
            (_, Some(count)) => Ok(KeptSnapshots(Some(count))),
            _ => Err("write a number from 1 to 100, or all".to_owned()),
        }
    }
}

/// A table with its options, as text: `account,mode=append-only`.
#[derive(Debug, Clone)]
struct TableChoice(LinkTableOptions);

impl FromStr for TableChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let mut options = LinkTableOptions::of(parts.next().unwrap_or_default());
        for part in parts {
            match part {
                "mode=in-place" => options.mode = Some(Mode::InPlace),
                "mode=append-only" => options.mode = Some(Mode::AppendOnly),
                "partition=year" => options.granularity = Some(Granularity::Year),
                "partition=month" => options.granularity = Some(Granularity::Month),
                "deletes=no-date" => options.deletes = DeletePartition::NoDate,
                "deletes=original" => options.deletes = DeletePartition::Original,
                _ => {
                    return Err(format!(
                        "\"{part}\" is no option of a table: there are mode=in-place, mode=append-only, partition=year, partition=month, deletes=no-date and deletes=original"
                    ));
                }
            }
        }
        Ok(TableChoice(options))
    }
}

pub(crate) fn run(args: &LinkArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        LinkCommand::New(args) => new(args, session),
        LinkCommand::List(args) => list(args, session),
    }
}

fn new(args: &NewArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let to = match &args.to {
        // The link is used from other folders too.
        LakeAddress::Folder(folder) => LakeAddress::Folder(absolute(session, folder)),
        other => other.clone(),
    };
    let tables = match args.all {
        true => tracked_tables(&environment)?,
        false => args.tables.iter().map(|choice| choice.0.clone()).collect(),
    };
    let filesystem = environment.filesystem_name();
    let lake = session.data.lake(&to, &filesystem)?;
    let endpoint = args.endpoint.clone();
    let endpoint = endpoint.unwrap_or_else(|| default_endpoint(&to));
    let link = NewLink {
        model: (&args.model).into(),
        snapshots_kept: args.keep_snapshots.0,
        ..NewLink::new(&args.name, &to.to_string(), &endpoint, tables)
    };
    environment.create_link(&*lake, &link)?;
    let status = environment.link(&args.name)?;
    output::print(session.console, session.json, &status, |status| {
        let names: Vec<&str> = status.tables.iter().map(|t| t.name.as_str()).collect();
        format!(
            "linked {} to {filesystem} in {to}\nnext: lakestage snapshot {}",
            names.join(", "),
            status.name
        )
    })
}

fn absolute(session: &Session<'_>, folder: &std::path::Path) -> PathBuf {
    super::command::resolve(&session.folder, folder)
}

fn tracked_tables(environment: &Environment) -> Result<Vec<LinkTableOptions>> {
    let tables = environment.status()?.tables;
    let tracked = tables.into_iter().filter(|table| table.change_tracking);
    let options = tracked.map(|table| LinkTableOptions::of(&table.name));
    Ok(options.collect())
}

/// The address the real account of that name would have, as the service writes it.
pub(crate) fn default_endpoint(lake: &LakeAddress) -> String {
    let account = match lake {
        LakeAddress::Emulator { account } => account,
        LakeAddress::Folder(_) => lakestage_emulator::DEFAULT_ACCOUNT_NAME,
    };
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

fn list(args: &ListArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let links = environment.links();
    output::print(session.console, session.json, &links, |links| {
        match links.is_empty() {
            true => "no links; create one with `lakestage link new --all`".to_owned(),
            false => links.iter().map(super::status::link_text).collect(),
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_follow_a_tables_name() {
        let choice: TableChoice = "account,mode=append-only,deletes=original".parse().unwrap();
        assert_eq!(choice.0.table, "account");
        assert_eq!(choice.0.mode, Some(Mode::AppendOnly));
        assert_eq!(choice.0.deletes, DeletePartition::Original);
        assert!(
            "account,mode=both"
                .parse::<TableChoice>()
                .unwrap_err()
                .contains("mode=in-place")
        );
    }
}
