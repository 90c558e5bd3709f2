//! Finding the current row of an id: in the tail, or else in the one block that may hold it.

use std::sync::Arc;

use uuid::Uuid;

use super::{Environment, State, Table};
use crate::clock::Ticks;
use crate::error::Result;
use crate::row::{Cells, RowsIn, created_ticks, id_of, split_head};
use crate::schema::TableSchema;
use crate::tail::TailRow;

/// A row as the engine holds it.
pub(super) struct Stored {
    pub cells: Vec<u8>,
    pub created: Option<Ticks>,
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

    fn new(schema: &TableSchema, cells: &[u8]) -> Self {
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
        // The tail first: a row leaves it only after it stands in the blocks of the current state.
        match self.inner.tail.row(table.id, id) {
            Some(TailRow::Deleted) => Ok(None),
            Some(TailRow::Present {
                mut cells,
                version_offset,
                version,
                created,
            }) => {
                if let Some(offset) = version_offset {
                    let at = offset as usize;
                    cells.splice(at..at, version.to_string().into_bytes());
                }
                Ok(Some(Stored { cells, created }))
            }
            None => loop {
                let state = self.state();
                let found = self.in_blocks(&state, table, id);
                // A compaction may have removed a pack under our hands; then look again.
                if found.is_ok() || Arc::ptr_eq(&state, &self.state()) {
                    return found;
                }
            },
        }
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
