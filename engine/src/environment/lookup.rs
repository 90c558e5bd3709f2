//! Finding the current row of an id: in the tail, or else in the newest segment that has it, or else
//! in the one block that may hold it.

use std::sync::Arc;

use uuid::Uuid;

use super::{Environment, State, Table};
use crate::clock::Ticks;
use crate::error::Result;
use crate::journal::Operation;
use crate::row::{Cells, RowsIn, created_ticks, id_of, split_head};
use crate::schema::TableSchema;
use crate::staging::{Sealed, TailPut, TailRow};

/// A row as the engine holds it.
pub(super) struct Stored {
    pub cells: Vec<u8>,
    pub created: Option<Ticks>,
}

enum Found {
    Deleted,
    Present(Stored),
}

impl From<TailPut> for Stored {
    fn from(row: TailPut) -> Self {
        Stored {
            cells: with_version(&row.cells, row.version_offset, row.version),
            created: row.created,
        }
    }
}

/// Cells with the version in its place.
pub(crate) fn with_version(cells: &[u8], offset: Option<u32>, version: u64) -> Vec<u8> {
    let Some(offset) = offset else {
        return cells.to_vec();
    };
    let (before, after) = cells.split_at(offset as usize);
    let version = version.to_string();
    [before, version.as_bytes(), after].concat()
}

/// The current row of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentRow {
    cells: Vec<(String, String)>,
}

impl CurrentRow {
    /// A column's CSV cell, with its quotes; null is empty. `None` if there is no such column.
    pub fn cell(&self, column: &str) -> Option<&str> {
        let found = self.cells.iter().find(|(name, _)| name == column);
        found.map(|(_, cell)| cell.as_str())
    }

    /// The columns with their cells, in the order of the schema.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        let cells = self.cells.iter();
        cells.map(|(name, cell)| (name.as_str(), cell.as_str()))
    }

    pub(crate) fn new(schema: &TableSchema, cells: &[u8]) -> Self {
        let mut ranges = Cells::of(cells);
        let cells = schema
            .attributes()
            .iter()
            .map(|attribute| {
                let cell = ranges.next().map_or(&[][..], |range| &cells[range]);
                let text = String::from_utf8_lossy(cell).into_owned();
                (attribute.name.clone(), text)
            })
            .collect();
        CurrentRow { cells }
    }
}

impl Environment {
    /// The current row of an id, if there is one.
    ///
    /// # Errors
    /// `NotFound` if there is no such table, `Corrupt` if the block that holds the row is damaged.
    pub fn get(&self, table: &str, id: Uuid) -> Result<Option<CurrentRow>> {
        let state = self.state();
        let table = state.table(table)?;
        let stored = self.stored(table, id.as_u128())?;
        Ok(stored.map(|row| CurrentRow::new(table.plan.schema(), &row.cells)))
    }

    pub(super) fn stored(&self, table: &Table, id: u128) -> Result<Option<Stored>> {
        loop {
            // In this order: a row leaves the tail for a segment, and a segment for the blocks, only
            // after it stands in the next.
            let (row, sealed) = self.inner.staging.row(table.id, id);
            match row {
                Some(TailRow::Deleted) => return Ok(None),
                Some(TailRow::Present(row)) => return Ok(Some(row.into())),
                None => {}
            }
            let state = self.state();
            let found = self.in_segments(&state, &sealed, table, id);
            let found = match found {
                Ok(Some(Found::Deleted)) => return Ok(None),
                Ok(Some(Found::Present(row))) => return Ok(Some(row)),
                Ok(None) => self.in_blocks(&state, table, id),
                Err(error) => Err(error),
            };
            // A compaction may have removed a file under our hands; then look again.
            if found.is_ok() || Arc::ptr_eq(&state, &self.state()) {
                return found;
            }
        }
    }

    /// The row in the segments that the blocks of `state` do not hold yet, newest first.
    fn in_segments(
        &self,
        state: &State,
        sealed: &Sealed,
        table: &Table,
        id: u128,
    ) -> Result<Option<Found>> {
        for segment in sealed.candidates(table.id, id, state.catalog.folded_version) {
            if !segment.may_hold(table.id, id)? {
                continue;
            }
            let found = segment.find(table.id, id)?;
            let segments = sealed.segments.iter().map(|segment| &**segment);
            self.inner.residence.searched(segments);
            let Some(change) = found else {
                continue;
            };
            let found = match change.record.operation {
                Operation::Delete => Found::Deleted,
                Operation::Put {
                    cells,
                    version_offset,
                    ..
                } => Found::Present(Stored {
                    cells: with_version(cells, version_offset, change.version),
                    created: change.record.created,
                }),
            };
            return Ok(Some(found));
        }
        Ok(None)
    }

    fn in_blocks(&self, state: &State, table: &Table, id: u128) -> Result<Option<Stored>> {
        let manifests = state.base.get(&table.id).map_or(&[][..], Vec::as_slice);
        for block in manifests.iter().filter_map(|manifest| manifest.find(id)) {
            let bytes = self.inner.packs.read(&block.extent)?;
            let found = RowsIn::block(bytes.as_ref()).find(|row| id_of(row) == Some(id));
            let Some((_, cells)) = found.and_then(split_head) else {
                continue;
            };
            let created = table.plan.schema().created_on().and_then(|position| {
                let range = Cells::of(cells).nth(position)?;
                created_ticks(&cells[range])
            });
            return Ok(Some(Stored {
                cells: cells.to_vec(),
                created,
            }));
        }
        Ok(None)
    }
}
