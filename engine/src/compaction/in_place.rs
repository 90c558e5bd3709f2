//! In-place partitions: rows sorted by id; a change touches only the block that its id falls into.

use super::Place;
use super::change::{Change, What};
use super::gather::Gathered;
use super::rows::{SinkTimes, write_id};
use crate::block::{BlockEntry, BlockWriter, Manifest, PackWriter};
use crate::error::{Error, Result};
use crate::row::{RowsIn, id_of, split_head};

/// A range of ids: from the first, to below the second.
pub(super) type Bounds = (u128, Option<u128>);

/// Merges the changes of a range of ids into the part of a partition that lies in it. Blocks that no
/// change falls into are only referenced again; one that the range cuts is read for its rows in it.
pub(super) fn merge(
    place: &Place<'_>,
    pack: &mut PackWriter,
    old: &Manifest,
    (low, high): Bounds,
    changes: &Gathered,
) -> Result<Vec<BlockEntry>> {
    let mut merge = Merge {
        writer: BlockWriter::new(true),
        place,
        pack,
        changes,
        next: 0,
        times: SinkTimes::default(),
    };
    let is_below = |id: u128| high.is_none_or(|high| id < high);
    let start = old.blocks.partition_point(|block| block.last < low);
    let end = old.blocks.partition_point(|block| is_below(block.first));
    for (at, block) in old.blocks.iter().enumerate().take(end).skip(start) {
        // A block's room ends where the next begins; the first also takes what comes before it.
        let limit = old.blocks.get(at + 1).map(|next| next.first);
        let limit = match (limit, high) {
            (Some(limit), Some(high)) => Some(limit.min(high)),
            (limit, high) => limit.or(high),
        };
        let is_whole = block.first >= low && is_below(block.last);
        let is_touched = merge
            .peek()
            .is_some_and(|id| limit.is_none_or(|limit| id < limit));
        if is_whole && !is_touched && !merge.writer.wants_more() {
            merge.keep(block)?;
        } else {
            merge.rewrite(block, (low, high), limit)?;
        }
    }
    // Without blocks everything is new.
    merge.insert(None)?;
    let Merge { writer, pack, .. } = merge;
    writer.finish(pack)
}

struct Merge<'m> {
    writer: BlockWriter,
    place: &'m Place<'m>,
    pack: &'m mut PackWriter,
    changes: &'m Gathered,
    /// The place of the next change.
    next: usize,
    times: SinkTimes,
}

impl Merge<'_> {
    /// The id of the next change.
    fn peek(&self) -> Option<u128> {
        self.changes.id(self.next)
    }

    fn keep(&mut self, block: &BlockEntry) -> Result<()> {
        self.writer.end_run(self.pack)?;
        let mut block = block.clone();
        if self.place.sparse.contains(&block.extent.pack) {
            let bytes = self.place.packs.read(&block.extent)?;
            block.extent = self.pack.append(bytes.as_ref())?;
        }
        self.writer.reuse(block);
        Ok(())
    }

    /// Writes the rows of a block that are within the bounds anew, with the changes below `limit`.
    fn rewrite(
        &mut self,
        block: &BlockEntry,
        (low, high): Bounds,
        limit: Option<u128>,
    ) -> Result<()> {
        let packs = self.place.packs;
        let line_end = self.place.line_end;
        let bytes = packs.read(&block.extent)?;
        let damaged = || {
            Error::corrupt(
                &packs.path(block.extent.pack),
                "a row of a block does not parse",
            )
        };
        for row in RowsIn::block(bytes.as_ref()) {
            let id = id_of(row).ok_or_else(damaged)?;
            if id < low {
                continue;
            }
            if high.is_some_and(|high| id >= high) {
                break;
            }
            self.insert(Some(id))?;
            match self.changes.change(self.next).filter(|next| next.id == id) {
                Some(change) => {
                    let (created, _) = split_head(row).ok_or_else(damaged)?;
                    self.next += 1;
                    self.put(&change, Some(created))?;
                }
                None => self.writer.row(self.pack, id, |out| {
                    out.extend_from_slice(row);
                    out.extend_from_slice(line_end);
                })?,
            }
        }
        self.insert(limit)
    }

    /// Writes the changed rows below `limit`, of which the partition has none yet.
    fn insert(&mut self, limit: Option<u128>) -> Result<()> {
        let changes = self.changes;
        while let Some(id) = self.peek()
            && limit.is_none_or(|limit| id < limit)
        {
            if let Some(change) = changes.change(self.next) {
                self.put(&change, None)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Writes a changed row. `stored_created` is the cell of `SinkCreatedOn` in the block.
    fn put(&mut self, change: &Change<'_>, stored_created: Option<&[u8]>) -> Result<()> {
        let What::Put { created, cells } = change.what else {
            return Ok(());
        };
        let line_end = self.place.line_end;
        let times = &mut self.times;
        self.writer.row(self.pack, change.id, |out| {
            write_id(change.id, out);
            match (created, stored_created) {
                (None, Some(cell)) => {
                    out.extend_from_slice(cell);
                    out.push(b',');
                }
                (created, _) => times.write(created.unwrap_or(change.modified), out),
            }
            times.write(change.modified, out);
            cells.write(out);
            out.extend_from_slice(line_end);
        })
    }
}
