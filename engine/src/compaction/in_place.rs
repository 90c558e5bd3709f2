//! In-place partitions: rows sorted by id; a change touches only the block that its id falls into.

use super::Compaction;
use super::change::{Change, What};
use super::rows::{write_id, write_sink_time};
use crate::block::{BlockEntry, BlockWriter, Manifest};
use crate::error::{Error, Result};
use crate::row::{RowsIn, id_of, split_head};

/// Merges changes, sorted by id and one an id, into a partition. Blocks that no change falls into
/// are only referenced again.
pub(super) fn merge(
    compaction: &mut Compaction<'_>,
    old: &Manifest,
    changes: &[Change<'_>],
) -> Result<Manifest> {
    let mut merge = Merge {
        writer: BlockWriter::new(true),
        compaction,
    };
    let mut rest = changes;
    if old.blocks.is_empty() {
        merge.insert(rest)?;
        rest = &[];
    }
    for (at, block) in old.blocks.iter().enumerate() {
        // A block's room ends where the next begins; the first also takes what comes before it.
        let mine = match old.blocks.get(at + 1) {
            Some(next) => rest.partition_point(|c| c.id < next.first),
            None => rest.len(),
        };
        let (mine, later) = rest.split_at(mine);
        rest = later;
        if mine.is_empty() && !merge.writer.wants_more() {
            merge.keep(block)?;
        } else {
            merge.rewrite(block, mine)?;
        }
    }
    debug_assert!(rest.is_empty());
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

    fn rewrite(&mut self, block: &BlockEntry, changes: &[Change<'_>]) -> Result<()> {
        let packs = self.compaction.packs;
        let line_end = self.compaction.line_end;
        let bytes = packs.read(&block.extent)?;
        let damaged = || {
            Error::corrupt(
                &packs.path(block.extent.pack),
                "a row of a block does not parse",
            )
        };
        let mut rest = changes;
        for row in RowsIn::block(bytes.as_ref()) {
            let id = id_of(row).ok_or_else(damaged)?;
            let before = rest.partition_point(|c| c.id < id);
            self.insert(&rest[..before])?;
            rest = &rest[before..];
            match rest.first() {
                Some(change) if change.id == id => {
                    let (created, _) = split_head(row).ok_or_else(damaged)?;
                    self.put(change, Some(created))?;
                    rest = &rest[1..];
                }
                _ => self.writer.row(&mut self.compaction.pack, id, |out| {
                    out.extend_from_slice(row);
                    out.extend_from_slice(line_end);
                })?,
            }
        }
        self.insert(rest)
    }

    fn insert(&mut self, changes: &[Change<'_>]) -> Result<()> {
        changes.iter().try_for_each(|change| self.put(change, None))
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
