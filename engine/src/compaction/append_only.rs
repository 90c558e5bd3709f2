//! Append-only partitions: every change is a new row at the end.

use super::Compaction;
use super::change::{Change, What};
use super::rows::{write_id, write_sink_time};
use crate::block::{BLOCK_BYTES_MIN, BlockWriter, Manifest};
use crate::catalog::LayoutEntry;
use crate::error::Result;
use crate::row::{Cells, RowsIn, id_of};

/// Adds changes, in version order, at the end of a partition.
pub(super) fn extend(
    compaction: &mut Compaction<'_>,
    old: &Manifest,
    changes: &[Change<'_>],
    entry: &LayoutEntry,
) -> Result<Manifest> {
    let line_end = compaction.line_end;
    let mut writer = BlockWriter::new(false);
    let mut blocks = old.blocks.clone();
    // A small last block is taken up again, so that many small syncs do not make many small blocks.
    let last = blocks.pop_if(|b| b.extent.length < BLOCK_BYTES_MIN as u64);
    if let Some(last) = &last {
        let bytes = compaction.packs.read(&last.extent)?;
        for row in RowsIn::block(bytes.as_ref()) {
            writer.row(
                &mut compaction.pack,
                id_of(row).unwrap_or_default(),
                |out| {
                    out.extend_from_slice(row);
                    out.extend_from_slice(line_end);
                },
            )?;
        }
    }
    for change in changes {
        writer.row(&mut compaction.pack, change.id, |out| {
            write(change, entry, out);
            out.extend_from_slice(line_end);
        })?;
    }
    blocks.extend(writer.finish(&mut compaction.pack)?);
    Ok(Manifest { blocks })
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
            let positions = entry.columns.max(entry.is_delete_position + 1);
            for position in 0..positions {
                if position > 0 {
                    out.push(b',');
                }
                if Some(position) == entry.version_position {
                    out.extend_from_slice(itoa::Buffer::new().format(change.version).as_bytes());
                } else if position == entry.is_delete_position {
                    out.extend_from_slice(b"True");
                }
            }
        }
    }
}

/// Puts the empty cell of `IsDelete` into the cells that begin at `start`.
pub(super) fn insert_is_delete(out: &mut Vec<u8>, start: usize, position: usize) {
    let cell = Cells::of(&out[start..]).nth(position).map(|c| c.start);
    match cell {
        // A column that was added later comes behind it.
        Some(offset) => out.insert(start + offset, b','),
        None => out.push(b','),
    }
}
