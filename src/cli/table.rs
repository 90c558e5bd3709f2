//! `lakestage table`

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use lakestage_engine::{Granularity, SchemaChange, TableOptions, TableSchema};
use serde::Serialize;

use super::command::resolve;
use super::environment::EnvironmentArg;
use super::output::{self, Align, TextTable};
use super::run::Session;

/// Add tables from schema files, and show them.
#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    #[command(subcommand)]
    command: TableCommand,
}

#[derive(Debug, Subcommand)]
enum TableCommand {
    /// Add tables, each from a JSON file that names its columns and their types
    ///
    /// fixtures/table.schema.json in lakestage's repository describes the file; fixtures/sample/tables holds examples.
    #[command(
        after_help = "Example:\n  lakestage table add account.json contact.json --partition month"
    )]
    Add(AddArgs),
    /// Change a table's columns while it has rows and writers
    ///
    /// A column that the new schema has and the table has not is added behind all others; one that only the table has
    /// is dropped: it keeps its place in the files and is null from then on. Texts, ranges, choices and lookups may get
    /// wider. Rows that are there stay as they are. A change of a type, of the primary key or of createdon, and anything
    /// narrower, is refused: that takes a table of a new name. The lake shows the change with the next snapshot.
    #[command(
        after_help = "Example:\n  lakestage --json table show account > account.json\n  lakestage table alter account account.json"
    )]
    Alter(AlterArgs),
    /// Show the tables
    List(ListArgs),
    /// Show a table's columns in the order of the CSV
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Schema files
    #[arg(required = true, value_name = "SCHEMA.json")]
    schemas: Vec<PathBuf>,

    /// How the table is partitioned by createdon, unless a link asks for something else
    #[arg(long, value_enum, default_value_t = Partition::Year)]
    partition: Partition,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct AlterArgs {
    /// The table
    table: String,

    /// Its new schema
    #[arg(value_name = "SCHEMA.json")]
    schema: PathBuf,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The table
    table: String,

    #[command(flatten)]
    environment: EnvironmentArg,
}

/// A partition's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Partition {
    /// A file a year
    Year,
    /// A file a month
    Month,
    /// Two files a month
    HalfMonth,
    /// Six files a month
    FiveDay,
}

impl From<Partition> for Granularity {
    fn from(partition: Partition) -> Self {
        match partition {
            Partition::Year => Granularity::Year,
            Partition::Month => Granularity::Month,
            Partition::HalfMonth => Granularity::HalfMonth,
            Partition::FiveDay => Granularity::FiveDay,
        }
    }
}

pub(crate) fn run(args: &TableArgs, session: &Session<'_>) -> Result<()> {
    match &args.command {
        TableCommand::Add(args) => add(args, session),
        TableCommand::Alter(args) => alter(args, session),
        TableCommand::List(args) => list(args, session),
        TableCommand::Show(args) => show(args, session),
    }
}

/// Reads a schema file.
pub(crate) fn read_schema(path: &Path) -> Result<TableSchema> {
    let named = || path.display().to_string();
    let json = fs::read_to_string(path).with_context(named)?;
    TableSchema::from_json(&json).with_context(named)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    table: String,
    columns: usize,
    change_tracking: bool,
}

fn add(args: &AddArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    // All files are read before the first table is added: a mistake in the last one changes nothing.
    let schemas = args
        .schemas
        .iter()
        .map(|path| read_schema(&resolve(&session.folder, path)))
        .collect::<Result<Vec<_>>>()?;
    for schema in schemas {
        let added = Added {
            table: schema.name().to_owned(),
            columns: schema.csv_columns(),
            change_tracking: schema.change_tracking(),
        };
        let options = TableOptions {
            granularity: args.partition.into(),
        };
        environment.create_table(schema, options)?;
        output::print(session.console, session.json, &added, |added| {
            let tracking = match added.change_tracking {
                true => "",
                false => ", change tracking off: it cannot be linked",
            };
            format!(
                "added {} ({} columns{tracking})",
                added.table, added.columns
            )
        })?;
    }
    Ok(())
}

fn alter(args: &AlterArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let schema = read_schema(&resolve(&session.folder, &args.schema))?;
    if schema.name() != args.table {
        bail!(
            "{} describes the table {}, and not {}",
            args.schema.display(),
            schema.name(),
            args.table
        );
    }
    let change = environment.alter_table(&schema)?;
    output::print(session.console, session.json, &change, change_text)
}

fn change_text(change: &SchemaChange) -> String {
    let parts = [
        ("added", &change.added),
        ("dropped", &change.dropped),
        ("taken up again", &change.restored),
        ("widened", &change.widened),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(_, columns)| !columns.is_empty())
        .map(|(what, columns)| format!("{what} {}", columns.join(", ")))
        .collect();
    match told.is_empty() {
        true => format!("{}: no column changes", change.table),
        false => format!("{}: {}", change.table, told.join("; ")),
    }
}

fn list(args: &ListArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let status = environment.status()?;
    output::print(session.console, session.json, &status.tables, |tables| {
        super::status::tables_text(tables, "")
    })
}

fn show(args: &ShowArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let schema = environment.schema(&args.table)?;
    if session.json {
        // As it was given, so that it can be added elsewhere.
        let given: serde_json::Value = serde_json::from_str(schema.json())?;
        return output::print(session.console, true, &given, |_| String::new());
    }
    output::print(session.console, false, &(), |()| {
        let mut table = TextTable::new(&[("column", Align::Left), ("type", Align::Left)]);
        for attribute in schema.attributes() {
            let dropped = if attribute.dropped { ", dropped" } else { "" };
            let kind = format!("{}{dropped}", attribute.kind);
            table.row(vec![attribute.name.clone(), kind]);
        }
        table.text("")
    })
}
