//! Rows from CSV with a header.

use std::io::Read;

use super::{Columns, OnRow, RowIn, Target};
use crate::error::{Error, Result};
use crate::value::Value;

const BUFFER_BYTES: usize = 1 << 20;

pub(super) fn read(
    columns: &Columns<'_>,
    input: &mut dyn Read,
    on_row: &mut OnRow<'_>,
) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new()
        .buffer_capacity(BUFFER_BYTES)
        .from_reader(input);
    let header = reader.headers().map_err(wrong)?.clone();
    let first = header
        .get(0)
        .unwrap_or_default()
        .trim_start_matches('\u{feff}');
    let names = header
        .iter()
        .enumerate()
        .map(|(at, name)| if at == 0 { first } else { name });
    let targets = columns.targets(names)?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(wrong)? {
        let mut values = Vec::with_capacity(targets.len());
        let mut operation = None;
        for (target, text) in targets.iter().zip(record.iter()) {
            match target {
                Target::Attribute(position) => values.push((*position, Value::Text(text))),
                Target::Operation => operation = Some(text),
                Target::Ignored => {}
            }
        }
        on_row(&RowIn {
            values: &values,
            operation,
        })?;
    }
    Ok(())
}

fn wrong(error: csv::Error) -> Error {
    Error::invalid(format!("the CSV does not parse: {error}"))
}
