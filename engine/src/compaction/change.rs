//! Changes, collapsed as a sync cycle collapses them: the last of each row counts.

use super::partition::Granularity;
use super::rows::Cells;
use super::unmerged::{Merged, Unmerged};
use super::window::{Placed, Want};
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

/// The last change of a row.
pub(super) struct Last {
    placed: Placed,
    /// When the row was created, if that was since the last compaction.
    created: Option<Ticks>,
}

impl Last {
    pub(super) fn change(&self) -> Change<'_> {
        let Placed { version, put, .. } = &self.placed;
        Change {
            id: self.placed.id,
            version: *version,
            modified: self.placed.committed,
            what: match put {
                None => What::Remove,
                Some(put) => What::Put {
                    created: self.created,
                    cells: Cells {
                        bytes: &put.cells,
                        version_offset: put.version_offset,
                        version: *version,
                    },
                },
            },
        }
    }
}

/// The changes of one partition, by id, the last of each row.
pub(super) struct Collapsed<'a> {
    merged: Merged<'a>,
    granularity: Granularity,
    partition: i32,
    /// The first change that belongs to a later row.
    ahead: Option<Placed>,
    head: Option<Last>,
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
        let merged = unmerged.merged(table, Want::Cells, |key| match same {
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
        self.head.as_ref().map(|last| last.placed.id)
    }

    /// The next change whose id is below `limit`, if there is one.
    pub(super) fn below(&mut self, limit: Option<u128>) -> Result<Option<Last>> {
        if let (Some(id), Some(limit)) = (self.peek(), limit)
            && id >= limit
        {
            return Ok(None);
        }
        let head = self.head.take();
        self.advance()?;
        Ok(head)
    }

    fn raw(&mut self) -> Result<Option<Placed>> {
        while let Some(placed) = self.merged.next()? {
            if self.granularity.key(placed.created) == self.partition {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }

    fn advance(&mut self) -> Result<()> {
        self.head = None;
        while let Some(next) = self.ahead.take_if(|next| {
            self.head
                .as_ref()
                .is_none_or(|head| head.placed.id == next.id)
        }) {
            // What a deleted row was created at says nothing about the one after it.
            let before = self.head.take().filter(|head| head.placed.put.is_some());
            let created = match next.is_new() {
                true => Some(next.committed),
                false => before.and_then(|head| head.created),
            };
            self.head = Some(Last {
                placed: next,
                created,
            });
            self.ahead = self.raw()?;
        }
        Ok(())
    }
}
