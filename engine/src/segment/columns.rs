//! The columns of a segment's record batches.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, FixedSizeBinaryArray,
    FixedSizeBinaryBuilder, Int64Array, RecordBatch, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow::datatypes::{
    DataType, Field, Int64Type, Schema, SchemaRef, UInt8Type, UInt16Type, UInt32Type,
};
use arrow::error::ArrowError;

use crate::clock::Ticks;
use crate::journal::{Commit, Operation, Record, Records};

/// Every batch but the last has this many rows, so that a row is found by its number.
pub(crate) const BATCH_ROWS: usize = 4_096;

const PUT_NEW: u8 = 1;
const PUT_EXISTING: u8 = 2;
const DELETE: u8 = 3;

/// A change of one row, borrowed from where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredChange<'a> {
    pub record: Record<'a>,
    pub version: u64,
    pub committed: Ticks,
}

/// What the columns are. Times are in ticks of 100 ns since 1970.
pub(crate) fn schema() -> SchemaRef {
    let field = Field::new;
    Arc::new(Schema::new(vec![
        field("version", DataType::UInt64, false),
        field("committed", DataType::Int64, false),
        field("commit_end", DataType::Boolean, false),
        field("table", DataType::UInt16, false),
        field("id", DataType::FixedSizeBinary(16), false),
        field("created", DataType::Int64, true),
        field("operation", DataType::UInt8, false),
        field("version_offset", DataType::UInt32, true),
        field("cells", DataType::Binary, true),
    ]))
}

/// The rows of commits as batches.
pub(super) struct Batches<'a> {
    rows: Box<dyn Iterator<Item = (StoredChange<'a>, bool)> + 'a>,
}

impl<'a> Batches<'a> {
    pub(super) fn of(commits: impl Iterator<Item = &'a Commit> + 'a) -> Self {
        let rows = commits.flat_map(|commit| {
            let last = commit.last_version();
            let versions = commit.first_version..;
            versions
                .zip(Records::of(&commit.payload))
                .map(move |(version, (_, record))| {
                    let change = StoredChange {
                        record,
                        version,
                        committed: commit.committed,
                    };
                    (change, version == last)
                })
        });
        Batches {
            rows: Box::new(rows),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let rows: Vec<_> = self.rows.by_ref().take(BATCH_ROWS).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut ids = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
        let mut cells = BinaryBuilder::with_capacity(rows.len(), 0);
        for (change, _) in &rows {
            ids.append_value(change.record.id.to_be_bytes())?;
            match change.record.operation {
                Operation::Put { cells: bytes, .. } => cells.append_value(bytes),
                Operation::Delete => cells.append_null(),
            }
        }
        let changes = || rows.iter().map(|(change, _)| change);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(changes().map(|c| c.version))),
            Arc::new(Int64Array::from_iter_values(changes().map(|c| c.committed))),
            Arc::new(BooleanArray::from_iter(
                rows.iter().map(|(_, end)| Some(*end)),
            )),
            Arc::new(UInt16Array::from_iter_values(
                changes().map(|c| c.record.table),
            )),
            Arc::new(ids.finish()),
            Arc::new(Int64Array::from_iter(changes().map(|c| c.record.created))),
            Arc::new(UInt8Array::from_iter_values(
                changes().map(|c| operation_code(&c.record.operation)),
            )),
            Arc::new(UInt32Array::from_iter(changes().map(
                |c| match c.record.operation {
                    Operation::Put { version_offset, .. } => version_offset,
                    Operation::Delete => None,
                },
            ))),
            Arc::new(cells.finish()),
        ];
        RecordBatch::try_new(schema(), columns).map(Some)
    }
}

fn operation_code(operation: &Operation<'_>) -> u8 {
    match operation {
        Operation::Put { existed: false, .. } => PUT_NEW,
        Operation::Put { existed: true, .. } => PUT_EXISTING,
        Operation::Delete => DELETE,
    }
}

/// The columns of one batch, ready to be read.
pub(super) struct Columns {
    pub batch: RecordBatch,
    committed: Int64Array,
    table: UInt16Array,
    id: FixedSizeBinaryArray,
    created: Int64Array,
    operation: UInt8Array,
    version_offset: UInt32Array,
    cells: BinaryArray,
}

impl Columns {
    pub(super) fn of(batch: RecordBatch) -> Option<Self> {
        let column = |at: usize| batch.column(at);
        Some(Columns {
            committed: column(1).as_primitive_opt::<Int64Type>()?.clone(),
            table: column(3).as_primitive_opt::<UInt16Type>()?.clone(),
            id: column(4).as_fixed_size_binary_opt()?.clone(),
            created: column(5).as_primitive_opt::<Int64Type>()?.clone(),
            operation: column(6).as_primitive_opt::<UInt8Type>()?.clone(),
            version_offset: column(7).as_primitive_opt::<UInt32Type>()?.clone(),
            cells: column(8).as_binary_opt::<i32>()?.clone(),
            batch,
        })
    }

    pub(super) fn id(&self, row: usize) -> u128 {
        self.id.value(row).try_into().map_or(0, u128::from_be_bytes)
    }

    pub(super) fn table(&self, row: usize) -> u16 {
        self.table.value(row)
    }

    /// The change in a row; `None` if the row holds no change, which its checksum has ruled out.
    pub(super) fn change(&self, row: usize, version: u64) -> Option<StoredChange<'_>> {
        let operation = match self.operation.value(row) {
            DELETE => Operation::Delete,
            code @ (PUT_NEW | PUT_EXISTING) => {
                let cells = self.cells.value(row);
                let offset = self.version_offset.is_valid(row);
                let offset = offset.then(|| self.version_offset.value(row));
                if offset.is_some_and(|at| at as usize > cells.len()) {
                    return None;
                }
                Operation::Put {
                    existed: code == PUT_EXISTING,
                    cells,
                    version_offset: offset,
                }
            }
            _ => return None,
        };
        Some(StoredChange {
            record: Record {
                table: self.table.value(row),
                id: self.id(row),
                created: self.created.is_valid(row).then(|| self.created.value(row)),
                operation,
            },
            version,
            committed: self.committed.value(row),
        })
    }
}
