//! Rows from Parquet and Arrow IPC.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::arrow_columns::BatchColumns;
use super::{Columns, OnRow};
use crate::error::{Error, IoContext, Result};

/// How an Arrow IPC file begins; a stream does not.
const ARROW_FILE_MAGIC: &[u8] = b"ARROW1";

pub(super) fn parquet(
    columns: &Columns<'_>,
    input: &mut dyn Read,
    on_row: &mut OnRow<'_>,
) -> Result<()> {
    let wrong = |e: String| Error::invalid(format!("the Parquet file does not parse: {e}"));
    let file = spool(input)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.build())
        .map_err(|e| wrong(e.to_string()))?;
    batches(columns, reader, on_row, &|e| wrong(e.to_string()))
}

pub(super) fn arrow_ipc(
    columns: &Columns<'_>,
    input: &mut dyn Read,
    on_row: &mut OnRow<'_>,
) -> Result<()> {
    let wrong = |e: ArrowError| Error::invalid(format!("the Arrow IPC data does not parse: {e}"));
    let mut magic = Vec::new();
    input
        .take(ARROW_FILE_MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .context("reading", Path::new("the input"))?;
    let is_file = magic == ARROW_FILE_MAGIC;
    let mut whole = std::io::Cursor::new(magic).chain(input);
    if !is_file {
        let reader = StreamReader::try_new(BufReader::new(whole), None).map_err(wrong)?;
        return batches(columns, reader, on_row, &wrong);
    }
    let reader = FileReader::try_new(BufReader::new(spool(&mut whole)?), None).map_err(wrong)?;
    batches(columns, reader, on_row, &wrong)
}

/// Both formats keep their index at the end, so the input must be seekable; standard input is not.
fn spool(input: &mut dyn Read) -> Result<File> {
    let path = std::env::temp_dir();
    let mut file = tempfile::tempfile().context("creating a temporary file in", &path)?;
    std::io::copy(input, &mut file)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .context("copying the input to", &path)?;
    Ok(file)
}

fn batches(
    columns: &Columns<'_>,
    reader: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    on_row: &mut OnRow<'_>,
    wrong: &dyn Fn(ArrowError) -> Error,
) -> Result<()> {
    for batch in reader {
        BatchColumns::of(columns, &batch.map_err(wrong)?)?.for_each(on_row)?;
    }
    Ok(())
}
