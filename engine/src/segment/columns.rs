//! The columns of a segment's record batches.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BinaryViewBuilder, BooleanArray,
    FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int64Array, RecordBatch, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{
    DataType, Field, Int64Type, Schema, SchemaRef, UInt8Type, UInt16Type, UInt32Type,
};
use arrow::error::ArrowError;

use crate::clock::Ticks;
use crate::journal::{Commit, Operation, Record, Records};

/// Every batch but the last has this many rows, so that a row is found by its number.
pub(crate) const BATCH_ROWS: usize = 4_096;

/// The column of the cells.
const CELLS: usize = 8;

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
        field("cells", DataType::BinaryView, true),
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

    /// The next batch; `order` are its rows in the order of the segment.
    pub(super) fn next(&mut self, order: &[u16]) -> Result<Option<RecordBatch>, ArrowError> {
        let rows: Vec<_> = self.rows.by_ref().take(BATCH_ROWS).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut ids = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
        for (change, _) in &rows {
            ids.append_value(change.record.id.to_be_bytes())?;
        }
        let changes = || rows.iter().map(|(change, _)| change);
        let cells: Vec<_> = changes().map(|c| cells_of(&c.record.operation)).collect();
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
            Arc::new(cells_in_order(&cells, order)?),
        ];
        RecordBatch::try_new(schema(), columns).map(Some)
    }
}

fn cells_of<'a>(operation: &Operation<'a>) -> Option<&'a [u8]> {
    match operation {
        Operation::Put { cells, .. } => Some(cells),
        Operation::Delete => None,
    }
}

/// A column of cells whose bytes stand in another order than its rows.
fn cells_in_order(cells: &[Option<&[u8]>], order: &[u16]) -> Result<BinaryViewArray, ArrowError> {
    let length = cells.iter().flatten().map(|cells| cells.len()).sum();
    let mut bytes = Vec::with_capacity(length);
    let mut starts = vec![0; cells.len()];
    for row in order.iter().map(|row| usize::from(*row)) {
        starts[row] = u32::try_from(bytes.len())
            .map_err(|_| ArrowError::MemoryError("a batch holds at most 4 GiB".to_owned()))?;
        bytes.extend_from_slice(cells[row].unwrap_or_default());
    }
    let mut column = BinaryViewBuilder::with_capacity(cells.len());
    let block = column.append_block(Buffer::from_vec(bytes));
    for (cells, start) in cells.iter().zip(starts) {
        match cells {
            Some(cells) => column.try_append_view(block, start, cells.len() as u32)?,
            None => column.append_null(),
        }
    }
    Ok(column.finish())
}

fn operation_code(operation: &Operation<'_>) -> u8 {
    match operation {
        Operation::Put { existed: false, .. } => PUT_NEW,
        Operation::Put { existed: true, .. } => PUT_EXISTING,
        Operation::Delete => DELETE,
    }
}

/// A batch as it is written now. In segments of format 1 cells stood in the order of the rows; their bytes are lent.
fn with_views(batch: RecordBatch) -> Option<RecordBatch> {
    let Some(cells) = batch.columns().get(CELLS)?.as_binary_opt::<i32>() else {
        return Some(batch);
    };
    let mut columns = batch.columns().to_vec();
    columns[CELLS] = Arc::new(BinaryViewArray::from(cells));
    RecordBatch::try_new(schema(), columns).ok()
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
    cells: BinaryViewArray,
}

impl Columns {
    pub(super) fn of(batch: RecordBatch) -> Option<Self> {
        let batch = with_views(batch)?;
        let column = |at: usize| batch.column(at);
        Some(Columns {
            committed: column(1).as_primitive_opt::<Int64Type>()?.clone(),
            table: column(3).as_primitive_opt::<UInt16Type>()?.clone(),
            id: column(4).as_fixed_size_binary_opt()?.clone(),
            created: column(5).as_primitive_opt::<Int64Type>()?.clone(),
            operation: column(6).as_primitive_opt::<UInt8Type>()?.clone(),
            version_offset: column(7).as_primitive_opt::<UInt32Type>()?.clone(),
            cells: column(CELLS).as_binary_view_opt()?.clone(),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::BinaryArray;

    use super::*;

    const LONG: [&[u8]; 3] = [
        b"the first of the rows",
        b"the second of the rows",
        b"the third of the rows",
    ];

    #[test]
    fn bytes_of_cells_stand_in_the_order_and_rows_keep_their_numbers() {
        let rows = [Some(LONG[0]), None, Some(LONG[1]), Some(LONG[2])];
        let cells = cells_in_order(&rows, &[3, 0, 1, 2]).unwrap();
        let bytes = [LONG[2], LONG[0], LONG[1]].concat();
        assert_eq!(cells.data_buffers()[0].as_slice(), bytes);
        assert_eq!(cells.iter().collect::<Vec<_>>(), rows);
        let short = [Some(&b"a"[..]), Some(b""), None];
        let cells = cells_in_order(&short, &[2, 1, 0]).unwrap();
        assert_eq!(cells.iter().collect::<Vec<_>>(), short);
    }

    #[test]
    fn a_batch_of_format_1_is_read_as_one_of_today() {
        let commit = Commit {
            first_version: 1,
            rows: 3,
            committed: 5,
            payload: LONG.iter().fold(Vec::new(), |mut payload, cells| {
                let operation = Operation::Put {
                    existed: false,
                    version_offset: None,
                    cells,
                };
                let record = Record {
                    table: 1,
                    id: cells.len() as u128,
                    created: None,
                    operation,
                };
                record.encode(&mut payload);
                payload
            }),
        };
        let today = Batches::of(std::iter::once(&commit)).next(&[2, 1, 0]);
        let today = today.unwrap().unwrap();
        let mut columns = today.columns().to_vec();
        columns[CELLS] = Arc::new(BinaryArray::from_iter_values(LONG));
        let mut fields = today.schema().fields().to_vec();
        fields[CELLS] = Arc::new(Field::new("cells", DataType::Binary, true));
        let before = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        assert_eq!(Columns::of(before).unwrap().batch, today);
    }
}
