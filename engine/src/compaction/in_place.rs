//! In-place partitions: rows sorted by id; a change touches only the block that its id falls into.

use super::Compaction;
use super::change::{Change, Collapsed, What};
use super::rows::{write_id, write_sink_time};
use crate::block::{BlockEntry, BlockWriter, Manifest};
use crate::error::{Error, Result};
use crate::row::{RowsIn, id_of, split_head};

/// Merges changes into a partition. Blocks that no change falls into are only referenced again.
pub(super) fn merge(
    compaction: &mut Compaction<'_>,
    old: &Manifest,
    mut changes: Option<Collapsed<'_>>,
) -> Result<Manifest> {
    let mut merge = Merge {
        writer: BlockWriter::new(true),
        compaction,
    };
    for (at, block) in old.blocks.iter().enumerate() {
        // A block's room ends where the next begins; the first also takes what comes before it.
        let limit = old.blocks.get(at + 1).map(|next| next.first);
        let next = changes.as_ref().and_then(Collapsed::peek);
        let is_touched = next.is_some_and(|id| limit.is_none_or(|limit| id < limit));
        if is_touched || merge.writer.wants_more() {
            merge.rewrite(block, changes.as_mut(), limit)?;
        } else {
            merge.keep(block)?;
        }
    }
    // Without blocks everything is new.
    merge.insert(changes.as_mut(), None)?;
    let Merge { writer, compaction } = merge;
    let blocks = writer.finish(&mut compaction.pack)?;
    Ok(Manifest { blocks })
}

struct Merge<'c, 'p> {
    writer: BlockWriter,
    compaction: &'c mut Compaction<'p>,
}

impl Merge<'_, '_> {
    fn keep(&mut self, block: &BlockEntry) -> Result<()> {
        self.writer.end_run(&mut self.compaction.pack)?;
        let mut block = block.clone();
        if self.compaction.sparse.contains(&block.extent.pack) {
            let bytes = self.compaction.packs.read(&block.extent)?;
            block.extent = self.compaction.pack.append(bytes.as_ref())?;
        }
        self.writer.reuse(block);
        Ok(())
    }

    /// Writes a block anew, with the changes below `limit`.
    fn rewrite(
        &mut self,
        block: &BlockEntry,
        mut changes: Option<&mut Collapsed<'_>>,
        limit: Option<u128>,
    ) -> Result<()> {
        let packs = self.compaction.packs;
        let line_end = self.compaction.line_end;
        let bytes = packs.read(&block.extent)?;
        let damaged = || {
            Error::corrupt(
                &packs.path(block.extent.pack),
                "a row of a block does not parse",
            )
        };
        for row in RowsIn::block(bytes.as_ref()) {
            let id = id_of(row).ok_or_else(damaged)?;
            self.insert(changes.as_deref_mut(), Some(id))?;
            match changes.as_deref_mut() {
                Some(changes) if changes.peek() == Some(id) => {
                    let (created, _) = split_head(row).ok_or_else(damaged)?;
                    if let Some(last) = changes.below(None)? {
                        self.put(&last.change(), Some(created))?;
                    }
                }
                _ => self.writer.row(&mut self.compaction.pack, id, |out| {
                    out.extend_from_slice(row);
                    out.extend_from_slice(line_end);
                })?,
            }
        }
        self.insert(changes, limit)
    }

    /// Writes the changed rows below `limit`, of which the partition has none yet.
    fn insert(&mut self, changes: Option<&mut Collapsed<'_>>, limit: Option<u128>) -> Result<()> {
        let Some(changes) = changes else {
            return Ok(());
        };
        while let Some(last) = changes.below(limit)? {
            self.put(&last.change(), None)?;
        }
        Ok(())
    }

    /// Writes a changed row. `stored_created` is the cell of `SinkCreatedOn` in the block.
    fn put(&mut self, change: &Change<'_>, stored_created: Option<&[u8]>) -> Result<()> {
        let What::Put { created, cells } = change.what else {
            return Ok(());
        };
        let line_end = self.compaction.line_end;
        self.writer
            .row(&mut self.compaction.pack, change.id, |out| {
                write_id(change.id, out);
                match (created, stored_created) {
                    (None, Some(cell)) => {
                        out.extend_from_slice(cell);
                        out.push(b',');
                    }
                    (created, _) => write_sink_time(created.unwrap_or(change.modified), out),
                }
                write_sink_time(change.modified, out);
                cells.write(out);
                out.extend_from_slice(line_end);
            })
    }
}
