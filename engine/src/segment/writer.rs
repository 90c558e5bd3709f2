//! Writing a segment.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::ipc::writer::StreamWriter;

use super::columns::{BATCH_ROWS, Batches, schema};
use super::filter;
use super::footer::{Footer, MAGIC, Part, Run};
use crate::checksum::crc32c;
use crate::compaction::Granularity;
use crate::journal::{Commit, Records};

/// Writes commits as a segment, one batch after the other, so that no copy of all is held.
pub(crate) struct SegmentWriter<W> {
    out: W,
    offset: u64,
}

/// A row as the order sorts it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: u16,
    partition: i32,
    id: u128,
    row: u32,
}

impl<W: Write> SegmentWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        SegmentWriter { out, offset: 0 }
    }

    /// Writes everything, and gives the output, its length, and the footer's checksum.
    /// `granularity` tells how the base layout of a table is partitioned.
    pub(crate) fn write(
        mut self,
        commits: &[Arc<Commit>],
        granularity: &dyn Fn(u16) -> Granularity,
    ) -> io::Result<(W, u64, u32)> {
        let keys = sorted_keys(commits, granularity);
        let mut footer = Footer {
            rows: keys.len() as u32,
            first_version: commits.first().map_or(0, |c| c.first_version),
            runs: runs(&keys),
            ..Footer::default()
        };
        let mut stream = StreamWriter::try_new(Vec::new(), &schema()).map_err(io::Error::other)?;
        footer.schema = self.part(&std::mem::take(stream.get_mut()))?;
        let mut batches = Batches::of(commits.iter().map(|c| &**c));
        for order in by_batch(&keys) {
            let Some(batch) = batches.next(&order).map_err(io::Error::other)? else {
                break;
            };
            stream.write(&batch).map_err(io::Error::other)?;
            let message = std::mem::take(stream.get_mut());
            footer.batches.push(self.part(&message)?);
        }
        stream.finish().map_err(io::Error::other)?;
        self.part(stream.get_ref())?;
        let order: Vec<u8> = keys.iter().flat_map(|k| k.row.to_le_bytes()).collect();
        footer.order = self.part(&order)?;
        footer.filter = self.part(&filter::build(keys.iter().map(|k| (k.table, k.id))))?;
        let footer = footer.encode();
        let crc = self.part(&footer)?.crc32c;
        self.part(&(footer.len() as u32).to_le_bytes())?;
        self.part(&crc.to_le_bytes())?;
        self.part(MAGIC)?;
        Ok((self.out, self.offset, crc))
    }

    fn part(&mut self, bytes: &[u8]) -> io::Result<Part> {
        self.out.write_all(bytes)?;
        let part = Part {
            offset: self.offset,
            length: bytes.len() as u64,
            crc32c: crc32c(&[bytes]),
        };
        self.offset += part.length;
        Ok(part)
    }
}

fn sorted_keys(commits: &[Arc<Commit>], granularity: &dyn Fn(u16) -> Granularity) -> Vec<Key> {
    let records = commits.iter().flat_map(|c| Records::of(&c.payload));
    let mut known: HashMap<u16, Granularity> = HashMap::new();
    let mut keys: Vec<Key> = (0u32..)
        .zip(records)
        .map(|(row, (_, record))| Key {
            table: record.table,
            partition: known
                .entry(record.table)
                .or_insert_with(|| granularity(record.table))
                .key(record.created),
            id: record.id,
            row,
        })
        .collect();
    keys.sort_unstable();
    keys
}

/// The rows of each batch, numbered within it, in the order of the keys.
fn by_batch(keys: &[Key]) -> Vec<Vec<u16>> {
    let mut batches = vec![Vec::new(); keys.len().div_ceil(BATCH_ROWS)];
    for key in keys {
        let row = key.row as usize;
        batches[row / BATCH_ROWS].push((row % BATCH_ROWS) as u16);
    }
    batches
}

fn runs(keys: &[Key]) -> Vec<Run> {
    let mut end = 0;
    keys.chunk_by(|a, b| (a.table, a.partition) == (b.table, b.partition))
        .filter_map(|run| {
            let start = end;
            end += run.len() as u32;
            let (first, last) = (run.first()?, run.last()?);
            Some(Run {
                table: first.table,
                partition: first.partition,
                start,
                end,
                least: first.id,
                greatest: last.id,
            })
        })
        .collect()
}
