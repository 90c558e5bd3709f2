//! `lakestage ingest`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lakestage_engine::{Ingest, IngestFormat, IngestOptions, IngestProgress, Write};

use super::command::resolve;
use super::environment::EnvironmentArg;
use super::output::{self, counted};
use super::progress::CountedInput;
use super::run::Session;

/// Take rows into a table.
///
/// Columns are matched by name; the primary key may also be called Id. A column that the input does not have keeps its
/// value where the row exists. A column @op may say for each row what to do: create, update, upsert or delete.
///
/// Rows are committed in steps. A row that breaks a rule ends the work: its step is not kept, the ones before are, and
/// the error names table, row, column, value and rule. Correct the row and go on with --skip-rows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
lakestage ingest account accounts.csv\n  \
lakestage ingest account changes.jsonl --write update\n  \
zcat rows.jsonl.gz | lakestage ingest contact --format jsonl")]
pub(crate) struct IngestArgs {
    /// The table
    table: String,

    /// The rows; standard input where it is left out or -
    file: Option<PathBuf>,

    /// The format; told by the file's name where it is left out
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// What a row is meant to do, unless its @op says so
    #[arg(long, value_enum, default_value_t = Operation::Upsert)]
    write: Operation,

    /// Rows a commit
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    rows_per_commit: u32,

    /// Print a line after each commit; what it counts survives a power cut
    #[arg(long)]
    report_commits: bool,

    /// Pass over this many rows at the start
    #[arg(long, default_value_t = 0)]
    skip_rows: u64,

    /// Leave a column of the input out; may be given several times
    #[arg(long, value_name = "COLUMN")]
    ignore_column: Vec<String>,

    #[command(flatten)]
    environment: EnvironmentArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// CSV with a header
    Csv,
    /// One JSON object a line
    Jsonl,
    /// Apache Parquet
    Parquet,
    /// Arrow IPC, file or stream
    Arrow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Fails if the row exists
    Create,
    /// Fails if the row does not exist
    Update,
    /// Creates the row, or updates it
    Upsert,
    /// Removes the row; only the key is read
    Delete,
}

impl From<Operation> for Option<Write> {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Create => Some(Write::Create),
            Operation::Update => Some(Write::Update),
            Operation::Upsert => Some(Write::Upsert),
            Operation::Delete => None,
        }
    }
}

impl From<Format> for IngestFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => IngestFormat::Csv,
            Format::Jsonl => IngestFormat::JsonLines,
            Format::Parquet => IngestFormat::Parquet,
            Format::Arrow => IngestFormat::ArrowIpc,
        }
    }
}

pub(crate) fn run(args: &IngestArgs, session: &Session<'_>) -> Result<()> {
    let environment = session
        .data
        .environment(args.environment.environment.as_deref())?;
    let options = IngestOptions {
        write: args.write.into(),
        rows_per_commit: args.rows_per_commit,
        skip_rows: args.skip_rows,
        ignored_columns: args.ignore_column.clone(),
    };
    let ingest = Ingest::into_table(&environment, &args.table, options)?;
    let format = args.format()?;
    let (input, bytes_total) = args.input(session)?;
    let mut input = CountedInput::new(input, session.console, &args.table, bytes_total);
    let mut last = IngestProgress::default();
    let mut told = Ok(());
    let done = ingest.run(format, &mut input, &mut |progress| {
        last = *progress;
        if args.report_commits && told.is_ok() {
            told = tell_commit(progress, session);
        }
    });
    drop(input);
    let report = match done {
        Ok(report) => report,
        Err(error) => {
            tell_kept(&last, session)?;
            return Err(error.into());
        }
    };
    told?;
    output::print(session.console, session.json, &report, |report| {
        format!(
            "{}: {} in {}; the last version is {}",
            args.table,
            counted(report.rows_committed, "row"),
            counted(report.commits, "commit"),
            report.last_version
        )
    })
}

fn tell_commit(progress: &IngestProgress, session: &Session<'_>) -> Result<()> {
    output::print(session.console, session.json, progress, |progress| {
        let rows = counted(progress.rows_done, "row");
        format!(
            "{rows} committed; the last version is {}",
            progress.last_version
        )
    })
}

/// Says what one must know to go on after a mistake.
fn tell_kept(last: &IngestProgress, session: &Session<'_>) -> Result<()> {
    if session.json {
        return output::print(session.console, true, last, |_| String::new());
    }
    session.console.note(&match last.rows_done {
        0 => "nothing was taken in".to_owned(),
        rows => format!(
            "what is taken in: the first {}, nothing after; go on with --skip-rows {rows}",
            counted(rows, "row")
        ),
    });
    Ok(())
}

impl IngestArgs {
    fn path(&self) -> Option<&Path> {
        self.file.as_deref().filter(|path| *path != Path::new("-"))
    }

    fn format(&self) -> Result<IngestFormat> {
        let told = self.path().and_then(IngestFormat::of);
        match self.format.map(IngestFormat::from).or(told) {
            Some(format) => Ok(format),
            None => bail!(
                "the format of {} cannot be told; name it with --format csv, jsonl, parquet or arrow",
                self.path().unwrap_or(Path::new("standard input")).display()
            ),
        }
    }

    fn input(&self, session: &Session<'_>) -> Result<(Box<dyn Read + Send>, Option<u64>)> {
        let Some(path) = self.path() else {
            return Ok((session.console.input()?, None));
        };
        let path = resolve(&session.folder, path);
        let named = || path.display().to_string();
        let file = File::open(&path).with_context(named)?;
        let metadata = file.metadata().with_context(named)?;
        if metadata.is_dir() {
            bail!("{} is a folder; name a file", path.display());
        }
        let total = metadata.is_file().then_some(metadata.len());
        Ok((Box::new(file), total))
    }
}
