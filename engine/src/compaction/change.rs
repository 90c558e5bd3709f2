//! Changes, collapsed as a sync cycle collapses them: the last of each row counts.

use super::partition::Granularity;
use super::rows::Cells;
use super::unmerged::{Merged, Placed, Unmerged};
use crate::clock::Ticks;
use crate::error::Result;
use crate::journal::Operation;
use crate::segment::StoredChange;

/// What becomes of a row.
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

/// The changes of one partition, by id, the last of each row.
pub(super) struct Collapsed<'a> {
    merged: Merged<'a>,
    granularity: Granularity,
    partition: i32,
    /// The first change that belongs to a later row.
    ahead: Option<StoredChange<'a>>,
    head: Option<Change<'a>>,
}

impl<'a> Collapsed<'a> {
    /// The changes of a table in a partition of the given granularity; `base` is that of the base
    /// layout.
    pub(super) fn of(
        unmerged: &'a Unmerged<'a>,
        table: u16,
        base: Granularity,
        granularity: Granularity,
        partition: i32,
    ) -> Result<Self> {
        let same = base == granularity;
        let merged = unmerged.merged(table, |key| match same {
            true => key == partition,
            false => Granularity::overlaps(key, partition),
        })?;
        let mut collapsed = Collapsed {
            merged,
            granularity,
            partition,
            ahead: None,
            head: None,
        };
        collapsed.ahead = collapsed.raw()?;
        collapsed.advance()?;
        Ok(collapsed)
    }

    /// The id of the next change.
    pub(super) fn peek(&self) -> Option<u128> {
        self.head.map(|change| change.id)
    }

    /// The next change whose id is below `limit`, if there is one.
    pub(super) fn below(&mut self, limit: Option<u128>) -> Result<Option<Change<'a>>> {
        match (self.head, limit) {
            (Some(head), Some(limit)) if head.id >= limit => Ok(None),
            (head, _) => {
                self.advance()?;
                Ok(head)
            }
        }
    }

    fn raw(&mut self) -> Result<Option<StoredChange<'a>>> {
        while let Some(Placed { change, .. }) = self.merged.next()? {
            if self.granularity.key(change.record.created) == self.partition {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    fn advance(&mut self) -> Result<()> {
        self.head = None;
        while let Some(next) = self.ahead {
            if self.head.is_some_and(|head| head.id != next.record.id) {
                break;
            }
            let before = match self.head.map(|head| head.what) {
                Some(What::Put { created, .. }) => created,
                _ => None,
            };
            let created = match next.record.operation {
                Operation::Put { existed: false, .. } => Some(next.committed),
                _ => before,
            };
            self.head = Some(Change::of(&next, created));
            self.ahead = self.raw()?;
        }
        Ok(())
    }
}
