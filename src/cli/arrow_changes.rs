//! Changes as an Arrow stream.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use arrow::array::{AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use lakestage_engine::{ChangeBatch, change_columns};

/// The column whose bytes are lent in memory, and copied here.
const CELLS: &str = "cells";

/// A stream of batches.
///
/// In memory the cells are views, which lend bytes that other changes of the segment have as well. A stream has a copy of
/// those of its own changes and of nothing else, as a plain column that every reader of Arrow knows.
pub(super) struct ArrowChanges {
    schema: SchemaRef,
    /// Where the cells are among the columns.
    cells: usize,
    stream: StreamWriter<Vec<u8>>,
}

impl ArrowChanges {
    pub(super) fn begin() -> Result<Self> {
        let columns = change_columns();
        let cells = columns.index_of(CELLS)?;
        let mut fields = columns.fields().to_vec();
        fields[cells] = Arc::new(Field::new(CELLS, DataType::Binary, true));
        let schema = Arc::new(Schema::new(fields));
        Ok(ArrowChanges {
            stream: StreamWriter::try_new(Vec::new(), &schema)?,
            cells,
            schema,
        })
    }

    /// The bytes that a batch adds to the stream.
    pub(super) fn batch(&mut self, batch: &ChangeBatch) -> Result<Vec<u8>> {
        let batch = batch.record_batch()?;
        let mut columns = batch.columns().to_vec();
        let cells = columns[self.cells].as_binary_view_opt();
        let cells = cells.context("the cells of a change are no views")?;
        columns[self.cells] = Arc::new(BinaryArray::from_iter(cells.iter()));
        let copy = RecordBatch::try_new(self.schema.clone(), columns)?;
        self.stream.write(&copy)?;
        Ok(std::mem::take(self.stream.get_mut()))
    }

    /// The bytes that end the stream.
    pub(super) fn end(&mut self) -> Result<Vec<u8>> {
        self.stream.finish()?;
        Ok(std::mem::take(self.stream.get_mut()))
    }
}
