//! Append-only partitions: every change is a new row at the end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Compaction;
use super::change::{Change, What};
use super::gather::{Gathered, Ranges, Reading, Want};
use super::partition::{DeletePartition, NO_DATE};
use super::rows::{write_id, write_sink_time};
use super::unmerged::Unmerged;
use crate::block::{BLOCK_BYTES_MIN, BlockEntry, BlockWriter, Manifest, PackWriter};
use crate::catalog::LayoutEntry;
use crate::error::Result;
use crate::row::{Cells, RowsIn, id_of};

/// The last change of each row of a table, in version order, at the end of their partitions. A row
/// that came and went since the last compaction was never in the lake and leaves no trace.
pub(super) fn extend(
    compaction: &mut Compaction<'_>,
    unmerged: &Unmerged<'_>,
    table: u16,
    entry: &LayoutEntry,
) -> Result<BTreeMap<String, Manifest>> {
    let line_end = compaction.line_end;
    let chosen = Chosen::of(unmerged, table)?;
    let mut growing: BTreeMap<String, Growing> = BTreeMap::new();
    for (segment, rows) in unmerged.segments.iter().zip(&chosen.rows) {
        for row in rows.iter() {
            let stored = segment.change(row)?;
            unmerged.residence.read(unmerged.segments.iter().copied());
            let change = Change::of(&stored, Some(stored.committed));
            let partition = match (change.what, entry.layout.deletes) {
                (What::Remove, DeletePartition::NoDate) => NO_DATE.to_owned(),
                _ => entry.layout.partition(stored.record.created),
            };
            let partition = match growing.entry(partition) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(new) => {
                    let begun = Growing::begin(compaction, entry, new.key())?;
                    new.insert(begun)
                }
            };
            partition
                .writer
                .row(&mut compaction.pack, change.id, |out| {
                    write(&change, entry, out);
                    out.extend_from_slice(line_end);
                })?;
        }
    }
    let pack = &mut compaction.pack;
    growing
        .into_iter()
        .map(|(partition, growing)| Ok((partition, growing.finish(pack)?)))
        .collect()
}

/// A partition that gets rows at its end.
struct Growing {
    blocks: Vec<BlockEntry>,
    writer: BlockWriter,
}

impl Growing {
    fn begin(
        compaction: &mut Compaction<'_>,
        entry: &LayoutEntry,
        partition: &str,
    ) -> Result<Self> {
        let mut blocks = match entry.partitions.get(partition) {
            Some(entry) => compaction.packs.manifest(&entry.manifest)?.blocks.clone(),
            None => Vec::new(),
        };
        let line_end = compaction.line_end;
        let mut writer = BlockWriter::new(false);
        // A small last block is taken up again, so that many small syncs do not make many small
        // blocks.
        let last = blocks.pop_if(|b| b.extent.length < BLOCK_BYTES_MIN as u64);
        if let Some(last) = &last {
            let bytes = compaction.packs.read(&last.extent)?;
            for row in RowsIn::block(bytes.as_ref()) {
                let id = id_of(row).unwrap_or_default();
                writer.row(&mut compaction.pack, id, |out| {
                    out.extend_from_slice(row);
                    out.extend_from_slice(line_end);
                })?;
            }
        }
        Ok(Growing { blocks, writer })
    }

    fn finish(mut self, pack: &mut PackWriter) -> Result<Manifest> {
        self.blocks.extend(self.writer.finish(pack)?);
        Ok(Manifest {
            blocks: self.blocks,
        })
    }
}

/// Which rows of which segment become rows of the files: a bit each.
struct Chosen {
    rows: Vec<RowSet>,
}

impl Chosen {
    fn of(unmerged: &Unmerged<'_>, table: u16) -> Result<Self> {
        let mut chosen = Chosen {
            rows: unmerged
                .segments
                .iter()
                .map(|_| RowSet::default())
                .collect(),
        };
        let reading = Reading {
            want: Want::Places,
            only: None,
            range_bytes: unmerged.range_bytes,
            touch_bytes: 0,
            threads: 1,
        };
        let ranges = Ranges::of(unmerged, unmerged.sources(table)?, &reading, |cut| cut)?;
        let mut gathered = Gathered::default();
        for range in 0..ranges.len() {
            ranges.gather(range, &mut gathered)?;
            for last in gathered.rows().filter(|last| !last.leaves_no_trace()) {
                let (segment, row) = last.place;
                chosen.rows[segment].insert(row);
            }
        }
        Ok(chosen)
    }
}

/// A set of row numbers.
#[derive(Default)]
struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    fn insert(&mut self, row: u32) {
        let word = row as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (row % 64);
    }

    fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.words).flat_map(|(at, word)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| at * 64 + bit)
        })
    }
}

/// `SinkCreatedOn` and `SinkModifiedOn` are both the time at which this row came, since no row of an
/// append-only file is ever modified.
fn write(change: &Change<'_>, entry: &LayoutEntry, out: &mut Vec<u8>) {
    write_id(change.id, out);
    write_sink_time(change.modified, out);
    write_sink_time(change.modified, out);
    match change.what {
        What::Put { cells, .. } => {
            let start = out.len();
            cells.write(out);
            insert_is_delete(out, start, entry.is_delete_position);
        }
        What::Remove => {
            // Only the ids, the times, the version and IsDelete of a deleted row are known.
            for place in 0..=entry.columns {
                if place > 0 {
                    out.push(b',');
                }
                // Columns that were added later stand behind IsDelete.
                let attribute = place - usize::from(place > entry.is_delete_position);
                if place == entry.is_delete_position {
                    out.extend_from_slice(b"True");
                } else if Some(attribute) == entry.version_position {
                    out.extend_from_slice(itoa::Buffer::new().format(change.version).as_bytes());
                }
            }
        }
    }
}

/// Puts the empty cell of `IsDelete` into the cells that begin at `start`.
pub(super) fn insert_is_delete(out: &mut Vec<u8>, start: usize, position: usize) {
    let mut cells = Cells::of(&out[start..]);
    let before = cells.by_ref().take(position).count();
    let cell = cells.next().map(|c| c.start);
    match cell {
        // A column that was added later comes behind it.
        Some(offset) => out.insert(start + offset, b','),
        // A row from before a column was added gets the cells that it lacks before it.
        None => out.resize(out.len() + 1 + (position - before), b','),
    }
}
