//! Reads a Parquet file of the lake as rows of cells, as its CSV file would have them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use csv::ByteRecord;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::clock::TICKS_PER_SECOND;
use crate::error::{Error, IoContext, Result};
use crate::schema::{AttributeType, DateTimeBehavior, SYSTEM_COLUMNS};
use crate::value::{DateTimeFormat, Value, render, render_created_on, write_us_time};

const TICKS_PER_MICROSECOND: i64 = TICKS_PER_SECOND / 1_000_000;

/// The rows of a Parquet file, with the columns of the snapshot.
pub(in crate::publish) struct ParquetRows {
    path: String,
    batches: ParquetRecordBatchReader,
    /// Name and data type of the columns in `model.json`.
    columns: Vec<(String, String)>,
    format: DateTimeFormat,
    ready: VecDeque<ByteRecord>,
}

impl ParquetRows {
    pub(in crate::publish) fn open(
        path: &str,
        input: &mut dyn Read,
        columns: Vec<(String, String)>,
        format: DateTimeFormat,
    ) -> Result<Self> {
        let batches = ParquetRecordBatchReaderBuilder::try_new(spool(input)?)
            .and_then(|builder| builder.build())
            .map_err(|e| Error::Lake(format!("{path}: {e}")))?;
        Ok(ParquetRows {
            path: path.to_owned(),
            batches,
            columns,
            format,
            ready: VecDeque::new(),
        })
    }

    pub(in crate::publish) fn next(&mut self) -> Result<Option<ByteRecord>> {
        while self.ready.is_empty() {
            let Some(batch) = self.batches.next() else {
                return Ok(None);
            };
            let failed = |e: String| Error::Lake(format!("{}: {e}", self.path));
            let batch = batch.map_err(|e| failed(e.to_string()))?;
            for row in 0..batch.num_rows() {
                self.ready
                    .push_back(self.record(&batch, row).map_err(failed)?);
            }
        }
        Ok(self.ready.pop_front())
    }

    fn record(&self, batch: &RecordBatch, row: usize) -> Result<ByteRecord, String> {
        let mut record = ByteRecord::new();
        let mut cell = Vec::new();
        for (name, data_type) in &self.columns {
            cell.clear();
            // A file that is older than a column does not have it.
            if let Some(column) = batch.column_by_name(name)
                && column.is_valid(row)
            {
                self.cell((name, data_type), column, row, &mut cell)?;
            }
            record.push_field(&cell);
        }
        Ok(record)
    }

    fn cell(
        &self,
        (name, data_type): (&str, &str),
        column: &dyn Array,
        row: usize,
        cell: &mut Vec<u8>,
    ) -> Result<(), String> {
        match column.data_type() {
            DataType::Utf8 => {
                cell.extend_from_slice(column.as_string::<i32>().value(row).as_bytes())
            }
            DataType::Int64 => {
                let number = column.as_primitive::<Int64Type>().value(row);
                cell.extend_from_slice(number.to_string().as_bytes());
            }
            DataType::Boolean => cell.extend_from_slice(match column.as_boolean().value(row) {
                true => b"True",
                false => b"False",
            }),
            DataType::Decimal128(_, scale) => {
                let number = column.as_primitive::<Decimal128Type>().value(row);
                decimal(number, usize::from(scale.unsigned_abs()), cell);
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let time = column.as_primitive::<TimestampMicrosecondType>().value(row);
                let ticks = time.saturating_mul(TICKS_PER_MICROSECOND);
                if SYSTEM_COLUMNS.contains(&name) {
                    write_us_time(ticks, cell);
                } else if data_type == "dateTimeOffset" {
                    unquoted(cell, |cell| {
                        render_created_on(ticks, cell);
                        Ok(())
                    })?;
                } else {
                    let (behavior, value) = match zone {
                        Some(_) => (DateTimeBehavior::UserLocal, Value::Moment(ticks)),
                        None => (
                            DateTimeBehavior::TimeZoneIndependent,
                            Value::WallTime(ticks),
                        ),
                    };
                    let kind = AttributeType::DateTime { behavior };
                    unquoted(cell, |cell| render(&kind, value, self.format, cell))?;
                }
            }
            other => return Err(format!("column {name} is of the type {other}")),
        }
        Ok(())
    }
}

/// Takes away the quotes that a cell of CSV has.
fn unquoted(
    cell: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    write(cell)?;
    if cell.len() >= 2 && cell.starts_with(b"\"") {
        cell.pop();
        cell.remove(0);
    }
    Ok(())
}

/// Without zeros at the end.
fn decimal(number: i128, scale: usize, cell: &mut Vec<u8>) {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    if number < 0 {
        cell.push(b'-');
    }
    cell.extend_from_slice(whole.as_bytes());
    if !fraction.is_empty() {
        cell.push(b'.');
        cell.extend_from_slice(fraction.as_bytes());
    }
}

/// What a Parquet file holds is told at its end, so it must be seekable.
fn spool(input: &mut dyn Read) -> Result<File> {
    let folder = std::env::temp_dir();
    let mut file = tempfile::tempfile().context("creating a temporary file in", &folder)?;
    io::copy(input, &mut file)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .context("copying a file of the lake to", &folder)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_as_in_csv() {
        let text = |number, scale| {
            let mut cell = Vec::new();
            decimal(number, scale, &mut cell);
            String::from_utf8(cell).unwrap_or_default()
        };
        assert_eq!(text(-125_000, 4), "-12.5");
        assert_eq!(text(1, 10), "0.0000000001");
        assert_eq!(text(7, 0), "7");
        assert_eq!(text(0, 2), "0");
        assert_eq!(text(1_200, 2), "12");
    }
}
