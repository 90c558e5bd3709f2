//! `lakestage snapshot read`

use std::io::{self, Write};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lakestage_engine::{SnapshotColumn, SnapshotReader, SnapshotTable};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::{At, LinkArg};
use crate::cli::console::ConsoleWriter;
use crate::cli::link::lake_of;
use crate::cli::run::Session;

#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// The table
    table: String,

    /// The snapshot: newest, previous, v<version>, its number, or the last one up to a time
    #[arg(long, value_name = "SNAPSHOT", default_value = "newest")]
    at: At,

    /// What the rows are written as
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,

    #[command(flatten)]
    link: LinkArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line with the names of the columns, then the lines of the CSV files as they stand
    Csv,
    /// One JSON object a line
    Jsonl,
}

pub(super) fn run(args: &ReadArgs, session: &Session<'_>) -> Result<()> {
    let (environment, link) = args.link.find(session)?;
    let lake = lake_of(session, &link)?;
    let snapshot = environment.open_snapshot(&link.name, &*lake, args.at.0)?;
    let table = snapshot.table(&args.table)?;
    let mut out = io::BufWriter::with_capacity(64 << 10, ConsoleWriter(session.console));
    match args.format {
        Format::Csv => csv_text(&snapshot, table, &mut out)?,
        Format::Jsonl => json_lines(&snapshot, table, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

fn csv_text(
    snapshot: &SnapshotReader<'_>,
    table: &SnapshotTable,
    out: &mut impl Write,
) -> Result<()> {
    let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    writeln!(out, "{}", names.join(","))?;
    for file in &table.files {
        match file.ends_with(".csv") {
            true => drop(io::copy(&mut snapshot.open(file)?, out)?),
            false => csv_lines(snapshot, (table, file), out)?,
        }
    }
    Ok(())
}

/// The rows of a Parquet file as a CSV file would have them.
fn csv_lines(
    snapshot: &SnapshotReader<'_>,
    (table, file): (&SnapshotTable, &str),
    out: &mut impl Write,
) -> Result<()> {
    for row in snapshot.rows(file)? {
        let row = row?;
        for (place, (column, cell)) in table.columns.iter().zip(&row).enumerate() {
            if place > 0 {
                out.write_all(b",")?;
            }
            let is_text = matches!(&*column.data_type, "string" | "dateTime" | "dateTimeOffset");
            match is_text && !cell.is_empty() {
                true => {
                    let text = std::str::from_utf8(cell)?;
                    write!(out, "\"{}\"", text.replace('"', "\"\""))?;
                }
                false => out.write_all(cell)?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn json_lines(
    snapshot: &SnapshotReader<'_>,
    table: &SnapshotTable,
    out: &mut impl Write,
) -> Result<()> {
    for file in &table.files {
        for row in snapshot.rows(file)? {
            let row = row?;
            if row.len() > table.columns.len() {
                bail!(
                    "{file}: a row has {} cells, and the table {} columns",
                    row.len(),
                    table.columns.len()
                );
            }
            let mut line = serde_json::Serializer::new(&mut *out);
            let mut object = line.serialize_map(None)?;
            // A row that is older than a column ends before it.
            for (column, cell) in table.columns.iter().zip(&row) {
                object.serialize_entry(&column.name, &Cell::of(column, cell)?)?;
            }
            SerializeMap::end(object)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// A cell as JSON: numbers and truth values as such, whole to the last digit; an empty cell is null.
#[derive(Serialize)]
#[serde(untagged)]
enum Cell<'c> {
    Null,
    Boolean(bool),
    Number(&'c RawValue),
    Text(&'c str),
}

impl<'c> Cell<'c> {
    fn of(column: &SnapshotColumn, cell: &'c [u8]) -> Result<Self> {
        let text = std::str::from_utf8(cell)?;
        if text.is_empty() {
            return Ok(Cell::Null);
        }
        Ok(match column.data_type.as_str() {
            "int64" | "decimal" | "double" => match serde_json::from_str(text) {
                Ok(number) => Cell::Number(number),
                Err(_) => Cell::Text(text),
            },
            "boolean" => Cell::Boolean(text == "True"),
            _ => Cell::Text(text),
        })
    }
}
