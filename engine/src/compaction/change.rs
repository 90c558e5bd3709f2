//! What becomes of a row.

use super::rows::Cells;
use crate::clock::Ticks;
use crate::journal::Operation;
use crate::segment::StoredChange;

/// A change of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub id: u128,
    pub version: u64,
    /// The time of the commit: `SinkModifiedOn`.
    pub modified: Ticks,
    pub what: What<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    Put {
        /// When the row was created, if that was since the last compaction; otherwise the block
        /// knows.
        created: Option<Ticks>,
        cells: Cells<'a>,
    },
    Remove,
}

impl<'a> Change<'a> {
    pub(super) fn of(stored: &StoredChange<'a>, created: Option<Ticks>) -> Self {
        let what = match stored.record.operation {
            Operation::Delete => What::Remove,
            Operation::Put {
                cells,
                version_offset,
                ..
            } => What::Put {
                created,
                cells: Cells {
                    bytes: cells,
                    version_offset,
                    version: stored.version,
                },
            },
        };
        Change {
            id: stored.record.id,
            version: stored.version,
            modified: stored.committed,
            what,
        }
    }
}
