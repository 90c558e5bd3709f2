//! `lakestage link new`

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lakestage::LakeAddress;
use lakestage_engine::{
    Environment, FileFormat, FileOptions, LinkTableOptions, ModelSettings, NewLink, PartitionNames,
};

use super::default_endpoint;
use super::policy::PolicyOptions;
use super::table_choice::TableChoice;
use crate::cli::command::resolve;
use crate::cli::environment::EnvironmentArg;
use crate::cli::output;
use crate::cli::run::Session;
use crate::cli::trickle::seconds;

#[derive(Debug, Args)]
pub(super) struct NewArgs {
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

    /// The lake: emulator, emulator:<account>, folder:<path>, or account:<name> for an account of `lakestage account`
    #[arg(long, default_value = "emulator")]
    to: LakeAddress,

    /// What the locations in model.json start with
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// How many snapshots stay readable, or all
    #[arg(long, value_name = "COUNT", default_value = "5")]
    keep_snapshots: KeptSnapshots,

    /// What each partition is written as
    #[arg(long, value_enum, default_value_t = FormatArg::Csv)]
    format: FormatArg,

    /// Let a partition continue in further files, such as 2024_001.csv: no file has more bytes than this, 1048576 or more
    #[arg(long, value_name = "BYTES")]
    file_bytes: Option<u64>,

    /// Let a partition continue in further files: no file has more rows than this, 10000 or more
    #[arg(long, value_name = "ROWS")]
    file_rows: Option<u64>,

    /// Write what changed into a folder of its own that often, instead of snapshots: 5m to 24h
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with_all = ["keep_snapshots", "partition_names", "no_month_annotation"])]
    incremental: Option<u32>,

    #[command(flatten)]
    policy: PolicyOptions,

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
enum FormatArg {
    /// CSV, as the service writes
    Csv,
    /// Parquet with typed columns, instead of CSV
    Parquet,
    /// Both: model.json names the CSV files, and the Parquet files in an annotation of each partition
    Both,
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

pub(super) fn run(args: &NewArgs, session: &Session<'_>) -> Result<()> {
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
    let endpoint = match &args.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => default_endpoint(session.data, &to)?,
    };
    let link = NewLink {
        model: (&args.model).into(),
        snapshots_kept: args.keep_snapshots.0,
        files: FileOptions {
            format: match args.format {
                FormatArg::Csv => FileFormat::Csv,
                FormatArg::Parquet => FileFormat::Parquet,
                FormatArg::Both => FileFormat::Both,
            },
            bytes_max: args.file_bytes,
            rows_max: args.file_rows,
        },
        incremental_every_s: args.incremental,
        ..NewLink::new(&args.name, &to.to_string(), &endpoint, tables)
    };
    let policy = args.policy.policy()?;
    if args.incremental.is_some() && policy.keeps_snapshots() {
        bail!("a link that writes folders holds every change in them; --publish is for snapshots");
    }
    environment.create_link(&*lake, &link)?;
    environment.set_publish_policy(&link.name, policy)?;
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
    resolve(&session.folder, folder)
}

fn tracked_tables(environment: &Environment) -> Result<Vec<LinkTableOptions>> {
    let tables = environment.status()?.tables;
    let tracked = tables.into_iter().filter(|table| table.change_tracking);
    let options = tracked.map(|table| LinkTableOptions::of(&table.name));
    Ok(options.collect())
}
