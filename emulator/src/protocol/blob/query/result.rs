//! Rows of the answer, in records of its frame.

use std::io;

use crate::protocol::blob::query::arrow::ArrowRows;
use crate::protocol::blob::query::avro::{AvroFile, RowError};
use crate::protocol::blob::query::format::{Format, write_header, write_row};
use crate::protocol::blob::query::value::Value;

/// The largest result; an answer is prepared in memory.
pub(super) const RESULT_MAX_BYTES: usize = 256 << 20;
/// Rows of the result that go into one record of the answer.
const DATA_BYTES: usize = 1 << 20;
/// Rows of a batch of Arrow.
const BATCH_ROWS: usize = 10_000;

/// How rows are answered.
pub(super) enum Output {
    Text(Format),
    Arrow(Box<ArrowRows>),
}

/// The answer so far.
pub(super) struct ResultRows {
    file: AvroFile,
    output: Output,
    rows: Vec<u8>,
    errors: Vec<RowError>,
    bytes: usize,
    pub(super) is_full: bool,
}

impl ResultRows {
    pub(super) fn new(output: Output) -> Self {
        Self {
            file: AvroFile::new(),
            output,
            rows: Vec::new(),
            errors: Vec::new(),
            bytes: 0,
            is_full: false,
        }
    }

    /// Adds a row, with the header above the first.
    pub(super) fn add(&mut self, row: Vec<(String, Value)>) -> io::Result<()> {
        match &mut self.output {
            Output::Text(format) => {
                if self.bytes == 0 && self.rows.is_empty() {
                    write_header(format, &row, &mut self.rows)?;
                }
                write_row(format, &row, &mut self.rows)?;
            }
            Output::Arrow(arrow) => {
                arrow.add(row.into_iter().map(|(_, value)| value).collect());
                if arrow.rows() >= BATCH_ROWS {
                    self.rows
                        .append(&mut arrow.take().map_err(io::Error::other)?);
                }
            }
        }
        if self.rows.len() >= DATA_BYTES {
            self.cut();
        }
        self.check_size()
    }

    /// Tells of a row that is left out, or of where reading ended.
    pub(super) fn error(&mut self, error: RowError) -> io::Result<()> {
        self.bytes += error.description.len();
        self.errors.push(error);
        self.check_size()
    }

    fn check_size(&mut self) -> io::Result<()> {
        if self.bytes + self.rows.len() > RESULT_MAX_BYTES {
            self.is_full = true;
            return Err(io::Error::other("the result is too large"));
        }
        Ok(())
    }

    /// The rows so far are one record, and what was wrong with others stands behind.
    fn cut(&mut self) {
        self.bytes += self.rows.len();
        self.file.data(&self.rows);
        self.rows.clear();
        for error in self.errors.drain(..) {
            self.file.error(&error);
        }
    }

    pub(super) fn finish(mut self, blob_bytes: u64) -> io::Result<Vec<u8>> {
        if let Output::Arrow(arrow) = &mut self.output {
            let mut end = arrow.finish().map_err(io::Error::other)?;
            self.rows.append(&mut end);
        }
        if !self.rows.is_empty() || !self.errors.is_empty() || self.bytes == 0 {
            self.cut();
        }
        Ok(self.file.finish(blob_bytes, blob_bytes))
    }
}
