//! Some changes of a table, as Arrow and one by one.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, UInt16Type};
use uuid::Uuid;

use super::ChangeToken;
use crate::clock::Ticks;
use crate::environment::{CurrentRow, Table, with_version};
use crate::error::{Error, Result};
use crate::journal::Operation;
use crate::schema::TableSchema;
use crate::segment::{self, BATCH_ROWS, Segment};

/// Where a segment's columns say which table a change is of, and whether it ends its commit.
const TABLE_COLUMN: usize = 3;
const COMMIT_END_COLUMN: usize = 2;
/// The columns of a segment that make a batch: all but the table.
const COLUMNS: [usize; 8] = [0, 1, 2, 4, 5, 6, 7, 8];

/// The columns of [`ChangeBatch::record_batch`].
///
/// `version`; `committed` in ticks of 100 ns since 1970; `commit_end`, true at the last change of a
/// transaction over all tables; `id`, 16 bytes in the order of the text; `created`, `createdon` in
/// ticks; `operation`, 1 create, 2 update, 3 delete; `version_offset`, where the version belongs in
/// the cells; `cells`, the CSV cells of the schema's columns, null for a delete: views into bytes that the other changes of
/// the segment share, so whoever hands them on copies them.
pub fn change_columns() -> SchemaRef {
    // The columns are there, so that choosing among them cannot fail.
    segment::schema()
        .project(&COLUMNS)
        .map_or_else(|_| segment::schema(), Arc::new)
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOperation {
    /// The row was created.
    Create,
    /// The row existed and has new cells.
    Update,
    /// The row was deleted: a tombstone.
    Delete,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// Its version.
    pub version: u64,
    /// When it was committed.
    pub committed: Ticks,
    /// Whether it is the last change of its transaction, over all tables.
    pub ends_commit: bool,
    /// The row's id.
    pub id: Uuid,
    /// What it did.
    pub operation: ChangeOperation,
    /// The row as it was from then on; `None` for a delete.
    pub row: Option<CurrentRow>,
}

/// Some changes of a table, in the order of versions.
#[derive(Clone)]
pub struct ChangeBatch {
    segment: Arc<Segment>,
    /// The number of its first row in the segment.
    first_row: usize,
    /// Every change from the first row on, of all tables.
    all: RecordBatch,
    /// Which of them are of this table; `None` if all are.
    mine: Option<BooleanArray>,
    schema: Arc<TableSchema>,
    token: Option<ChangeToken>,
}

impl ChangeBatch {
    /// The changes of a table in a batch of a segment, from a row of it on; `None` behind the last.
    pub(super) fn of(
        segment: &Arc<Segment>,
        number: usize,
        skipped: usize,
        table: &Table,
    ) -> Result<Option<Self>> {
        let Some(batch) = segment.batch(number)? else {
            return Ok(None);
        };
        if skipped >= batch.num_rows() {
            return Ok(None);
        }
        let all = batch.slice(skipped, batch.num_rows() - skipped);
        let tables = all.column(TABLE_COLUMN).as_primitive::<UInt16Type>();
        let is_mine = |t: &u16| *t == table.id;
        let mine = match tables.values().iter().all(is_mine) {
            true => None,
            false => Some(BooleanArray::from_iter(
                tables.values().iter().map(|t| Some(is_mine(t))),
            )),
        };
        Ok(Some(ChangeBatch {
            segment: segment.clone(),
            first_row: number * BATCH_ROWS + skipped,
            all,
            mine,
            schema: table.plan.schema().clone(),
            token: None,
        }))
    }

    pub(super) fn with_token(mut self, token: ChangeToken) -> Self {
        self.token = Some(token);
        self
    }

    pub(super) fn last_version(&self) -> u64 {
        let rows = self.first_row + self.all.num_rows();
        self.segment.entry().first_version + rows as u64 - 1
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many changes it has.
    pub fn len(&self) -> usize {
        match &self.mine {
            None => self.all.num_rows(),
            Some(mine) => mine.true_count(),
        }
    }

    /// Where a reader stands that has taken it in.
    pub fn token(&self) -> Option<ChangeToken> {
        self.token
    }

    /// The changes as Arrow, with the columns of [`change_columns`]. Where all changes of the
    /// segment are of this table, nothing is copied.
    pub fn record_batch(&self) -> Result<RecordBatch> {
        let damaged = |e: arrow::error::ArrowError| {
            Error::corrupt(self.segment.path(), format!("its columns do not fit: {e}"))
        };
        let chosen = self.all.project(&COLUMNS).map_err(damaged)?;
        match &self.mine {
            None => Ok(chosen),
            Some(mine) => filter_record_batch(&chosen, mine).map_err(damaged),
        }
    }

    /// The changes one by one.
    pub fn rows(&self) -> impl Iterator<Item = Result<RowChange>> + '_ {
        let rows = 0..self.all.num_rows();
        rows.filter(|row| self.mine.as_ref().is_none_or(|mine| mine.value(*row)))
            .map(|row| self.row(row))
    }

    fn row(&self, row: usize) -> Result<RowChange> {
        let change = self.segment.change((self.first_row + row) as u32)?;
        let ends_commit = self.all.column(COMMIT_END_COLUMN).as_boolean().value(row);
        let (operation, row) = match change.record.operation {
            Operation::Delete => (ChangeOperation::Delete, None),
            Operation::Put {
                existed,
                cells,
                version_offset,
            } => {
                let cells = with_version(cells, version_offset, change.version);
                let operation = match existed {
                    true => ChangeOperation::Update,
                    false => ChangeOperation::Create,
                };
                (operation, Some(CurrentRow::new(&self.schema, &cells)))
            }
        };
        Ok(RowChange {
            version: change.version,
            committed: change.committed,
            ends_commit,
            id: Uuid::from_u128(change.record.id),
            operation,
            row,
        })
    }
}
