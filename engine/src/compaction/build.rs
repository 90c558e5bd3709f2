//! A new layout of a table, made from the one that is always there.
//!
//! The base layout is in-place. Its partitions are read once, in the order of their ids, and dealt
//! out to the partitions of the new layout.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::append_only::insert_is_delete;
use super::rows::{write_id, write_sink_time};
use super::{Compaction, Mode};
use crate::block::{BlockWriter, Manifest, Packs};
use crate::catalog::LayoutEntry;
use crate::clock::Ticks;
use crate::error::{Error, Result};
use crate::row::{Cells, RowsIn, created_ticks, id_of, split_head};

/// What a new layout is made from.
pub(crate) struct BaseRows<'a> {
    pub base: &'a LayoutEntry,
    /// The place of `createdon` among the attributes.
    pub created_on: Option<usize>,
    /// The version up to which the base holds every change.
    pub version: u64,
    pub now: Ticks,
}

/// Fills the empty layout `target` with the rows of the base.
pub(crate) fn build(
    compaction: &mut Compaction<'_>,
    source: &BaseRows<'_>,
    target: &LayoutEntry,
) -> Result<LayoutEntry> {
    let base = source.base;
    let line_end = compaction.line_end;
    let mut built = target.clone();
    let sorted = target.layout.mode == Mode::InPlace;
    for sources in groups(base).into_values() {
        let mut writers: BTreeMap<String, BlockWriter> = BTreeMap::new();
        let mut rows = Merged::of(compaction.packs, base, &sources)?;
        while let Some((id, row)) = rows.next()? {
            let created = source.created_on.and_then(|position| {
                let (_, cells) = split_head(&row)?;
                let cell = Cells::of(cells).nth(position)?;
                created_ticks(&cells[cell])
            });
            let partition = target.layout.partition(created);
            let writer = writers
                .entry(partition)
                .or_insert_with(|| BlockWriter::new(sorted));
            let cells = split_head(&row).map_or(&[][..], |(_, cells)| cells);
            writer.row(&mut compaction.pack, id, |out| {
                if sorted {
                    out.extend_from_slice(&row);
                } else {
                    // To an append-only file the row comes now, whenever it came to the log.
                    write_id(id, out);
                    write_sink_time(source.now, out);
                    write_sink_time(source.now, out);
                    let start = out.len();
                    out.extend_from_slice(cells);
                    insert_is_delete(out, start, target.is_delete_position);
                }
                out.extend_from_slice(line_end);
            })?;
        }
        for (partition, writer) in writers {
            // Groups are years, and so is the coarsest partition: none is met twice.
            debug_assert!(!built.partitions.contains_key(&partition));
            let blocks = writer.finish(&mut compaction.pack)?;
            let manifest = Manifest { blocks };
            compaction.replace(&mut built.partitions, partition, &manifest, source.version)?;
        }
    }
    Ok(built)
}

/// The partitions of the base by year: whatever the granularities, no new partition takes rows from
/// two groups.
fn groups(base: &LayoutEntry) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for partition in base.partitions.keys() {
        let year = partition.split('-').next().unwrap_or(partition);
        groups.entry(year).or_default().push(partition);
    }
    groups
}

/// The rows of several sorted partitions in the order of their ids.
struct Merged<'a> {
    sources: Vec<Source<'a>>,
    heap: BinaryHeap<Reverse<(u128, usize)>>,
}

impl<'a> Merged<'a> {
    fn of(packs: &'a Packs, base: &LayoutEntry, partitions: &[&str]) -> Result<Self> {
        let mut merged = Merged {
            sources: Vec::new(),
            heap: BinaryHeap::new(),
        };
        for entry in partitions.iter().filter_map(|p| base.partitions.get(*p)) {
            let mut source = Source {
                packs,
                manifest: packs.manifest(&entry.manifest)?,
                block: 0,
                rows: Vec::new().into_iter(),
                head: None,
            };
            if let Some(id) = source.advance()? {
                merged.heap.push(Reverse((id, merged.sources.len())));
            }
            merged.sources.push(source);
        }
        Ok(merged)
    }

    fn next(&mut self) -> Result<Option<(u128, Vec<u8>)>> {
        let Some(Reverse((id, at))) = self.heap.pop() else {
            return Ok(None);
        };
        let source = &mut self.sources[at];
        let row = source.head.take().unwrap_or_default();
        if let Some(next) = source.advance()? {
            self.heap.push(Reverse((next, at)));
        }
        Ok(Some((id, row)))
    }
}

/// One sorted partition, a block at a time.
struct Source<'a> {
    packs: &'a Packs,
    manifest: Arc<Manifest>,
    block: usize,
    rows: std::vec::IntoIter<Vec<u8>>,
    head: Option<Vec<u8>>,
}

impl Source<'_> {
    fn advance(&mut self) -> Result<Option<u128>> {
        loop {
            if let Some(row) = self.rows.next() {
                let id = id_of(&row);
                self.head = Some(row);
                return match id {
                    Some(id) => Ok(Some(id)),
                    None => Err(Error::corrupt(
                        &self
                            .packs
                            .path(self.manifest.blocks[self.block - 1].extent.pack),
                        "a row of a block does not parse",
                    )),
                };
            }
            let Some(block) = self.manifest.blocks.get(self.block) else {
                return Ok(None);
            };
            let bytes = self.packs.read(&block.extent)?;
            let rows: Vec<_> = RowsIn::block(bytes.as_ref()).map(<[u8]>::to_vec).collect();
            self.rows = rows.into_iter();
            self.block += 1;
        }
    }
}
