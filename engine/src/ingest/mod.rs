//! Rows from files: CSV with a header, JSON lines, Parquet and Arrow IPC.

mod arrow_columns;
mod columnar;
mod csv_rows;
mod json_lines;
mod under_way;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use under_way::UnderWay;

use crate::environment::{Environment, Transaction, Write};
use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::value::Value;

/// The column that says what a row is meant to do, where not every row is meant to do the same.
const OPERATION_COLUMN: &str = "@op";
/// Another name for the primary key: the one it has in the lake.
const ID_COLUMN: &str = "Id";

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestFormat {
    /// CSV with a header, RFC 4180.
    Csv,
    /// One JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, as a file or a stream.
    ArrowIpc,
}

impl IngestFormat {
    /// The format that a file's name tells.
    pub fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(IngestFormat::Csv),
            "jsonl" | "ndjson" | "json" => Some(IngestFormat::JsonLines),
            "parquet" => Some(IngestFormat::Parquet),
            "arrow" | "arrows" | "ipc" | "feather" => Some(IngestFormat::ArrowIpc),
            _ => None,
        }
    }
}

/// How rows are taken in.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// What a row without an `@op` of its own is meant to do; `None` is delete.
    pub write: Option<Write>,
    /// Rows a transaction.
    pub rows_per_commit: u32,
    /// Rows to pass over at the start, for going on after a mistake was mended.
    pub skip_rows: u64,
    /// Columns of the input to leave out.
    pub ignored_columns: Vec<String>,
}

impl Default for IngestOptions {
    fn default() -> Self {
        IngestOptions {
            write: Some(Write::Upsert),
            rows_per_commit: 10_000,
            skip_rows: 0,
            ignored_columns: Vec::new(),
        }
    }
}

/// How far an ingest is. Everything it counts is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngestProgress {
    /// Rows of the input that are done, skipped ones included.
    pub rows_done: u64,
    /// Row changes committed.
    pub rows_committed: u64,
    /// Transactions committed.
    pub commits: u64,
    /// The version of the last change committed; 0 before the first.
    pub last_version: u64,
}

/// What an ingest did.
pub type IngestReport = IngestProgress;

/// An ingest into one table.
pub struct Ingest<'e> {
    environment: &'e Environment,
    table: String,
    schema: Arc<TableSchema>,
    options: IngestOptions,
}

impl<'e> Ingest<'e> {
    /// Prepares an ingest.
    ///
    /// # Errors
    /// `NotFound` if there is no such table.
    pub fn into_table(
        environment: &'e Environment,
        table: &str,
        options: IngestOptions,
    ) -> Result<Self> {
        if options.rows_per_commit == 0 {
            return Err(Error::invalid("a commit needs at least one row"));
        }
        Ok(Ingest {
            schema: environment.schema(table)?,
            environment,
            table: table.to_owned(),
            options,
        })
    }

    /// Reads rows to the input's end and commits them; `progress` is called after each commit. While a commit becomes
    /// durable the next ones are made ready, a few at a time.
    ///
    /// # Errors
    /// The first row that is refused ends it, with the row's number; nothing of its transaction is
    /// kept, and what was committed before stays.
    pub fn run(
        &self,
        format: IngestFormat,
        input: &mut dyn Read,
        progress: &mut dyn FnMut(&IngestProgress),
    ) -> Result<IngestReport> {
        let columns = Columns {
            schema: &self.schema,
            ignored: &self.options.ignored_columns,
        };
        let mut run = Run {
            ingest: self,
            done: IngestProgress::default(),
            read: 0,
            open: None,
            under_way: UnderWay::default(),
            progress,
        };
        let mut row = |row: &RowIn<'_>| run.row(row);
        let read = match format {
            IngestFormat::Csv => csv_rows::read(&columns, input, &mut row),
            IngestFormat::JsonLines => json_lines::read(&columns, input, &mut row),
            IngestFormat::Parquet => columnar::parquet(&columns, input, &mut row),
            IngestFormat::ArrowIpc => columnar::arrow_ipc(&columns, input, &mut row),
        };
        let sent = read.and_then(|()| run.commit());
        // What was sent before a row was refused is kept, and counts. A commit that failed ends the work first.
        run.settle().and(sent)?;
        Ok(run.done)
    }
}

/// A row as a format's reader gives it on.
struct RowIn<'a> {
    values: &'a [(usize, Value<'a>)],
    operation: Option<&'a str>,
}

/// What a reader calls for each row, in order.
type OnRow<'f> = dyn FnMut(&RowIn<'_>) -> Result<()> + 'f;

/// What a column of the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Attribute(usize),
    Operation,
    Ignored,
}

/// Finds the attributes that the columns of an input belong to.
struct Columns<'a> {
    schema: &'a TableSchema,
    ignored: &'a [String],
}

impl Columns<'_> {
    fn target(&self, name: &str) -> Result<Target> {
        if name == OPERATION_COLUMN {
            return Ok(Target::Operation);
        }
        if self.ignored.iter().any(|ignored| ignored == name) {
            return Ok(Target::Ignored);
        }
        if name == ID_COLUMN {
            return Ok(Target::Attribute(self.schema.primary_key()));
        }
        self.schema.require(name).map(Target::Attribute)
    }

    /// The targets of a header, each attribute once.
    fn targets<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for name in names {
            let target = self.target(name)?;
            if target != Target::Ignored && targets.contains(&target) {
                return Err(Error::invalid(format!(
                    "the column \"{name}\" stands twice in the input"
                )));
            }
            targets.push(target);
        }
        Ok(targets)
    }
}

/// An ingest under way.
struct Run<'r, 'e> {
    ingest: &'r Ingest<'e>,
    done: IngestProgress,
    /// Rows read, whether committed or not.
    read: u64,
    open: Option<Transaction>,
    /// Commits that were sent and are not known to be durable.
    under_way: UnderWay,
    progress: &'r mut dyn FnMut(&IngestProgress),
}

impl Run<'_, '_> {
    fn row(&mut self, row: &RowIn<'_>) -> Result<()> {
        self.read += 1;
        if self.read <= self.ingest.options.skip_rows {
            self.done.rows_done = self.read;
            return Ok(());
        }
        let ingest = self.ingest;
        let transaction = self
            .open
            .get_or_insert_with(|| ingest.environment.transaction());
        apply(ingest, transaction, row).map_err(|error| error.at_row(self.read))?;
        if transaction.rows() >= ingest.options.rows_per_commit {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let Some(transaction) = self.open.take() else {
            return Ok(());
        };
        while !self.under_way.has_room(&transaction) {
            self.settle_one()?;
        }
        self.under_way.send(transaction, self.read)
    }

    /// Waits until everything that was sent is durable.
    fn settle(&mut self) -> Result<()> {
        while self.settle_one()? {}
        Ok(())
    }

    /// Waits for the oldest commit under way; `false` if there is none.
    fn settle_one(&mut self) -> Result<bool> {
        let Some(settled) = self.under_way.wait()? else {
            return Ok(false);
        };
        self.done.rows_done = settled.rows_done;
        self.done.rows_committed += settled.rows;
        self.done.commits += 1;
        self.done.last_version = settled.last_version;
        (self.progress)(&self.done);
        Ok(true)
    }
}

fn apply(ingest: &Ingest<'_>, transaction: &mut Transaction, row: &RowIn<'_>) -> Result<()> {
    let write = match row.operation {
        None | Some("") => ingest.options.write,
        Some("create") => Some(Write::Create),
        Some("update") => Some(Write::Update),
        Some("upsert") => Some(Write::Upsert),
        Some("delete") => None,
        Some(other) => {
            let rule = "must be create, update, upsert or delete";
            let error = crate::error::RowError::new(&ingest.table, rule);
            return Err(Box::new(error.column(OPERATION_COLUMN).value(other)).into());
        }
    };
    if let Some(write) = write {
        return transaction.write(write, &ingest.table, row.values);
    }
    let key = ingest.schema.primary_key();
    let id = row.values.iter().find(|(position, _)| *position == key);
    transaction.delete(&ingest.table, id.map_or(Value::Null, |(_, value)| *value))
}
